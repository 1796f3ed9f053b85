//! What `--listen` says: `NAME=ADDRESS[,OPTION…]`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A listener that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) backlog: Option<i32>,
    pub(crate) reuse_port: bool,
    pub(crate) v6_only: bool,
    /// Of a Unix path.
    pub(crate) mode: Option<u32>,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Place {
    Tcp(String),
    Udp(String),
    Unix(PathBuf),
    /// The service manager, or whoever started this program, must have passed it, under the same name.
    Inherited,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((name, rest)) = text.split_once('=') else {
            return Err("give NAME=ADDRESS, such as web=127.0.0.1:8080".to_owned());
        };
        check_name(name)?;
        let mut parts = rest.split(',');
        let place = parts.next().unwrap_or_default().parse()?;
        let mut spec =
            Spec { name: name.to_owned(), place, backlog: None, reuse_port: false, v6_only: false, mode: None };
        for option in parts {
            spec.set(option)?;
        }
        Ok(spec)
    }
}

impl Spec {
    /// Whether a socket that was made for this one serves for that one, too: what differs can be changed afterwards.
    pub(crate) fn is_same_socket(&self, other: &Spec) -> bool {
        let picked = match &self.place {
            Place::Tcp(address) | Place::Udp(address) => address.ends_with(":0"),
            Place::Unix(_) => false,
            Place::Inherited => true,
        };
        let same = (&self.place, self.reuse_port, self.v6_only) == (&other.place, other.reuse_port, other.v6_only);
        same && (!picked || self.name == other.name)
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let tcp = matches!(self.place, Place::Tcp(_));
        let ip = tcp || matches!(self.place, Place::Udp(_));
        let unix = matches!(self.place, Place::Unix(_));
        match option.split_once('=') {
            Some(("backlog", number)) if tcp || unix => {
                let number = number.parse().ok().filter(|number| *number > 0);
                self.backlog = Some(number.ok_or("backlog is a number of connections, such as backlog=1024")?);
            }
            Some(("mode", mode)) if unix => {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                self.mode = Some(mode.ok_or("mode is three octal digits, such as mode=660")?);
            }
            None if option == "reuseport" && ip => self.reuse_port = true,
            None if option == "v6only" && ip => self.v6_only = true,
            _ => return Err(format!("`{option}` is no option of this kind of listener: {}", self.place.options())),
        }
        Ok(())
    }
}

impl Place {
    fn options(&self) -> &'static str {
        match self {
            Place::Tcp(_) => "there are backlog=N, reuseport and v6only",
            Place::Udp(_) => "there are reuseport and v6only",
            Place::Unix(_) => "there are backlog=N and mode=OCTAL",
            Place::Inherited => "an inherited one has none",
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "inherited" {
            return Ok(Place::Inherited);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path behind it".to_owned()),
                path => Ok(Place::Unix(path.into())),
            };
        }
        let (make, address): (fn(String) -> Place, _) = match text.split_once(':') {
            Some(("udp", address)) => (Place::Udp, address),
            Some(("tcp", address)) => (Place::Tcp, address),
            _ => (Place::Tcp, text),
        };
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(make(address.to_owned())),
            _ => Err(format!("`{address}` is no address: give HOST:PORT, udp:HOST:PORT, unix:PATH or inherited")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => f.write_str(address),
            Place::Udp(address) => write!(f, "udp:{address}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Inherited => f.write_str("inherited"),
        }
    }
}

/// Names of listeners go into `LISTEN_FDNAMES`, between colons; those of supervisors into the names of folders.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let fits = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    match !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.chars().all(fits) {
        true => Ok(()),
        false => Err(format!("`{name}` is no name: give at most 64 letters, digits, dots, dashes and underscores")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_is_understood() {
        let spec: Spec = "web=127.0.0.1:0,backlog=16,reuseport".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.backlog, spec.reuse_port), ("web", Some(16), true));
        assert_eq!(spec.place, Place::Tcp("127.0.0.1:0".to_owned()));
        let spec: Spec = "a=unix:/run/x=y.sock,mode=660".parse().unwrap();
        assert_eq!((spec.place, spec.mode), (Place::Unix("/run/x=y.sock".into()), Some(0o660)));
        assert_eq!(
            "d=udp:[::1]:53,v6only".parse::<Spec>().map(|spec| spec.place),
            Ok(Place::Udp("[::1]:53".to_owned()))
        );
        assert_eq!("d=tcp:h:1".parse::<Spec>().map(|spec| spec.place.to_string()), Ok("h:1".to_owned()));
        assert_eq!("d=inherited".parse::<Spec>().map(|spec| spec.place), Ok(Place::Inherited));
    }

    #[test]
    fn the_same_socket_serves_for_other_names_and_options() {
        let same = |one: &str, other: &str| {
            let [one, other]: [Spec; 2] = [one, other].map(|text| text.parse().unwrap());
            one.is_same_socket(&other)
        };
        assert!(same("a=h:1", "b=h:1,backlog=5"));
        assert!(same("a=unix:/x,mode=600", "a=unix:/x,mode=660"));
        assert!(same("a=h:0", "a=h:0,backlog=5"));
        for (one, other) in
            [("a=h:0", "b=h:0"), ("a=h:1", "a=h:1,reuseport"), ("a=inherited", "b=inherited"), ("a=h:1", "a=h:2")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused_when_it_is_given() {
        for wrong in [
            "",
            "8080",
            "127.0.0.1:80",
            "=a:1",
            "a b=c:1",
            "a:b=c:1",
            ".a=c:1",
            "w=",
            "w=a",
            "w=:1",
            "w=a:99999",
            "w=unix:",
            "w=a:1,",
            "w=a:1,backlog",
            "w=a:1,backlog=0",
            "w=a:1,mode=660",
            "w=unix:/a,mode=9",
            "w=unix:/a,reuseport",
            "w=udp:a:1,backlog=1",
            "w=inherited,v6only",
        ] {
            assert!(wrong.parse::<Spec>().is_err(), "{wrong}");
        }
    }
}
