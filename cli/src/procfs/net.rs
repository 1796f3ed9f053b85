//! The tables of sockets that `/proc/PID/net` prints.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One line of the tables of TCP and UDP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: u8,
    /// Bytes to be received; at a listener, connections to be accepted.
    pub(super) waiting: u64,
    pub(super) inode: u64,
}

impl Line {
    /// Nothing of what is no such line, as the heading.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (_, waiting) = fields.get(4)?.split_once(':')?;
        Some(Line {
            local: address(fields.get(1)?)?,
            remote: address(fields.get(2)?)?,
            state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
            waiting: u64::from_str_radix(waiting, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// An address as the kernel prints it: words in the order of this machine, the port as itself.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (at, part) in bytes.chunks_exact_mut(4).enumerate() {
                part.copy_from_slice(&word(at)?);
            }
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn addresses_are_understood() {
        assert_eq!(address("0100007F:1F90").unwrap().to_string(), "127.0.0.1:8080");
        assert_eq!(address("0000000000000000FFFF00000100007F:0050").unwrap().to_string(), "[::ffff:127.0.0.1]:80");
        assert_eq!(address("00000000000000000000000001000000:0050").unwrap().to_string(), "[::1]:80");
        for wrong in ["", "0100007F", "0100007F:", "0100:0050", "0100007F:10000", "x100007F:0050"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }
}
