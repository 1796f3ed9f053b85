//! `sharesock give`: duplicates a socket for another process, and stays as long as that needs it.

use super::meeting::{self, Meeting};
use super::revocation::{Answer, Asking, Desk};
use super::{inherited, misuse, published, reader};
use crate::domain::open_domain;
use crate::seconds::{self, Wrong};
use crate::system::{Signals, is_now};
use anyhow::{Context, Result};
use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::time::{ClockId, clock_gettime};
use sharesock::{DuplicateOptions, Endpoint, Error, Process, ProtocolInfo, Revocation};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Poll interval of what nobody tells.
const TARGET_POLL: Duration = Duration::from_millis(50);

/// Options of `sharesock give`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sharesock listen 127.0.0.1:7000 --accept --as 0 -- sharesock give | sharesock take -- tr a-z A-Z\n  \
    sharesock listen 127.0.0.1:7000 --accept --as 3 -- sharesock give --fd 3 --to 4711 > info\n  \
    sharesock give --fd 3 --to 4711 --revocable | { read -r info; sharesock revoke \"$info\"; }\n  \
    sharesock listen 127.0.0.1:7000 --as 0 -- sharesock give --as door      # in one terminal\n  \
    sharesock take door --as 3 -- my-server                                 # in another\n\n\
    It prints the protocol info, one line, at once; with --as it tells `sharesock take NAME` instead. When the target has its endpoint, the socket lies with it then, and \
    this ends. Until then this holds it, and stays until it was claimed or delivered. With --revocable it stays until it \
    was redeemed, has expired or was revoked. It does not stay when the target has ended.\n\
    Signals: SIGTERM, SIGINT and SIGHUP end it; what was not redeemed and is held here, or can be revoked, is lost then.\n\
    Exit codes: 0 delivered, or redeemed where that is waited for; 1 something failed; 2 the command line is wrong; \
    3 revoked; 4 not redeemed in time, or before the target ended.")]
pub(crate) struct Options {
    /// The descriptor of the socket, which this process was started with.
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(i32).range(0..))]
    fd: i32,
    /// The process that may redeem it: its id, or what its Process prints; by default the one that reads this
    /// standard output, a pipe, as soon as it has its endpoint.
    #[arg(long, value_name = "PID|PROCESS")]
    to: Option<To>,
    /// Name under which a `sharesock take NAME` of the same user meets this one, in whichever terminal, whoever is first.
    #[arg(long = "as", value_name = "NAME", value_parser = meeting::name, conflicts_with = "to")]
    name: Option<String>,
    /// Let it be revoked until it is redeemed.
    #[arg(long)]
    revocable: bool,
    /// After so much time it cannot be redeemed.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    expires: Option<Duration>,
    /// Stay for no longer than this; what was not redeemed then is lost.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    timeout: Option<Duration>,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// For whom it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum To {
    Id(u32),
    Process(Process),
}

impl FromStr for To {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(pid) => Ok(To::Id(pid)),
            Err(_) => text.parse().map(To::Process).map_err(|_| {
                "give the id of a process, or what its Process prints, such as 4711:913374:4026531836".to_owned()
            }),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    seconds::parse(text, 0.0..=f64::MAX).map_err(|wrong| match wrong {
        Wrong::NoNumber => "give a number of seconds, such as 30 or 0.5".to_owned(),
        Wrong::OutOfBounds => "give a number of seconds that is not negative".to_owned(),
    })
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Done,
    Revoked,
    Expired,
    TargetEnded,
    TimeOver,
    Stopped,
}

