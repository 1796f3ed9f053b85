//! The supervisor's folder in its domain, `run-NAME`: its control socket, and a few names for each worker.

use super::Failure;
use crate::domain::open_domain;
use crate::procfs::descriptors::beneath;
use crate::system::is_bound;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::process::geteuid;
use sharesock::Domain;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Beginning of the names of these folders.
const PREFIX: &str = "run-";
const CONTROL: &str = "control";
/// Number of attempts to remove a folder in which somebody answers, and the pause in between.
const REMOVE_ATTEMPTS: u32 = 40;
const REMOVE_PAUSE: Duration = Duration::from_millis(25);
/// Longest path of a socket, in bytes, without the one that ends it.
const LONGEST_PATH: usize = 107;

/// The folder of a supervisor.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    directory: OwnedFd,
}

impl Folder {
    pub(crate) fn path_of(domain: &Domain, name: &str) -> PathBuf {
        domain.path().join(format!("{PREFIX}{name}"))
    }

    /// Makes it, or opens it again, and listens in it. Nobody else with this name may run. What is in it goes, unless it is
    /// the one that this process has.
    pub(crate) fn claim(domain: &Domain, name: &str, own: Option<&Folder>) -> Result<(Self, UnixListener)> {
        let path = Folder::path_of(domain, name);
        let longest = path.join(format!("notify-{}", u64::MAX));
        ensure!(
            longest.as_os_str().len() <= LONGEST_PATH,
            "{} is too long for the names of sockets: choose a shorter --domain or --name",
            longest.display()
        );
        let folder = Folder::locked(&path)?;
        if is_bound(&folder.short(CONTROL)).unwrap_or(false) {
            bail!(
                "a supervisor named {name} runs in {} already: stop it with `sharesock stop {name}`, or choose a --name",
                domain.path().display()
            );
        }
        match own {
            Some(own) if own.is_at(&path) => _ = std::fs::remove_file(folder.short(CONTROL)),
            _ => folder.empty()?,
        }
        let listener = UnixListener::bind(folder.short(CONTROL)).context("listening in the domain")?;
        flock(&folder.directory, FlockOperation::Unlock).context("unlocking the folder")?;
        Ok((folder, listener))
    }

    /// The folder that a predecessor made.
    pub(crate) fn take_over(domain: &Domain, name: &str) -> Result<Self> {
        let path = Folder::path_of(domain, name);
        let directory = open(&path).with_context(|| format!("opening {}", path.display()))?;
        Ok(Folder { path, directory })
    }

    /// Removes it, unless somebody answers in it by now.
    pub(crate) fn remove(path: &Path) -> Result<()> {
        // Another process that has the control socket, such as a candidate, may be about to end.
        for _ in 0..REMOVE_ATTEMPTS {
            if !path.exists() {
                return Ok(());
            }
            let folder = Folder::locked(path)?;
            if !is_bound(&folder.short(CONTROL)).unwrap_or(false) {
                folder.empty()?;
                return std::fs::remove_dir(path).with_context(|| format!("removing {}", path.display()));
            }
            drop(folder);
            std::thread::sleep(REMOVE_PAUSE);
        }
        Ok(())
    }

