//! The options of `sharesock run`: from the command line, the environment, and a file.

use super::listener::Resolved;
use super::placeholders::check_placeholders;
use super::readiness::Check;
use super::report::{Format, OutputFormat};
use super::settings::{SettingOptions, Settings};
use super::signals;
use super::spec::{Spec, check_name, with_names};
use crate::address::{Address, resolve};
use crate::seconds;
use anyhow::{Context, Result, anyhow, ensure};
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use rustix::process::Signal;
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

const EXAMPLES: &str = "Examples:
  sharesock run --listen 8000 -- gunicorn app:app
  sharesock run --listen web=127.0.0.1:3000 -- node -r ./contrib/node/sharesock.cjs server.js
  sharesock run --listen web=0.0.0.0:80 --listen admin=unix:/run/app.sock,mode=660 -- ./app {fd:admin}
  sharesock run --listen echo=127.0.0.1:7007 --pass connection --via stdio --workers 100 -- cat
  sharesock run --config /etc/app.toml --check

The command gets its listeners the way of systemd's socket activation: from descriptor 3 on, with LISTEN_FDS, \
LISTEN_PID and LISTEN_FDNAMES. `{fd}` in its arguments becomes the number of the first listener, `{fd:NAME}` of that one.

Signals: SIGTERM, SIGINT and SIGQUIT drain and end, a second one ends at once; SIGHUP reloads; SIGUSR1, SIGUSR2 and \
SIGWINCH are passed on to the workers that are ready.
Every option but --json, --check and --env can be given in the environment as well (SHARESOCK_WORKERS=4), and in a file (`workers = 4`); the command \
line comes first, then the environment, then the file.
Exit codes: 0 after a drain, 1 when something failed, 2 when the command line or the file is wrong.";

