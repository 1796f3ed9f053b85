//! The commands that talk to a supervisor.

use super::control::{Answer, Request, ask};
use super::status::Status;
use super::{NOBODY, OLD_GOES_ON, folder, open_domain};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// A supervisor answers at once, whatever it does; an upgrade holds it up for some milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which supervisor.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Its name; not needed if there is one only.
    name: Option<String>,
    /// The domain in which it runs; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// Options of `sharesock reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock reload app\n\n\
    Waits until the new workers have taken over.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 3 the new workers failed and the old go on, \
    4 there is no such supervisor.")]
pub(crate) struct Reload {
    #[command(flatten)]
    which: Which,
}

/// Options of `sharesock upgrade`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sharesock upgrade app\n  sharesock upgrade app --to /usr/local/bin/sharesock.new\n\n\
    The supervisor keeps its process id, its listeners and its workers.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 3 the new program failed and the old goes on, \
    4 there is no such supervisor."
)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    which: Which,
    /// The program to become; by default the one that was started, as it lies on disk now.
    #[arg(long, value_name = "PROGRAM")]
    to: Option<PathBuf>,
}

/// Options of `sharesock stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock stop app\n\n\
    Waits until all workers have finished.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 4 there is no such supervisor.")]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
}

/// Options of `sharesock status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sharesock status\n  sharesock status app --json | jq .workers\n  \
    sharesock status app --prometheus\n  sharesock status app --lines 20\n\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 4 there is no such supervisor.")]
pub(crate) struct StatusOf {
    #[command(flatten)]
    which: Which,
    /// Print it as JSON.
    #[arg(long, conflicts_with = "prometheus")]
    json: bool,
    /// Print it as metrics for Prometheus.
    #[arg(long)]
    prometheus: bool,
    /// Show as many of the last lines of each worker's output; 100 are kept.
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    lines: usize,
}

pub(crate) fn reload(options: &Reload) -> Result<ExitCode> {
    tell(&options.which, &Request::Reload {}, None, OLD_GOES_ON)
}

pub(crate) fn upgrade(options: &Upgrade) -> Result<ExitCode> {
    let to = match &options.to {
        Some(path) => Some(std::path::absolute(path).context("finding the program")?),
        None => None,
    };
    tell(&options.which, &Request::Upgrade { to }, None, OLD_GOES_ON)
}

pub(crate) fn stop(options: &Stop) -> Result<ExitCode> {
    tell(&options.which, &Request::Stop {}, None, 1)
}

pub(crate) fn status(options: &StatusOf) -> Result<ExitCode> {
    let Some(stream) = call(&options.which)? else { return Ok(ExitCode::from(NOBODY)) };
    let status = fetch(stream, options.lines)?;
    if options.json {
        println!("{}", serde_json::to_string_pretty(&status)?);
    } else if options.prometheus {
        print!("{}", crate::views::prometheus(&status));
    } else {
        print!("{}", crate::views::text(&status, std::io::stdout().is_terminal()));
    }
    Ok(ExitCode::SUCCESS)
}

fn fetch(stream: UnixStream, lines: usize) -> Result<Status> {
    match ask(stream, &Request::Status { lines }, Some(PATIENCE), &mut |_| {})? {
        Answer::Status(status) => Ok(*status),
        Answer::Failed(why) => bail!("{why}"),
        answer => bail!("the answer is not understood: {answer:?}"),
    }
}

/// Asks for something to be done, and says how that went.
fn tell(which: &Which, request: &Request, patience: Option<Duration>, failed: u8) -> Result<ExitCode> {
    let Some(stream) = call(which)? else { return Ok(ExitCode::from(NOBODY)) };
    match ask(stream, request, patience, &mut |text| eprintln!("sharesock: {text}"))? {
        Answer::Done(what) => {
            println!("{what}");
            Ok(ExitCode::SUCCESS)
        }
        Answer::Failed(why) => {
            eprintln!("sharesock: {why}");
            Ok(ExitCode::from(failed))
        }
        answer => bail!("the answer is not understood: {answer:?}"),
    }
}

/// A line to the supervisor; that there is none is said.
fn call(which: &Which) -> Result<Option<UnixStream>> {
    let domain = open_domain(which.domain.as_ref())?;
    let stream = folder::call(&domain, which.name.as_deref())?;
    if stream.is_none() {
        let name = which.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
        eprintln!(
            "sharesock: no supervisor{name} runs in {}: start one by `sharesock run`, or name its --domain",
            domain.path().display()
        );
    }
    Ok(stream)
}
