//! What the system tells of workers and listeners, from `/proc`.

use super::listener::Listener;
use super::tcp_table::{ESTABLISHED, LISTENING, Row, rows, unmapped};
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::os::fd::AsFd;

/// Processes, and who started whom.
#[derive(Debug)]
pub(crate) struct Processes(HashMap<i32, Vec<i32>>);

/// Of a process and all that it started.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_s: f64,
    pub(crate) connections: u64,
}

impl Processes {
    pub(crate) fn look() -> Self {
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
            if let Some(parent) = stat(pid).and_then(|stat| stat.get(1)?.parse().ok()) {
                children.entry(parent).or_default().push(pid);
            }
        }
        Processes(children)
    }

    /// It and all that it started.
    pub(crate) fn family(&self, pid: Pid) -> Vec<i32> {
        let mut family = vec![pid.as_raw_pid()];
        let mut next = 0;
        while let Some(pid) = family.get(next) {
            family.extend(self.0.get(pid).into_iter().flatten());
            next += 1;
        }
        family
    }

    pub(crate) fn usage(&self, pid: Pid, connections: &Connections) -> Usage {
        let mut usage = Usage::default();
        let mut held = HashSet::new();
        let page = rustix::param::page_size() as u64;
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        for pid in self.family(pid) {
            let Some(stat) = stat(pid) else { continue };
            let number = |field: usize| stat.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
            usage.memory_bytes += number(21) * page;
            usage.cpu_s += (number(11) + number(12)) as f64 / ticks as f64;
            held.extend(sockets(pid).filter(|inode| connections.inodes.contains(inode)));
        }
        usage.connections = held.len() as u64;
        usage
    }
}

/// The fields of `/proc/PID/stat` from the state on, which is the first.
fn stat(pid: i32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The inodes of the sockets that a process has open.
fn sockets(pid: i32) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let link = std::fs::read_link(entry.path()).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}

/// Established connections to the listeners, and what waits at them.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    inodes: HashSet<u64>,
    /// By the inode of the listener.
    queued: HashMap<u64, u64>,
}

impl Connections {
    /// Those at these addresses, as a [`Listener`] tells its own.
    pub(crate) fn look(addresses: &[String]) -> Self {
        let port = |address: &String| address.rsplit_once(':')?.1.parse().ok();
        let ports: HashSet<u16> = addresses.iter().filter_map(port).collect();
        let mut connections = Connections::default();
        if ports.is_empty() {
            return connections;
        }
        for row in rows() {
            if row.state == LISTENING {
                connections.queued.insert(row.inode, row.waiting);
            } else if row.inode != 0 && ports.contains(&row.local.port()) {
                connections.inodes.insert(row.inode);
            }
        }
        connections
    }

    /// How many wait to be accepted from the listener with this inode.
    pub(crate) fn queued(&self, inode: u64) -> Option<u64> {
        self.queued.get(&inode).copied()
    }
}

/// The inode of a listener.
pub(crate) fn inode(listener: &Listener) -> Option<u64> {
    rustix::fs::fstat(listener.socket.as_fd()).ok().map(|stat| stat.st_ino)
}

/// What has become of a connection to a listener.
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
            Some(row) => Fate::Taken(holders.get(&row.inode).cloned().unwrap_or_default()),
        };
        found.into_iter().map(fate).collect()
    }
}

/// For each of these sockets, the processes that have it, and those that started them.
fn holders(wanted: &HashSet<u64>) -> HashMap<u64, Vec<i32>> {
    let processes = Processes::look();
    let pairs = processes.0.iter().flat_map(|(parent, children)| children.iter().map(|child| (*child, *parent)));
    let parents: HashMap<i32, i32> = pairs.collect();
    let line = |pid: i32| std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take(64);
    let mut holders: HashMap<u64, Vec<i32>> = HashMap::new();
    for pid in parents.keys().copied() {
        for inode in sockets(pid).filter(|inode| wanted.contains(inode)) {
            holders.entry(inode).or_default().extend(line(pid));
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_found_where_it_was_accepted_and_waits_until_then() {
        let listener = Listener::bind(&"a=127.0.0.1:0".parse().unwrap()).unwrap();
        let (there, addresses) = (listener.socket.as_socket().local_addr().unwrap(), [listener.address.clone()]);
        let there = there.as_socket().unwrap();
        let client = std::net::TcpStream::connect(there).unwrap();
        let here = client.local_addr().unwrap();
        let me = rustix::process::getpid();
        let fate = || Fate::of(&[Some((there, here))]).remove(0);
        let queued = || Connections::look(&addresses).queued(inode(&listener).unwrap());
        assert_eq!((queued(), fate()), (Some(1), Fate::Waiting));
        let accepted = listener.socket.as_socket().accept().unwrap();
        assert_eq!(queued(), Some(0));
        assert!(matches!(fate(), Fate::Taken(by) if by.contains(&me.as_raw_pid())));
        let usage = Processes::look().usage(me, &Connections::look(&addresses));
        assert_eq!(usage.connections, 1);
        assert!(usage.memory_bytes > 0);
        drop(accepted);
        assert_eq!(fate(), Fate::Over);
    }
}