/// Options of `sharesock run`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// Name that `reload`, `status` and `stop` use [default: file name of COMMAND]
    #[arg(long, env = "SHARESOCK_NAME", value_parser = name)]
    pub(crate) name: Option<String>,
    /// A listener: PORT (at 127.0.0.1), HOST:PORT (port 0 picks one; no host, or `*`, means all addresses),
    /// udp:HOST:PORT, unix:PATH, unix:@ABSTRACT or inherited. NAME= before it names it [default: web, web-2, ...]; options
    /// follow after commas: backlog=N, reuseport, v6only, nonblock, mode=OCTAL, owner=USER, group=GROUP; may be given
    /// several times. SHARESOCK_LISTEN takes one listener a line, or a single line of several with spaces between them.
    #[arg(long, value_name = "[NAME=]ADDRESS")]
    pub(crate) listen: Vec<Spec>,
    /// The number of worker processes; with `--via stdio`, of connections at a time.
    #[arg(long, default_value_t = 1, env = "SHARESOCK_WORKERS", value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: u16,
    /// Sockets that workers get.
    #[arg(long, value_enum, default_value_t = Pass::Listener, env = "SHARESOCK_PASS")]
    pub(crate) pass: Pass,
    /// Way in which `--pass connection` gives a connection.
    #[arg(long, value_enum, default_value_t = Via::HandOff, env = "SHARESOCK_VIA")]
    pub(crate) via: Via,
    /// Worker that gets a connection.
    #[arg(long, value_enum, default_value_t = Policy::LeastOpen, env = "SHARESOCK_POLICY")]
    pub(crate) policy: Policy,
    /// Sign that a worker is ready: `auto` (a thread of it waits for connections at each listener that it is passed; without
    /// such a listener, READY=1 of `sd_notify`, or one second of life), `connect` (as `auto`, and only that),
    /// `connect=HOST:PORT` (it accepts there itself), `http=[STATUS:]PATH` (it also answers this request, with 200 to 399),
    /// `exec=COMMAND` (it accepts, and this command of the shell succeeds; SHARESOCK_WORKER_PID names the worker), `notify` (READY=1), or `time=SECONDS` (it has lived this long).
    #[arg(long, default_value = "auto", value_name = "WHEN", env = "SHARESOCK_READY")]
    pub(crate) ready: Ready,
    /// Time in which a worker must be ready, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "60", env = "SHARESOCK_READY_TIMEOUT", value_parser = seconds)]
    pub(crate) ready_timeout: Duration,
    /// Check of workers that are ready: `http=[STATUS:]PATH` or `exec=COMMAND`, as for `--ready`. One that fails
    /// `--live-failures` times in a row is killed, and another starts.
    #[arg(long, value_name = "CHECK", env = "SHARESOCK_LIVE", value_parser = live)]
    pub(crate) live: Option<Ready>,
    /// Time between two checks of a worker, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "10", env = "SHARESOCK_LIVE_INTERVAL", value_parser = seconds)]
    pub(crate) live_interval: Duration,
    /// Failed checks in a row after which a worker is killed.
    #[arg(long, value_name = "TIMES", default_value_t = 3, env = "SHARESOCK_LIVE_FAILURES", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) live_failures: u32,
    /// Signal that asks a worker to shut down gracefully.
    #[arg(long, value_name = "SIGNAL", default_value = "TERM", env = "SHARESOCK_STOP_SIGNAL", value_parser = signals::SignalParser, hide_possible_values = true)]
    pub(crate) stop_signal: Signal,
    /// Grace period between the stop signal and SIGKILL, in seconds.
    #[arg(long, value_name = "SECONDS", default_value = "30", env = "SHARESOCK_STOP_TIMEOUT", value_parser = seconds)]
    pub(crate) stop_timeout: Duration,
    /// Grace period of workers that a reload has replaced, in seconds or `none` [default: that of --stop-timeout].
    #[arg(long, value_name = "SECONDS", env = "SHARESOCK_DRAIN_TIMEOUT", value_parser = seconds_or_none)]
    pub(crate) drain_timeout: Option<Duration>,
    #[command(flatten)]
    setting: SettingOptions,
    /// Resolved settings.
    #[arg(skip)]
    pub(crate) settings: Arc<Settings>,
    /// Failures in a row of one worker, each within ten seconds of its start, after which everything is shut down if no other
    /// worker serves.
    #[arg(long, value_name = "TIMES", default_value_t = 10, env = "SHARESOCK_RESTART_LIMIT")]
    pub(crate) restart_limit: u32,
    /// A TOML file with options, named like these.
    #[arg(long, value_name = "FILE", env = "SHARESOCK_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Check the options, the file's among them, show them, and end: with 2 if they are wrong, with 1 if the supervisor could
    /// not start now (the command cannot be run, or an address is in use).
    #[arg(long)]
    pub(crate) check: bool,
    /// Answer requests for metrics, in the format of Prometheus, at this address.
    #[arg(long, value_name = "HOST:PORT", env = "SHARESOCK_METRICS", value_parser = tcp)]
    pub(crate) metrics: Option<String>,
    /// Write the bound addresses and process ids to this file, as JSON, when all workers are ready.
    #[arg(long, value_name = "FILE", env = "SHARESOCK_READY_FILE")]
    pub(crate) ready_file: Option<PathBuf>,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR", env = "SHARESOCK_DOMAIN")]
    pub(crate) domain: Option<PathBuf>,
    /// Print events as JSON lines on standard output, and nothing else there.
    #[arg(long)]
    pub(crate) json: bool,
    /// Format of workers' output [default: prefix, or json with --json].
    #[arg(long, value_enum, env = "SHARESOCK_OUTPUT", value_name = "FORMAT")]
    pub(crate) output: Option<OutputFormat>,
    /// Begin lines of text with the time. (JSON lines have it always.)
    #[arg(long, env = "SHARESOCK_LOG_TIME")]
    pub(crate) log_time: bool,
    /// Most open connections of workers that tell how many they have.
    #[arg(skip)]
    pub(crate) max_connections: Option<u64>,
    /// Whether what it serves can be looked at with a browser.
    #[arg(skip)]
    pub(crate) is_web: bool,
    /// Reader of these options, for a reload.
    #[arg(skip = Options::load as Load)]
    pub(crate) load: Load,
    /// The server and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

