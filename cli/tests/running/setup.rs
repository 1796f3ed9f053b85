//! Starting a supervisor.

use super::lines::Lines;
use super::{PLAY, Supervisor, arguments};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// How a supervisor is to be started.
pub(crate) struct Setup {
    folder: tempfile::TempDir,
    /// Variables and so on may be added.
    pub(crate) process: Command,
    /// Where it prints, if the test wants to read that itself.
    pub(crate) output: Option<Stdio>,
    options: Vec<OsString>,
    command: Vec<OsString>,
}

impl Setup {
    /// By this program, with these options, for the server of the tests.
    pub(crate) fn new(options: &[&str]) -> Self {
        Setup::by(Command::new(env!("CARGO_BIN_EXE_sharesock")), options)
    }

    /// By a command to whose words those of the supervisor are added.
    pub(crate) fn by(mut process: Command, options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shared =
            ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "SHARESOCK_DOMAIN"];
        shared.iter().for_each(|name| _ = process.env_remove(name));
        process.env(PLAY, folder.path().join("play"));
        let options = options.iter().map(Into::into).collect();
        Setup { folder, process, output: None, options, command: arguments() }.play("ready")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the server does, in the words of [`super::server`].
    pub(crate) fn play(self, words: &str) -> Self {
        std::fs::write(self.path("play"), words).unwrap();
        self
    }

    pub(crate) fn option(mut self, option: impl Into<OsString>) -> Self {
        self.options.push(option.into());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.process.env(name, value.into());
        self
    }

    /// Another server.
    pub(crate) fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(Into::into).collect();
        self
    }

    /// A shell that runs this, in which `"$@"` is the server of the tests.
    pub(crate) fn shell(mut self, script: &str) -> Self {
        self.command = [["sh", "-c", script, "sh"].map(OsString::from).to_vec(), arguments()].concat();
        self
    }

    /// Starts it, and waits until its workers are ready.
    pub(crate) fn start(self) -> Supervisor {
        let mut supervisor = self.spawn();
        supervisor.wait_for("ready");
        supervisor
    }

    pub(crate) fn spawn(mut self) -> Supervisor {
        self.process.args(["run", "--json", "--ready-file"]).arg(self.folder.path().join("ready.json"));
        self.process.arg("--domain").arg(self.folder.path().join("domain")).args(&self.options);
        if !self.command.is_empty() {
            self.process.arg("--").args(&self.command);
        }
        self.process
            .stdin(Stdio::null())
            .stdout(self.output.take().unwrap_or_else(Stdio::piped))
            .stderr(Stdio::piped());
        let mut child = self.process.spawn().unwrap();
        // Otherwise this process would hold the other end of what it reads.
        drop(std::mem::replace(&mut self.process, Command::new("")));
        let output = child.stdout.take().map(Lines::of).unwrap_or_default();
        let errors = Lines::of(child.stderr.take().unwrap());
        Supervisor { child, folder: self.folder, output, errors, seen: 0, ended: None }
    }
}
