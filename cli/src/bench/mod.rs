//! `sharesock bench`: what sharing costs, beside the same system calls made bare, in the same run.

mod baselines;
mod connections;
mod events;
mod idle;
mod measure;
mod peers;
mod roles;
mod rows;
mod table;
mod winsock;

pub(crate) use roles::{Role, play};

use anyhow::{Context, Result};
use measure::Progress;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sharesock bench`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sharesock bench\n  sharesock bench --quick --json\n  sharesock bench --peers\n  sharesock bench --only nothing --winsock ~/.local\n\n\
    On Windows nothing is measured beside it, no idle cost, and a fiftieth of the work is done.\n\
    Exit codes: 0 when all was measured, 1 when something failed, 2 when the command line is wrong. A ratio above its bound is marked, and is no failure."
)]
pub(crate) struct Options {
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// A tenth of the work: faster, and less exact.
    #[arg(long)]
    quick: bool,
    /// Also measure Python's and Node's ways to pass a socket, when they are installed.
    #[arg(long)]
    peers: bool,
    /// Also measure the C library that is installed below this folder, beside Wine's if MinGW and Wine are installed.
    #[arg(long, value_name = "PREFIX")]
    winsock: Option<PathBuf>,
    /// Measure only what has this in its name.
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// How often each measurement is repeated; the medians are shown.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: u32,
}

/// What every measurement needs.
#[derive(Debug)]
pub(crate) struct Bench {
    /// How often each measurement is repeated.
    rounds: u32,
    /// A divisor of the work of each measurement.
    divisor: u32,
    /// What the names of the wanted rows contain.
    only: Option<String>,
    /// The domain in which the processes of the benchmark meet, and the folder that it is in.
    domain: PathBuf,
    _folder: tempfile::TempDir,
    progress: Progress,
}

impl Bench {
    pub(crate) fn domain(&self) -> &std::path::Path {
        &self.domain
    }
}

/// Measures and prints.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("sharesock-bench-").tempdir_in(crate::system::folder_in_memory());
    let folder = folder.context("making a folder")?;
    let bench = Bench {
        rounds: options.rounds,
        divisor: if options.quick { 10 } else { 1 } * baselines::LESS,
        only: options.only.clone(),
        domain: folder.path().join("domain"),
        _folder: folder,
        progress: Progress::new(),
    };
    let rows = rows::all(&bench)?;
    let idle = if options.only.is_none() { idle::measure(&bench)? } else { None };
    let peers = if options.peers { peers::all(&bench)? } else { Vec::new() };
    let calls = options.winsock.as_ref().map_or(Ok(Vec::new()), |prefix| winsock::all(&bench, prefix))?;
    bench.progress.end();
    let measured = table::Measured { rows, idle, peers, calls };
    match options.json {
        true => table::print_json(&measured)?,
        false => table::print(&measured),
    }
    Ok(ExitCode::SUCCESS)
}
