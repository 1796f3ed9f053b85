//! Commands by which a peer ends in part, or becomes something else, and what its senders and receiver then do.
#![allow(unsafe_code)]

use super::obey::Obedient;
use super::ring::Failure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sharesock::{DuplicateOptions, Parcel, Process};
use std::collections::VecDeque;
use std::os::unix::process::CommandExt;
use std::time::Duration;

impl Obedient {
    /// What came of the command; nothing when it is none of these.
    pub(super) fn obey_ending(&mut self, verb: &str, rest: &str) -> Result<Option<String>, Failure> {
        let endpoint = || self.endpoint.as_ref().ok_or("has no endpoint");
        let answer = match verb {
            "fork-idle" => fork_idle()?.to_string(),
            "exec" => return Err(std::process::Command::new("sleep").arg("1000").exec().into()),
            "end-first-thread" => end_first_thread()?,
            "block-signal" => change_mask(libc::SIG_BLOCK)?,
            "unblock-signal" => change_mask(libc::SIG_UNBLOCK)?,
            "await-signal" => await_signal()?,
            "listen-as" => {
                let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None)?;
                let path = self.domain.path().join(rest);
                listener.bind(&socket2::SockAddr::unix(&path)?)?;
                std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o660))?;
                listener.listen(64)?;
                self.strange.push(listener);
                String::new()
            }
            "connect-to" => {
                let link = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None)?;
                link.connect(&socket2::SockAddr::unix(self.domain.path().join(rest))?)?;
                self.held = Some(link.into());
                String::new()
            }
            "duplicate-expiring" => {
                let (target, nanoseconds) = rest.split_once(' ').ok_or("needs a process and a time")?;
                let options = DuplicateOptions::new().expires_in(Duration::from_nanos(nanoseconds.parse()?));
                let held = self.held.as_ref().ok_or("holds no socket")?;
                endpoint()?.duplicate_with(held, target.parse::<Process>()?, &options)?.to_string()
            }
            "receive-many" => {
                let receiver = self.receiver.as_ref().ok_or("has no receiver")?;
                let parcels = receiver.receive_many(rest.parse()?)?;
                let count = parcels.len();
                self.attic.extend(parcels.into_iter().map(|parcel| parcel.into_parts().0));
                count.to_string()
            }
            "try-receive" => match self.receiver.as_ref().ok_or("has no receiver")?.try_receive()? {
                Some(parcel) => {
                    let id = parcel.socket().id()?.as_u64();
                    self.held = Some(parcel.into_parts().0);
                    id.to_string()
                }
                None => "nothing".to_owned(),
            },
            // Whether a poll loop that has its receiver would be woken.
            "is-woken" => {
                let receiver = self.receiver.as_ref().ok_or("has no receiver")?;
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                (poll(&mut [PollFd::new(receiver, PollFlags::IN)], Some(&now))? > 0).to_string()
            }
            // As many as are there, all of which it keeps.
            "hand-off-attic" => {
                let sender = endpoint()?.sender(rest.parse::<u32>()?)?;
                let mut parcels: VecDeque<_> = self.attic.drain(..).map(Parcel::new).collect();
                let count = parcels.len();
                sender.hand_off_many(&mut parcels)?;
                self.senders.push(sender);
                count.to_string()
            }
            "reclaim-some" => {
                let back = self.senders.last().ok_or("has no sender")?.reclaim_some()?;
                let ids: Result<Vec<_>, _> = back.iter().map(|parcel| parcel.socket().id()).collect();
                self.attic.extend(back.into_iter().map(|parcel| parcel.into_parts().0));
                ids?.iter().map(|id| id.as_u64().to_string()).collect::<Vec<_>>().join(" ")
            }
            _ => return Ok(None),
        };
        Ok(Some(format!("ok {answer}").trim_end().to_owned()))
    }
}

/// Forks a child that has all descriptors of this process, and only waits to be killed.
fn fork_idle() -> Result<libc::pid_t, Failure> {
    // SAFETY: the child calls nothing but `pause`.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => loop {
            // SAFETY: it only waits.
            unsafe { libc::pause() };
        },
        child => Ok(child),
    }
}

/// Ends the first thread of this process, as `pthread_exit` in `main` does; this one goes on.
fn end_first_thread() -> Result<String, Failure> {
    extern "C" fn end(_: libc::c_int) {
        // SAFETY: ends the thread that runs this handler, which holds nothing that others need.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
    let pid = std::process::id();
    // SAFETY: the handler only makes a system call; the first thread has the id of the process.
    unsafe {
        libc::signal(libc::SIGUSR1, end as *const () as libc::sighandler_t);
        libc::syscall(libc::SYS_tgkill, pid, pid, libc::SIGUSR1);
    }
    let state = || std::fs::read_to_string(format!("/proc/self/task/{pid}/stat"));
    while !state()?.contains(") Z ") {
        std::thread::yield_now();
    }
    Ok(String::new())
}

fn signals() -> libc::sigset_t {
    // SAFETY: the set is emptied before it is used.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        set
    }
}

/// Blocks SIGTERM in this thread, or no longer.
fn change_mask(how: libc::c_int) -> Result<String, Failure> {
    // SAFETY: the set outlives the call.
    match unsafe { libc::pthread_sigmask(how, &signals(), std::ptr::null_mut()) } {
        0 => Ok(String::new()),
        error => Err(std::io::Error::from_raw_os_error(error).into()),
    }
}

/// Waits for SIGTERM, which every thread blocks.
fn await_signal() -> Result<String, Failure> {
    let mut signal = 0;
    // SAFETY: the set and the number outlive the call.
    match unsafe { libc::sigwait(&signals(), &mut signal) } {
        0 => Ok(signal.to_string()),
        error => Err(std::io::Error::from_raw_os_error(error).into()),
    }
}