    /// Opens and locks it; whoever changes what is in it before it is in use, or after, has it locked.
    fn locked(path: &Path) -> Result<Self> {
        loop {
            match std::fs::DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).with_context(|| format!("making {}", path.display()));
                }
                _ => {}
            }
            let directory = match open(path) {
                // Another has removed it meanwhile, such as the guard.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.with_context(|| format!("opening {}", path.display()))?,
            };
            flock(&directory, FlockOperation::LockExclusive).context("locking the folder")?;
            let here = rustix::fs::fstat(&directory).context("looking at the folder")?;
            ensure!(
                here.st_uid == geteuid().as_raw() && here.st_mode & 0o077 == 0,
                "{} is not this user's alone: remove it",
                path.display()
            );
            let folder = Folder { path: path.to_owned(), directory };
            // Another may have removed it before it was locked here.
            if folder.is_at(path) {
                return Ok(folder);
            }
        }
    }

    fn is_at(&self, path: &Path) -> bool {
        let here = rustix::fs::fstat(&self.directory).map(|here| here.st_ino);
        std::fs::symlink_metadata(path).is_ok_and(|found| here == Ok(found.ino()))
    }

    /// Whether the folder and the control socket are where others look for them.
    pub(crate) fn is_there(&self) -> bool {
        self.is_at(&self.path) && self.short(CONTROL).exists()
    }

    fn empty(&self) -> Result<()> {
        for entry in std::fs::read_dir(&self.path).context("reading the folder")? {
            let path = entry.context("reading the folder")?.path();
            std::fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
        Ok(())
    }

    /// However long the path of the domain is, this fits into the name of a socket.
    fn short(&self, name: &str) -> PathBuf {
        beneath(&self.directory, name)
    }

    /// Path of the socket at which a worker says how it is.
    pub(crate) fn notify(&self, worker: u64) -> PathBuf {
        self.path.join(format!("notify-{worker}"))
    }

    /// The worker that says there how it is.
    pub(crate) fn worker_at(&self, notify: &Path) -> Option<u64> {
        let name = notify.strip_prefix(&self.path).ok()?.to_str()?;
        name.strip_prefix("notify-")?.parse().ok()
    }

    /// Path of the pipe into which a worker prints: it has a name, so that a successor can open it, too.
    pub(crate) fn output(&self, worker: u64, error: bool) -> PathBuf {
        self.path.join(format!("{}-{worker}", if error { "err" } else { "out" }))
    }

    /// Removes the names of a worker.
    pub(crate) fn forget(&self, worker: u64) {
        for path in [self.notify(worker), self.output(worker, false), self.output(worker, true)] {
            let _ = std::fs::remove_file(path);
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// The domain in which a supervisor is to be asked. To root that may be any user's: it shares no sockets there.
pub(crate) fn domain_to_ask(path: Option<&PathBuf>) -> Result<PathBuf> {
    let why = match open_domain(path) {
        Ok(domain) => return Ok(domain.path().to_owned()),
        Err(why) => why,
    };
    let named = path
        .cloned()
        .or_else(|| std::env::var_os("SHARESOCK_DOMAIN").filter(|path| !path.is_empty()).map(PathBuf::from));
    let Some(path) = named.filter(|_| geteuid().is_root()) else { return Err(why) };
    let path = std::path::absolute(path).context("finding the domain")?;
    // A directory of root was refused for another reason.
    match std::fs::symlink_metadata(&path) {
        Ok(found) if found.is_dir() && found.uid() != 0 && found.mode() & 0o007 == 0 => Ok(path),
        _ => Err(why),
    }
}

/// Calls a supervisor: the named one, or the only one.
pub(crate) fn call(domain: &Path, name: Option<&str>, patience: Duration) -> Result<Option<UnixStream>> {
    let names = match name {
        Some(name) => vec![name.to_owned()],
        None => names(domain)?,
    };
    let (mut answered, mut refused) = (Vec::new(), None);
    for name in names {
        match call_one(domain, &name, patience) {
            Ok(Some(stream)) => answered.push((stream, name)),
            Ok(None) => {}
            Err(why) => refused = Some(why),
        }
    }
    match (answered.len(), refused) {
        (0, Some(why)) => Err(why),
        (0 | 1, _) => Ok(answered.pop().map(|(stream, _)| stream)),
        _ => {
            let names: Vec<_> = answered.into_iter().map(|(_, name)| name).collect();
            bail!("several supervisors run in {}: name one of {}", domain.display(), names.join(", "))
        }
    }
}

/// Calls each supervisor of a domain: its line, or why there is none.
pub(crate) fn call_all(domain: &Path, patience: Duration) -> Result<Vec<Result<UnixStream>>> {
    let calls = names(domain)?.into_iter().map(|name| call_one(domain, &name, patience));
    Ok(calls.filter_map(Result::transpose).collect())
}

/// Nothing if no supervisor has this name.
fn call_one(domain: &Path, name: &str, patience: Duration) -> Result<Option<UnixStream>> {
    match connect(domain, name, patience) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            let why = format!("the supervisor {name} accepts no requests: it may be stopped or wedged");
            Err(Failure::NoAnswer(why).into())
        }
        Err(error) => Err(anyhow::Error::from(error).context(format!("calling the supervisor {name}"))),
    }
}

fn connect(domain: &Path, name: &str, patience: Duration) -> std::io::Result<UnixStream> {
    let directory = open(&domain.join(format!("{PREFIX}{name}")))?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    // A supervisor that accepts nothing may have a full queue.
    socket.set_write_timeout(Some(patience))?;
    socket.connect(&socket2::SockAddr::unix(beneath(&directory, CONTROL))?)?;
    let (owner, peer) = (rustix::fs::fstat(&directory)?.st_uid, getsockopt(&socket, PeerCredentials)?.uid());
    // A user's folder may not lead root to what another's supervisor is to do.
    if geteuid().is_root() && peer != owner {
        let why = format!("user {peer} answers in a folder of user {owner}: refused");
        return Err(std::io::Error::new(ErrorKind::PermissionDenied, why));
    }
    Ok(OwnedFd::from(socket).into())
}

/// The supervisors that have a folder in the domain.
pub(crate) fn names(domain: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(domain).context("reading the domain")? {
        let name = entry.context("reading the domain")?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_prefix(PREFIX)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_that_remove_a_folder_do_not_hinder_each_other() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("run-app");
        for _ in 0..500 {
            drop(Folder::locked(&path).unwrap());
            let removing = || Folder::remove(&path).map_err(|error| format!("{error:#}"));
            let (one, other) = std::thread::scope(|scope| {
                let other = scope.spawn(removing);
                (removing(), other.join().unwrap())
            });
            assert_eq!((one, other, path.exists()), (Ok(()), Ok(()), false));
        }
    }
}
