//! Values of `--listen`: `[NAME=]ADDRESS[,OPTION…]`.

use crate::address::{Address, FORMS};
use crate::system::is_abstract;
use nix::unistd::{Group, User};
use std::path::Path;
use std::str::FromStr;

/// Word in the place of an address.
pub(crate) const INHERITED: &str = "inherited";
/// Host of a port that stands alone: who wants others to connect says so.
const LOOPBACK: &str = "127.0.0.1";

/// A listener that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Spec {
    /// Empty until `with_names`, if none was given.
    pub(crate) name: String,
    /// Nothing: the service manager, or whoever started this program, must have passed it, under the same name.
    pub(crate) place: Option<Address>,
    pub(crate) backlog: Option<i32>,
    pub(crate) reuse_port: bool,
    pub(crate) v6_only: bool,
    /// Whether it is made non-blocking, for servers that expect that and do not see to it.
    #[serde(default)]
    pub(crate) nonblock: bool,
    /// Of a Unix path.
    pub(crate) mode: Option<u32>,
    /// The user and the group that a Unix path belongs to, by number.
    #[serde(default)]
    pub(crate) owner: Option<u32>,
    #[serde(default)]
    pub(crate) group: Option<u32>,
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // An address has a colon before an equals sign that is its own, as in `unix:/run/a=b` or `h:1,backlog=5`.
        let (name, rest) = match text.split_once('=').filter(|(name, _)| !name.contains(':')) {
            Some((name, rest)) => (name, rest),
            None => ("", text),
        };
        let mut parts = rest.split(',');
        let address = parts.next().unwrap_or_default();
        match (name, address) {
            ("", _) if text.starts_with('=') => check_name(name)?,
            ("", INHERITED) => return Err("an inherited listener needs its name: give NAME=inherited".to_owned()),
            ("", address) if address.contains('=') && !address.starts_with("unix:") => {
                return Err(format!("`{address}` is no address: give {FORMS}, or NAME= before it"));
            }
            ("", _) => {}
            _ => check_name(name)?,
        }
        let place = match address {
            INHERITED => None,
            port if !port.is_empty() && port.bytes().all(|digit| digit.is_ascii_digit()) => {
                Some(format!("{LOOPBACK}:{port}").parse()?)
            }
            address => Some(address.parse().map_err(|why: String| match why.ends_with(FORMS) {
                true => format!("{why}, or {INHERITED}"),
                false => why,
            })?),
        };
        let mut spec = Spec {
            name: name.to_owned(),
            place,
            backlog: None,
            reuse_port: false,
            v6_only: false,
            nonblock: false,
            mode: None,
            owner: None,
            group: None,
        };
        for option in parts {
            spec.set(option)?;
        }
        Ok(spec)
    }
}

impl Address {
    /// The path of its socket, unless that has an abstract name.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) if !is_abstract(path) => Some(path),
            _ => None,
        }
    }
}

impl Spec {
    /// Address that was asked for.
    pub(crate) fn place(&self) -> String {
        self.place.as_ref().map_or_else(|| INHERITED.to_owned(), Address::to_string)
    }

    /// Whether a socket that was made for this one serves for that one, too: what differs can be changed afterwards.
    pub(crate) fn is_same_socket(&self, other: &Spec) -> bool {
        let picked = match &self.place {
            Some(Address::Tcp(address) | Address::Udp(address)) => address.ends_with(":0"),
            Some(Address::Unix(_)) => false,
            None => true,
        };
        let same = (&self.place, self.reuse_port, self.v6_only) == (&other.place, other.reuse_port, other.v6_only);
        same && (!picked || self.name == other.name)
    }

    fn set(&mut self, option: &str) -> Result<(), String> {
        let tcp = matches!(self.place, Some(Address::Tcp(_)));
        let ip = tcp || matches!(self.place, Some(Address::Udp(_)));
        let unix = matches!(self.place, Some(Address::Unix(_)));
        let path = self.place.as_ref().is_some_and(|place| place.path().is_some());
        match option.split_once('=') {
            Some(("backlog", number)) if tcp || unix => {
                let number = number.parse().ok().filter(|number| *number > 0);
                self.backlog = Some(number.ok_or("backlog is a number of connections, such as backlog=1024")?);
            }
            Some(("mode", mode)) if path => {
                let mode = u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777);
                self.mode = Some(mode.ok_or("mode is three octal digits, such as mode=660")?);
            }
            Some(("owner", name)) if path => {
                let known = || User::from_name(name).ok().flatten().map(|user| user.uid.as_raw());
                let owner = name.parse().ok().or_else(known);
                self.owner = Some(owner.ok_or_else(|| format!("owner: there is no user named `{name}`"))?);
            }
            Some(("group", name)) if path => {
                let known = || Group::from_name(name).ok().flatten().map(|group| group.gid.as_raw());
                let group = name.parse().ok().or_else(known);
                self.group = Some(group.ok_or_else(|| format!("group: there is no group named `{name}`"))?);
            }
            None if option == "nonblock" && (ip || unix) => self.nonblock = true,
            None if option == "reuseport" && ip => self.reuse_port = true,
            None if option == "v6only" && ip => self.v6_only = true,
            _ => {
                return Err(format!(
                    "`{option}` is no option of this kind of listener: {}",
                    options(self.place.as_ref())
                ));
            }
        }
        Ok(())
    }
}

