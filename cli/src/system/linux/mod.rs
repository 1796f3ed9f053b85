//! Linux.

pub(crate) mod sys;
pub(crate) use sys::{inherited, is_now, options, signals};

use super::Asked;
use crate::procfs::connections::{holders_of, holders_of_path};
use anyhow::{Context, Result, bail};
use sharesock::Socket;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::OnceLock;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The folder for what lives as long as this program.
pub(crate) fn folder_in_memory() -> PathBuf {
    if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { "/tmp".into() }
}

/// Opens a file to append to it, without waiting for anybody; one that does not exist is made.
pub(crate) fn append_to(path: &Path) -> std::io::Result<std::fs::File> {
    use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags | OFlags::NONBLOCK, Mode::from_raw_mode(0o666))?;
    // Writing may wait.
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    Ok(file.into())
}

/// Gives this process, when it was started as `/proc/self/exe`, the name by which `ps` and `top` show it.
pub(crate) fn name_process() {
    const NAME: &str = "/proc/self/comm";
    if std::fs::read_to_string(NAME).is_ok_and(|name| name.trim_end() == "exe") {
        let is_guard = std::env::args_os().nth(1).is_some_and(|role| role == "guard");
        let _ = std::fs::write(NAME, if is_guard { "sharesock-guard" } else { "sharesock" });
    }
}

/// Lets this process open as many descriptors as it may: each connection, and each shared socket, is one.
pub(crate) fn raise_limit_of_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let _ = FORMER_LIMIT.set(former(current));
    // What is refused stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// A descriptor that the runtime polls for what can be read.
pub(crate) fn polled(descriptor: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    // The objection to it is that a descriptor might change under tokio: one that is owned does not.
    #[allow(deprecated)]
    AsyncFd::with_interest(descriptor, Interest::READABLE)
}

/// What this process was started with, or what the one was that replaced itself by this.
static FORMER_LIMIT: OnceLock<Option<u64>> = OnceLock::new();

/// Names the limit for a program that this one replaces itself by.
pub(crate) const FORMER_LIMIT_OF_DESCRIPTORS: &str = "SHARESOCK_FORMER_LIMIT";

fn former(current: Option<u64>) -> Option<u64> {
    let handed = std::env::var(FORMER_LIMIT_OF_DESCRIPTORS).ok().and_then(|limit| limit.parse().ok());
    handed.or(current)
}

/// The limit of open descriptors before it was raised: what other programs expect.
pub(crate) fn former_limit_of_descriptors() -> Option<u64> {
    FORMER_LIMIT.get().copied().flatten()
}

/// Becomes a command. What it returns is the exit code when that cannot be run, which it says.
pub(crate) fn become_command(mut command: Command) -> ExitCode {
    let error = command.exec();
    let user = match error.kind() {
        ErrorKind::PermissionDenied => format!(" as {}", own_user()),
        _ => String::new(),
    };
    eprintln!("sharesock: cannot run {}{user}: {error}", command.get_program().to_string_lossy());
    ExitCode::from(if error.kind() == ErrorKind::NotFound { 127 } else { 126 })
}

/// The user that this process runs as, by number and name.
fn own_user() -> String {
    let id = nix::unistd::Uid::effective();
    match nix::unistd::User::from_uid(id) {
        Ok(Some(user)) => format!("user {} ({id})", user.name),
        _ => format!("user {id}"),
    }
}

/// The signals of a server.
#[derive(Debug)]
pub(crate) struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn watch() -> Result<Self> {
        let watch = |kind| signal(kind).context("watching for signals");
        Ok(Signals {
            hangup: watch(SignalKind::hangup())?,
            terminate: watch(SignalKind::terminate())?,
            interrupt: watch(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
        }
    }
}

/// A stream that does not leave the machine.
pub(crate) type LocalStream = tokio::net::UnixStream;

/// The stream of a socket that is none of TCP.
pub(crate) fn local_stream(socket: Socket) -> std::io::Result<LocalStream> {
    LocalStream::from_std(socket.into())
}

pub(crate) fn local_socket(stream: LocalStream) -> std::io::Result<Socket> {
    Ok(stream.into_std()?.into())
}

/// An error with its causes on one line, and with advice where it is a lack of descriptors.
pub(crate) fn explained(error: &anyhow::Error) -> String {
    use rustix::io::Errno;
    let code = |cause: &(dyn std::error::Error + 'static)| {
        let (io, library) = (cause.downcast_ref::<std::io::Error>(), cause.downcast_ref::<sharesock::Error>());
        let code = cause.downcast_ref::<Errno>().map(|errno| errno.raw_os_error());
        code.or_else(|| io?.raw_os_error()).or_else(|| library?.os_code())
    };
    let has = |errno: Errno| error.chain().filter_map(code).any(|code| code == errno.raw_os_error());
    let limit = || rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    match () {
        () if has(Errno::MFILE) => format!(
            "{error:#}; this process may have {} descriptors: raise its limit (`ulimit -n`, or LimitNOFILE= of systemd)",
            limit()
        ),
        () if has(Errno::NFILE) => {
            format!(
                "{error:#}; all processes together have as many files open as they may: raise the sysctl fs.file-max"
            )
        }
        () => format!("{error:#}"),
    }
}

/// Why nothing can be bound to `HOST:PORT`, or `udp:HOST:PORT`, and what to do about it.
pub(crate) fn explain_bind(error: std::io::Error, address: &str) -> anyhow::Error {
    let port: u16 = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or_default();
    match error.kind() {
        ErrorKind::AddrInUse => {
            let holders = address.parse().map(holders_of).unwrap_or_default();
            let who = match holders {
                holders if holders.is_empty() => String::new(),
                holders => format!(" by {}", holders.join(" and ")),
            };
            anyhow::anyhow!("the port is in use{who}: stop who has it, or name another")
        }
        ErrorKind::PermissionDenied if port < 1024 => anyhow::Error::from(error).context(format!(
            "port {port} needs a privilege: give this process CAP_NET_BIND_SERVICE, lower the sysctl \
             net.ipv4.ip_unprivileged_port_start, or name a port from 1024 on"
        )),
        ErrorKind::AddrNotAvailable => anyhow::Error::from(error).context(
            "this machine does not have the address: name one that `ip address` shows, or none, as in :8080, for all of them",
        ),
        _ => error.into(),
    }
}

/// Listens at a path, or an abstract name, that nobody has.
pub(crate) fn listen_at(path: &Path) -> Result<std::os::unix::net::UnixListener> {
    remove_stale(path)?;
    Ok(std::os::unix::net::UnixListener::bind_addr(&unix_address(path)?)?)
}

/// Whether a name of a Unix socket is one of the abstract namespace, `@name`: there is no file of it.
pub(crate) fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"@")
}

