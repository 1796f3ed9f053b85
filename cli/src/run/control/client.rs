//! The commands that talk to a supervisor.

use super::folder;
use super::{Answer, Failure, Request, ask};
use crate::domain::open_domain;
use crate::run::background;
use crate::status::Status;
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use std::io::{ErrorKind, IsTerminal, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Exit code: a reload or an upgrade failed, and what ran before goes on; of `status`, no worker serves.
const OLD_GOES_ON: u8 = 3;
/// Exit code: there is no such supervisor.
const NOBODY: u8 = 4;
/// Exit code: something else is under way.
const BUSY: u8 = 5;
/// Exit code: the supervisor is another user's, or the domain is refused.
const NOT_ALLOWED: u8 = 6;
/// Exit code: the supervisor does not answer in time.
const NO_ANSWER: u8 = 7;
/// Pause before a reload that waits is asked for again.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Time for an answer to `top`, which then goes on without, and tries again.
const TOP_TIMEOUT: Duration = Duration::from_secs(1);
/// Number of lines of output that `top` shows of a worker.
const TOP_LINES: usize = 3;

/// Which supervisor.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Which {
    /// Name of the supervisor; not needed if only one runs. (`status` shows all without it.)
    name: Option<String>,
    /// The domain in which it runs; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// Time for a sign of life of the supervisor, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    crate::seconds::parse(text, 0.1..=3600.0).map_err(|_| "give seconds from 0.1 to 3600".to_owned())
}

/// Options of `sharesock reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock reload app\n\n\
    Waits until the new workers have taken over. The supervisor does the work: ending this command, by Ctrl-C or a signal, does \
    not end the reload; `sharesock reload --cancel` does.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 3 the new workers failed and the old go on, \
    4 there is no such supervisor, 5 something else is under way, or came in between, such as `stop`, 6 not allowed, 7 the \
    supervisor does not answer.")]
pub(crate) struct Reload {
    #[command(flatten)]
    which: Which,
    /// Wait until a reload or an upgrade that is under way is over, and reload then.
    #[arg(long)]
    wait: bool,
    /// Give up the reload that is under way: its new workers are ended, and the old go on.
    #[arg(long, conflicts_with = "wait")]
    cancel: bool,
}

/// Options of `sharesock upgrade`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sharesock upgrade app\n  sharesock upgrade app --to /usr/local/bin/sharesock.new\n\n\
    The supervisor keeps its process id, its listeners and its workers. Ending this command does not end the upgrade.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 3 the new program failed and the old goes on, \
    4 there is no such supervisor, 5 something else is under way, 6 not allowed, 7 the supervisor does not answer."
)]
pub(crate) struct Upgrade {
    #[command(flatten)]
    which: Which,
    /// The program to become; by default the one that was started: its path is followed, or its name looked up in PATH, anew.
    #[arg(long, value_name = "PROGRAM")]
    to: Option<PathBuf>,
}

/// Options of `sharesock stop`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock stop app\n\n\
    Waits until all workers have finished, and says how many connections had to be cut off. Ending this command does not keep \
    the supervisor from ending; a second SIGTERM to the supervisor has it kill the workers at once.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 4 there is no such supervisor, 6 not allowed, \
    7 the supervisor does not answer.")]
pub(crate) struct Stop {
    #[command(flatten)]
    which: Which,
}

/// Options of `sharesock status`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sharesock status             # all supervisors\n  sharesock status app --json | jq .workers\n  \
    sharesock status app --prometheus\n  sharesock status app --lines 20\n\n\
    Without NAME, every supervisor of the domain is shown; with --json, one object after another.\n\
    Exit codes: 0 a worker serves, 1 something failed, 2 the command line is wrong, 3 no worker serves, 4 there is no such \
    supervisor, 6 not allowed, 7 the supervisor does not answer. Of several, the highest."
)]
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
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong, 4 there is no such supervisor, 6 not allowed, \
    7 the supervisor does not answer.")]
