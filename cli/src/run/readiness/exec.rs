//! Asking a command whether a worker is well.

use crate::run::background;
use crate::run::settings::Settings;
use crate::run::worker::launch::Launch;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, kill_process_group};
use sharesock::Process;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time after which a command has failed, and is killed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before it is run again after it failed.
const PAUSE: Duration = Duration::from_millis(250);

/// Something that is tried until it succeeds, each time on a thread of its own: it may take its time, and others are looked
/// at meanwhile.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    outcome: Option<tokio::sync::oneshot::Receiver<Result<(), String>>>,
    again_at: Option<Instant>,
    /// Why it failed, if that is news.
    news: Option<String>,
}

impl Attempt {
    /// Whether it has succeeded by now; else it is under way, or will be.
    pub(super) fn look(&mut self, attempt: impl FnOnce() -> Result<(), String> + Send + 'static) -> bool {
        let now = Instant::now();
        match self.outcome.as_mut().map(|outcome| outcome.try_recv()) {
            Some(Ok(Ok(()))) => return true,
            Some(Err(tokio::sync::oneshot::error::TryRecvError::Empty)) => {}
            Some(failed) => {
                self.news = failed.ok().and_then(Result::err);
                (self.outcome, self.again_at) = (None, Some(now + PAUSE));
            }
            None if self.again_at.is_some_and(|at| now < at) => {}
            None => match background::start(attempt) {
                Ok(outcome) => self.outcome = Some(outcome),
                // There is no thread to be had now.
                Err(_) => self.again_at = Some(now + PAUSE),
            },
        }
        false
    }

    /// Why it failed last, once.
    pub(super) fn news(&mut self) -> Option<String> {
        self.news.take()
    }
}

/// A command of the shell that checks workers, as they themselves run: as their user, in their directory, and so on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::run) struct Command {
    text: String,
    settings: Arc<Settings>,
}

impl Command {
    pub(in crate::run) fn new(text: &str, settings: &Arc<Settings>) -> Self {
        Command { text: text.to_owned(), settings: Arc::clone(settings) }
    }

    /// Runs it; what is wrong, if it fails.
    pub(super) fn check(&self, worker: i32) -> Result<(), String> {
        match self.succeeds(worker) {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("`{}` failed", self.text)),
            Err(error) => Err(format!("`{}` could not be run: {error:#}", self.text)),
        }
    }

    /// Whether it succeeds.
    pub(super) fn succeeds(&self, worker: i32) -> Result<bool> {
        let (output, theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).context("a pipe to a check")?;
        let launch = Launch {
            command: &words(&self.text),
            listeners: Vec::new(),
            environment: vec![
                ("SHARESOCK_WORKER_PID", worker.to_string().into()),
                ("SHARESOCK_SUPERVISOR", Process::current()?.to_string().into()),
            ],
            settings: &self.settings,
            stdin: Stdio::null(),
            stdout: theirs.into(),
            stderr: Stdio::null(),
            death_signal: Signal::KILL,
        };
        let (group, mut go) = background::alone(|| launch.start())?;
        let _running = Running::note(group);
        // If it has ended meanwhile, its output has, too.
        let _ = go.write_all(b"!");
        let (mut said, until) = ([0; 8], Instant::now() + TIMEOUT);
        loop {
            let left = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
            match poll(&mut [PollFd::new(&output, PollFlags::IN)], left.as_ref()) {
                Err(Errno::INTR) => {}
                Ok(1..) => return Ok(rustix::io::read(&output, &mut said).is_ok_and(|length| length > 0)),
                _ => return Ok(false),
            }
        }
    }
}

/// The process groups of commands that run now.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

pub(in crate::run) fn running_checks() -> Vec<Pid> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().filter_map(Pid::from_raw).collect()
}

/// Ends a command with all that it has started, however it is given up.
struct Running(Pid);

impl Running {
    fn note(group: Pid) -> Self {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(group.as_raw_pid());
        Running(group)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = kill_process_group(self.0, Signal::KILL);
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0.as_raw_pid());
    }
}

/// The shell that runs it. It is the shell that tells how the command ended: the supervisor waits for all its children.
fn words(command: &str) -> [OsString; 4] {
    ["sh", "-c", "(eval \"$0\") > /dev/null 2>&1 && echo yes", command].map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_succeeds_or_fails_whatever_it_prints() {
        let succeeds = |command: &str| {
            let [shell, options @ ..] = words(command);
            let output = std::process::Command::new(shell).args(options).output().unwrap();
            !output.stdout.is_empty()
        };
        assert!(succeeds("true") && succeeds("echo no; echo no >&2; test 7 = 7"));
        for fails in ["false", "exit 3", "echo yes; false", "kill -9 $$", "no-such-command-at-all", "("] {
            assert!(!succeeds(fails), "{fails}");
        }
    }
}
