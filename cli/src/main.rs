//! The sharesock program.

mod backoff;
mod bench;
#[cfg(target_os = "linux")]
mod config;
mod documents;
#[cfg(target_os = "linux")]
mod run;
mod serve;
mod system;
mod tour;
#[cfg(target_os = "linux")]
mod views;

use clap::Parser;
use std::path::PathBuf;
use std::process::ExitCode;

/// Share live sockets between processes.
#[derive(Debug, Parser)]
#[command(name = "sharesock", version)]
#[command(after_help = "Exit codes: 0 done, 1 something failed, 2 the command line is wrong.")]
enum Command {
    /// Supervise any server: it keeps its listeners whatever becomes of the processes.
    #[cfg(target_os = "linux")]
    Run(Box<run::Options>),
    /// Replace the workers of a supervisor by new ones, without losing a connection.
    #[cfg(target_os = "linux")]
    Reload(run::Reload),
    /// Replace a supervisor by another version of this program, without losing a connection.
    #[cfg(target_os = "linux")]
    Upgrade(run::Upgrade),
    /// Show what a supervisor has.
    #[cfg(target_os = "linux")]
    Status(run::StatusOf),
    /// Watch a supervisor and its workers.
    #[cfg(target_os = "linux")]
    Top(run::Top),
    /// Let the workers of a supervisor finish what they have, and end it.
    #[cfg(target_os = "linux")]
    Stop(run::Stop),
    /// Serve files: one process accepts, worker processes serve.
    Serve(serve::Options),
    /// Show every rule of shared sockets with real processes on this machine.
    Tour(tour::Options),
    /// Measure what sharing costs, beside the same system calls made bare.
    Bench(bench::Options),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  sharesock completions bash > /etc/bash_completion.d/sharesock")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    #[command(after_help = "Example:\n  sharesock man /usr/local/share/man/man1")]
    Man {
        /// The folder, which exists.
        folder: PathBuf,
    },
    /// A worker of `serve`.
    #[command(hide = true)]
    ServeWorker(serve::WorkerOptions),
    /// A process on its way to become a worker of `run`.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Launch(run::LaunchOptions),
    /// Cleans up after a supervisor that was killed.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Guard(run::GuardOptions),
    /// Another process of the tour.
    #[command(hide = true)]
    TourActor { domain: PathBuf },
    /// Another process of the benchmark.
    #[command(hide = true)]
    BenchRole { role: bench::Role, count: u32, folder: PathBuf },
}

fn main() -> ExitCode {
    system::raise_limit_of_descriptors();
    let done = match Command::parse() {
        #[cfg(target_os = "linux")]
        Command::Run(options) => run::run(&options),
        #[cfg(target_os = "linux")]
        Command::Reload(options) => run::reload(&options),
        #[cfg(target_os = "linux")]
        Command::Upgrade(options) => run::upgrade(&options),
        #[cfg(target_os = "linux")]
        Command::Status(options) => run::show_status(&options),
        #[cfg(target_os = "linux")]
        Command::Top(options) => run::top(&options),
        #[cfg(target_os = "linux")]
        Command::Stop(options) => run::stop(&options),
        #[cfg(target_os = "linux")]
        Command::Launch(options) => run::launch(&options),
        #[cfg(target_os = "linux")]
        Command::Guard(options) => run::guard(&options),
        Command::Serve(options) => serve::run(&options),
        Command::Tour(options) => tour::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Completions { shell } => documents::completions::<Command>(shell),
        Command::Man { folder } => documents::manual::<Command>(&folder),
        Command::ServeWorker(options) => serve::work(options),
        Command::TourActor { domain } => tour::act(&domain).map(|()| ExitCode::SUCCESS),
        Command::BenchRole { role, count, folder } => bench::play(role, count, &folder).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharesock: {error:#}");
        ExitCode::FAILURE
    })
}
