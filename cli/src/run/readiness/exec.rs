//! Asking a command whether a worker is well.

use crate::run::background;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long a command may take before it is killed, and has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Poll interval of its end.
const POLL: Duration = Duration::from_millis(10);
/// Pause before it is run again after it failed.
const PAUSE: Duration = Duration::from_millis(250);

/// Something that is tried until it succeeds, each time on a thread of its own: it may take its time, and others are looked
/// at meanwhile.
#[derive(Debug, Default)]
pub(super) struct Attempt {
    outcome: Option<tokio::sync::oneshot::Receiver<bool>>,
    again_at: Option<Instant>,
}

impl Attempt {
    /// Whether it has succeeded by now; else it is under way, or will be.
    pub(super) fn look(&mut self, attempt: impl FnOnce() -> bool + Send + 'static) -> bool {
        let now = Instant::now();
        match self.outcome.as_mut().map(|outcome| outcome.try_recv()) {
            Some(Ok(true)) => return true,
            Some(Err(tokio::sync::oneshot::error::TryRecvError::Empty)) => {}
            Some(_) => (self.outcome, self.again_at) = (None, Some(now + PAUSE)),
            None if self.again_at.is_some_and(|at| now < at) => {}
            None => match background::start(attempt) {
                Ok(outcome) => self.outcome = Some(outcome),
                // There is no thread to be had now.
                Err(_) => self.again_at = Some(now + PAUSE),
            },
        }
        false
    }
}

/// Runs a command in a shell. It is the shell that tells how the command ended: the supervisor waits for all its children.
pub(super) fn succeeds(command: &str, worker: i32) -> std::io::Result<bool> {
    let mut shell = Command::new("sh");
    shell.args(["-c", "(eval \"$0\") > /dev/null 2>&1 && echo yes", command]);
    shell.env("SHARESOCK_WORKER_PID", worker.to_string()).process_group(0);
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = background::alone(|| shell.spawn())?;
    let group = rustix::process::Pid::from_child(&child);
    let (Some(output), until) = (child.stdout.take(), Instant::now() + TIMEOUT) else { return Ok(false) };
    let output = std::fs::File::from(std::os::fd::OwnedFd::from(output));
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut said = [0; 8];
    loop {
        match rustix::io::read(&output, &mut said) {
            Ok(length) => return Ok(length > 0),
            Err(rustix::io::Errno::AGAIN) if Instant::now() < until => std::thread::sleep(POLL),
            Err(_) => {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                return Ok(false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_succeeds_or_fails_whatever_it_prints() {
        assert!(succeeds("true", 1).unwrap());
        assert!(succeeds("echo no; echo no >&2; test \"$SHARESOCK_WORKER_PID\" = 7", 7).unwrap());
        for fails in ["false", "exit 3", "echo yes; false", "kill -9 $$", "no-such-command-at-all", "("] {
            assert!(!succeeds(fails, 1).unwrap(), "{fails}");
        }
    }
}
