//! Addresses on the command line.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::str::FromStr;

/// How an address may be given.
pub(crate) const FORMS: &str = "HOST:PORT, tcp:HOST:PORT, udp:HOST:PORT, unix:PATH or unix:@NAME";

/// The host and the port of `HOST:PORT`; an empty host, and `*`, mean all addresses of this machine.
pub(crate) fn parts(address: &str) -> Option<(&str, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    Some((if host == "*" { "" } else { host }, port.parse().ok()?))
}

/// The addresses that `HOST:PORT` stands for. Asking for a name may take a while.
///
/// All addresses of this machine are that of IPv6, which hears IPv4, too; the other is for machines without IPv6.
pub(crate) fn resolve(address: &str) -> io::Result<Vec<SocketAddr>> {
    match parts(address) {
        Some(("", port)) => Ok(vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]),
        // A scope, as in `fe80::1%eth0`, is understood without brackets.
        Some(parts) => {
            let mut found: Vec<SocketAddr> = Vec::new();
            // Names may stand twice in a table of hosts.
            parts.to_socket_addrs()?.for_each(|new| {
                if !found.contains(&new) {
                    found.push(new);
                }
            });
            Ok(found)
        }
        None => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// The address of a socket.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Address {
    Tcp(String),
    Udp(String),
    /// A path, or `@NAME` in the abstract namespace, of which there is no file.
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" | "@" => Err("unix: needs a path, or @NAME, behind it".to_owned()),
                path => Ok(Address::Unix(path.into())),
            };
        }
        let (make, address): (fn(String) -> Address, _) = match text.split_once(':') {
            Some(("udp", address)) => (Address::Udp, address),
            Some(("tcp", address)) => (Address::Tcp, address),
            _ => (Address::Tcp, text),
        };
        match parts(address) {
            Some(_) => Ok(make(address.to_owned())),
            None => Err(match address.rsplit_once(':') {
                Some((host, port)) if !host.is_empty() && !port.is_empty() => {
                    format!("`{port}` is no port: give a number from 0 to 65535, of which 0 picks a free one")
                }
                None if address.parse::<u16>().is_ok() => format!(
                    "`{address}` is a port without a host: give 127.0.0.1:{address} for this machine alone, or :{address} for \
                     all of its addresses"
                ),
                None if !address.is_empty() && !address.contains('/') => {
                    format!("`{address}` has no port: give {address}:PORT, with a number from 0 to 65535")
                }
                _ => format!("`{address}` is no address: give {FORMS}"),
            }),
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
        assert_eq!(":80".parse(), Ok(Address::Tcp(":80".to_owned())));
        for (wrong, why) in [
            ("", "is no address: give HOST:PORT"),
            (":", "is no address: give HOST:PORT"),
            ("/run/socket", "is no address: give HOST:PORT"),
            ("8080", "give 127.0.0.1:8080 for this machine alone, or :8080"),
            ("tcp:80", "give 127.0.0.1:80 for this machine"),
            ("localhost", "give localhost:PORT"),
            ("unix:", "needs a path"),
            ("unix:@", "needs a path"),
            ("udp:", "is no address: give HOST:PORT"),
            ("80800", "has no port"),
            ("a:99999", "`99999` is no port: give a number from 0 to 65535"),
            ("a:-1", "`-1` is no port: give a number from 0 to 65535"),
            ("a:http", "`http` is no port: give a number from 0 to 65535"),
        ] {
            let said = wrong.parse::<Address>().unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn addresses_stand_for_what_they_say() {
        let resolved = |text: &str| resolve(text).unwrap().iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        assert_eq!(resolved("127.0.0.1:80"), ["127.0.0.1:80"]);
        assert_eq!(resolved("[::1]:80"), ["[::1]:80"]);
        assert_eq!(resolved("[fe80::1%3]:80"), ["[fe80::1%3]:80"]);
        assert_eq!(resolved(":80"), ["[::]:80", "0.0.0.0:80"]);
        assert_eq!(resolved("*:80"), resolved(":80"));
    }
}
