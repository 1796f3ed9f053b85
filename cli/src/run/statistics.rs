//! What the system tells of workers and listeners, from `/proc`.

use super::listener::Listener;
use rustix::process::Pid;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

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
    pub(crate) fn look(listeners: &[impl AsRef<Listener>]) -> Self {
        let ports: HashSet<u16> = listeners
            .iter()
            .filter_map(|listener| listener.as_ref().address.rsplit_once(':')?.1.parse().ok())
            .collect();
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

    /// How many wait to be accepted.
    pub(crate) fn queued(&self, listener: &Listener) -> Option<u64> {
        let inode = rustix::fs::fstat(listener.socket.as_fd()).ok()?.st_ino;
        self.queued.get(&inode).copied()
    }
}

thread_local! {
    static VIEW: RefCell<Option<View>> = const { RefCell::new(None) };
}

/// Who holds which connections, at one moment: looking costs so much that many who ask share what one has seen.
#[derive(Debug)]
struct View {
    seen: Instant,
    cost: Duration,
    inodes: HashMap<(SocketAddr, SocketAddr), u64>,
    /// With those that started them.
    holders: HashMap<u64, Vec<i32>>,
}

impl View {
    fn look() -> Self {
        let begun = Instant::now();
        let open = rows().filter(|row| row.inode != 0 && row.state != LISTENING);
        let inodes: HashMap<_, _> = open.map(|row| ((row.local, row.remote), row.inode)).collect();
        let processes = Processes::look();
        let parents: HashMap<i32, i32> =
            processes.0.iter().flat_map(|(parent, children)| children.iter().map(|child| (*child, *parent))).collect();
        let known: HashSet<u64> = inodes.values().copied().collect();
        let mut holders: HashMap<u64, Vec<i32>> = HashMap::new();
        for pid in parents.keys().copied() {
            for inode in sockets(pid).filter(|inode| known.contains(inode)) {
                holders.entry(inode).or_default().extend(line(pid, &parents));
            }
        }
        View { seen: Instant::now(), cost: begun.elapsed(), inodes, holders }
    }
}

/// The process, and those that started it.
fn line(pid: i32, parents: &HashMap<i32, i32>) -> impl Iterator<Item = i32> {
    std::iter::successors(Some(pid), |pid| parents.get(pid).copied().filter(|parent| *parent > 1)).take(64)
}

/// The processes that hold the connection, and those that started them; nobody, as long as it was not accepted.
pub(crate) fn holders(local: SocketAddr, remote: SocketAddr) -> Vec<i32> {
    VIEW.with_borrow_mut(|view| {
        // Not more than a fifth of the time goes into looking.
        let old = |view: &View| view.seen.elapsed() > view.cost * 4;
        let view = match view.take_if(|view| !old(view)) {
            Some(fresh) => view.insert(fresh),
            None => view.insert(View::look()),
        };
        let inode = view.inodes.get(&(unmapped(local), unmapped(remote)));
        inode.and_then(|inode| view.holders.get(inode)).cloned().unwrap_or_default()
    })
}

const LISTENING: u8 = 0x0a;

/// A line of `/proc/net/tcp`.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    local: SocketAddr,
    remote: SocketAddr,
    state: u8,
    /// Bytes to be received; at a listener, connections to be accepted.
    waiting: u64,
    /// Nothing, as long as it was not accepted.
    inode: u64,
}

fn rows() -> impl Iterator<Item = Row> {
    ["/proc/self/net/tcp", "/proc/self/net/tcp6"].into_iter().flat_map(|path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().filter_map(row).collect::<Vec<_>>()
    })
}

/// What has ended, and only waits: nobody has it open, and a busy server has tens of thousands of them.
const TIME_WAIT: &str = "06";

fn row(line: &str) -> Option<Row> {
    if line.split_ascii_whitespace().nth(3)? == TIME_WAIT {
        return None;
    }
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (_, waiting) = fields.get(4)?.split_once(':')?;
    Some(Row {
        local: address(fields.get(1)?)?,
        remote: address(fields.get(2)?)?,
        state: u8::from_str_radix(fields.get(3)?, 16).ok()?,
        waiting: u64::from_str_radix(waiting, 16).ok()?,
        inode: fields.get(9)?.parse().ok()?,
    })
}

/// An address as the kernel prints it: words in the order of this machine.
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
    Some(unmapped(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?)))
}

fn unmapped(address: SocketAddr) -> SocketAddr {
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
        assert_eq!(address("0000000000000000FFFF00000100007F:0050").unwrap().to_string(), "127.0.0.1:80");
        assert_eq!(address("00000000000000000000000001000000:0050").unwrap().to_string(), "[::1]:80");
        assert!(row(&line.replace(" 0A ", " 06 ")).is_none());
        for wrong in ["", "sl local_address rem_address st", "0: x y z", "0: 0100007F 0 0 0:0"] {
            assert!(row(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_connection_is_found_where_it_was_accepted_and_waits_until_then() {
        let listener: Listener = Listener::bind(&"a=127.0.0.1:0".parse().unwrap()).unwrap();
        let there = listener.socket.as_socket().local_addr().unwrap().as_socket().unwrap();
        let client = std::net::TcpStream::connect(there).unwrap();
        let me = rustix::process::getpid();
        let listeners = [std::rc::Rc::new(listener)];
        assert_eq!(Connections::look(&listeners).queued(&listeners[0]), Some(1));
        let here = client.local_addr().unwrap();
        assert!(holders(there, here).is_empty());
        let _accepted = listeners[0].socket.as_socket().accept().unwrap();
        // What was seen before holds for a while.
        while holders(there, here).is_empty() {
            std::thread::yield_now();
        }
        assert!(holders(there, here).contains(&me.as_raw_pid()));
        let connections = Connections::look(&listeners);
        assert_eq!(connections.queued(&listeners[0]), Some(0));
        let usage = Processes::look().usage(me, &connections);
        assert_eq!(usage.connections, 1);
        assert!(usage.memory_bytes > 0);
    }
}
