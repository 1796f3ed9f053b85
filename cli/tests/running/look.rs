//! Looking at processes in `/proc`.

use super::LONG;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Waits until something is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < LONG, "waiting for: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    kill_process(as_pid(pid), signal).unwrap();
}

/// Halts it, and waits until it stands still.
pub(crate) fn stop_process(pid: u32) {
    signal(pid, Signal::STOP);
    let threads = || std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let halted = |task: std::fs::DirEntry| {
        let text = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        text.rsplit_once(')').is_none_or(|(_, fields)| fields.starts_with(" T"))
    };
    until("a process that stands still", || threads().all(halted));
}

/// Its process group.
pub(crate) fn group_of(pid: u32) -> u32 {
    stat(pid).unwrap()[2].parse().unwrap()
}

/// Ends it at once, if it is there.
pub(crate) fn kill(pid: u32) {
    let _ = kill_process(as_pid(pid), Signal::KILL);
}

/// The fields of `/proc/PID/stat` from the state on.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// `R`, `S`, `T`, `Z` and so on.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// Whether there is such a process, zombies not among them.
pub(crate) fn lives(pid: u32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

pub(crate) fn alive(pids: &[u32]) -> Vec<u32> {
    pids.iter().copied().filter(|pid| lives(*pid)).collect()
}

fn all() -> impl Iterator<Item = u32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Its children, zombies among them.
pub(crate) fn children(pid: u32) -> Vec<u32> {
    let parent = |pid: u32| stat(pid)?.get(1)?.parse().ok();
    all().filter(|child| parent(*child) == Some(pid)).collect()
}

/// It, its children, and theirs.
pub(crate) fn family(pid: u32) -> Vec<u32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(pid) = family.get(next).copied() {
        family.extend(children(pid));
        next += 1;
    }
    family
}

/// Whether a process does something of its own when this signal comes.
pub(crate) fn catches(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    caught.is_some_and(|caught| caught >> (signal.as_raw() - 1) & 1 == 1)
}

/// The mask of the signals that its first thread does not hear.
pub(crate) fn blocked_signals(pid: u32) -> u64 {
    mask(pid, "SigBlk:")
}

/// The mask of the signals that it ignores.
pub(crate) fn ignored_signals(pid: u32) -> u64 {
    mask(pid, "SigIgn:")
}

fn mask(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap()
}

/// All processes in whose environment this folder is named, and their command lines.
pub(crate) fn processes_of(folder: &Path) -> Vec<(u32, Vec<String>)> {
    let needle = folder.as_os_str().as_bytes();
    let of_it = |pid: &u32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.windows(needle.len()).any(|part| part == needle) && lives(*pid)
    };
    all().filter(of_it).map(|pid| (pid, command_line(pid))).collect()
}

fn command_line(pid: u32) -> Vec<String> {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The guard of a supervisor.
pub(crate) fn guard_of(supervisor: u32) -> Option<u32> {
    let guard = |pid: &u32| command_line(*pid).get(1).is_some_and(|word| word == "guard");
    children(supervisor).into_iter().filter(|pid| lives(*pid)).find(guard)
}

/// What does not change any more: the same a good many times.
pub(crate) fn settled<T: PartialEq>(mut look: impl FnMut() -> T) -> T {
    let (mut last, mut same) = (look(), 0);
    until("something that stays", || {
        let now = look();
        same = if now == last { same + 1 } else { 0 };
        last = now;
        same == 50
    });
    last
}

/// What a process was started with.
pub(crate) fn environment_of(pid: u32) -> HashMap<String, String> {
    let text = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let words = text.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    words.filter_map(|word| word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
}

pub(crate) fn count_of_descriptors(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count()
}

/// All files in it and in the folders in it.
pub(crate) fn files_under(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        found.push(entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(files_under(&entry.path()));
        }
    }
    found
}
