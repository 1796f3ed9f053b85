//! The sharesock program.

#[cfg(target_os = "linux")]
mod activation;
mod address;
mod backoff;
mod bench;
#[cfg(target_os = "linux")]
mod config;
mod documents;
mod domain;
#[cfg(target_os = "linux")]
mod procfs;
#[cfg(target_os = "linux")]
mod run;
mod seconds;
mod serve;
#[cfg(target_os = "linux")]
mod status;
mod system;
mod time;
mod tools;
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
    Serve(Box<serve::Options>),
    /// Show every rule of shared sockets with real processes on this machine.
    Tour(tour::Options),
    /// Measure what sharing costs, beside the same system calls made bare.
    Bench(bench::Options),
    /// Listen, and become a command that has the listener, or one connection.
    #[cfg(target_os = "linux")]
    Listen(tools::listen::Options),
    /// Connect, and become a command that has the connection.
    #[cfg(target_os = "linux")]
    Connect(tools::connect::Options),
    /// Duplicate a socket for another process, and print its protocol info.
    #[cfg(target_os = "linux")]
    Give(tools::give::Options),
    /// Redeem a protocol info, and become a command that has the socket.
    #[cfg(target_os = "linux")]
    Take(tools::take::Options),
    /// Become a command that has its endpoint from its first instruction on.
    #[cfg(target_os = "linux")]
    Exec(tools::endowed::Options),
    /// Hold offers for processes that end.
    #[cfg(target_os = "linux")]
    Keep(tools::keep::Options),
    /// Take back what `give --revocable` gave, unless it was redeemed.
    #[cfg(target_os = "linux")]
    Revoke(tools::revoke::Options),
    /// List who holds which sockets, and what waits for whom.
    #[cfg(target_os = "linux")]
    Holders(tools::holders::Options),
    /// Find out what works on this machine, what does not, and how to mend it.
    #[cfg(target_os = "linux")]
    Doctor(tools::doctor::Options),
    /// Explain a protocol info.
    Inspect(tools::inspect::Options),
    /// Print completions for a shell.
    #[command(after_help = "Example:\n  sharesock completions bash > /etc/bash_completion.d/sharesock\n\n\
        Exit codes: 0 done, 1 something failed, 2 the command line is wrong.")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    #[command(after_help = "Example:\n  sharesock man /usr/local/share/man/man1\n\n\
        Exit codes: 0 done, 1 something failed, 2 the command line is wrong.")]
    Man {
        /// The folder, which exists.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// The names of supervisors, for completions.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    Names {
        #[arg(long)]
        domain: Option<PathBuf>,
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

/// Ends with what is wrong with the command line, and with a hint where clap has none.
fn explain(mut error: clap::Error) -> Command {
    use clap::error::{ContextKind, ContextValue, ErrorKind};
    let words: Vec<_> = std::env::args().take_while(|word| word != "--").collect();
    let unknown = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => words.iter().position(|known| known == word),
        _ => None,
    };
    if let (ErrorKind::UnknownArgument, Some("connect" | "listen" | "run" | "take"), Some(at)) =
        (error.kind(), words.get(1).map(String::as_str), unknown)
    {
        let (options, command) = words.split_at(at);
        if !command.is_empty() && options.len() > 1 && !command.iter().take(1).any(|word| word.starts_with('-')) {
            let hint =
                format!("put `--` before the command: `sharesock {} -- {}`", options[1..].join(" "), command.join(" "));
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![hint.into()]));
        }
    }
    error.exit()
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    system::name_process();
    system::raise_limit_of_descriptors();
    let done = match Command::try_parse().unwrap_or_else(explain) {
        #[cfg(target_os = "linux")]
        Command::Run(_) => run::run(run::Options::load),
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
        #[cfg(target_os = "linux")]
        Command::Listen(options) => tools::listen::run(&options),
        #[cfg(target_os = "linux")]
        Command::Connect(options) => tools::connect::run(&options),
        #[cfg(target_os = "linux")]
        Command::Give(options) => tools::give::run(&options),
        #[cfg(target_os = "linux")]
        Command::Take(options) => tools::take::run(&options),
        #[cfg(target_os = "linux")]
        Command::Exec(options) => tools::endowed::run(&options),
        #[cfg(target_os = "linux")]
        Command::Keep(options) => tools::keep::run(&options),
        #[cfg(target_os = "linux")]
        Command::Revoke(options) => tools::revoke::run(&options),
        #[cfg(target_os = "linux")]
        Command::Holders(options) => tools::holders::run(&options),
        #[cfg(target_os = "linux")]
        Command::Doctor(options) => tools::doctor::run(&options),
        Command::Inspect(options) => tools::inspect::run(&options),
        Command::Completions { shell } => documents::completions::<Command>(shell),
        Command::Man { folder } => documents::manual::<Command>(&folder),
        #[cfg(target_os = "linux")]
        Command::Names { domain } => run::names(domain.as_ref()),
        Command::ServeWorker(options) => serve::work(options),
        Command::TourActor { domain } => tour::act(&domain).map(|()| ExitCode::SUCCESS),
        Command::BenchRole { role, count, folder } => bench::play(role, count, &folder).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("sharesock: {}", system::explained(&error));
        ExitCode::FAILURE
    })
}
