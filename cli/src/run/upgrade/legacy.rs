//! The legacy of the old supervisor to the program that it becomes: descriptors that stay open, and a file that tells what
//! they are.

use super::handover::{Handover, HandoverState, Label};
use crate::run::control::folder::Folder;
use crate::system::inherited::take;
use anyhow::{Context, Result};
use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};
use sharesock::Socket;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Everything, as it came through exec.
pub(crate) struct Legacy {
    pub(crate) handover: Handover,
    /// Pipes that workers print to: held, for one without a reader ends who writes to it.
    pub(crate) pipes: Vec<OwnedFd>,
    /// The stream to the candidate, which goes on should this process end.
    pub(crate) candidate: UnixStream,
}

/// Contents of the file.
#[derive(Serialize, Deserialize)]
struct Contents {
    state: HandoverState,
    /// Numbers of the descriptors, in the order of the state.
    sockets: Vec<RawFd>,
    pipes: Vec<RawFd>,
    candidate: RawFd,
}

impl Legacy {
    /// Descriptors that must stay open across exec, and the number of the file that tells what they are.
    pub(super) fn leave(self) -> Result<(Vec<OwnedFd>, RawFd)> {
        let Legacy { handover: Handover { state, sockets }, pipes, candidate } = self;
        let sockets: Vec<OwnedFd> = sockets.into_iter().map(|(_, socket)| socket.into()).collect();
        let numbers = |descriptors: &[OwnedFd]| descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let contents =
            Contents { sockets: numbers(&sockets), pipes: numbers(&pipes), candidate: candidate.as_raw_fd(), state };
        let file = rustix::fs::memfd_create("sharesock-legacy", MemfdFlags::CLOEXEC).context("a file for the state")?;
        let mut file = File::from(file);
        file.write_all(&serde_json::to_vec(&contents)?).context("writing the state")?;
        file.rewind().context("writing the state")?;
        let (number, rest) = (file.as_raw_fd(), [candidate.into(), file.into()]);
        Ok((sockets.into_iter().chain(pipes).chain(rest).collect(), number))
    }

    /// Takes what the program that this process was has left.
    pub(crate) fn take(number: RawFd) -> Result<Self> {
        let file = File::from(take(number)?);
        let Contents { state, sockets, pipes, candidate } = serde_json::from_reader(std::io::BufReader::new(file))
            .context("what was left is of another version of this program")?;
        let sockets = sockets
            .into_iter()
            .zip(&state.sockets)
            .map(|(number, (label, _))| Ok((label.clone(), Socket::try_from(take(number)?)?)));
        let sockets: Vec<(Label, Socket)> = sockets.collect::<Result<_>>()?;
        let pipes = pipes.into_iter().map(take).collect::<Result<_>>()?;
        Ok(Legacy { handover: Handover::checked(state, sockets)?, pipes, candidate: take(candidate)?.into() })
    }
}

/// Holds what the workers, and what they left, print to.
pub(super) fn hold_pipes(folder: &Folder, state: &HandoverState) -> Vec<OwnedFd> {
    let workers = state.workers.iter().map(|(record, _)| record.number);
    let numbers = workers.chain(state.orphans.iter().map(|orphan| orphan.number));
    let paths = |number| [false, true].map(|error| folder.output(number, error));
    numbers.flat_map(|number| crate::run::worker::output::hold(&paths(number))).collect()
}
