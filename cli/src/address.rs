//! Addresses on the command line.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// How an address may be given.
pub(crate) const FORMS: &str = "HOST:PORT, tcp:HOST:PORT, udp:HOST:PORT or unix:PATH";

/// The address of a socket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Address {
    Tcp(String),
    Udp(String),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path behind it".to_owned()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        let (make, address): (fn(String) -> Address, _) = match text.split_once(':') {
            Some(("udp", address)) => (Address::Udp, address),
            Some(("tcp", address)) => (Address::Tcp, address),
            _ => (Address::Tcp, text),
        };
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(make(address.to_owned())),
            _ => Err(format!("`{address}` is no address: give {FORMS}")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Udp(address) => write!(f, "udp:{address}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_when_they_are_given() {
        for (text, meant) in [
            ("[::1]:0", Address::Tcp("[::1]:0".to_owned())),
            ("tcp:localhost:80", Address::Tcp("localhost:80".to_owned())),
            ("udp:127.0.0.1:53", Address::Udp("127.0.0.1:53".to_owned())),
            ("unix:/a:b", Address::Unix("/a:b".into())),
        ] {
            assert_eq!(text.parse(), Ok(meant), "{text}");
        }
        for wrong in ["", "8080", ":80", "localhost", "unix:", "udp:", "tcp:80", "a:99999", "a:b"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