/// Reader of a supervisor's options, from a command line, the environment and a file.
pub(crate) type Load = fn(&[OsString]) -> Result<Options>;

/// Sockets that workers get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Pass {
    /// The listeners: they accept themselves.
    Listener,
    /// Connections that were accepted for them.
    Connection,
}

/// Way in which a connection is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
pub(crate) enum Via {
    /// Handed off to the receiver that the worker opens in the domain.
    HandOff,
    /// Write each connection's 628-byte info to the worker's standard input; end of file asks it to shut down.
    Info,
    /// To a process of its own, as standard input and output.
    Stdio,
}

/// Worker that gets a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Policy {
    /// The one with the fewest open connections, if all workers say how many they have; else one after the other.
    LeastOpen,
    /// One after the other.
    RoundRobin,
}

/// When a worker is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    Auto,
    Notify,
    Accept,
    Connect(String),
    Http(Check),
    /// In a shell.
    Exec(String),
    Time(Duration),
}

impl FromStr for Ready {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=').unwrap_or((text, "")) {
            ("auto", "") => Ok(Ready::Auto),
            ("notify", "") => Ok(Ready::Notify),
            ("connect", "") => Ok(Ready::Accept),
            ("connect", address) => tcp(address).map(Ready::Connect),
            ("exec", command) if !command.is_empty() => Ok(Ready::Exec(command.to_owned())),
            ("http", check) => check.parse().map(Ready::Http),
            ("time", time) => seconds(time).map(Ready::Time),
            _ => {
                Err("give auto, notify, connect, connect=HOST:PORT, http=PATH, exec=COMMAND or time=SECONDS".to_owned())
            }
        }
    }
}

/// Forms of `--ready` that can be asked again and again.
fn live(text: &str) -> Result<Ready, String> {
    let fits = |check: &Ready| matches!(check, Ready::Http(_) | Ready::Exec(_));
    text.parse().ok().filter(fits).ok_or_else(|| "give http=PATH, http=STATUS:PATH or exec=COMMAND".to_owned())
}

/// `HOST:PORT`.
fn tcp(text: &str) -> Result<String, String> {
    match text.parse() {
        Ok(Address::Tcp(address)) => Ok(address),
        _ => Err(format!("`{text}` is no address: give HOST:PORT, such as localhost:9100")),
    }
}

fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

/// A day is more than anybody waits, and less than what overflows.
fn seconds(text: &str) -> Result<Duration, String> {
    seconds::parse(text, 0.0..=86_400.0).map_err(|_| "give seconds, at most 86400, such as 2 or 0.5".to_owned())
}

/// Seconds, or the longest time there is.
fn seconds_or_none(text: &str) -> Result<Duration, String> {
    if text == "none" { Ok(Duration::MAX) } else { seconds(text).map_err(|why| format!("{why}, or none")) }
}

/// The variable that names listeners.
const LISTEN: &str = "SHARESOCK_LISTEN";

/// A command line with the listeners that a variable names, if it names none itself.
fn with_listeners(mut line: Vec<OsString>, variable: Option<OsString>) -> Result<Vec<OsString>> {
    let names_some =
        |word: &OsString| word.to_str().is_some_and(|word| word == "--listen" || word.starts_with("--listen="));
    let Some(variable) = variable.filter(|_| !line.iter().take_while(|word| *word != "--").any(names_some)) else {
        return Ok(line);
    };
    let text = variable.to_str().with_context(|| format!("{LISTEN} is {variable:?}, which is no text"))?;
    // A path may have spaces.
    let specs: Vec<_> = if text.contains('\n') { text.lines().collect() } else { text.split(' ').collect() };
    let specs = specs.into_iter().filter(|spec| !spec.is_empty()).map(|spec| format!("--listen={spec}").into());
    let behind_name = line.len().min(1);
    line.splice(behind_name..behind_name, specs);
    Ok(line)
}