/// The address that a path or an abstract name stands for.
pub(crate) fn unix_address(path: &Path) -> std::io::Result<SocketAddr> {
    match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
        _ => SocketAddr::from_pathname(path),
    }
}

/// Whether a socket of whatever kind is bound to a path. Nothing waits here, and a server there notices nothing.
///
/// # Errors
/// That there is no such path, or that this process may not write to it.
pub(crate) fn is_bound(path: &Path) -> std::io::Result<bool> {
    // The kernel looks for a socket before it compares kinds, and a datagram socket is connected without a queue.
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => {
            // Not permitted is also who is connected to somebody else: that one is bound.
            if error.raw_os_error() == Some(rustix::io::Errno::PERM.raw_os_error()) { Ok(true) } else { Err(error) }
        }
        _ => Ok(true),
    }
}

/// Removes the path of a socket that is no more; any other is refused, and told of.
pub(crate) fn remove_stale(path: &Path) -> Result<()> {
    match is_abstract(path) || !find_stale(path)? {
        true => Ok(()),
        false => std::fs::remove_file(path).with_context(|| format!("removing the stale {}", path.display())),
    }
}

/// Whether a path is that of a socket that is no more.
///
/// # Errors
/// It is something else, or in use.
pub(crate) fn find_stale(path: &Path) -> Result<bool> {
    let Ok(found) = std::fs::symlink_metadata(path) else { return Ok(false) };
    let kind = found.file_type();
    if !kind.is_socket() {
        let what = match () {
            () if kind.is_dir() => "a directory",
            () if kind.is_symlink() => "a symbolic link",
            () if kind.is_fifo() => "a FIFO",
            () if kind.is_file() => "a file",
            () => "a device",
        };
        bail!("{} exists and is {what}, not a socket: remove it, or name another path", path.display());
    }
    match is_bound(path) {
        Ok(false) => Ok(true),
        Ok(true) => {
            let who = holders_of_path(path);
            let who = if who.is_empty() { "another process".to_owned() } else { who.join(" and ") };
            bail!("{} is in use by {who}: stop it, or name another path", path.display())
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("trying who has {}", path.display())),
    }
}

/// Two ends of a stream, for the tour.
pub(crate) fn other_kinds_of_sockets() -> Result<Vec<(&'static str, Socket)>> {
    Ok(vec![("AF_UNIX", std::os::unix::net::UnixStream::pair()?.0.into())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_cannot_be_had_is_explained() {
        let why = |kind: ErrorKind, address| format!("{:#}", explain_bind(kind.into(), address));
        assert!(why(ErrorKind::PermissionDenied, "[::1]:80").starts_with("port 80 needs a privilege: "));
        assert_eq!(why(ErrorKind::PermissionDenied, "h:8080"), "permission denied");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().to_string();
        let said = why(ErrorKind::AddrInUse, &taken);
        assert!(said.contains(&format!("in use by process {} (", std::process::id())), "{said}");
        assert!(why(ErrorKind::AddrInUse, "h:0").starts_with("the port is in use: "));
    }

    #[test]
    fn a_lack_of_descriptors_comes_with_advice() {
        for (code, advice) in [(24, "`ulimit -n`"), (23, "fs.file-max")] {
            let error = std::io::Error::from_raw_os_error(code);
            let said = explained(&anyhow::Error::from(error).context("starting a worker"));
            assert!(said.starts_with("starting a worker: ") && said.contains(advice), "{said}");
        }
        let said = explained(&anyhow::Error::from(rustix::io::Errno::MFILE));
        assert!(said.contains("LimitNOFILE="), "{said}");
        assert_eq!(explained(&anyhow::anyhow!("none (os error 24)")), "none (os error 24)");
    }

    #[test]
    fn whether_anything_is_bound_to_a_path_is_seen_without_disturbing_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        assert_eq!(is_bound(&path).unwrap_err().kind(), ErrorKind::NotFound);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(is_bound(&path).unwrap());
        assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
        drop(listener);
        assert!(!is_bound(&path).unwrap());
        // One that is connected to somebody else hears nobody.
        std::fs::remove_file(&path).unwrap();
        let socket = UnixDatagram::bind(&path).unwrap();
        let other = UnixDatagram::bind(folder.path().join("other")).unwrap();
        socket.connect(folder.path().join("other")).unwrap();
        assert!(is_bound(&path).unwrap());
        drop(other);
    }
}
