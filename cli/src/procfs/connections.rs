//! Connections to listeners: how many there are, and what has become of them.

use super::descriptors::sockets;
use super::processes::{Processes, command, pids};
use super::sock_diag;
use super::tcp::{ESTABLISHED, LISTENING, Row, printed, unmapped};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;

/// All connections but those that have ended and only wait.
fn rows() -> Vec<Row> {
    // Where the kernel may not be asked, it still prints them.
    sock_diag::rows().unwrap_or_else(|_| printed())
}

/// The inodes of the sockets that listen where a connection to this address would arrive.
pub(crate) fn listening_at(address: SocketAddr) -> Vec<u64> {
    let address = unmapped(address);
    let hears = |local: SocketAddr| {
        local.port() == address.port() && (local.ip().is_unspecified() || unmapped(local).ip() == address.ip())
    };
    rows().iter().filter(|row| row.state == LISTENING && hears(row.local)).map(|row| row.inode).collect()
}

/// Established connections to the listeners, and what waits at them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    inodes: HashSet<u64>,
    /// How many wait, and how many may, by the inode of the listener.
    queues: HashMap<u64, (u64, Option<u64>)>,
}

impl Connections {
    /// Those at these addresses, as `--listen` spells them.
    pub(crate) fn look(addresses: &[String]) -> Self {
        let port = |address: &String| address.rsplit_once(':')?.1.parse().ok();
        let ports: HashSet<u16> = addresses.iter().filter_map(port).collect();
        let mut connections = Connections::default();
        if addresses.iter().any(|address| address.starts_with("unix:")) {
            let listeners = sock_diag::unix_listeners().unwrap_or_default();
            let queues = listeners.into_iter().map(|(inode, queued, limit)| (inode, (queued, Some(limit))));
            connections.queues.extend(queues);
        }
        if ports.is_empty() {
            return connections;
        }
        for row in rows() {
            if row.state == LISTENING {
                connections.queues.insert(row.inode, (row.waiting, row.limit));
            } else if row.inode != 0 && ports.contains(&row.local.port()) {
                connections.inodes.insert(row.inode);
            }
        }
        connections
    }

    /// The inodes of those that are established.
    pub(crate) fn inodes(&self) -> &HashSet<u64> {
        &self.inodes
    }

    /// How many wait to be accepted from the listener with this inode.
    pub(crate) fn queued(&self, inode: u64) -> Option<u64> {
        self.queues.get(&inode).map(|(queued, _)| *queued)
    }

    /// How many may wait there, if the kernel tells.
    pub(crate) fn backlog(&self, inode: u64) -> Option<u64> {
        self.queues.get(&inode)?.1
    }
}

/// Fate of a connection to a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has accepted it.
    Waiting,
    /// These processes have it, or what they started has.
    Taken(Vec<i32>),
    /// It was accepted, and closed, before it was looked for.
    Over,
}

impl Fate {
    /// Of each connection, by its ends as the listener sees them.
    pub(crate) fn of(connections: &[Option<(SocketAddr, SocketAddr)>]) -> Vec<Self> {
        let rows: Vec<_> = rows().into_iter().filter(|row| row.state != LISTENING).collect();
        let row = |ends: &Option<(SocketAddr, SocketAddr)>| {
            let (local, remote) = ends.map(|(local, remote)| (unmapped(local), unmapped(remote)))?;
            rows.iter().find(|row| row.local == local && row.remote == remote)
        };
        let found: Vec<_> = connections.iter().map(row).collect();
        let wanted: HashSet<u64> = found.iter().flatten().map(|row| row.inode).filter(|inode| *inode != 0).collect();
        let holders = if wanted.is_empty() { HashMap::new() } else { holders(&wanted) };
        let fate = |row: Option<&Row>| match row {
            Some(Row { inode: 0, state: ESTABLISHED, .. }) => Fate::Waiting,
            None | Some(Row { inode: 0, .. }) => Fate::Over,
            // Nobody who may be looked at has it.
            Some(row) => Fate::Taken(holders.get(&row.inode).cloned().unwrap_or_default()),
        };
        found.into_iter().map(fate).collect()
    }

    /// The same of a connection to a Unix listener, by the inode of this end, which has not hung up.
    pub(crate) fn of_unix(inode: u64) -> Self {
        match sock_diag::unix_peer(inode) {
            // Where the kernel may not be asked, nothing is seen.
            Err(_) | Ok(Some(0) | None) => Fate::Waiting,
            Ok(Some(peer)) => Fate::Taken(holders(&HashSet::from([peer])).remove(&peer).unwrap_or_default()),
        }
    }
}

