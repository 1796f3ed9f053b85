//! The new program, being tried.

use crate::run::options::command_line;
use crate::run::signals::end_of;
use crate::run::takeover::TAKE_OVER;
use crate::system::{FORMER_LIMIT_OF_DESCRIPTORS, former_limit_of_descriptors};
use anyhow::{Context, Result, anyhow};
use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpid};
use sharesock::Process;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The new program, being tried.
pub(crate) struct Candidate {
    pub(super) pid: Pid,
    /// There unless it ended at once.
    process: Option<Process>,
    /// Stream on which it says why it fails.
    words: UnixStream,
    over: Option<String>,
}

impl Candidate {
    pub(crate) fn start(program: &Program, domain: &sharesock::Domain) -> Result<Self> {
        let (words, theirs) = UnixStream::pair().context("a stream to the new program")?;
        words.set_nonblocking(true)?;
        let mut command = program.command(&format!("candidate {}", Process::current()?));
        command.env("SHARESOCK_DOMAIN", domain.path()).stdin(Stdio::from(OwnedFd::from(theirs))).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot run {}", program.path.display()))?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        let process = Process::from_pid(child.id()).ok();
        Ok(Candidate { pid, process, words, over: None })
    }

    pub(crate) fn process(&mut self) -> Result<Process> {
        self.process.ok_or_else(|| anyhow!(self.ended().unwrap_or_else(|| "it ended at once".to_owned())))
    }

    /// Why it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<String> {
        if self.over.is_none() {
            if let Ok(Some((_, status))) = waitpid(Some(self.pid), WaitOptions::NOHANG) {
                let mut said = String::new();
                // Its end of the stream is closed.
                let _ = (&self.words).take(4096).read_to_string(&mut said);
                let how = end_of(status);
                self.over = Some(if said.trim().is_empty() { format!("it {how}") } else { said.trim().to_owned() });
            }
        }
        self.over.clone()
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if self.over.is_none() {
            // With what it may have started: it has a group of its own.
            let _ = kill_process_group(self.pid, Signal::KILL);
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// A program to become.
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// Name that it is started by, its first argument.
    name: OsString,
}

impl Program {
    pub(crate) fn at(path: PathBuf) -> Self {
        Program { name: path.clone().into(), path }
    }

    /// This program, looked for again as it was started: by its path, whose links are followed anew, or along `PATH`.
    pub(crate) fn again() -> Result<Self> {
        let can_run = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
        let name = std::env::args_os().next().unwrap_or_default();
        let found = match name.as_bytes().contains(&b'/') {
            true => Some(PathBuf::from(&name)).filter(can_run),
            false => {
                let paths = std::env::var_os("PATH").unwrap_or_default();
                std::env::split_paths(&paths).map(|folder| folder.join(&name)).find(can_run)
            }
        };
        Ok(match found {
            Some(path) => Program { path, name },
            None => Program::at(own_path()?),
        })
    }

    /// The program, started like this one was.
    pub(crate) fn command(&self, role: &str) -> Command {
        let mut command = Command::new(&self.path);
        command.arg0(&self.name).args(command_line()).env(TAKE_OVER, role);
        if let Some(limit) = former_limit_of_descriptors() {
            command.env(FORMER_LIMIT_OF_DESCRIPTORS, limit.to_string());
        }
        command
    }
}

/// The file that this program was started from, though it may be another by now.
pub(crate) fn own_path() -> Result<PathBuf> {
    let path = std::env::current_exe().context("finding this program")?;
    let path = path.to_str().context("this program's path is not text: give --to")?;
    Ok(path.strip_suffix(" (deleted)").unwrap_or(path).into())
}
