//! `sharesock take`: redeems a protocol info, and becomes a program that has the socket.

use super::exec::{DescriptorPlace, EXIT_CODES, exec};
use super::{info, meeting, published};
use crate::domain::open_domain;
use anyhow::{Context, Result};
use sharesock::Endpoint;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `sharesock take`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  \
    sharesock listen 127.0.0.1:7000 --accept --as 0 -- sharesock give | sharesock take -- tr a-z A-Z\n  \
    mkfifo pipe; sharesock take --as 3 -- my-server < pipe & sharesock give --fd 3 --to $! > pipe\n  \
    sharesock take door --as 3 -- my-server                  # what `sharesock give --as door` gives\n\n\
    COMMAND has the process id of `sharesock take`: an info that was made for the one is for the other. What follows the \
    info on standard input is left for COMMAND. On standard input an info is one line of text, or the 628 or 372 raw \
    bytes.\n{EXIT_CODES}"))]
pub(crate) struct Options {
    /// The protocol info as text, `-` to read it from standard input, or the NAME of a `sharesock give --as NAME`.
    #[arg(default_value = "-", value_name = "INFO|NAME")]
    info: String,
    /// Time to wait for a giver of that name, in seconds; without limit by default.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The descriptor that COMMAND gets the socket as, or `stdio`.
    #[arg(long = "as", value_name = "FD|stdio", default_value_t = DescriptorPlace::Stdio)]
    place: DescriptorPlace,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// The command to become.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    crate::seconds::parse(text, 0.0..=86_400.0).map_err(|_| "give seconds, at most 86400, such as 2 or 0.5".to_owned())
}

/// Redeems, and becomes the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    // First of all: what is given from now on is delivered, and its source need not wait.
    let domain = open_domain(options.domain.as_ref())?;
    let endpoint = Endpoint::open(&domain)?;
    published::sweep(&domain);
    // No info is a name: it has a colon.
    let info = match meeting::name(&options.info) {
        Ok(name) if name != "-" => info::get("-", meeting::meet(&domain, &name, options.timeout)?)?,
        _ => {
            // Not through a buffer, which would swallow what COMMAND is to read.
            let input =
                std::io::stdin().as_fd().try_clone_to_owned().map(File::from).context("taking standard input")?;
            info::get(&options.info, input)?
        }
    };
    let socket = endpoint.redeem(&info)?;
    // Its name would stay behind: another program does not drop it.
    drop(endpoint);
    exec(&options.command, socket.into(), options.place, None)
}
