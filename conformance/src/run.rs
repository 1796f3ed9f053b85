//! Plays the scenarios, each in a process of its own: one that hangs or breaks down is a failure of its own.

use crate::actor::lines;
use crate::compare::text;
use crate::scenarios::{Scenario, all};
use crate::stage::Stage;
use crate::trace::{Line, Trace, beside};
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

/// What makes this program play one scenario.
pub(crate) const PLAY: &str = "play";

/// No scenario takes so long.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// What is to be run.
#[derive(Debug, Default)]
pub(crate) struct Options {
    only: Option<String>,
    list: bool,
    check: Option<PathBuf>,
}

impl Options {
    /// Reads the arguments of `run`.
    pub(crate) fn read(arguments: &[&str]) -> Result<Self> {
        let mut options = Options::default();
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("{option} needs a value"));
            match *option {
                "--list" => options.list = true,
                "--only" => options.only = Some((*value()?).to_owned()),
                "--check" => options.check = Some(value()?.into()),
                _ => bail!("unknown option {option}"),
            }
        }
        Ok(options)
    }
}

/// Plays what the options choose; whether all could be played and, with a trace to check against, nothing differs.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let chosen: Vec<_> =
        all().filter(|scenario| scenario.name.starts_with(options.only.as_deref().unwrap_or(""))).collect();
    ensure!(!chosen.is_empty(), "no scenario has such a name");
    if options.list {
        chosen.iter().for_each(|scenario| println!("{}", scenario.name));
        return Ok(true);
    }
    let Some(path) = &options.check else {
        let mut whole = true;
        for scenario in chosen {
            println!("== {}", title(scenario));
            whole &= played(scenario, |line| println!("{line}"))?;
        }
        return Ok(whole);
    };
    let recorded = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    check(&Trace::read(&recorded)?, &chosen, options.only.is_none())
}

/// Whether the scenarios play as recorded; `all` of them must be recorded, and nothing else.
fn check(recorded: &Trace, chosen: &[&Scenario], all: bool) -> Result<bool> {
    let mut differing = 0;
    for scenario in chosen {
        let mut now = Vec::new();
        let whole = played(scenario, |line| now.push(line.trim().to_owned()))?;
        let before = recorded.section(scenario.name);
        let beside = beside(before.map_or(&[], |before| &before.lines), &now);
        if !whole
            || before.is_none_or(|before| before.title != title(scenario))
            || beside.iter().any(|line| !matches!(line, Line::Both(_)))
        {
            differing += 1;
            print!("{}: plays otherwise than recorded\n{}", scenario.name, text(&beside));
        }
    }
    for section in recorded.0.iter().filter(|_| all) {
        if !chosen.iter().any(|scenario| scenario.name == section.name()) {
            differing += 1;
            println!("{}: is recorded, and no scenario any more", section.name());
        }
    }
    println!("{} scenarios, {differing} of them otherwise than recorded", chosen.len());
    Ok(differing == 0)
}

fn title(scenario: &Scenario) -> String {
    format!("{}: {} [{}]", scenario.name, scenario.shows, scenario.covers)
}

/// Plays a scenario in a process of its own and gives its lines to `each`; whether it came to its end.
fn played(scenario: &Scenario, mut each: impl FnMut(&str)) -> Result<bool> {
    let mut child = Command::new(std::env::current_exe().context("finding this program")?)
        .args([PLAY, scenario.name])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting a scenario")?;
    let output = lines(child.stdout.take().context("a scenario has no output")?);
    let until = Instant::now() + ENDS_WITHIN;
    loop {
        match output.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                each("  FAILED: it does not end");
                child.kill()?;
                break;
            }
        }
    }
    let status = child.wait()?;
    // A failure that it could name it has printed, and ended with 1.
    if !status.success() && status.code() != Some(1) {
        each("  FAILED: it broke down");
    }
    Ok(status.success())
}

/// Plays one scenario in this process.
pub(crate) fn play(name: &str) -> Result<bool> {
    let scenario = all().find(|scenario| scenario.name == name).context("there is no such scenario")?;
    let played = Stage::new().and_then(|stage| (scenario.play)(&stage));
    if let Err(error) = &played {
        println!("  FAILED: {error:#}");
    }
    Ok(played.is_ok())
}
