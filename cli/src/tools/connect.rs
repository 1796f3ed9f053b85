//! `sharesock connect`: connects, and becomes a program that has the connection.

use super::exec::{DescriptorPlace, EXIT_CODES, exec};
use super::sockets::connect;
use crate::address::{Address, FORMS};
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;

/// Options of `sharesock connect`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  \
    sharesock connect 127.0.0.1:7000 -- sh -c 'echo hello; cat >&2'\n  \
    sharesock connect unix:/run/site.sock --as 0 -- sharesock give | sharesock take -- my-client\n\n\
    COMMAND gets the connection as its standard input and output if nothing else is said, since that needs no \
    agreement with it (tcpclient uses the descriptors 6 and 7).\n{EXIT_CODES}"))]
pub(crate) struct Options {
    /// Where to connect to.
    #[arg(value_name = "ADDRESS", help = format!("Where to connect to: {FORMS}"))]
    address: Address,
    /// The descriptor that COMMAND gets it as, or `stdio`.
    #[arg(long = "as", value_name = "FD|stdio", default_value_t = DescriptorPlace::Stdio)]
    place: DescriptorPlace,
    /// The command to become.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Connects, and becomes the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    exec(&options.command, connect(&options.address)?, options.place, None)
}
