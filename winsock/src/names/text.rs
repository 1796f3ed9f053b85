//! Addresses as text.

use crate::address::{INET, INET6};
use crate::code::{Code, Result};
use socket2::SockAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Reads an address of version 4 in any of its old forms: up to four parts, each decimal, octal or hexadecimal, the last
/// of which fills what is left (`inet_addr`).
pub(crate) fn old_form(text: &str) -> Option<Ipv4Addr> {
    // Nothing but white space may follow.
    let text = text.split_ascii_whitespace().next().unwrap_or(" ");
    let part = |part: &str| match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None if part.len() > 1 && part.starts_with('0') => u32::from_str_radix(part, 8).ok(),
        None if part.starts_with('+') => None,
        None => part.parse().ok(),
    };
    let parts = text.split('.').map(part).collect::<Option<Vec<u32>>>()?;
    let (last, first) = parts.split_last().filter(|(_, first)| first.len() < 4)?;
    let room = 8 * (4 - u32::try_from(first.len()).ok()?);
    if u64::from(*last) >= 1 << room || first.iter().any(|part| *part > 255) {
        return None;
    }
    let mut address = *last;
    for (at, part) in (0_u32..).zip(first) {
        address |= part << (24 - 8 * at);
    }
    Some(Ipv4Addr::from(address))
}

/// The bytes of an address (`inet_pton`); nothing when the text is none.
pub(crate) fn to_bytes(family: i32, text: &str) -> Result<Option<Vec<u8>>> {
    match family {
        INET => Ok(text.parse::<Ipv4Addr>().ok().map(|address| address.octets().to_vec())),
        INET6 => Ok(text.parse::<Ipv6Addr>().ok().map(|address| address.octets().to_vec())),
        _ => Err(Code::AFNOSUPPORT),
    }
}

/// How many bytes an address of this family has.
pub(crate) fn length_of(family: i32) -> Result<usize> {
    match family {
        INET => Ok(4),
        INET6 => Ok(16),
        _ => Err(Code::AFNOSUPPORT),
    }
}

/// The text of an address (`inet_ntop`).
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<String> {
    match (<[u8; 4]>::try_from(bytes), <[u8; 16]>::try_from(bytes)) {
        (Ok(four), _) => Ok(Ipv4Addr::from(four).to_string()),
        (_, Ok(six)) => Ok(Ipv6Addr::from(six).to_string()),
        _ => Err(Code::FAULT),
    }
}

/// Reads an address with or without a port (`WSAStringToAddress`).
pub(crate) fn parse(family: i32, text: &str) -> Result<SockAddr> {
    let address = match family {
        INET => match text.split_once(':') {
            Some((host, port)) => {
                SocketAddr::new(old_form(host).ok_or(Code::INVAL)?.into(), port.parse().map_err(|_| Code::INVAL)?)
            }
            None => SocketAddr::new(old_form(text).ok_or(Code::INVAL)?.into(), 0),
        },
        INET6 => parse_six(text).ok_or(Code::INVAL)?.into(),
        _ => return Err(Code::INVAL),
    };
    Ok(address.into())
}

fn parse_six(text: &str) -> Option<SocketAddrV6> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']')?;
            let port = if port.is_empty() { 0 } else { port.strip_prefix(':')?.parse().ok()? };
            (host, port)
        }
        None => (text, 0),
    };
    let (host, scope) = match host.split_once('%') {
        Some((host, scope)) => (host, scope.parse().ok()?),
        None => (host, 0),
    };
    Some(SocketAddrV6::new(host.parse().ok()?, port, 0, scope))
}

/// The text of an address, with its port unless that is 0 (`WSAAddressToString`).
pub(crate) fn format(address: &SockAddr) -> Result<String> {
    let address = address.as_socket().ok_or(Code::INVAL)?;
    Ok(match address {
        SocketAddr::V4(four) if four.port() == 0 => four.ip().to_string(),
        SocketAddr::V6(six) if six.port() == 0 => {
            let scope = if six.scope_id() == 0 { String::new() } else { format!("%{}", six.scope_id()) };
            format!("{}{scope}", six.ip())
        }
        other => other.to_string(),
    })
}

/// The address of a host alone.
pub(crate) fn host_of(address: &SockAddr) -> Option<IpAddr> {
    address.as_socket().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_forms_are_read() {
        for (text, address) in [
            ("127.0.0.1", [127, 0, 0, 1]),
            ("127.1", [127, 0, 0, 1]),
            ("0x7f000001", [127, 0, 0, 1]),
            ("10.0x10.0377", [10, 16, 0, 255]),
            ("1.2.3.4 trailing", [1, 2, 3, 4]),
        ] {
            assert_eq!(old_form(text), Some(Ipv4Addr::from(address)), "{text}");
        }
        for text in ["", "1.2.3.4.5", "256.0.0.1", "1.2.3.256", "host", "1..2", "08", "+1"] {
            assert_eq!(old_form(text), None, "{text}");
        }
    }

    #[test]
    fn addresses_are_read_and_written() {
        for (family, text) in [(INET, "1.2.3.4:80"), (INET, "1.2.3.4"), (INET6, "[::1]:80"), (INET6, "fe80::1%3")] {
            assert_eq!(format(&parse(family, text).unwrap()).unwrap(), text);
        }
        for (family, text) in [(INET, "::1"), (INET6, "1.2.3.4"), (INET, "1.2.3.4:x"), (INET6, "[::1"), (99, "1.2.3.4")]
        {
            assert_eq!(parse(family, text).unwrap_err(), Code::INVAL);
        }
    }
}