/// The part of the command line behind the program's name.
pub(crate) fn command_line() -> Vec<OsString> {
    std::env::args_os().skip(1).collect()
}

/// The command line of `run` alone.
#[derive(Debug, Parser)]
#[command(name = "run")]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Options that a command line, the environment and the file give now, with clap's view of them.
pub(crate) fn read<L: CommandFactory + FromArgMatches>(line: &[OsString]) -> Result<(L, ArgMatches)> {
    let line = with_listeners(line.to_vec(), std::env::var_os(LISTEN))?;
    let line = crate::config::with_file(&L::command(), line)?;
    let wrong = |error: clap::Error| anyhow!("{}", error.render());
    let matches = L::command().try_get_matches_from(line).map_err(wrong)?;
    Ok((L::from_arg_matches(&matches).map_err(wrong)?, matches))
}

impl Options {
    /// Options that a command line of `run`, the environment and the file give now.
    pub(crate) fn load(line: &[OsString]) -> Result<Self> {
        read::<Line>(line)?.0.options.checked()
    }

    /// The same, if they go together.
    pub(crate) fn checked(mut self) -> Result<Self> {
        self.settings = Arc::new(self.setting.resolve()?);
        self.listen = with_names(self.listen);
        self.validate()?;
        Ok(self)
    }