pub(crate) struct Top {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    view: crate::views::TopOptions,
}

pub(crate) fn top(options: &Top) -> Result<ExitCode> {
    coded(|| {
        let top = Request::Status { lines: TOP_LINES, brief: false };
        let mut first = Some(fetch(call(&options.which)?, &top, options.which.timeout)?);
        let mut fetch = || match first.take() {
            Some(status) => Ok(status),
            None => fetch(call(&options.which)?, &top, TOP_TIMEOUT),
        };
        crate::views::top(&mut fetch, options.view)?;
        Ok(ExitCode::SUCCESS)
    })
}

pub(crate) fn reload(options: &Reload) -> Result<ExitCode> {
    let request = if options.cancel { Request::Cancel {} } else { Request::Reload {} };
    let failed = if options.cancel { 1 } else { OLD_GOES_ON };
    coded(|| {
        loop {
            match tell(&options.which, &request, failed) {
                Err(error) if options.wait && code(&error) == Some(BUSY) => std::thread::sleep(BUSY_PAUSE),
                done => return done,
            }
        }
    })
}

pub(crate) fn upgrade(options: &Upgrade) -> Result<ExitCode> {
    let to = match &options.to {
        Some(path) => Some(std::path::absolute(path).context("finding the program")?),
        None => None,
    };
    coded(|| tell(&options.which, &Request::Upgrade { to: to.clone() }, OLD_GOES_ON))
}

pub(crate) fn stop(options: &Stop) -> Result<ExitCode> {
    coded(|| tell(&options.which, &Request::Stop {}, 1))
}

pub(crate) fn status(options: &StatusOf) -> Result<ExitCode> {
    let request = Request::Status { lines: options.lines, brief: false };
    let one = |call: Result<UnixStream>| show(&fetch(call?, &request, options.which.timeout)?, options);
    coded(|| {
        // One page of metrics is one supervisor's.
        if options.which.name.is_some() || options.prometheus {
            return Ok(ExitCode::from(one(call(&options.which))?));
        }
        let mut worst = 0;
        for (number, call) in call_all(&options.which)?.into_iter().enumerate() {
            if number > 0 && !options.json {
                print("\n")?;
            }
            // What one does not answer keeps nobody from seeing the others.
            let code = one(call).or_else(|error| {
                eprintln!("sharesock: {error:#}");
                code(&error).ok_or(error)
            })?;
            worst = code.max(worst);
        }
        Ok(ExitCode::from(worst))
    })
}

/// Prints a status; the exit code that it means.
fn show(status: &Status, options: &StatusOf) -> Result<u8> {
    let text = if options.json {
        serde_json::to_string_pretty(&status)? + "\n"
    } else if options.prometheus {
        crate::views::prometheus(status)
    } else {
        crate::views::text(status, std::io::stdout().is_terminal())
    };
    print(&text)?;
    Ok(if status.serves() { 0 } else { OLD_GOES_ON })
}

fn print(text: &str) -> Result<()> {
    match std::io::stdout().write_all(text.as_bytes()) {
        // A reader of the first lines alone, such as `head`, has them.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("printing"),
        _ => Ok(()),
    }
}

