//! Who reads this process's standard output: the target, if none was named.

use crate::procfs::descriptors::{flags, numbers, path};
use anyhow::{Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use sharesock::Domain;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// Poll interval of who reads.
const READER_POLL: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Whether standard output is a pipe.
pub(super) fn is_pipe() -> bool {
    fstat(std::io::stdout()).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

/// Waits until a process with an endpoint in the domain reads from the pipe, or nothing when `timeout` has passed.
///
/// Others have the pipe, too, for a moment: the shell that made it. So only one that can redeem counts.
pub(super) fn wait(domain: &Domain, timeout: Option<Duration>) -> Result<Option<u32>> {
    let started = Instant::now();
    loop {
        let mut readers = domain
            .members()?
            .into_iter()
            .filter(|member| member.endpoint && member.pid != std::process::id())
            .filter_map(|member| member.process.map(|process| process.pid()))
            .filter(|pid| reads(*pid));
        match (readers.next(), readers.next()) {
            (Some(one), None) => return Ok(Some(one)),
            (Some(one), Some(other)) => {
                bail!("processes {one} and {other} both read this output: name the target with --to")
            }
            _ => {}
        }
        if timeout.is_some_and(|timeout| timeout <= started.elapsed()) {
            return Ok(None);
        }
        // A pipe that nobody can read any more is an error.
        let output = std::io::stdout();
        let mut output = [PollFd::new(&output, PollFlags::empty())];
        if poll(&mut output, Some(&READER_POLL)).is_ok_and(|ready| ready > 0) {
            bail!("nobody reads this output any more: did `sharesock take` fail?");
        }
    }
}

/// Whether a process has the pipe open for reading.
fn reads(pid: u32) -> bool {
    let Ok(pipe) = fstat(std::io::stdout()) else { return false };
    numbers(pid).into_iter().flatten().any(|number| {
        let is_it =
            fs::metadata(path(pid, number)).is_ok_and(|found| (found.dev(), found.ino()) == (pipe.st_dev, pipe.st_ino));
        is_it && is_for_reading(pid, number)
    })
}

fn is_for_reading(pid: u32, number: u32) -> bool {
    const ACCESS: u32 = 0o3;
    const WRITE_ONLY: u32 = 0o1;
    flags(pid, number).ok().flatten().is_some_and(|flags| flags & ACCESS != WRITE_ONLY)
}