/// Gives.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if options.to.is_none() && options.name.is_none() && !reader::is_pipe() {
        return Ok(misuse(
            "name the target with --to PID, pipe the output into `sharesock take`, or meet it by name with --as NAME",
        ));
    }
    let socket = inherited::socket(options.fd)?;
    let domain = open_domain(options.domain.as_ref())?;
    published::sweep(&domain);
    let endpoint = Endpoint::open(&domain)?;
    let started = Instant::now();
    // The name is free again when there is a taker.
    let taker = match &options.name {
        Some(name) => match Meeting::open(&domain, name)?.wait(options.timeout)? {
            Some(taker) => Some(taker),
            None => return Ok(Fate::TimeOver.report()),
        },
        None => None,
    };
    let to = match (options.to, &taker) {
        (Some(to), _) => to,
        (None, Some(taker)) => To::Id(taker.pid),
        (None, None) => match reader::wait(&domain, options.timeout)? {
            Some(pid) => To::Id(pid),
            None => return Ok(Fate::TimeOver.report()),
        },
    };
    let mut output: Box<dyn Write> = match taker {
        Some(taker) => Box::new(taker.line),
        None => Box::new(std::io::stdout()),
    };
    let (target, watch) = to.find()?;
    let mut wanted = DuplicateOptions::new();
    if let Some(time) = options.expires {
        wanted = wanted.expires_in(time);
    }
    let duplicated = since_boot();
    // Always so that it could be revoked: only then can be told whether it was redeemed.
    let (info, revocation) = endpoint.duplicate_revocable(&socket, target, &wanted)?;
    drop(socket);
    let held = info.delivery().is_some_and(|delivery| delivery.held);
    if !held && !options.revocable {
        print(&info, &mut output)?;
        return Ok(ExitCode::SUCCESS);
    }
    let wait = Wait {
        endpoint,
        revocation,
        held,
        watch,
        revocable: options.revocable,
        expires: options.expires.and_then(|time| duplicated.checked_add(time)),
        until: options.timeout.and_then(|time| started.checked_add(time)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    let fate = runtime.block_on(async {
        let desk = match (options.revocable, info.delivery()) {
            (true, Some(delivery)) => Some(Desk::open(&domain, delivery)?),
            _ => None,
        };
        let signals = Signals::watch()?;
        print(&info, &mut output)?;
        wait.run(desk, signals).await
    })?;
    Ok(fate.report())
}

impl To {
    /// The process, and what tells its end if it can be seen from here.
    fn find(self) -> Result<(Process, Option<OwnedFd>), Error> {
        let (process, pid) = match self {
            To::Id(pid) => (Process::from_pid(pid)?, pid),
            To::Process(process) => (process, process.pid()),
        };
        let watch =
            i32::try_from(pid).ok().and_then(Pid::from_raw).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // It could have ended, and its id be another's.
        let watch = watch.filter(|_| Process::from_pid(pid) == Ok(process));
        match (self, &watch) {
            (To::Id(_), None) => Err(Error::NoSuchProcess { pid }),
            _ => Ok((process, watch)),
        }
    }
}

fn print(info: &ProtocolInfo, output: &mut dyn Write) -> Result<()> {
    writeln!(output, "{info}").and_then(|()| output.flush()).context("printing the protocol info")
}

/// What is waited for.
#[derive(Debug)]
struct Wait {
    endpoint: Endpoint,
    revocation: Revocation,
    /// It could not be delivered at first.
    held: bool,
    watch: Option<OwnedFd>,
    revocable: bool,
    /// Since boot.
    expires: Option<Duration>,
    until: Option<Instant>,
}

impl Wait {
    async fn run(self, desk: Option<Desk>, signals: Signals) -> Result<Fate> {
        let (fate, asking) = self.until_settled(desk.as_ref(), signals).await?;
        // Whatever became of it: nobody can redeem it any more, unless somebody has.
        let answer = if fate == Fate::Done { Answer::Redeemed } else { Answer::Revoked };
        asking.into_iter().chain(desk.iter().flat_map(|desk| std::iter::from_fn(|| desk.next()))).for_each(|asking| {
            asking.answer(answer);
        });
        Ok(fate)
    }

    async fn until_settled(mut self, desk: Option<&Desk>, mut signals: Signals) -> Result<(Fate, Option<Asking>)> {
        loop {
            if let Some(asking) = desk.and_then(Desk::next) {
                return Ok((self.settle(Fate::Revoked)?, Some(asking)));
            }
            if !self.revocation.is_open()? {
                return Ok((Fate::Done, None));
            }
            if let Some(fate) = self.end() {
                return Ok((self.settle(fate)?, None));
            }
            tokio::select! {
                _ = signals.next() => return Ok((self.settle(Fate::Stopped)?, None)),
                () = tokio::time::sleep(TARGET_POLL) => {}
            }
            // It is no longer held when it was claimed, was delivered, has expired, or its target has ended: the last two
            // are found above.
            if self.held && self.endpoint.flush(TARGET_POLL).is_ok() {
                self.held = false;
            } else if !self.held && !self.revocable {
                return Ok((Fate::Done, None));
            }
        }
    }

    /// Why it cannot be redeemed any more.
    fn end(&self) -> Option<Fate> {
        let ends = [
            (self.expires.is_some_and(|time| time <= since_boot()), Fate::Expired),
            (self.watch.as_ref().is_some_and(|watch| is_now(watch, PollFlags::IN)), Fate::TargetEnded),
            (self.until.is_some_and(|time| time <= Instant::now()), Fate::TimeOver),
        ];
        ends.into_iter().find(|(is_so, _)| *is_so).map(|(_, fate)| fate)
    }

    /// It is taken back, unless it was redeemed before.
    fn settle(self, fate: Fate) -> Result<Fate> {
        match self.revocation.revoke() {
            Ok(()) => Ok(fate),
            Err(Error::AlreadyRedeemed) => Ok(Fate::Done),
            Err(error) => Err(error.into()),
        }
    }
}

/// Time asleep counts, as it does for an expiry.
fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

impl Fate {
    fn report(self) -> ExitCode {
        let (code, says) = match self {
            Fate::Done => return ExitCode::SUCCESS,
            Fate::Revoked => (3, "it was revoked"),
            Fate::Expired => (4, "it has expired, and was not redeemed"),
            Fate::TargetEnded => (4, "the target ended and did not redeem it"),
            Fate::TimeOver => (4, "it was not redeemed in time: let the target redeem sooner, or raise --timeout"),
            Fate::Stopped => (1, "ended by a signal before it was redeemed"),
        };
        eprintln!("sharesock: {says}");
        ExitCode::from(code)
    }
}
