//! What sockets are, by inode, from `/proc/<pid>/net`.

use super::net::Line;
use std::collections::HashMap;
use std::fs;

/// A socket, as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    /// `tcp`, `udp`, `unix`…
    pub(crate) kind: &'static str,
    pub(crate) local: String,
    pub(crate) peer: Option<String>,
    pub(crate) state: Option<&'static str>,
    pub(crate) port: Option<u16>,
}

/// All sockets that the network namespace of a process has.
pub(crate) fn of_namespace(pid: u32, found: &mut HashMap<u64, Listed>) {
    for kind in ["tcp", "tcp6", "udp", "udp6"] {
        let table = fs::read_to_string(format!("/proc/{pid}/net/{kind}")).unwrap_or_default();
        found.extend(table.lines().skip(1).filter_map(|line| ip(kind, line)));
    }
    // Paths may hold anything.
    let table = fs::read(format!("/proc/{pid}/net/unix")).unwrap_or_default();
    found.extend(String::from_utf8_lossy(&table).lines().skip(1).filter_map(unix));
}

fn ip(kind: &'static str, line: &str) -> Option<(u64, Listed)> {
    let line = Line::parse(line)?;
    let tcp = kind.starts_with("tcp");
    let listed = Listed {
        kind: if tcp { "tcp" } else { "udp" },
        local: line.local.to_string(),
        peer: (line.remote.port() != 0).then(|| line.remote.to_string()),
        state: tcp.then(|| state_name(line.state)).flatten(),
        port: Some(line.local.port()),
    };
    Some((line.inode, listed)).filter(|(inode, _)| *inode != 0)
}

fn state_name(number: u8) -> Option<&'static str> {
    Some(match number {
        0x01 => "connected",
        0x02 | 0x03 => "connecting",
        0x04 | 0x05 => "closing: this side has ended",
        0x08 => "closing: the other side has ended",
        0x06 | 0x09 | 0x0b => "closing",
        0x07 => "closed",
        0x0a => "listening",
        _ => return None,
    })
}

fn unix(line: &str) -> Option<(u64, Listed)> {
    let mut fields = line.splitn(8, ' ').filter(|field| !field.is_empty());
    let (flags, _kind, state) = (fields.nth(3)?, fields.next()?, fields.next()?);
    // The inode is set right by spaces.
    let rest = line.get(line.find(&format!(" {state} "))? + state.len() + 2..)?.trim_start();
    let (inode, path) = rest.split_once(' ').unwrap_or((rest, ""));
    let state = match (flags, state) {
        ("00010000", _) => Some("listening"),
        (_, "03") => Some("connected"),
        _ => None,
    };
    let listed = Listed { kind: "unix", local: path.to_owned(), peer: None, state, port: None };
    inode.trim().parse().ok().filter(|inode| *inode != 0).map(|inode| (inode, listed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel_are_understood() {
        let line =
            "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100";
        let (inode, found) = ip("tcp", line).unwrap();
        assert_eq!((inode, &*found.local, found.peer, found.port), (4242, "127.0.0.1:8080", None, Some(8080)));
        assert_eq!(found.state, Some("listening"));
        let line =
            "0: 00000000000000000000000001000000:0050 00000000000000000000000001000000:0051 01 0:0 00:0 0 0 0 43 1";
        let (inode, found) = ip("tcp6", line).unwrap();
        assert_eq!((inode, &*found.local, found.peer.as_deref()), (43, "[::1]:80", Some("[::1]:81")));
        let line = "ffff8: 00000002 00000000 00010000 0001 01   777 /run/a b";
        let (inode, found) = unix(line).unwrap();
        assert_eq!((inode, &*found.local, found.state), (777, "/run/a b", Some("listening")));
        let (inode, found) = unix("0000000000000000: 00000003 00000000 00000000 0001 03 10444405").unwrap();
        assert_eq!((inode, &*found.local, found.state), (10_444_405, "", Some("connected")));
        for noise in ["", "a b c", "0: x:y z:w 0A 0 0 0 0 0 9"] {
            assert!(ip("tcp", noise).is_none() && unix(noise).is_none(), "{noise}");
        }
    }
}