fn options(place: Option<&Address>) -> &'static str {
    match place {
        Some(Address::Tcp(_)) => "there are backlog=N, reuseport, v6only and nonblock",
        Some(Address::Udp(_)) => "there are reuseport, v6only and nonblock",
        Some(place) if place.path().is_none() => "there are backlog=N and nonblock",
        Some(Address::Unix(_)) => "there are backlog=N, mode=OCTAL, owner=USER, group=GROUP and nonblock",
        None => "an inherited one has none",
    }
}

/// Names the listeners that have no name: `web`, `web-2` and so on.
pub(crate) fn with_names(mut listeners: Vec<Spec>) -> Vec<Spec> {
    let taken: Vec<_> = listeners.iter().map(|spec| spec.name.clone()).collect();
    let names = (1..).map(|number| if number == 1 { "web".to_owned() } else { format!("web-{number}") });
    let mut free = names.filter(|name| !taken.contains(name));
    for spec in listeners.iter_mut().filter(|spec| spec.name.is_empty()) {
        spec.name = free.next().unwrap_or_default();
    }
    listeners
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
        let spec: Spec = "web=127.0.0.1:0,backlog=16,reuseport,nonblock".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.backlog, spec.reuse_port, spec.nonblock), ("web", Some(16), true, true));
        assert_eq!(spec.place, Some(Address::Tcp("127.0.0.1:0".to_owned())));
        let spec: Spec = "a=unix:/run/x=y.sock,mode=660".parse().unwrap();
        assert_eq!((spec.place, spec.mode), (Some(Address::Unix("/run/x=y.sock".into())), Some(0o660)));
        let spec: Spec = "a=unix:/run/a b.sock,owner=root,group=7".parse().unwrap();
        assert_eq!((spec.place(), spec.owner, spec.group), ("unix:/run/a b.sock".to_owned(), Some(0), Some(7)));
        assert_eq!(
            "d=udp:[::1]:53,v6only".parse::<Spec>().map(|spec| spec.place),
            Ok(Some(Address::Udp("[::1]:53".to_owned())))
        );
        assert_eq!("d=tcp:h:1".parse::<Spec>().map(|spec| spec.place()), Ok("h:1".to_owned()));
        assert_eq!("d=inherited".parse::<Spec>().map(|spec| spec.place), Ok(None));
    }

    #[test]
    fn a_name_and_a_host_may_be_left_out() {
        let named = |texts: &[&str]| {
            let specs = with_names(texts.iter().map(|text| text.parse().unwrap()).collect());
            specs.iter().map(|spec| format!("{}={}", spec.name, spec.place())).collect::<Vec<_>>()
        };
        assert_eq!(named(&["8080"]), ["web=127.0.0.1:8080"]);
        assert_eq!(named(&[":80", "web=h:1", "unix:/run/a=b"]), ["web-2=:80", "web=h:1", "web-3=unix:/run/a=b"]);
        assert_eq!(named(&["admin=9000"]), ["admin=127.0.0.1:9000"]);
        assert_eq!("h:1,backlog=5".parse::<Spec>().map(|spec| (spec.name, spec.backlog)), Ok((String::new(), Some(5))));
    }

    #[test]
    fn an_abstract_name_is_no_path() {
        let path = |text: &str| text.parse::<Address>().unwrap().path().map(Path::to_owned);
        assert_eq!((path("unix:@a"), path("unix:./@a"), path("unix:a")), (None, Some("./@a".into()), Some("a".into())));
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
            "99999",
            "inherited",
            "=a:1",
            "a b=c:1",
            "a:b=c:1",
            ".a=c:1",
            "w=",
            "w=a",
            "w=a:99999",
            "w=unix:",
            "w=a:1,",
            "w=a:1,backlog",
            "w=a:1,backlog=0",
            "w=a:1,mode=660",
            "w=unix:/a,mode=9",
            "w=unix:/a,owner=",
            "w=unix:/a,group=no such group",
            "w=unix:@a,mode=600",
            "w=a:1,owner=0",
            "w=unix:/a,reuseport",
            "w=udp:a:1,backlog=1",
            "w=inherited,v6only",
            "w=inherited,nonblock",
        ] {
            assert!(wrong.parse::<Spec>().is_err(), "{wrong}");
        }
    }
}
