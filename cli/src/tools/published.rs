//! A listening socket under a name in the domain, at which another tool of the same user asks for something.

use crate::procfs::descriptors::beneath;
use anyhow::{Context, Result};
use nix::sys::socket::{getsockopt, sockopt};
use rustix::process::geteuid;
use sharesock::Domain;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What all these names begin with.
const PREFIX: &str = "give-";
/// What a name ends with before its socket listens.
const UNBORN: &str = ".new";
/// That takes microseconds: whatever is older was left by a process that was killed.
const UNBORN_AT_MOST: Duration = Duration::from_secs(60);

/// The socket; its name goes with it.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) listener: UnixListener,
    folder: Folder,
    name: String,
}

impl Published {
    /// Nothing if somebody listens under this name. Accepting does not wait.
    pub(super) fn open(domain: &Domain, name: &str) -> std::io::Result<Option<Self>> {
        let folder = Folder::open(domain)?;
        let name = format!("{PREFIX}{name}");
        // Two that open the same name at once do not share this one.
        let unborn = format!("{name}-{}{UNBORN}", std::process::id());
        let _ = fs::remove_file(folder.path(&unborn));
        let listener = UnixListener::bind(folder.path(&unborn))?;
        fs::set_permissions(folder.path(&unborn), Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        if refuses(&folder.path(&name)) {
            let _ = fs::remove_file(folder.path(&name));
        }
        // Nobody meets the name before its socket listens: so one that refuses connections is stale.
        let linked = fs::hard_link(folder.path(&unborn), folder.path(&name));
        fs::remove_file(folder.path(&unborn))?;
        match linked {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(None),
            linked => linked.map(|()| Some(Published { listener, folder, name })),
        }
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.path(&self.name));
    }
}

/// A line to whoever listens under this name; nothing if nobody does.
pub(super) fn call(domain: &Domain, name: &str) -> std::io::Result<Option<UnixStream>> {
    let folder = Folder::open(domain)?;
    let path = folder.path(&format!("{PREFIX}{name}"));
    match UnixStream::connect(&path) {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let _ = fs::remove_file(&path);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The process and the user at the other end, by the kernel's word: 0 for a process outside of this PID namespace.
pub(super) fn peer(stream: &UnixStream) -> Result<(u32, u32)> {
    let peer = getsockopt(stream, sockopt::PeerCredentials).context("asking who is at the other end")?;
    Ok((u32::try_from(peer.pid()).unwrap_or(0), peer.uid()))
}

/// Whether this user may say what is to be done here.
pub(super) fn is_mine(uid: u32) -> bool {
    uid == 0 || uid == geteuid().as_raw()
}

/// Removes what processes that were killed left in the domain.
pub(super) fn sweep(domain: &Domain) {
    let Ok(folder) = Folder::open(domain) else { return };
    for name in folder.names() {
        let path = folder.path(&name);
        let fresh = || {
            let made = fs::symlink_metadata(&path).and_then(|found| found.modified());
            made.is_ok_and(|made| SystemTime::now().duration_since(made).unwrap_or_default() < UNBORN_AT_MOST)
        };
        if refuses(&path) && !(name.ends_with(UNBORN) && fresh()) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// How many names nobody listens under.
pub(super) fn stale(domain: &Domain) -> usize {
    let Ok(folder) = Folder::open(domain) else { return 0 };
    folder.names().iter().filter(|name| refuses(&folder.path(name))).count()
}

fn refuses(path: &Path) -> bool {
    let mine = fs::symlink_metadata(path).is_ok_and(|found| found.uid() == geteuid().as_raw());
    mine && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

/// The domain's directory, through which every path is short enough for the address of a Unix socket.
#[derive(Debug)]
struct Folder(File);

impl Folder {
    fn open(domain: &Domain) -> std::io::Result<Self> {
        File::open(domain.path()).map(Folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        beneath(&self.0, name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| name.starts_with(PREFIX)).collect()
    }
}
