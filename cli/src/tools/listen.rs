//! `sharesock listen`: makes a listening socket and becomes a program that has it.

use super::exec::{DescriptorPlace, EXIT_CODES, exec};
use super::sockets::Listener;
use crate::activation::FIRST;
use crate::address::{Address, FORMS};
use anyhow::Result;
use std::ffi::OsString;
use std::process::ExitCode;

/// Options of `sharesock listen`.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:\n  \
    sharesock listen 127.0.0.1:8080 -- my-server             # as descriptor 3\n  \
    sharesock listen 127.0.0.1:7000 --accept -- tr a-z A-Z   # serves one connection\n  \
    sharesock listen 127.0.0.1:7000 --accept --as 0 -- sharesock give | sharesock take -- tr a-z A-Z\n\n\
    COMMAND gets a listener as descriptor 3 if nothing else is said, with LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES \
    (the name is `listener`, or `connection`) as systemd sets them; with --accept it gets the connection as its standard \
    input and output. A Unix path stays when COMMAND ends; whoever listens there next removes it.\n{EXIT_CODES}"))]
pub(crate) struct Options {
    /// Where to listen; port 0 picks one.
    #[arg(value_name = "ADDRESS", help = format!("Where to listen: {FORMS}; port 0 picks one"))]
    address: Address,
    /// The descriptor that COMMAND gets it as, or `stdio`.
    #[arg(long = "as", value_name = "FD|stdio")]
    place: Option<DescriptorPlace>,
    /// Wait for one connection, and give that to COMMAND; nobody listens any more then.
    #[arg(long)]
    accept: bool,
    /// Say on standard error where it listens.
    #[arg(long, short)]
    verbose: bool,
    /// The command to become.
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

/// Listens, and becomes the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let (true, Address::Udp(_)) = (options.accept, &options.address) {
        return Ok(super::misuse("a UDP socket has no connections to accept: leave --accept out"));
    }
    let listener = Listener::bind(&options.address)?;
    if options.verbose {
        eprintln!("sharesock: listening on {}", listener.bound()?);
    }
    match options.accept {
        true => {
            let place = options.place.unwrap_or(DescriptorPlace::Stdio);
            exec(&options.command, listener.accept_one()?, place, Some("connection"))
        }
        false => {
            let place = options.place.unwrap_or(DescriptorPlace::Descriptor(FIRST));
            exec(&options.command, listener.into(), place, Some("listener"))
        }
    }
}
