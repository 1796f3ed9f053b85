//! Serving on Windows: a front that starts its workers itself.

mod control;
mod front;
mod link;
mod listen;
mod pool;
mod report;

pub(super) use link::{Figures, Link};

use super::{SiteOptions, single_threaded};
use anyhow::Result;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sharesock serve`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sharesock serve .\n  \
    sharesock serve --listen 127.0.0.1:8080 --listen 127.0.0.1:8081 --workers 4 C:\\www\n  \
    sharesock serve --listen 127.0.0.1:0 --ready-file ready.json --status-page .\n\n\
    Ctrl-C drains and ends, a second one ends at once; Ctrl-Break replaces the workers without losing a connection.\n\
    Exit codes: 0 after a drain, 1 when something failed, 2 when the command line is wrong.\n\
    Symbolic links in the folder are followed, wherever they lead.")]
pub(crate) struct Options {
    #[command(flatten)]
    site: SiteOptions,
    /// Where to listen: HOST:PORT (port 0 picks one); may be given several times.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = listen::address)]
    listen: Vec<String>,
    /// The number of worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Which worker gets a connection.
    #[arg(long, value_enum, default_value_t = Policy::LeastOpen)]
    policy: Policy,
    /// Way in which a connection is given to a worker.
    #[arg(long, value_enum, default_value_t = Via::HandOff)]
    via: Via,
    /// Time in which workers must finish when they are replaced or ended, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u64,
    /// Write the bound addresses and process ids to this file, as JSON, when all workers are ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// Print events as JSON lines on standard output.
    #[arg(long)]
    json: bool,
}

/// Which worker gets a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Policy {
    /// The one with the fewest open connections.
    LeastOpen,
    /// One after the other.
    RoundRobin,
}

/// Way in which a connection is given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    /// In one message.
    HandOff,
    /// The classic way: a protocol info over the worker's standard input.
    Info,
}

/// Serves until a signal ends it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    options.site.root()?;
    single_threaded(front::run(options))?;
    Ok(ExitCode::SUCCESS)
}
