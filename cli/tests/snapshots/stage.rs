//! Where commands are run.

use super::transcript::Transcript;
use crate::patience::OutputInTime;
use sharesock::{CatalogEntry, ProtocolInfo};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A bound on hangs; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);
const PROGRAM: &str = env!("CARGO_BIN_EXE_sharesock");

/// Infos of processes that cannot be: their ids are larger than any. One was delivered, one is held.
const DELIVERED: &str = include_str!("infos/delivered.txt");
const HELD: &str = include_str!("infos/held.txt");

/// A folder that is gone with the test, with infos to try in it.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    /// Somebody listens at its port, which the commands know as `$BUSY`.
    busy: TcpListener,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Stage { folder: tempfile::tempdir().unwrap(), busy: TcpListener::bind("127.0.0.1:0").unwrap() };
        let entry = ProtocolInfo::from(&CatalogEntry::all()[0]).to_string();
        for (name, text) in [("entry", entry.as_str()), ("delivered", DELIVERED), ("held", HELD)] {
            let info: ProtocolInfo = text.parse().unwrap();
            stage.write(name, &format!("{info}\n"));
            std::fs::write(stage.path(&format!("{name}.wide")), info.to_wide_bytes()).unwrap();
            std::fs::write(stage.path(&format!("{name}.narrow")), info.to_narrow_bytes()).unwrap();
        }
        stage
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A command in the folder, for which nothing matters that the user of the test has set.
    fn command(&self, program: &str) -> Command {
        let ours = Path::new(PROGRAM).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(ours).chain(std::env::split_paths(&path))).unwrap();
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder()).stdin(Stdio::null());
        command.env("PATH", path).env("LANG", "C.UTF-8").env("COLUMNS", "100").env("HOME", self.folder());
        command.env("BUSY", self.busy.local_addr().unwrap().port().to_string());
        command.env("SHARESOCK_DOMAIN", self.path("domain"));
        command
    }

    /// Runs a line of the shell to its end; whatever hangs is ended.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let mut command = self.command("timeout");
        command.args(["--kill-after=1", "60", "sh", "-c", line]);
        command
    }

    /// Runs a line of the shell, and writes down what it prints.
    pub(crate) fn play(&self, transcript: &mut Transcript, line: &str) {
        let ended = self.shell(line).output_in_time();
        transcript.command(line);
        transcript.ended(
            &String::from_utf8_lossy(&ended.stdout),
            &String::from_utf8_lossy(&ended.stderr),
            ended.status,
        );
    }

    /// Until a line of the shell succeeds.
    pub(crate) fn until(&self, line: &str) {
        let ended = self.shell(&format!("until {line}; do sleep 0.01; done")).output_in_time();
        assert!(ended.status.success(), "{line}: {ended:?}");
    }

    /// What `sharesock` prints when it is asked for help, where no domain is named, which that would show.
    pub(crate) fn help(&self, line: &str, width: usize) -> String {
        let mut command = self.command(PROGRAM);
        command.args(line.split_whitespace()).env_remove("SHARESOCK_DOMAIN").env("COLUMNS", width.to_string());
        let ended = command.output_in_time();
        assert!(ended.status.success(), "{ended:?}");
        String::from_utf8(ended.stdout).unwrap()
    }

    /// Starts `sharesock` with these words.
    pub(crate) fn start(&self, line: &str) -> Running {
        let prints =
            ["out", "err"].map(|stream| tempfile::NamedTempFile::with_suffix_in(stream, self.folder()).unwrap());
        let [output, errors] = prints.each_ref().map(|file| file.reopen().unwrap());
        let child = self.command(PROGRAM).args(line.split(' ')).stdout(output).stderr(errors).spawn().unwrap();
        Running { line: format!("sharesock {line}"), prints, child }
    }
}

/// `sharesock`, running; killed when dropped.
#[derive(Debug)]
pub(crate) struct Running {
    line: String,
    /// What it prints: files, which can be read again and again.
    prints: [tempfile::NamedTempFile; 2],
    child: Child,
}

impl Running {
    fn printed(&self) -> [String; 2] {
        self.prints.each_ref().map(|file| std::fs::read_to_string(file.path()).unwrap())
    }

    pub(crate) fn announce(&self, transcript: &mut Transcript) {
        transcript.command(&format!("{} &", self.line));
    }

    /// Until it has printed this so often, on whichever stream.
    pub(crate) fn says(&self, what: &str, times: usize) {
        let printed = || self.printed().concat();
        let started = Instant::now();
        while printed().matches(what).count() < times {
            assert!(started.elapsed() < LONG, "it did not say {what:?} {times} times, but: {}", printed());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, and writes down everything that it has printed.
    pub(crate) fn end(mut self, transcript: &mut Transcript) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < LONG, "it does not end: {:?}", self.printed());
            std::thread::sleep(Duration::from_millis(5));
        };
        transcript.command("wait $!");
        let [output, errors] = self.printed();
        transcript.ended(&output, &errors, status);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
