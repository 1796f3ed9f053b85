//! `sharesock doctor`: what works on this machine, what does not, and how to mend it.

mod domain;
mod features;
mod limits;
mod surroundings;

use super::say;
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sharesock doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sharesock doctor\n  \
    sharesock doctor --domain /run/site --json | jq '.checks[] | select(.status != \"ok\")'\n\n\
    It tries what the library uses, in a domain of its own that is removed again, and looks at the domain that is named.\n\
    Exit codes: 0 nothing fails, though there may be warnings; 1 something will not work; 2 the command line is wrong.")]
pub(crate) struct Options {
    /// The domain to look at; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How it stands with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// It works, with less.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    status: Status,
    name: &'static str,
    found: String,
    /// What will not work, and how to mend it.
    mend: Option<String>,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Check { status: Status::Ok, name, found: found.into(), mend: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Check { status: Status::Warn, name, found: found.into(), mend: Some(mend.into()) }
    }

    fn fail(name: &'static str, found: impl Into<String>, mend: impl Into<String>) -> Self {
        Check { status: Status::Fail, name, found: found.into(), mend: Some(mend.into()) }
    }

    fn describe(&self) -> String {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
        };
        let line = format!("{status:<5}{:<26}{}", self.name, self.found);
        self.mend.iter().fold(line, |line, mend| format!("{line}\n{:<31}{mend}", ""))
    }
}

#[derive(Debug, Serialize)]
struct Report {
    ok: bool,
    checks: Vec<Check>,
}

/// Looks.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut checks = surroundings::checks();
    checks.extend(features::checks());
    checks.extend(limits::checks());
    checks.extend(domain::checks(options.domain.as_ref()));
    let ok = checks.iter().all(|check| check.status != Status::Fail);
    let report = Report { ok, checks };
    match options.json {
        true => say(&serde_json::to_string(&report)?)?,
        false => say(&report.checks.iter().map(Check::describe).collect::<Vec<_>>().join("\n"))?,
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
