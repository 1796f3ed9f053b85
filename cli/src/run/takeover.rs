//! Taking over from another supervisor: the role of this process, and its failure.

use anyhow::{Context, Result, anyhow, bail};
use sharesock::Process;
use std::io::Write;
use std::os::fd::{AsFd, RawFd};
use std::os::unix::net::UnixStream;

/// Says in the environment from whom this process takes over, and as what.
pub(super) const TAKE_OVER: &str = "SHARESOCK_TAKE_OVER";

/// Role of a process that takes over.
pub(super) enum Role {
    Candidate(Process),
    /// The old supervisor's process itself, which has left everything in the file with this number.
    Successor(RawFd),
}

impl Role {
    pub(super) fn from_env() -> Result<Option<Self>> {
        let Some(text) = std::env::var_os(TAKE_OVER) else { return Ok(None) };
        let text = text.into_string().map_err(|_| anyhow!("{TAKE_OVER} is not understood"))?;
        match text.split_once(' ') {
            Some(("candidate", process)) => Ok(Some(Role::Candidate(process.parse()?))),
            Some(("successor", number)) => Ok(Some(Role::Successor(number.parse()?))),
            _ => bail!("{TAKE_OVER} is set by `sharesock upgrade` alone: unset it"),
        }
    }
}

/// Whether this process is tried, and must tell why it fails; it does so on its standard input.
pub(crate) fn tell_if_candidate(why: &anyhow::Error) {
    if matches!(Role::from_env(), Ok(Some(Role::Candidate(_)))) {
        if let Ok(input) = std::io::stdin().as_fd().try_clone_to_owned() {
            let _ = writeln!(UnixStream::from(input), "{}", format!("{why:#}").replace('\n', " "));
        }
    }
}

/// Makes this process the parent of all that workers leave when they end.
pub(super) fn become_subreaper() -> Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).context("adopting what workers leave")
}
