//! `sharesock run`: supervises any server, and never loses its listeners.

mod background;
mod begin;
mod check;
mod clock;
mod control;
mod listener;
mod machine;
mod options;
mod placeholders;
mod readiness;
mod report;
mod settings;
mod signals;
mod spec;
mod summary;
mod supervisor;
mod systemd;
mod takeover;
mod upgrade;
mod worker;

pub(crate) use control::client::{
    Reload, StatusOf, Stop, Top, Upgrade, brief_status, names, reload, status as show_status, stop, top, upgrade,
};
pub(crate) use options::{Load, Options, Pass, Ready, Via, read};
pub(crate) use spec::{Spec, check_name};
pub(crate) use takeover::tell_if_candidate;
pub(crate) use worker::guard::{Options as GuardOptions, run as guard};
pub(crate) use worker::launch::{MYSELF, Options as LaunchOptions, run as launch};
pub(crate) use worker::notify::{OPEN, RECEIVED};

use crate::system::inherited;
use anyhow::{Context, Result};
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;
use upgrade::legacy::Legacy;

/// Supervises until a signal or a command ends it. The options are what the command line says now.
pub(crate) fn run(load: Load) -> Result<ExitCode> {
    let options = match load(&options::command_line()) {
        Ok(options) => options,
        Err(error) => {
            tell_if_candidate(&error);
            eprintln!("sharesock: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    if options.check {
        let obstacles = check::obstacles(&options);
        let verdict = check::verdict(&options, &obstacles);
        // The exit code tells as much to a starter that does not read it.
        let _ = writeln!(std::io::stdout(), "{}{:<9} {verdict}", summary::summary(&options), "verdict");
        obstacles.iter().for_each(|why| eprintln!("sharesock: {why}"));
        return Ok(if obstacles.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    supervise(options).inspect_err(tell_if_candidate)
}

fn supervise(options: Options) -> Result<ExitCode> {
    let start = match takeover::Role::from_env()? {
        None => begin::Start::Anew,
        Some(takeover::Role::Candidate(old)) => begin::Start::Candidate(old),
        Some(takeover::Role::Successor(number)) => begin::Start::Successor(Box::new(Legacy::take(number)?)),
    };
    let announced = if matches!(start, begin::Start::Anew) { inherited::announced()? } else { Vec::new() };
    inherited::close_on_exec(&announced)?;
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().on_thread_start(signals::block).build().context("starting the runtime")?;
    let done = tokio::task::LocalSet::new().block_on(&runtime, begin::begin(options, start));
    runtime.shutdown_timeout(Duration::ZERO);
    done
}
