//! Processes: who started whom, what they use, and which sockets they have open.

use rustix::process::Pid;
use std::collections::{HashMap, HashSet};

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

    /// Each with the one that started it.
    pub(super) fn parents(&self) -> HashMap<i32, i32> {
        self.0.iter().flat_map(|(parent, children)| children.iter().map(|child| (*child, *parent))).collect()
    }

    /// It and all that it started.
    fn family(&self, pid: Pid) -> Vec<i32> {
        let mut family = vec![pid.as_raw_pid()];
        let mut next = 0;
        while let Some(pid) = family.get(next) {
            family.extend(self.0.get(pid).into_iter().flatten());
            next += 1;
        }
        family
    }

    /// Of it and all that it started, with those of these sockets that they have.
    pub(crate) fn usage(&self, pid: Pid, connections: &HashSet<u64>) -> Usage {
        let mut usage = Usage::default();
        let mut held = HashSet::new();
        let page = rustix::param::page_size() as u64;
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        for pid in self.family(pid) {
            let Some(stat) = stat(pid) else { continue };
            let number = |field: usize| stat.get(field).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
            usage.memory_bytes += number(21) * page;
            usage.cpu_s += (number(11) + number(12)) as f64 / ticks as f64;
            held.extend(sockets(pid).filter(|inode| connections.contains(inode)));
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
pub(super) fn sockets(pid: i32) -> impl Iterator<Item = u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let link = std::fs::read_link(entry.path()).ok()?;
        link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    })
}
