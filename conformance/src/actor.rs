//! Another process: the same program, obeying commands line by line.

use anyhow::{Context, Result, bail, ensure};
use sharesock::{Endpoint, SpawnExt};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// What makes this program an actor.
pub(crate) const ACT: &str = "act";

/// No command takes so long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(45);

/// Another process.
#[derive(Debug)]
pub(crate) struct Actor {
    child: Child,
    input: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Actor {
    /// Starts one; its endpoint is opened by the command `open`.
    pub(crate) fn start(domain: &Path) -> Result<Self> {
        Self::of(command(domain)?.spawn().context("starting another process")?)
    }

    /// Starts one that has its endpoint from birth.
    pub(crate) fn start_with_endpoint(domain: &Path, endpoint: &Endpoint) -> Result<Self> {
        Self::of(command(domain)?.spawn_with_endpoint(endpoint)?)
    }

    fn of(mut child: Child) -> Result<Self> {
        let input = child.stdin.take();
        let output = child.stdout.take().context("another process has no output")?;
        Ok(Actor { child, input, answers: lines(output) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something: what it observed.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        self.tell(command)?;
        self.answer()
    }

    /// Has it do something, without waiting for the answer.
    pub(crate) fn tell(&mut self, command: &str) -> Result<()> {
        let input = self.input.as_mut().context("another process is to end")?;
        writeln!(input, "{command}").context("another process has ended")
    }

    /// What it answers to a command that it was told.
    pub(crate) fn answer(&mut self) -> Result<String> {
        self.answer_within(ANSWERS_WITHIN)?.context("another process does not answer")
    }

    /// The same, or nothing after so much time.
    pub(crate) fn answer_within(&mut self, time: Duration) -> Result<Option<String>> {
        match self.answers.recv_timeout(time) {
            Ok(answer) => match answer.strip_prefix("seen ") {
                Some(seen) => Ok(Some(seen.to_owned())),
                None => bail!("another process could not obey: {answer}"),
            },
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("another process has ended"),
        }
    }

    /// Has it end by itself, and waits until it has.
    pub(crate) fn end(mut self) -> Result<()> {
        self.input = None;
        let status = self.child.wait()?;
        ensure!(status.success(), "another process failed: {status}");
        Ok(())
    }

    /// Ends it by force, whatever it is doing, and waits until it has ended.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("killing another process")?;
        self.child.wait().map(drop).context("waiting for the end of another process")
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(domain: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("finding this program")?);
    command.arg(ACT).arg(domain).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command)
}

/// The lines of a process's output, as they come.
pub(crate) fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
