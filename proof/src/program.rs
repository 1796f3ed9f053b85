//! The command line.

use crate::{fill, kill, load};
use clap::Parser;
use std::process::ExitCode;

/// Put load on a server that is being restarted, and count what is lost.
#[derive(Debug, Parser)]
#[command(name = "sharesock-proof", version)]
#[command(
    after_help = "Exit codes: 0 nothing was lost, 1 something was, 2 the command line is wrong, 3 it could not measure."
)]
enum Command {
    /// Ask for pages at a steady concurrency, and check every byte of every answer.
    Load(load::Options),
    /// Send requests on many connections, then wait for the answers however long they wait to be accepted.
    Fill(fill::Options),
    /// Kill a server's process, and note which connections it had: only their requests may fail.
    Kill(kill::Options),
}

/// Runs it.
pub(crate) fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Load(options) => load::run(&options),
        Command::Fill(options) => fill::run(&options),
        Command::Kill(options) => kill::run(&options),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharesock-proof: {error:#}");
        ExitCode::from(3)
    })
}
