//! `sharesock serve`: one process establishes connections and hands them off to others, which serve files (R7).

mod connection;
mod control;
mod envelope;
mod files;
mod front;
mod listen;
mod page;
mod pool;
mod report;
mod successors;
mod worker;

use crate::address::Address;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Options of `sharesock serve`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "Examples:\n  sharesock serve --files .\n  \
    sharesock serve --listen 127.0.0.1:8080 --listen unix:/run/site.sock --workers 4 --files /srv/www\n  \
    sharesock serve --listen 127.0.0.1:0 --ready-file ready.json --files .\n\n\
    Signals: SIGTERM and SIGINT (on Windows Ctrl-C) drain and end, a second one ends at once; SIGHUP (Ctrl-Break) \
    replaces the workers without losing a connection.\n\
    Exit codes: 0 after a drain, 1 when something failed, 2 when the command line is wrong.\n\
    Symbolic links in the folder are followed, wherever they lead.")]
pub(crate) struct Options {
    /// Where to listen: HOST:PORT (port 0 picks one) or unix:PATH; may be given several times.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", value_parser = listen::address)]
    listen: Vec<Address>,
    /// The number of worker processes.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// The folder to serve.
    #[arg(long, value_name = "DIR")]
    files: PathBuf,
    /// Which worker gets a connection.
    #[arg(long, value_enum, default_value_t = Policy::LeastOpen)]
    policy: Policy,
    /// How a connection is given to a worker.
    #[arg(long, value_enum, default_value_t = Via::HandOff)]
    via: Via,
    /// How long workers may take to finish when they are replaced or ended, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    drain_timeout: u64,
    /// Write the bound addresses and process ids to this file, as JSON, when all workers are ready.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// Also serve and list files and folders whose names begin with a dot (`.well-known` always is).
    #[arg(long)]
    hidden: bool,
    /// Leave the header `x-sharesock-worker`, the id of the process that served, out of responses.
    #[arg(long)]
    no_worker_header: bool,
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

/// How a connection is given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Via {
    /// In one message.
    HandOff,
    /// The classic way: a protocol info over the worker's standard input.
    Info,
}

/// Options of a worker, which `serve` starts itself.
#[derive(Debug, clap::Args)]
pub(crate) struct WorkerOptions {
    /// Id of the process that starts it.
    #[arg(long)]
    front: u32,
    #[arg(long)]
    files: PathBuf,
    #[arg(long)]
    domain: Option<PathBuf>,
    #[arg(long)]
    generation: u32,
    #[arg(long)]
    drain_timeout: u64,
    #[arg(long)]
    hidden: bool,
    #[arg(long)]
    no_worker_header: bool,
}

/// Serves until a signal ends it.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let files = &options.files;
    anyhow::ensure!(files.is_dir(), "{} is not a folder: name one with --files", files.display());
    single_threaded(front::run(options))?;
    Ok(ExitCode::SUCCESS)
}

/// What a worker process does.
pub(crate) fn work(options: WorkerOptions) -> Result<ExitCode> {
    single_threaded(worker::run(options))?;
    Ok(ExitCode::SUCCESS)
}

fn single_threaded(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, work);
    // Reading standard input blocks a thread that nothing can wake.
    runtime.shutdown_timeout(Duration::ZERO);
    done
}
