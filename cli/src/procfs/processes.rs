//! Processes: who started whom, and what they use.

use super::descriptors::sockets;
use super::machine;
use super::stat::Stat;
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Processes, and who started whom.
#[derive(Debug)]
pub(crate) struct Processes {
    children: HashMap<i32, Vec<i32>>,
    groups: HashMap<i32, Vec<i32>>,
}

/// Of a process and all that it started.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    pub(crate) memory_bytes: u64,
    pub(crate) cpu_s: f64,
    pub(crate) connections: u64,
}

impl Processes {
    pub(crate) fn look() -> Self {
        let [mut children, mut groups]: [HashMap<i32, Vec<i32>>; 2] = Default::default();
        for pid in pids().into_iter().flatten() {
            if let Some(stat) = Stat::of(pid) {
                children.entry(stat.parent).or_default().push(pid);
                groups.entry(stat.group).or_default().push(pid);
            }
        }
        Processes { children, groups }
    }

    /// Each with the one that started it.
    pub(super) fn parents(&self) -> HashMap<i32, i32> {
        self.children.iter().flat_map(|(parent, children)| children.iter().map(|child| (*child, *parent))).collect()
    }

    /// It, all that it started, and what is in its process group: what a process starts that then ends is nobody's child.
    pub(crate) fn family(&self, pid: Pid) -> Vec<i32> {
        let pid = pid.as_raw_pid();
        let mut family = vec![pid];
        let mut known: HashSet<i32> = family.iter().copied().collect();
        family.extend(self.groups.get(&pid).into_iter().flatten().filter(|member| known.insert(**member)));
        let mut next = 0;
        while let Some(pid) = family.get(next) {
            family.extend(self.children.get(pid).into_iter().flatten().filter(|child| known.insert(**child)));
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
            let Some(stat) = Stat::of(pid) else { continue };
            usage.memory_bytes += stat.pages * page;
            usage.cpu_s += stat.used as f64 / ticks as f64;
            let open = sockets(pid).into_iter().flatten().map(|(_, inode)| inode);
            held.extend(open.filter(|inode| connections.contains(inode)));
        }
        usage.connections = held.len() as u64;
        usage
    }
}

/// The ids of all processes.
pub(crate) fn pids() -> io::Result<impl Iterator<Item = i32>> {
    Ok(std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()))
}

/// The processes that one has as children, zombies not among them.
pub(crate) fn children(of: i32) -> Vec<(i32, Stat)> {
    let stats = pids().into_iter().flatten().filter_map(|pid| Some((pid, Stat::of(pid)?)));
    stats.filter(|(_, stat)| stat.parent == of && stat.lives()).collect()
}

/// The variables that a process was started with: none if it has cleared or overwritten them.
///
/// # Errors
/// It may not be looked at, or is gone.
pub(crate) fn variables(pid: i32) -> io::Result<HashMap<String, OsString>> {
    let text = std::fs::read(format!("/proc/{pid}/environ"))?;
    let is_name =
        |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let variable = |word: &[u8]| {
        let equals = word.iter().position(|byte| *byte == b'=')?;
        let (name, value) = word.split_at_checked(equals)?;
        let name = std::str::from_utf8(name).ok().filter(is_name)?;
        Some((name.to_owned(), OsString::from_vec(value.strip_prefix(b"=")?.to_vec())))
    };
    Ok(text.split(|byte| *byte == 0).filter_map(variable).collect())
}

/// What a process is called, which it says itself: nothing in it controls a terminal.
pub(crate) fn command(pid: u32) -> String {
    let said = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    let said = String::from_utf8_lossy(said.strip_suffix(b"\n").unwrap_or(&said)).into_owned();
    said.replace(char::is_control, "?")
}

/// When a process began, in seconds since 1970.
pub(crate) fn started(pid: i32) -> Option<f64> {
    let (ticks, boot) = (Stat::of(pid)?.started, machine::started()?);
    // Both are far below what this can hold.
    #[allow(clippy::cast_precision_loss)]
    Some(boot as f64 + ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// How often the threads of a process began to wait: everybody may know that.
pub(crate) fn waited(pid: i32) -> u64 {
    let of_task = |entry: std::fs::DirEntry| {
        let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")?.trim().parse::<u64>().ok())
    };
    std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten().filter_map(of_task).sum()
}

/// Names the network namespace in which a process is.
pub(crate) fn net_namespace(pid: u32) -> io::Result<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/net"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::process::{Command, Stdio};

    #[test]
    fn nothing_in_a_name_controls_a_terminal() {
        let script = "printf 'a\\033[31m\\nb' > /proc/$$/comm; echo; read end";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        child.stdout.take().unwrap().read_exact(&mut [0]).unwrap();
        assert_eq!(command(child.id()), "a?[31m?b");
        drop(child.stdin.take());
        child.wait().unwrap();
    }
}
