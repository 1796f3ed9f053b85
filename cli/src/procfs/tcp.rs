//! The kernel's table of TCP connections. Reading it as `/proc` prints it takes a while on a busy machine.

use super::net::Line;
use std::net::SocketAddr;

/// The state of a connection that was made.
pub(super) const ESTABLISHED: u8 = 0x01;
/// The state of a listener.
pub(super) const LISTENING: u8 = 0x0a;

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) state: u8,
    /// Bytes to be received; at a listener, connections to be accepted.
    pub(super) waiting: u64,
    /// How many connections may wait at a listener; not printed.
    pub(super) limit: Option<u64>,
    /// Nothing, as long as it was not accepted.
    pub(super) inode: u64,
}

/// All of them but those that have ended and only wait, as `/proc` prints them.
pub(super) fn printed() -> Vec<Row> {
    let files =
        ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|path| std::fs::read_to_string(path).unwrap_or_default());
    files.iter().flat_map(|text| text.lines().filter_map(row)).collect()
}

/// State of a connection that has ended and only waits: nobody has it open, and a busy server has tens of thousands of them.
pub(super) const TIME_WAIT: u8 = 6;

fn row(line: &str) -> Option<Row> {
    if line.split_ascii_whitespace().nth(3)? == "06" {
        return None;
    }
    let Line { local, remote, state, waiting, inode } = Line::parse(line)?;
    Some(Row { local: unmapped(local), remote: unmapped(remote), state, waiting, limit: None, inode })
}

pub(super) fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn lines_of_the_kernel_are_understood() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000  1000        0 4242 1 0 100 0 0 10 0";
        let listening = row(line).unwrap();
        assert_eq!((listening.local.to_string().as_str(), listening.state), ("127.0.0.1:8080", LISTENING));
        assert_eq!((listening.waiting, listening.inode), (3, 4242));
        let mapped = row(&line.replace("0100007F", "0000000000000000FFFF00000100007F")).unwrap();
        assert_eq!(mapped.local.to_string(), "127.0.0.1:8080");
        assert!(row(&line.replace(" 0A ", " 06 ")).is_none());
        for wrong in ["", "sl local_address rem_address st", "0: x y z", "0: 0100007F 0 0 0:0"] {
            assert!(row(wrong).is_none(), "{wrong}");
        }
    }
}
