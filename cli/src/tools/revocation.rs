//! Where a `give --revocable` can be asked to revoke: a Unix socket in the domain, named by the info's token.

use crate::procfs::descriptors::beneath;
use anyhow::{Context, Result};
use nix::sys::socket::{getsockopt, sockopt};
use sharesock::{Delivery, Domain};
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

const PREFIX: &str = "give-";
/// Who only looks whether somebody listens says nothing.
const REQUEST: &[u8] = b"revoke";
/// What a name ends with before its socket listens.
const UNBORN: &str = ".new";
/// That takes microseconds: whatever is older was left by a process that was killed.
const UNBORN_AT_MOST: Duration = Duration::from_secs(60);
/// How long a `give` may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Who asks says so at once.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);

/// What becomes of a duplicate that is to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Revoked,
    Redeemed,
}

impl Answer {
    fn as_text(self) -> &'static str {
        match self {
            Answer::Revoked => "revoked",
            Answer::Redeemed => "redeemed",
        }
    }
}

/// Where others ask; its name goes with it.
#[derive(Debug)]
pub(super) struct Desk {
    listener: UnixListener,
    folder: Folder,
    name: String,
}

impl Desk {
    pub(super) fn open(domain: &Domain, delivery: &Delivery) -> Result<Self> {
        let folder = Folder::open(domain)?;
        let name = name(delivery);
        let unborn = format!("{name}{UNBORN}");
        let opening = "opening the place where it can be revoked";
        let listener = UnixListener::bind(folder.path(&unborn)).context(opening)?;
        fs::set_permissions(folder.path(&unborn), Permissions::from_mode(0o600)).context(opening)?;
        listener.set_nonblocking(true).context(opening)?;
        // Nobody meets the name before its socket listens: so one that refuses connections is stale.
        fs::rename(folder.path(&unborn), folder.path(&name)).context(opening)?;
        Ok(Desk { listener, folder, name })
    }

    /// The next who asks now.
    pub(super) fn next(&self) -> Option<Asking> {
        loop {
            // What is refused now, for want of a descriptor, waits.
            let (mut stream, _) = self.listener.accept().ok()?;
            let uid = getsockopt(&stream, sockopt::PeerCredentials).map(|peer| peer.uid());
            let mine = uid.is_ok_and(|uid| uid == 0 || uid == rustix::process::geteuid().as_raw());
            let mut request = [0; REQUEST.len()];
            let timely = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(REQUEST_WITHIN)));
            if mine && timely.is_ok() && stream.read_exact(&mut request).is_ok() && request == REQUEST {
                return Some(Asking(stream));
            }
        }
    }
}

/// Who asks that a duplicate be revoked.
#[derive(Debug)]
pub(super) struct Asking(UnixStream);

impl Asking {
    /// Who does not wait for the answer does not need it.
    pub(super) fn answer(mut self, answer: Answer) {
        let _ = self.0.write_all(answer.as_text().as_bytes());
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.folder.path(&self.name));
    }
}

/// Asks the `give` that made it; nothing when none waits any more.
pub(super) fn ask(domain: &Domain, delivery: &Delivery) -> Result<Option<Answer>> {
    let folder = Folder::open(domain)?;
    let path = folder.path(&name(delivery));
    let mut stream = match UnixStream::connect(&path) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let _ = fs::remove_file(&path);
            return Ok(None);
        }
        Err(error) => return Err(error).context("asking its source to revoke"),
    };
    check_peer(&stream, delivery)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).context("asking its source to revoke")?;
    stream.write_all(REQUEST).context("asking its source to revoke")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("its source does not answer")?;
    match [Answer::Revoked, Answer::Redeemed].into_iter().find(|known| known.as_text() == answer) {
        None => anyhow::bail!("its source ended before it answered: ask again"),
        known => Ok(known),
    }
}

/// In a domain that several users share, another could have taken the name.
fn check_peer(stream: &UnixStream, delivery: &Delivery) -> Result<()> {
    let peer = getsockopt(stream, sockopt::PeerCredentials).context("asking who answers")?;
    let pid = u32::try_from(peer.pid()).unwrap_or(0);
    let source = (delivery.source_pid, delivery.source_tag);
    let is_source = sharesock::Process::from_pid(pid).is_ok_and(|process| (process.pid(), process.tag()) == source);
    // One outside of this PID namespace has no id here.
    let unseen = pid == 0 && peer.uid() == rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        is_source || unseen,
        "process {pid} answers for process {}: refused; the domain holds a name that is not what it says",
        delivery.source_pid
    );
    Ok(())
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

fn refuses(path: &PathBuf) -> bool {
    let mine = fs::symlink_metadata(path).is_ok_and(|found| found.uid() == rustix::process::geteuid().as_raw());
    mine && UnixStream::connect(path).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

fn name(delivery: &Delivery) -> String {
    format!("{PREFIX}{:032x}", u128::from_be_bytes(delivery.token))
}

/// The domain's directory, through which every path is short enough for the address of a Unix socket.
#[derive(Debug)]
struct Folder(File);

impl Folder {
    fn open(domain: &Domain) -> Result<Self> {
        File::open(domain.path()).map(Folder).context("opening the domain's directory")
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
