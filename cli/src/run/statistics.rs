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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nobody has accepted it.
    Waiting,
    /// The process has, or one that it started.
    Taken,
    /// Another has.
    TakenByAnother,
    /// It was accepted, and closed, before it was looked for.
    Over,
}

impl Fate {
    pub(crate) fn of(local: SocketAddr, remote: SocketAddr, pid: Pid) -> Self {
        let same = |row: &Row| row.local == unmapped(local) && row.remote == unmapped(remote);
        let Some(row) = rows().find(same) else { return Fate::Over };
        let holds = |pid: i32| sockets(pid).any(|inode| inode == row.inode);
        match (row.inode, row.state) {
            (0, ESTABLISHED) => Fate::Waiting,
            (0, _) => Fate::Over,
            _ if Processes::look().family(pid).into_iter().any(holds) => Fate::Taken,
            _ => Fate::TakenByAnother,
        }
    }
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
        let queued = || Connections::look(&addresses).queued(inode(&listener).unwrap());
        assert_eq!((queued(), Fate::of(there, here, me)), (Some(1), Fate::Waiting));
        let accepted = listener.socket.as_socket().accept().unwrap();
        assert_eq!((queued(), Fate::of(there, here, me)), (Some(0), Fate::Taken));
        let usage = Processes::look().usage(me, &Connections::look(&addresses));
        assert_eq!(usage.connections, 1);
        assert!(usage.memory_bytes > 0);
        drop(accepted);
        assert_eq!(Fate::of(there, here, me), Fate::Over);
    }
}
