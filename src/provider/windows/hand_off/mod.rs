//! Handing off over a named pipe.
//!
//! Winsock puts a duplicate into the target's handle table before the message about it is written. So what is in the
//! pipe's buffer outlives its sender, and what the target's program never takes must be discarded by the target.

mod counter;
mod link;
mod message;
mod receiver;
mod send_queue;
mod sender;
#[cfg(test)]
mod tests;

pub(crate) use receiver::InnerReceiver;
pub(crate) use sender::{InnerSender, Progress};

use crate::domain::Domain;
use crate::hand_off::ReceiverName;
use crate::process::Process;

/// How many bytes wait in a pipe for a receiver; a sender counts what it has written and what was read, and never
/// writes more.
const QUOTA: u32 = 1 << 20;
/// How many bytes wait in a pipe for a sender: one each time it asked to be told.
const BACK: u32 = 64;

/// The pipe on which `process` receives under this name.
fn pipe_name(domain: &Domain, process: &Process, receiver: &ReceiverName) -> String {
    let (pid, tag) = process.who();
    format!(r"\\.\pipe\sharesock-{:08x}-{pid}-{tag:08x}{}", domain.digest(), receiver.suffix())
}