    /// Refuses what does not fit together.
    fn validate(&self) -> Result<()> {
        ensure!(
            !self.command.is_empty(),
            "there is no command to run: give it after `--`, or as `command` in the file"
        );
        let names: Vec<_> = self.listen.iter().map(|spec| spec.name.as_str()).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
            anyhow::bail!("two listeners are named {twice}: give each its own name");
        }
        let needs_domain = self.ready == Ready::Notify || self.giving().is_some_and(|via| via != Via::Stdio);
        ensure!(
            self.settings.rights.identity.is_none() || !needs_domain,
            "workers of another user do not reach the supervisor's domain: with --user or --group, choose another --ready than \
             notify, and pass listeners"
        );
        let streams = |spec: &Spec| !matches!(spec.place, Some(Address::Udp(_)));
        ensure!(
            self.ready != Ready::Accept || self.pass == Pass::Connection || self.listen.iter().any(streams),
            "`--ready connect` needs a listener of TCP or a Unix path: give --listen, name an address, or choose another way"
        );
        let asks = matches!(self.ready, Ready::Http(_)) || matches!(self.live, Some(Ready::Http(_)));
        ensure!(
            !asks || (self.pass == Pass::Listener && self.listen.iter().any(streams)),
            "`http=` asks at a listener of TCP or a Unix path that workers are passed: give --listen, or choose another way"
        );
        if self.pass == Pass::Connection {
            ensure!(!names.is_empty(), "there is nothing to accept from: give --listen");
            ensure!(
                !self.listen.iter().any(|spec| matches!(spec.place, Some(Address::Udp(_)))),
                "connections cannot be accepted from UDP: pass that listener with --pass listener"
            );
            ensure!(
                self.ready != Ready::Accept || self.via == Via::Stdio,
                "the supervisor itself accepts connections here: give --ready connect=HOST:PORT, notify, time=SECONDS or auto"
            );
            return check_placeholders(&self.command, &[]);
        }
        check_placeholders(&self.command, &names)
    }

    /// Addresses that the hosts of its listeners stand for. Asking for names may take a while.
    pub(crate) fn resolve(&self) -> Resolved {
        let address = |spec: &Spec| match &spec.place {
            Some(Address::Tcp(address) | Address::Udp(address)) => Some(address.clone()),
            _ => None,
        };
        let resolved = |address: String| (address.clone(), resolve(&address));
        self.listen.iter().filter_map(address).map(resolved).collect()
    }

    /// Its name, or what it is called by its command.
    pub(crate) fn name(&self) -> String {
        let from_command = || {
            let file =
                self.command.first().and_then(|program| Path::new(program).file_name()?.to_str().map(str::to_owned));
            file.filter(|file| check_name(file).is_ok()).unwrap_or_else(|| "server".to_owned())
        };
        self.name.clone().unwrap_or_else(from_command)
    }

    /// Format of everything that is printed.
    pub(crate) fn format(&self) -> Format {
        let usual = if self.json { OutputFormat::Json } else { OutputFormat::Prefix };
        Format { json: self.json, output: self.output.unwrap_or(usual), time: self.log_time }
    }

    /// Way in which connections are given, if they are.
    pub(crate) fn giving(&self) -> Option<Via> {
        (self.pass == Pass::Connection).then_some(self.via)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_and_seconds_are_checked_when_they_are_given() {
        assert_eq!("connect=127.0.0.1:80".parse(), Ok(Ready::Connect("127.0.0.1:80".to_owned())));
        assert_eq!("connect".parse(), Ok(Ready::Accept));
        assert!(matches!("http=204:/health".parse(), Ok(Ready::Http(_))));
        assert_eq!("time=0.5".parse(), Ok(Ready::Time(Duration::from_millis(500))));
        for wrong in [
            "",
            "ready",
            "auto=1",
            "time",
            "time=x",
            "time=-1",
            "time=1e9",
            "time=nan",
            "connect=a",
            "http",
            "http=a",
            "exec",
            "exec=",
        ] {
            assert!(wrong.parse::<Ready>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_variable_names_listeners_whose_paths_may_have_spaces() {
        let with = |line: &[&str], variable: &str| {
            let line = with_listeners(line.iter().map(Into::into).collect(), Some(variable.into())).unwrap();
            line.into_iter().map(|word| word.into_string().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(with(&["run", "--", "x"], "a=h:1 b=h:2"), ["run", "--listen=a=h:1", "--listen=b=h:2", "--", "x"]);
        assert_eq!(with(&["run"], "a=unix:/x y\n\nb=h:2\n"), ["run", "--listen=a=unix:/x y", "--listen=b=h:2"]);
        assert_eq!(with(&["run"], ""), ["run"]);
        // The command line comes first; what is behind the dashes is not of it.
        assert_eq!(with(&["run", "--listen", "c=h:3"], "a=h:1"), ["run", "--listen", "c=h:3"]);
        assert_eq!(with(&["run", "--", "--listen"], "a=h:1"), ["run", "--listen=a=h:1", "--", "--listen"]);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let load = |line: &[&str]| Options::load(&line.iter().map(Into::into).collect::<Vec<OsString>>());
        let why = |line: &[&str]| load(line).unwrap_err().to_string();
        assert!(why(&["run"]).contains("no command"));
        assert!(why(&["run", "--listen", "a=h:1", "--listen", "a=h:2", "--", "x"]).contains("two listeners"));
        assert!(why(&["run", "--pass", "connection", "--", "x"]).contains("nothing to accept"));
        assert!(why(&["run", "--listen", "a=udp:h:1", "--pass", "connection", "--", "x"]).contains("UDP"));
        let accepts = ["run", "--listen", "a=h:1", "--pass", "connection", "--ready", "connect", "--", "x"];
        assert!(why(&accepts).contains("itself accepts"));
        assert!(why(&["run", "--", "x", "{fd}"]).contains("needs a listener"));
        assert!(why(&["run", "--workers", "0", "--", "x"]).contains("--workers"));
        assert_eq!(load(&["run", "--", "/usr/bin/x.y"]).unwrap().name(), "x.y");
        assert_eq!(load(&["run", "--", "/a b"]).unwrap().name(), "server");
    }
}
