//! A running `sharesock run` for the tests, a server for it to supervise, and a client of that server.
#![allow(dead_code)] // Each test program uses its part.

mod client;
mod lines;
mod look;
mod server;
mod setup;
mod styles;

#[allow(unused_imports)] // Each test program uses its part.
pub(crate) use client::{Connection, ask, ask_udp};
#[allow(unused_imports)] // The same.
pub(crate) use look::{
    alive, blocked_signals, catches, children, count_of_descriptors, environment_of, family, files_under, group_of,
    guard_of, ignored_signals, kill, lives, processes_of, settled, signal, state_of, stop_process, until,
};
pub(crate) use server::{PLAY, arguments};
#[allow(unused_imports)] // The same.
pub(crate) use setup::Setup;

use crate::patience::OutputInTime;
use lines::Lines;
use rustix::process::Signal;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// The program that is tested.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_sharesock");
/// A bound on hangs; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A supervisor; everything that it started is killed when this is dropped, and nothing may be left of it then.
pub(crate) struct Supervisor {
    child: Child,
    pub(crate) folder: TempDir,
    pub(crate) output: Arc<Lines>,
    pub(crate) errors: Arc<Lines>,
    seen: usize,
    ended: Option<ExitStatus>,
}

impl Supervisor {
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What its server is told to do from the next start on.
    pub(crate) fn play(&self, words: &str) {
        std::fs::write(self.path("play"), words).unwrap();
    }

    /// The next event of this name.
    pub(crate) fn wait_for(&mut self, name: &str) -> Value {
        let event = |line: &str| serde_json::from_str::<Value>(line).ok().filter(|event| event["event"] == name);
        let found = self.output.find(self.seen, event);
        let Some((at, event)) = found else { panic!("no event {name} came:\n{}", self.story()) };
        self.seen = at + 1;
        event
    }

    /// The first line, of those that are printed from now on or were before, which holds this.
    pub(crate) fn wait_for_line(&self, text: &str) -> String {
        let found = self.output.find(0, |line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("no line with {text:?} came:\n{}", self.story())).1
    }

    /// Waits until as many workers as this have read what they are to do, which is this.
    pub(crate) fn wait_until_played(&self, words: &str, count: usize) {
        let mut played = 0;
        let found = self.output.find(0, |line| {
            played += usize::from(line.ends_with(&format!(" | plays {words}")));
            (played == count).then_some(())
        });
        assert!(found.is_some(), "{played} of {count} play {words}:\n{}", self.story());
    }

    /// The same of standard error.
    pub(crate) fn wait_for_error(&self, text: &str) -> String {
        let found = self.errors.find(0, |line| line.contains(text).then(|| line.to_owned()));
        found.unwrap_or_else(|| panic!("no line with {text:?} came:\n{}", self.story())).1
    }

    pub(crate) fn story(&self) -> String {
        format!("{}\n--\n{}", self.output.all().join("\n"), self.errors.all().join("\n"))
    }

    /// Where the listener of this name is.
    pub(crate) fn address(&self, name: &str) -> String {
        let event = |line: &str| {
            let event = serde_json::from_str::<Value>(line).ok()?;
            (event["event"] == "listening" && event["name"] == name)
                .then(|| event["address"].as_str().map(String::from))
        };
        self.output.find(0, event).unwrap_or_else(|| panic!("no listener {name}:\n{}", self.story())).1.unwrap()
    }

    /// A connection to the listener named `web`.
    pub(crate) fn connect(&self) -> Connection {
        Connection::open(&self.address("web"))
    }

    /// Workers of before answer, too, until they have heard that they shall end.
    pub(crate) fn until_served_by(&self, generation: u64) {
        until(&format!("an answer of generation {generation}"), || self.ask("who")["generation"] == generation);
    }

    pub(crate) fn ask(&self, question: &str) -> Value {
        self.connect().ask(question)
    }

    /// Another command of the program, about this supervisor.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
        command.args(words).arg("--domain").arg(self.path("domain"));
        command
    }

    pub(crate) fn call(&self, words: &[&str]) -> Output {
        self.command(words).output_in_time()
    }

    /// The same, and it must succeed; what it prints, save how it goes, which it tells on standard error if it takes long.
    pub(crate) fn do_it(&self, words: &[&str]) -> String {
        let output = self.call(words);
        let (said, errors) = (text(&output.stdout), text(&output.stderr));
        assert!(output.status.success(), "{words:?} failed: {said}{errors}\n{}", self.story());
        said
    }

    /// The same, and it must fail with this code.
    pub(crate) fn fail(&self, words: &[&str], code: i32) -> String {
        let output = self.call(words);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{words:?}: {said}\n{}", self.story());
        said
    }

    pub(crate) fn status(&self) -> Value {
        let output = self.call(&["status", "--json", "--lines", "100"]);
        let why = || format!("{}\n{}", text(&output.stderr), self.story());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", why()))
    }

    /// The workers of the generation that serves.
    pub(crate) fn workers(&self) -> Vec<u32> {
        let status = self.status();
        let workers = status["workers"].as_array().unwrap().iter();
        let current = workers.filter(|worker| worker["generation"] == status["generation"]);
        current.map(|worker| number(&worker["pid"])).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        look::signal(self.pid(), signal);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.ended = self.ended.or_else(|| self.child.try_wait().unwrap());
        self.ended.is_some()
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = std::time::Instant::now();
        while !self.has_ended() {
            assert!(started.elapsed() < LONG, "it does not end:\n{}", self.story());
            std::thread::sleep(Duration::from_millis(2));
        }
        self.ended.unwrap()
    }

    /// When its first process has ended: waits until another one is the supervisor, or none is left.
    pub(crate) fn settle_after_the_end(&self) {
        until("a supervisor, or nothing", || {
            self.call(&["status"]).status.success() || processes_of(self.folder.path()).is_empty()
        });
    }

    /// Ends it in order; nothing may be left.
    pub(crate) fn end(mut self) {
        self.signal(Signal::TERM);
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.story());
        self.assert_nothing_left();
    }

    /// Waits until no process is left that came from here, and then looks for files.
    pub(crate) fn assert_nothing_left(&self) {
        let started = std::time::Instant::now();
        while !processes_of(self.folder.path()).is_empty() {
            let left = processes_of(self.folder.path());
            assert!(started.elapsed() < LONG, "{left:?} are left:\n{}", self.story());
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut found = look::files_under(&self.path("domain"));
        // Those are paths of listeners.
        let entries = std::fs::read_dir(self.folder.path()).unwrap().flatten().map(|entry| entry.path());
        found.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "sock")));
        let left: Vec<_> = found.iter().filter(|path| !is_of_the_domain(path)).collect();
        assert!(left.is_empty(), "{left:?} are left");
    }
}

/// The name of an endpoint whose process has ended without closing it: whoever opens one there next removes it.
fn is_of_the_domain(path: &std::path::Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.trim_start_matches("new-").split('-').next().is_some_and(|pid| pid.parse::<u32>().is_ok_and(|pid| !lives(pid)))
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if self.ended.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for (pid, words) in processes_of(self.folder.path()) {
            // A guard is let finish what it has to do.
            if failed || words.get(1).is_some_and(|word| word == "run") {
                kill(pid);
            }
        }
        if !failed {
            self.assert_nothing_left();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn number(value: &Value) -> u32 {
    value.as_u64().and_then(|number| number.try_into().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}
