//! `sharesock holders`: who holds which sockets, and what waits for whom.

mod facts;
mod look;

use super::say;
use crate::domain::open_domain;
use anyhow::Result;
use facts::{Fact, facts_of};
use look::View;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Time between two looks.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Options of `sharesock holders`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sharesock holders                        # every socket that more than one process holds\n  \
    sharesock holders --port 8080\n  \
    sharesock holders --pid 4711 --json | jq .sockets\n  \
    sharesock holders --watch                # what changes, as it does\n\n\
    A descriptor may have been opened at any time since its process began; the kernel does not tell when, so the age of the \
    process is printed. What is delivered and not redeemed is counted in descriptors: a duplicate is one, one that can be \
    revoked is two. What a process holds for others is in its own table of descriptors, and only it knows how much that \
    is. Other users' processes are seen by root alone; who is registered for events, by root and whoever may trace \
    the holder.\n\
    Exit codes: 0 done, 1 something failed, 2 the command line is wrong.")]
pub(crate) struct Options {
    #[command(flatten)]
    which: Which,
    /// Print each change, looking every second, until it is interrupted.
    #[arg(long)]
    watch: bool,
    /// Print one JSON object; with --watch, one a line for each change.
    #[arg(long)]
    json: bool,
    /// The domain of endpoints and of events; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// Which sockets are meant; by default, those that more than one process holds.
#[derive(Debug, Clone, Copy, clap::Args)]
#[group(multiple = false)]
struct Which {
    /// The sockets of this process.
    #[arg(long)]
    pid: Option<u32>,
    /// The sockets at this port of this machine.
    #[arg(long)]
    port: Option<u16>,
    /// All sockets.
    #[arg(long)]
    all: bool,
}

/// Looks.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let domain = open_domain(options.domain.as_ref())?;
    if let Some(pid) = options.which.pid {
        sharesock::Process::from_pid(pid)
            .map_err(|_| anyhow::anyhow!("there is no process {pid}: ask again without --pid"))?;
    }
    let view = View::look(options.which, &domain)?;
    if !options.watch {
        match options.json {
            true => say(&serde_json::to_string(&view)?)?,
            false => say(&view.describe())?,
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut known = BTreeSet::new();
    let mut view = view;
    loop {
        let now = facts_of(&view);
        for ends in known.difference(&now) {
            print_change(ends, false, options.json)?;
        }
        for begins in now.difference(&known) {
            print_change(begins, true, options.json)?;
        }
        known = now;
        std::thread::sleep(WATCH_INTERVAL);
        view = View::look(options.which, &domain)?;
    }
}

fn print_change(fact: &Fact, begins: bool, json: bool) -> Result<()> {
    match json {
        true => {
            let mut line = serde_json::to_value(fact)?;
            if let Some(members) = line.as_object_mut() {
                let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                members.insert("begins".to_owned(), begins.into());
                members.insert("seen_at_unix".to_owned(), now.as_secs_f64().into());
            }
            say(&line.to_string())
        }
        false => say(&format!("{} {}", if begins { '+' } else { '-' }, fact.describe())),
    }
}
