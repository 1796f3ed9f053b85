//! Starting a process with listeners at fixed numbers, the way of socket activation.
//!
//! Between the supervisor and the command runs this program once more, `sharesock launch`, for what must be done by the
//! new process itself: say its id in `LISTEN_PID`, ask to be told of its parent's death, take on the worker's user, reset
//! signals. Then it becomes the command.
//!
//! Until it has that user, it has the supervisor's rights: so whoever may set the worker's variables, which the dynamic
//! loader obeys, too, must not reach it. It has the supervisor's environment and directory, and finds the worker's in a file
//! in memory.

use crate::activation::{FIRST, LISTEN_FDNAMES, LISTEN_FDS, LISTEN_PID};
use crate::run::placeholders::with_numbers;
use crate::run::settings::{Rights, Settings};
use crate::run::signals;
use crate::run::systemd::VARIABLES;
use crate::run::takeover::TAKE_OVER;
use crate::system::become_command;
use crate::system::inherited::take;
use anyhow::{Context, Result, bail};
use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use sharesock::Socket;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;

/// The running program itself, also when the file that it came from was replaced.
pub(crate) const MYSELF: &str = "/proc/self/exe";

/// A process to be started.
pub(crate) struct Launch<'a> {
    pub(crate) command: &'a [OsString],
    /// Passed from descriptor 3 on, with their names.
    pub(crate) listeners: Vec<(&'a str, Rc<Socket>)>,
    pub(crate) environment: Vec<(&'static str, OsString)>,
    pub(crate) settings: &'a Settings,
    pub(crate) stdin: Stdio,
    pub(crate) stdout: Stdio,
    pub(crate) stderr: Stdio,
    /// Signal that it gets when the supervisor dies.
    pub(crate) death_signal: Signal,
}

/// Settings for the command, which `launch` itself must not have.
#[derive(Debug, Serialize, Deserialize)]
struct Given {
    chdir: Option<OsString>,
    environment: Vec<(OsString, OsString)>,
    rights: Rights,
}

impl Given {
    /// A file in memory that holds it, at its beginning. No other user can open that.
    fn to_file(&self) -> Result<OwnedFd> {
        let mut file = File::from(memfd_create("sharesock-launch", MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        Ok(file.into())
    }

    fn from_file(file: OwnedFd) -> Result<Self> {
        let mut text = Vec::new();
        File::from(file).read_to_end(&mut text)?;
        Ok(serde_json::from_slice(&text)?)
    }
}

impl Launch<'_> {
    /// Starts it, in a process group of its own. It becomes the command when it is told to, by the stream: until then this
    /// process may die, and nobody else know of it.
    pub(crate) fn start(self) -> Result<(Pid, UnixStream)> {
        let mut command = Command::new(MYSELF);
        command.arg0("sharesock").arg("launch").arg("--parent").arg(std::process::id().to_string());
        command.arg("--death-signal").arg(self.death_signal.as_raw().to_string());
        if let Some(limit) = crate::system::former_limit_of_descriptors() {
            command.arg("--descriptors").arg(limit.to_string());
        }
        let ours = [TAKE_OVER, crate::system::FORMER_LIMIT_OF_DESCRIPTORS];
        VARIABLES.iter().chain(&ours).for_each(|name| _ = command.env_remove(name));
        let names: Vec<_> = self.listeners.iter().map(|(name, _)| *name).collect();
        let Settings { chdir, env, rights } = self.settings;
        let mut environment: Vec<(OsString, OsString)> =
            env.iter().map(|(name, value)| (name.into(), value.into())).collect();
        if !names.is_empty() {
            command.arg("--activate");
            environment.push((LISTEN_FDS.into(), names.len().to_string().into()));
            environment.push((LISTEN_FDNAMES.into(), names.join(":").into()));
        }
        environment.extend(self.environment.into_iter().map(|(name, value)| (name.into(), value)));
        let given = Given { chdir: chdir.clone().map(OsString::from), environment, rights: rights.clone() };
        let given = given.to_file().context("a file for what a new process gets")?;
        let (go, theirs) = UnixStream::pair().context("a stream to a new process")?;
        let number = FIRST + i32::try_from(self.listeners.len()).context("too many listeners")?;
        command.arg("--go").arg(number.to_string()).arg("--given").arg((number + 1).to_string());
        command.arg("--").args(with_numbers(self.command, &names));
        command.stdin(self.stdin).stdout(self.stdout).stderr(self.stderr).process_group(0);
        let mapping = |(number, (_, socket)): (i32, &(&str, Rc<Socket>))| -> Result<FdMapping> {
            Ok(FdMapping {
                parent_fd: socket.as_fd().try_clone_to_owned().context("passing a listener")?,
                child_fd: number,
            })
        };
        let mut mappings = (FIRST..).zip(&self.listeners).map(mapping).collect::<Result<Vec<_>>>()?;
        mappings.push(FdMapping { parent_fd: theirs.into(), child_fd: number });
        mappings.push(FdMapping { parent_fd: given, child_fd: number + 1 });
        command.fd_mappings(mappings).context("two listeners for one descriptor")?;
        // It is waited for by its id, like all children, those among them that nobody here started.
        let child = command.spawn().context("starting a process")?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")?;
        Ok((pid, go))
    }
}

/// Starts this program once more, as a helper of this process, with its standard input.
pub(crate) fn start_helper(role: &str, options: &[&std::ffi::OsStr], input: OwnedFd) -> Result<Pid> {
    let mut command = Command::new(MYSELF);
    command.arg0("sharesock").arg(role).args(options).process_group(0);
    command.stdin(Stdio::from(input)).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().with_context(|| format!("starting the {role}"))?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")
}

/// Options of `sharesock launch`, which `run` starts itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    parent: i32,
    #[arg(long, value_parser = signals::parse)]
    death_signal: Signal,
    /// The limit of open files that the supervisor was started with.
    #[arg(long)]
    descriptors: Option<u64>,
    /// The descriptor of the file that tells what the command gets.
    #[arg(long)]
    given: i32,
    /// The descriptor on which it is told to become the command.
    #[arg(long)]
    go: i32,
    #[arg(long)]
    activate: bool,
    #[arg(last = true, required = true)]
    command: Vec<OsString>,
}

impl Options {
    /// Ties this process to its parent; whether that has not died before.
    fn tie(&self) -> Result<bool> {
        rustix::process::set_parent_process_death_signal(Some(self.death_signal))
            .context("tying this to its parent")?;
        Ok(rustix::process::getppid().map(Pid::as_raw_pid) == Some(self.parent))
    }
}

/// Becomes the command.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !options.tie()? {
        return Ok(ExitCode::FAILURE);
    }
    let mut go = UnixStream::from(take(options.go)?);
    let given = take(options.given)?;
    if go.read(&mut [0]).context("waiting to be told to go on")? == 0 {
        // The parent died before the guard knew of this process.
        return Ok(ExitCode::FAILURE);
    }
    drop(go);
    let given = Given::from_file(given).context("reading what the command gets")?;
    if let Some(limit) = options.descriptors {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum })
            .context("restoring the limit of files")?;
    }
    given.rights.assume()?;
    // The kernel unties who becomes another user.
    if !options.tie()? {
        return Ok(ExitCode::FAILURE);
    }
    if let Some(chdir) = &given.chdir {
        std::env::set_current_dir(chdir).with_context(|| format!("going to --chdir {}", Path::new(chdir).display()))?;
    }
    let Some((program, arguments)) = options.command.split_first() else { bail!("there is no command") };
    let mut command = Command::new(program);
    command.args(arguments).envs(given.environment);
    if program == MYSELF {
        command.arg0("sharesock");
    }
    if options.activate {
        command.env(LISTEN_PID, std::process::id().to_string());
    }
    crate::system::signals::reset();
    Ok(become_command(command))
}