/// For each of these sockets, the processes that have it, and those that started them.
fn holders(wanted: &HashSet<u64>) -> HashMap<u64, Vec<i32>> {
    let parents = Processes::look().parents();
    let line = |pid: i32| std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take(64);
    let mut holders: HashMap<u64, Vec<i32>> = HashMap::new();
    for pid in parents.keys().copied() {
        let open = sockets(pid).into_iter().flatten().map(|(_, inode)| inode);
        for inode in open.filter(|inode| wanted.contains(inode)) {
            holders.entry(inode).or_default().extend(line(pid));
        }
    }
    holders
}

/// The processes that have a socket which is bound to this path, and which this process does not have, with their names, as far
/// as they may be looked at. One that this process has may have been bound to a file that was there before.
pub(crate) fn holders_of_path(path: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let inode = |line: &str| {
        let (fields, bound) = line.split_once(" /")?;
        (path.to_str()?.strip_prefix('/')? == bound).then(|| fields.split_ascii_whitespace().nth(6)?.parse().ok())?
    };
    let mut inodes: HashSet<u64> = table.lines().filter_map(inode).collect();
    for (_, own) in sockets(rustix::process::getpid().as_raw_pid()).into_iter().flatten() {
        inodes.remove(&own);
    }
    holders_named(&inodes)
}

/// The processes that have a listener of TCP at this address, with their names, as far as they may be looked at.
pub(crate) fn holders_of(address: SocketAddr) -> Vec<String> {
    let stands = |there: SocketAddr| {
        there.port() == address.port()
            && (there.ip().to_canonical() == address.ip().to_canonical()
                || there.ip().is_unspecified()
                || address.ip().is_unspecified())
    };
    let listens = |row: &&Row| row.state == LISTENING && stands(row.local) && row.inode != 0;
    holders_named(&rows().iter().filter(listens).map(|row| row.inode).collect())
}

fn holders_named(inodes: &HashSet<u64>) -> Vec<String> {
    let has = |pid: &i32| sockets(*pid).into_iter().flatten().any(|(_, inode)| inodes.contains(&inode));
    let named = |pid: i32| format!("process {pid} ({})", command(pid.unsigned_abs()));
    if inodes.is_empty() {
        return Vec::new();
    }
    pids().into_iter().flatten().filter(has).map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_connection_is_found_where_it_was_accepted_and_waits_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let inode = rustix::fs::fstat(&client).unwrap().st_ino;
        assert_eq!(Fate::of_unix(inode), Fate::Waiting);
        let accepted = listener.accept().unwrap();
        let me = rustix::process::getpid().as_raw_pid();
        assert!(matches!(Fate::of_unix(inode), Fate::Taken(by) if by.contains(&me)));
        drop(accepted);
    }

    #[test]
    fn who_has_a_port_is_who_listens_at_that_address() {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let at = |ip: &str| holders_of(SocketAddr::new(ip.parse().unwrap(), listener.local_addr().unwrap().port()));
        let me = format!("process {} (", std::process::id());
        for (ip, is_held) in [("127.0.0.2", true), ("0.0.0.0", true), ("::", true), ("127.0.0.3", false)] {
            let holders = at(ip);
            assert_eq!(holders.iter().any(|holder| holder.starts_with(&me)), is_held, "{ip}: {holders:?}");
        }
    }

    #[test]
    fn a_connection_is_found_where_it_was_accepted_and_waits_until_then() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let there = listener.local_addr().unwrap();
        let (inode, addresses) = (rustix::fs::fstat(&listener).unwrap().st_ino, [there.to_string()]);
        let client = std::net::TcpStream::connect(there).unwrap();
        let here = client.local_addr().unwrap();
        let me = rustix::process::getpid();
        let fate = || Fate::of(&[Some((there, here))]).remove(0);
        let queued = || Connections::look(&addresses).queued(inode);
        assert_eq!((queued(), fate()), (Some(1), Fate::Waiting));
        let accepted = listener.accept().unwrap();
        assert_eq!(queued(), Some(0));
        assert!(matches!(fate(), Fate::Taken(by) if by.contains(&me.as_raw_pid())));
        let usage = Processes::look().usage(me, Connections::look(&addresses).inodes());
        assert_eq!(usage.connections, 1);
        assert!(usage.memory_bytes > 0);
        drop(accepted);
        assert_eq!(fate(), Fate::Over);
    }
}