/// Prints the names of supervisors, one a line, for the completions of a shell.
pub(crate) fn names(domain: Option<&PathBuf>) -> Result<ExitCode> {
    let Ok(domain) = folder::domain_to_ask(domain) else { return Ok(ExitCode::SUCCESS) };
    for name in folder::names(&domain).unwrap_or_default() {
        print(&format!("{name}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Brief status of the supervisor of this name, for one of its workers. Waits without holding up other tasks.
pub(crate) async fn brief_status(name: String, within: Duration) -> Result<Status> {
    let asked = background::start(move || {
        let stream =
            folder::call(open_domain(None)?.path(), Some(&name), within)?.context("the supervisor has ended")?;
        fetch(stream, &Request::Status { lines: 0, brief: true }, within)
    })?;
    // Connecting to a supervisor that is stopped may block for ever.
    tokio::time::timeout(within, asked).await.context("the supervisor does not answer")??
}

fn fetch(stream: UnixStream, request: &Request, patience: Duration) -> Result<Status> {
    match ask(stream, request, patience, None)? {
        Answer::Status(status) => Ok(*status),
        answer => bail!("the answer is not understood: {answer:?}"),
    }
}

/// Asks for something to be done, and says how that went. While it is under way, the supervisor must answer others.
fn tell(which: &Which, request: &Request, failed: u8) -> Result<ExitCode> {
    let mut hint = match request {
        Request::Reload {} => " (goes on if this command is ended; `sharesock reload --cancel` gives it up)",
        _ => "",
    };
    let mut progress = |text: &str| eprintln!("sharesock: {text}{}", std::mem::take(&mut hint));
    let mut lives = || match call(which)
        .and_then(|stream| fetch(stream, &Request::Status { lines: 0, brief: true }, which.timeout))
    {
        // Its end is told by the end of the stream.
        Err(error) if code(&error) == Some(NO_ANSWER) => Err(error),
        _ => Ok(()),
    };
    match ask(call(which)?, request, which.timeout, Some((&mut progress, &mut lives)))? {
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

/// A line to the supervisor.
fn call(which: &Which) -> Result<UnixStream> {
    let (stream, place) = match domain(which)? {
        Ok(domain) => (folder::call(&domain, which.name.as_deref(), which.timeout)?, domain),
        Err(missing) => (None, missing),
    };
    stream.ok_or_else(|| nobody(which, &place).into())
}

/// A line to each supervisor, or why there is none.
fn call_all(which: &Which) -> Result<Vec<Result<UnixStream>>> {
    let (calls, place) = match domain(which)? {
        Ok(domain) => (folder::call_all(&domain, which.timeout)?, domain),
        Err(missing) => (Vec::new(), missing),
    };
    if calls.is_empty() { Err(nobody(which, &place).into()) } else { Ok(calls) }
}

/// The domain to ask in, or the path where there is none: a command that only asks makes none.
fn domain(which: &Which) -> Result<Result<PathBuf, PathBuf>> {
    match &which.domain {
        Some(path) if !path.exists() => Ok(Err(path.clone())),
        path => folder::domain_to_ask(path.as_ref()).map(Ok),
    }
}

fn nobody(which: &Which, place: &Path) -> Failure {
    let name = which.name.as_ref().map(|name| format!(" named {name}")).unwrap_or_default();
    let place = place.display();
    Failure::Nobody(format!("no supervisor{name} runs in {place}: start one by `sharesock run`, or name its --domain"))
}

/// The exit code that tells this failure from others.
fn code(error: &anyhow::Error) -> Option<u8> {
    let code = |cause: &(dyn std::error::Error + 'static)| match cause.downcast_ref() {
        Some(Failure::Nobody(_)) => Some(NOBODY),
        Some(Failure::Busy(_)) => Some(BUSY),
        Some(Failure::NotAllowed(_)) => Some(NOT_ALLOWED),
        Some(Failure::NoAnswer(_)) => Some(NO_ANSWER),
        None => {
            let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            let domain = cause.downcast_ref::<sharesock::Error>();
            let denied = io == Some(ErrorKind::PermissionDenied) || cause.downcast_ref() == Some(&Errno::ACCESS);
            (denied || matches!(domain, Some(sharesock::Error::UntrustedDomain { .. }))).then_some(NOT_ALLOWED)
        }
    };
    error.chain().find_map(code)
}

/// Does it, and says what failed if that has an exit code of its own.
fn coded(act: impl FnOnce() -> Result<ExitCode>) -> Result<ExitCode> {
    act().or_else(|error| {
        let code = code(&error).map(ExitCode::from).ok_or_else(|| anyhow::anyhow!("{error:#}"))?;
        eprintln!("sharesock: {error:#}");
        Ok(code)
    })
}
