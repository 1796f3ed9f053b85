//! Children that have their endpoint from birth.

use super::mailbox::Mailbox;
use crate::error::{Error, Result};
use crate::process::Process;
use crate::provider::linux::mail::{BIRTH_VARIABLE, Listener, MOST_LINKS, Purpose};
use crate::provider::linux::place::endpoint_name;
use crate::provider::linux::sys::{beyond_standard, spawn_listening};
use std::process::{Child, Command};

/// Spawns a child that takes over a listener which was made for it.
pub(crate) fn spawn_with_endpoint(command: &mut Command, mailbox: &Mailbox) -> Result<Child> {
    let refused = Error::system("making a child's endpoint");
    let (domain, me) = mailbox.with_live(|live| Ok((live.domain.clone(), live.me)))?;
    let unborn = Listener::unborn(&domain, &me)?;
    let socket = beyond_standard(&**unborn.descriptor()).map_err(&refused)?;
    let cookie = rustix::net::sockopt::socket_cookie(&socket).map_err(&refused)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
    command.env(BIRTH_VARIABLE, format!("{number}:{cookie}:{}:{}", domain.digest(), unborn.name()));
    let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
    let spawned = spawn_listening(command, &socket, backlog).map_err(Error::io("spawning a child"));
    command.env_remove(BIRTH_VARIABLE);
    let child = spawned?;
    // One that ended already needs no name, and one that was faster has it.
    if let Ok(process) = Process::from_pid(child.id()) {
        unborn.pass_on(&endpoint_name(process.who(), Purpose::Mail.suffix()));
    }
    Ok(child)
}
