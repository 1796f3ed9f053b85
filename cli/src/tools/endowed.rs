//! `sharesock exec`: becomes a program that has its endpoint from its first instruction on.

use super::exec::{EXIT_CODES, restore_limit_of_descriptors};
use crate::domain::open_domain;
use crate::system::become_command;
use anyhow::{Context, Result};
use sharesock::ExecExt;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

/// Options of `sharesock exec`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Example:\n  \
    sharesock exec -- python3 worker.py\n\n\
    For a COMMAND that another program starts (subprocess, child_process, exec.Cmd): it can be given sockets from the moment \
    this has begun, and whoever gives them may end; COMMAND takes them when it opens its endpoint. It has the process id of \
    `sharesock exec`.\n{EXIT_CODES}"))]
pub(crate) struct Options {
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// The command to become.
    #[arg(trailing_var_arg = true, required = true)]
    command: Vec<OsString>,
}

/// Becomes the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let (program, arguments) = options.command.split_first().context("name the command to run")?;
    let mut command = Command::new(program);
    command.args(arguments).env_remove(crate::system::FORMER_LIMIT_OF_DESCRIPTORS);
    if let Some(domain) = &options.domain {
        command.env("SHARESOCK_DOMAIN", domain);
    }
    // It goes with this process, if COMMAND cannot be run.
    let _endpoint = command.inherit_endpoint(&open_domain(options.domain.as_ref())?)?;
    restore_limit_of_descriptors();
    Ok(become_command(command))
}
