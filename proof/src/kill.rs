//! Kills a process, and notes which connections it had.

use crate::count::now;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The process, or with --group the group that it leads.
    pid: i32,
    /// Kill all processes of its group.
    #[arg(long)]
    group: bool,
    /// The server's port.
    #[arg(long)]
    port: u16,
    /// The file that notes are added to.
    #[arg(long)]
    note: PathBuf,
}

/// What was killed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Killed {
    /// Seconds since 1970: from then on it did nothing more.
    pub(crate) stopped_at: f64,
    pub(crate) at: f64,
    pub(crate) pids: Vec<u32>,
    /// The clients' ends of the connections that it had accepted and not closed.
    pub(crate) connections: HashSet<SocketAddr>,
}

/// The notes of every kill so far.
pub(crate) fn notes(file: &Path) -> Result<Vec<Killed>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", file.display()))?,
    };
    text.lines().map(|line| serde_json::from_str(line).context("not a note of a kill")).collect()
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let pid = Pid::from_raw(options.pid).filter(|pid| pid.as_raw_nonzero().get() > 1).context("no process id")?;
    let signal = |signal| if options.group { kill_process_group(pid, signal) } else { kill_process(pid, signal) };
    // It must not accept or close anything between the look at its connections and its end.
    signal(Signal::STOP).with_context(|| format!("cannot stop {}", options.pid))?;
    let seen = look(options);
    let at = now();
    signal(Signal::KILL).with_context(|| format!("cannot kill {}", options.pid))?;
    let (stopped_at, pids, connections) = seen?;
    let killed = Killed { stopped_at, at, pids, connections };
    let mut file = fs::OpenOptions::new().create(true).append(true).open(&options.note)?;
    file.write_all(format!("{}\n", serde_json::to_string(&killed)?).as_bytes())?;
    println!("killed {:?}, which had {} connections", killed.pids, killed.connections.len());
    Ok(ExitCode::SUCCESS)
}

fn look(options: &Options) -> Result<(f64, Vec<u32>, HashSet<SocketAddr>)> {
    let pids = wait_until_stopped(options)?;
    let stopped_at = now();
    let sockets: HashSet<u64> = pids.iter().flat_map(|pid| sockets_of(*pid)).collect();
    Ok((stopped_at, pids, connections(options.port, &sockets)?))
}

/// SIGSTOP is delivered, not yet obeyed, when `kill` returns.
fn wait_until_stopped(options: &Options) -> Result<Vec<u32>> {
    let bound = Instant::now() + Duration::from_secs(60);
    loop {
        let members: Vec<_> = processes()?.into_iter().filter(|process| process.is_of(options)).collect();
        if members.iter().all(Process::is_stopped) {
            return Ok(members.into_iter().map(|process| process.pid).collect());
        }
        if Instant::now() > bound {
            bail!("process {} does not stop", options.pid);
        }
        std::thread::yield_now();
    }
}

struct Process {
    pid: u32,
    group: i32,
}

impl Process {
    fn is_of(&self, options: &Options) -> bool {
        if options.group { self.group == options.pid } else { i64::from(self.pid) == i64::from(options.pid) }
    }

    /// Each of its threads is, or it has ended.
    fn is_stopped(&self) -> bool {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid)).into_iter().flatten().flatten();
        let states = threads.filter_map(|thread| stat(&thread.path()));
        states.into_iter().all(|(state, _)| matches!(state, 'T' | 'Z' | 'X'))
    }
}

fn processes() -> Result<Vec<Process>> {
    let names = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    Ok(names.filter_map(|name| process(name.parse().ok()?)).collect())
}

/// None if it is gone.
fn process(pid: u32) -> Option<Process> {
    stat(&PathBuf::from(format!("/proc/{pid}"))).map(|(_, group)| Process { pid, group })
}

/// The state and the group of a process or thread.
fn stat(folder: &Path) -> Option<(char, i32)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // Its name is in parentheses, and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.nth(1)?.parse().ok()?))
}

/// The inodes of its sockets.
fn sockets_of(pid: u32) -> Vec<u64> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok());
    links.filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()).collect()
}

/// The peers of those sockets that are connections to the port.
fn connections(port: u16, sockets: &HashSet<u64>) -> Result<HashSet<SocketAddr>> {
    let table = fs::read_to_string("/proc/net/tcp").context("cannot read /proc/net/tcp")?;
    let rows = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let (local, remote) = (address(fields.get(1)?)?, address(fields.get(2)?)?);
        let inode = fields.get(9)?.parse().ok()?;
        (local.port() == port && remote.port() != 0 && sockets.contains(&inode)).then_some(remote)
    });
    Ok(rows.collect())
}

/// `0100007F:1F90`: the address in the machine's byte order.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let host = Ipv4Addr::from(u32::from_str_radix(host, 16).ok()?.to_ne_bytes());
    Some((host, u16::from_str_radix(port, 16).ok()?).into())
}
