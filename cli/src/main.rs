//! The sharesock program.

mod bench;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "sharesock", version, about)]
enum Command {
    /// Measure what sharing costs, beside the same system calls made bare.
    Bench(bench::Options),
    /// Another process of the benchmark.
    #[command(hide = true)]
    BenchRole { role: bench::Role, count: u32, folder: PathBuf },
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Bench(options) => bench::run(&options),
        Command::BenchRole { role, count, folder } => bench::play(role, count, &folder).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharesock: {error:#}");
        ExitCode::FAILURE
    })
}
