//! Starting a process with listeners at fixed numbers, the way of socket activation.
//!
//! Between the supervisor and the command runs this program once more, `sharesock launch`, for what must be done by the
//! new process itself: say its id in `LISTEN_PID`, ask to be told of its parent's death, reset signals. Then it becomes the
//! command.

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
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, setrlimit};
use sharesock::Socket;
use std::ffi::OsString;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
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
    /// What it gets when the supervisor dies.
    pub(crate) death_signal: Signal,
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
        let Settings { chdir, env, rights } = self.settings;
        command.arg("--rights").arg(serde_json::to_string(rights)?);
        let ours = [TAKE_OVER, crate::system::FORMER_LIMIT_OF_DESCRIPTORS];
        VARIABLES.iter().chain(&ours).for_each(|name| _ = command.env_remove(name));
        command.envs(env.iter().map(|(name, value)| (name, value)));
        chdir.iter().for_each(|chdir| _ = command.current_dir(chdir));
        let names: Vec<_> = self.listeners.iter().map(|(name, _)| *name).collect();
        if !names.is_empty() {
            command.arg("--activate").env(LISTEN_FDS, names.len().to_string()).env(LISTEN_FDNAMES, names.join(":"));
        }
        let (go, theirs) = UnixStream::pair().context("a stream to a new process")?;
        let number = FIRST + i32::try_from(self.listeners.len()).context("too many listeners")?;
        command.arg("--go").arg(number.to_string());
        command.envs(self.environment);
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
        command.fd_mappings(mappings).context("two listeners for one descriptor")?;
        // It is waited for by its id, like all children, those among them that nobody here started.
        let place = || chdir.as_ref().map(|chdir| format!(" in {}", chdir.display())).unwrap_or_default();
        let child = command.spawn().with_context(|| format!("starting a process{}", place()))?;
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
    /// Its user, umask and limits, as JSON.
    #[arg(long)]
    rights: String,
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
    if go.read(&mut [0]).context("waiting to be told to go on")? == 0 {
        // The parent died before the guard knew of this process.
        return Ok(ExitCode::FAILURE);
    }
    if let Some(limit) = options.descriptors {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum })
            .context("restoring the limit of files")?;
    }
    serde_json::from_str::<Rights>(&options.rights)?.assume()?;
    // The kernel unties who becomes another user.
    if !options.tie()? {
        return Ok(ExitCode::FAILURE);
    }
    let Some((program, arguments)) = options.command.split_first() else { bail!("there is no command") };
    let mut command = Command::new(program);
    command.args(arguments);
    if program == MYSELF {
        command.arg0("sharesock");
    }
    if options.activate {
        command.env(LISTEN_PID, std::process::id().to_string());
    }
    crate::system::signals::reset();
    Ok(become_command(command))
}
