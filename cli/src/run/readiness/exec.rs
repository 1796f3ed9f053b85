//! Asking a command whether a worker is well.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a command may take before it is killed, and has failed.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Poll interval of its end.
const POLL: Duration = Duration::from_millis(10);
/// Pause before it is run again after it failed.
const PAUSE: Duration = Duration::from_millis(250);

/// A command that is run until it succeeds.
#[derive(Debug, Default)]
pub(super) struct Run {
    /// What became of the last one.
    outcome: Option<Arc<OnceLock<bool>>>,
    again_at: Option<Instant>,
}

impl Run {
    /// Whether it has succeeded by now; else one is running, or will be.
    pub(super) fn look(&mut self, command: &str, worker: i32) -> bool {
        let now = Instant::now();
        match self.outcome.as_ref().map(|outcome| outcome.get()) {
            Some(Some(true)) => return true,
            Some(Some(false)) => (self.outcome, self.again_at) = (None, Some(now + PAUSE)),
            Some(None) => {}
            None if self.again_at.is_some_and(|at| now < at) => {}
            None => {
                let (outcome, command) = (Arc::new(OnceLock::new()), command.to_owned());
                self.outcome = Some(Arc::clone(&outcome));
                // On a thread of its own: it may take its time, and others are looked at meanwhile.
                std::thread::spawn(move || outcome.set(succeeds(&command, worker).unwrap_or(false)));
            }
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
    let mut child = shell.spawn()?;
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
