//! Children that have their endpoint from birth.

use super::endpoint::InnerEndpoint;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::mail::{BIRTH_VARIABLE, MOST_LINKS, Unborn};
use crate::provider::linux::sys::{beyond_standard, spawn_listening};
use crate::spawn::{Spawn, Spawned};
use std::os::fd::AsRawFd;

/// Spawns a child that takes over listeners which were made for it.
pub(crate) fn spawn_with_endpoint<C: Spawn>(command: &mut C, endpoint: &InnerEndpoint) -> Result<C::Child> {
    let refused = Error::system("making a child's endpoint");
    let (domain, me) = endpoint.with_live(|live| Ok((live.domain.clone(), live.me)))?;
    let unborn = Unborn::new(&domain, &me)?;
    let [mail, hand_off] = unborn.sockets();
    let [mail, hand_off] = [beyond_standard(mail).map_err(&refused)?, beyond_standard(hand_off).map_err(&refused)?];
    let described = unborn.describe([mail.as_raw_fd(), hand_off.as_raw_fd()])?;
    command.command().env(BIRTH_VARIABLE, described);
    let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
    let spawned = spawn_listening(command, [&mail, &hand_off], backlog).map_err(Error::io("spawning a child"));
    command.command().env_remove(BIRTH_VARIABLE);
    let mut child = spawned?;
    // One that ended already needs no names.
    if let Some(process) = child.pid().and_then(|pid| Process::from_pid(pid).ok()) {
        if let Err(error) = unborn.pass_on(&process) {
            child.end();
            return Err(error);
        }
    }
    Ok(child)
}
