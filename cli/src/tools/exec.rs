//! Becoming another program that has a socket where it looks for one.

use crate::activation::{FIRST, LISTEN_FDNAMES, LISTEN_FDS, LISTEN_PID};
use crate::system::become_command;
use anyhow::{Context, Result};
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode};
use std::str::FromStr;

/// What the help of each command that becomes another says of its exit codes.
pub(super) const EXIT_CODES: &str = "Exit codes: those of COMMAND, which replaces this process and keeps its id; before that 1 when something failed, \
    2 when the command line is wrong, 126 when COMMAND cannot be run, 127 when there is no such program.";

/// Where a program finds its socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DescriptorPlace {
    /// Standard input and output.
    Stdio,
    Descriptor(i32),
}

impl FromStr for DescriptorPlace {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(number @ 0..=65535) => Ok(DescriptorPlace::Descriptor(number)),
            _ if text == "stdio" => Ok(DescriptorPlace::Stdio),
            _ => Err("give the number of a descriptor, or stdio".to_owned()),
        }
    }
}

impl fmt::Display for DescriptorPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DescriptorPlace::Stdio => f.write_str("stdio"),
            DescriptorPlace::Descriptor(number) => number.fmt(f),
        }
    }
}

/// Becomes `command`, which finds `socket` at `place`; told as systemd does under `listener`, if it is descriptor 3.
///
/// What it returns is of a program that could not be run.
pub(super) fn exec(
    command: &[OsString],
    socket: OwnedFd,
    place: DescriptorPlace,
    listener: Option<&str>,
) -> Result<ExitCode> {
    let (program, arguments) = command.split_first().context("name the command to run, behind --")?;
    let mut command = Command::new(program);
    command.args(arguments);
    // What was meant for this process is not meant for that one.
    for private in [LISTEN_FDS, LISTEN_PID, LISTEN_FDNAMES, crate::system::FORMER_LIMIT_OF_DESCRIPTORS] {
        command.env_remove(private);
    }
    let numbers = match place {
        DescriptorPlace::Stdio => vec![0, 1],
        DescriptorPlace::Descriptor(number) => vec![number],
    };
    if let (Some(name), [FIRST]) = (listener, &numbers[..]) {
        command.env(LISTEN_FDS, "1").env(LISTEN_PID, std::process::id().to_string()).env(LISTEN_FDNAMES, name);
    }
    let mapping = |number| Ok(FdMapping { parent_fd: socket.try_clone()?, child_fd: number });
    let mappings = numbers.into_iter().map(mapping).collect::<std::io::Result<_>>().context("passing the socket")?;
    command.fd_mappings(mappings).context("passing the socket")?;
    restore_limit_of_descriptors();
    Ok(become_command(command))
}

/// Other programs expect what was, and some look at every descriptor that they may have.
pub(super) fn restore_limit_of_descriptors() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: crate::system::former_limit_of_descriptors(), maximum });
}
