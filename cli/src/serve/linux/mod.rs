//! Serving on Linux: what `sharesock run` does, with workers that serve files and move their connections.

mod link;

pub(super) use link::{Figures, Link};

use super::SiteOptions;
use crate::address::Address;
use crate::run::{self, Pass, Ready, Spec, Via};
use anyhow::{Result, bail};
use clap::builder::{PossibleValuesParser, Resettable, TypedValueParser};
use clap::parser::ValueSource;
use clap::{Arg, Parser, ValueEnum};
use std::ffi::OsString;
use std::process::ExitCode;

/// Options of `run` that `serve` decides itself.
const DECIDED: [&str; 10] =
    ["user", "group", "chdir", "pass", "ready", "live", "live_interval", "live_failures", "stop_signal", "command"];

/// Options of `sharesock serve`: those of `run`, as far as they are not decided, and what is served.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
#[command(
    mut_args(fit),
    after_help = "Examples:\n  sharesock serve .\n  \
    sharesock serve --listen 127.0.0.1:8080 --listen unix:/run/site.sock --workers 4 /srv/www\n  \
    sharesock serve --listen 127.0.0.1:0 --ready-file ready.json --status-page .\n\n\
    A supervisor as `sharesock run` is one: `status`, `top`, `reload`, `upgrade` and `stop` work with it. Connections that \
    are idle at a reload move to the new workers.\n\
    Signals: SIGTERM, SIGINT and SIGQUIT drain and end, a second one ends at once; SIGHUP replaces the workers without losing \
    a connection.\n\
    Options may stand in the environment and in a file, as those of `run` do.\n\
    Exit codes: 0 after a drain, 1 when something failed, 2 when the command line or the file is wrong.\n\
    Symbolic links in the folder are followed, wherever they lead."
)]
pub(crate) struct Options {
    #[command(flatten)]
    site: SiteOptions,
    /// Most open connections; more wait in the listener's queue until others end.
    #[arg(long, value_name = "NUMBER", env = "SHARESOCK_MAX_CONNECTIONS", value_parser = clap::value_parser!(u64).range(1..))]
    max_connections: Option<u64>,
    #[command(flatten)]
    run: run::Options,
}

/// The command line of `serve` alone.
#[derive(Debug, Parser)]
#[command(name = "serve")]
struct Line {
    #[command(flatten)]
    options: Options,
}

/// Fits an option of `run` to what is served here.
fn fit(argument: Arg) -> Arg {
    let shown = |via: &&Via| **via != Via::Stdio;
    let vias =
        || PossibleValuesParser::new(Via::value_variants().iter().filter(shown).filter_map(Via::to_possible_value));
    match argument.get_id().as_str() {
        "name" => argument.help("Name that `reload`, `status` and `stop` use [default: serve]"),
        "listen" => argument
            .help(
                "A listener: HOST:PORT (port 0 picks one) or unix:PATH, or one as `run` takes it, with a name; may be given \
                 several times",
            )
            .long_help(None)
            .value_name("ADDRESS")
            .default_value("127.0.0.1:8080")
            .value_parser(listener),
        "workers" => argument.help("The number of worker processes").default_value("2"),
        "via" => argument
            .help("How a connection is given to a worker")
            .value_parser(vias().try_map(|name| Via::from_str(&name, false))),
        "drain_timeout" => argument
            .help("Grace period of workers that a reload has replaced, in seconds or `none`; --client-timeout bounds how long \
                   a client may take nothing")
            .default_value("none"),
        decided if DECIDED.contains(&decided) => argument.hide(true).env(Resettable::Reset),
        _ => argument,
    }
}

/// A listener.
fn listener(text: &str) -> Result<Spec, String> {
    let spec: Spec = text.parse()?;
    match spec.place {
        Some(Address::Udp(_)) => Err("files are not served over UDP: give HOST:PORT or unix:PATH".to_owned()),
        _ => Ok(spec),
    }
}

/// The options of `run` that a command line of `serve` stands for.
fn load(line: &[OsString]) -> Result<run::Options> {
    let (Line { options }, matches) = run::read::<Line>(line)?;
    let given = |option: &&&str| matches.value_source(option) == Some(ValueSource::CommandLine);
    if let Some(option) = DECIDED.iter().find(given) {
        bail!(
            "`serve` has no option --{}: it starts workers of its own, as this user, and gives them connections",
            option.replace('_', "-")
        );
    }
    let Options { site, max_connections, mut run } = options;
    run.max_connections = max_connections;
    let name = run.name.get_or_insert_with(|| "serve".to_owned()).clone();
    (run.pass, run.ready, run.load, run.is_web) = (Pass::Connection, Ready::Notify, load, true);
    // The running program itself, also when its file was replaced.
    run.command = vec![run::MYSELF.into()];
    run.command.extend(site.worker()?);
    run.command.extend(["--supervisor".into(), name.into()]);
    run.checked()
}

/// Serves until a signal or a command ends it.
pub(crate) fn run(_: &Options) -> Result<ExitCode> {
    run::run(load)
}
