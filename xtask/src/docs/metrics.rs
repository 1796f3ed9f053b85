//! The series that a supervisor has: asked of one that runs.

use super::MADE;
use crate::output;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Bounds hangs; nothing waits for it to pass.
const BOUND: Duration = Duration::from_secs(60);

pub(crate) fn page(program: &Path) -> Result<String> {
    let folder = std::env::temp_dir().join(format!("sharesock-metrics-{}", std::process::id()));
    std::fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let text = text(program, &folder);
    let _ = std::fs::remove_dir_all(&folder);
    let text = text?;
    let mut page = format!(
        "# Metrics\n\n{MADE}\n\nWhat `sharesock status --prometheus` and `--metrics HOST:PORT` print. Every series has the label \
         `supervisor`. Those of\nworkers have `directory` and `generation`; a worker that replaces another goes on with its series.\n\n\
         | series | kind | other labels | meaning |\n| --- | --- | --- | --- |\n"
    );
    let mut kinds = BTreeMap::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            kinds.insert(name, kind);
        }
    }
    ensure!(kinds.len() > 20, "the supervisor has {} series alone:\n{text}", kinds.len());
    for line in text.lines() {
        let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) else { continue };
        let labels: Vec<_> = labels(&text, name).into_iter().map(|label| format!("`{label}`")).collect();
        let kind = kinds.get(name).copied().unwrap_or_default();
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {} | {help} |", labels.join(", "));
    }
    Ok(page)
}

/// Names of the labels of a series, but for the one that all have.
fn labels<'a>(text: &'a str, name: &str) -> BTreeSet<&'a str> {
    text.lines()
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix('{')?.split_once("} "))
        .flat_map(|(labels, _)| labels.split("\",").filter_map(|label| label.split_once('=')))
        .map(|(label, _)| label)
        .filter(|label| *label != "supervisor")
        .collect()
}

/// What a supervisor prints that has served a connection and was reloaded, so that nothing is missing.
fn text(program: &Path, folder: &Path) -> Result<String> {
    let domain = folder.join("domain");
    let ready = folder.join("ready.json");
    let mut serve = Command::new(program);
    serve.args(["serve", "--listen", "127.0.0.1:0", "--workers", "1"]).arg(folder);
    serve.arg("--domain").arg(&domain).arg("--ready-file").arg(&ready);
    serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut supervisor = Supervisor(serve.spawn().context("starting `sharesock serve`")?);
    let address = wait("the workers of `sharesock serve` to be ready", || {
        ensure!(supervisor.0.try_wait()?.is_none(), "`sharesock serve` ended");
        let Ok(text) = std::fs::read_to_string(&ready) else { return Ok(None) };
        let ready: serde_json::Value = serde_json::from_str(&text).context("reading the ready file")?;
        Ok(ready["listeners"][0]["address"].as_str().map(str::to_owned))
    })?;
    drop(TcpStream::connect(&address).with_context(|| format!("connecting to {address}"))?);
    let ask = |words: &[&str]| output(Command::new(program).args(words).arg("--domain").arg(&domain));
    ask(&["reload", "serve"])?;
    let text = wait("the hand-off to be counted", || {
        let text = ask(&["status", "serve", "--prometheus"])?;
        Ok(text.contains("quantile=").then_some(text))
    })?;
    ask(&["stop", "serve"])?;
    Ok(text)
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(began.elapsed() < BOUND, "waited {} s for {what}", BOUND.as_secs());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ended with this process's interest in it.
struct Supervisor(Child);

impl Drop for Supervisor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
