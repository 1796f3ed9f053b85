//! The commands that talk to a supervisor.

use super::folder;
use super::{Answer, Request, ask};
use crate::domain::open_domain;
use crate::status::Status;
use anyhow::{Context, Result, bail};
use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Exit code: a reload or an upgrade failed, and what ran before goes on.
const OLD_GOES_ON: u8 = 3;
/// Exit code: there is no such supervisor.
const NOBODY: u8 = 4;
/// Time for an answer: a supervisor answers at once; an upgrade holds it up for some milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// Time for an answer to `top`, which then goes on without, and tries again.
const TOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of lines of output that `top` shows of a worker.
const TOP_LINES: usize = 3;

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

/// Options of `sharesock top`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock top app\n\n\
    Keys: q ends, up and down choose a worker, s sorts, p pauses, ? helps.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 4 there is no such supervisor.")]
pub(crate) struct Top {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    view: crate::views::TopOptions,
}

pub(crate) fn top(options: &Top) -> Result<ExitCode> {
    let mut first = match call(&options.which)? {
        Some(stream) => Some(stream),
        None => return Ok(ExitCode::from(NOBODY)),
    };
    let domain = open_domain(options.which.domain.as_ref())?;
    let mut fetch = || {
        let again = || folder::call(&domain, options.which.name.as_deref())?.context("the supervisor has ended");
        let stream = first.take().map_or_else(again, Ok)?;
        fetch(stream, TOP_LINES, TOP_TIMEOUT)
    };
    crate::views::top(&mut fetch, options.view)?;
    Ok(ExitCode::SUCCESS)
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
    let status = fetch(stream, options.lines, ANSWER_TIMEOUT)?;
    let text = if options.json {
        serde_json::to_string_pretty(&status)? + "\n"
    } else if options.prometheus {
        crate::views::prometheus(&status)
    } else {
        crate::views::text(&status, std::io::stdout().is_terminal())
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        // Whoever wanted the first lines alone has them.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        done => done.map(|()| ExitCode::SUCCESS).context("printing"),
    }
}

fn fetch(stream: UnixStream, lines: usize, patience: Duration) -> Result<Status> {
    match ask(stream, &Request::Status { lines }, Some(patience), &mut |_| {})? {
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
            // It is done, whether that is read or not.
            let _ = writeln!(std::io::stdout(), "{what}");
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
    // Who only asks does not make a domain.
    let (stream, place) = match &which.domain {
        Some(path) if !path.exists() => (None, path.clone()),
        path => {
            let domain = open_domain(path.as_ref())?;
            (folder::call(&domain, which.name.as_deref())?, domain.path().to_owned())
        }
    };
    if stream.is_none() {
        let name = which.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
        eprintln!(
            "sharesock: no supervisor{name} runs in {}: start one by `sharesock run`, or name its --domain",
            place.display()
        );
    }
    Ok(stream)
}
