//! `sharesock tour`: every rule shown with real processes on this machine.

mod actor;
mod rules;

pub(crate) use actor::act;

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `sharesock tour`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  sharesock tour\n  sharesock tour --json | jq .holds\n\n\
    Exit codes: 0 when every rule holds, 1 when one does not or the tour could not be made, 2 when the command \
    line is wrong.")]
pub(crate) struct Options {
    /// Print one JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

/// Where the processes of the tour meet.
#[derive(Debug)]
struct Stage {
    domain: PathBuf,
    endpoint: sharesock::Endpoint,
}

impl Stage {
    fn domain(&self) -> &Path {
        &self.domain
    }
}

/// A rule and what was seen of it.
#[derive(Debug, serde::Serialize)]
struct Line {
    rule: &'static str,
    says: &'static str,
    holds: bool,
    seen: String,
}

/// Shows all rules.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let folder = tempfile::Builder::new().prefix("sharesock-tour-").tempdir_in(crate::system::folder_in_memory());
    let folder = folder.context("making a folder")?;
    let domain = folder.path().join("domain");
    let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&domain)?)?;
    let stage = Stage { domain, endpoint };
    let mut lines = Vec::new();
    for (rule, says, show) in rules::ALL {
        let seen = show(&stage);
        let line = match seen {
            Ok(seen) => Line { rule, says, holds: true, seen },
            Err(error) => Line { rule, says, holds: false, seen: format!("{error:#}") },
        };
        if !options.json {
            let verdict = if line.holds { "ok  " } else { "FAIL" };
            println!("{verdict} {:<3} {}: {}", line.rule, line.says, line.seen);
        }
        lines.push(line);
    }
    let holds = lines.iter().all(|line| line.holds);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&serde_json::json!({ "holds": holds, "rules": lines }))?);
    }
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
