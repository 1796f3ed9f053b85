//! Looking at a listener, and putting right what workers did to it.

use super::facts::{
    ASYNC, BUF_LOCK, FILTER, Facts, ListenerState, NONBLOCK, PathFacts, RCVBUF, SETTINGS, SNDBUF, Step, steps,
};
use super::{BACKLOG, Listener, bind};
use crate::address::Address;
use crate::procfs::descriptors;
use crate::system::{is_now, options as kernel};
use anyhow::{Context, Result, bail, ensure};
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use sharesock::Socket;
use socket2::Type;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;

const RESTORED: &str = "restored";
/// Consequence for workers that have a listener which was replaced.
const NOBODY_COMES: &str =
    "; running workers still accept from the old one, which clients no longer reach: run `sharesock reload`";

/// Outcome of mending a listener.
#[derive(Debug, Default)]
pub(crate) struct Mended {
    pub(crate) said: Vec<String>,
    /// It is another socket now.
    pub(crate) replaced: bool,
}

/// Extent of a look at a listener.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Use {
    /// Its options are looked at, too.
    pub(crate) options: bool,
    /// Workers have it.
    pub(crate) in_use: bool,
}

impl Facts {
    /// As a socket, and what lies at its path, are now.
    pub(super) fn of(socket: &Socket, path: Option<&Path>) -> Self {
        Facts { state: state(socket), settings: settings(socket), file: path.and_then(file) }
    }

    /// Whether what lies at the path is what lay there.
    pub(super) fn has_file(&self, path: &Path) -> bool {
        self.file.is_some_and(|born| file(path).is_some_and(|now| now.file == born.file))
    }
}

impl Listener {
    /// Looks at it, and puts right what can be.
    pub(crate) fn mend(&self, Use { options, in_use }: Use) -> Mended {
        let (socket, born) = (self.socket(), self.born());
        let mut now = Facts { state: state(&socket), settings: BTreeMap::new(), file: self.path().and_then(file) };
        if options {
            now.settings = settings(&socket);
        }
        let mut mended = Mended::default();
        for step in steps(&born, &now, in_use) {
            let is_event = matches!(step, Step::Reopen | Step::Replace(_));
            let what = self.describe(&step);
            let done = match &step {
                Step::Reopen => self.reopen(&born).map(|()| format!("it listens on {} again", self.address)),
                Step::Replace(_) => self.replace().map(|()| {
                    mended.replaced = true;
                    let old = if in_use { NOBODY_COMES } else { "" };
                    format!("a new one listens on {}{old}", self.address)
                }),
                Step::RestorePermissions => self.restore_permissions(&born).map(|()| RESTORED.to_owned()),
                Step::Restore(changed) => match restore(&socket, &born, changed) {
                    // Every server sets this one, which is not worth a message.
                    Ok(()) if *changed == [NONBLOCK] => continue,
                    restored => restored.map(|()| RESTORED.to_owned()),
                },
                Step::Leave(_) => Ok("it stays so while workers have it".to_owned()),
            };
            let is_event = is_event && done.is_ok();
            let said = match done {
                Ok(done) => format!("{what}; {done}"),
                Err(error) => format!("{what}: {error:#}"),
            };
            if self.shared.borrow_mut().said.insert(said.clone()) || is_event {
                mended.said.push(said);
            }
        }
        // Nobody is disturbed by that, and nothing else tells the limit that a worker has set.
        if self.accepts() && options && (!self.passed || self.spec.backlog.is_some()) {
            let _ = self.socket().as_socket().listen(self.spec.backlog.unwrap_or(BACKLOG));
        }
        mended
    }

    /// Message about what has happened to it.
    fn describe(&self, step: &Step) -> String {
        let name = &self.spec.name;
        match step {
            Step::Reopen => format!("the listener {name} was closed by a worker"),
            Step::Replace(why) => format!("the listener {name} {why}"),
            Step::RestorePermissions => format!("the path of the listener {name} had other permissions"),
            Step::Restore(changed) | Step::Leave(changed) => {
                let changed: Vec<_> = changed.iter().map(String::as_str).filter(|name| *name != NONBLOCK).collect();
                format!("a worker changed {} of the listener {name}", changed.join(", "))
            }
        }
    }

    /// Takes what is now for what it was made with: its flags, and what lies at its path if `all` is to be noted.
    pub(super) fn note_changes(&self, all: bool) {
        let now = Facts::of(&self.socket(), self.path());
        let mut shared = self.shared.borrow_mut();
        shared.born.settings.extend(now.settings.into_iter().filter(|(name, _)| name == NONBLOCK));
        if all {
            shared.born.file = now.file;
        }
    }

    /// Listens again with the same socket.
    fn reopen(&self, born: &Facts) -> Result<()> {
        let socket = self.socket();
        let socket = socket.as_socket();
        if born.state == ListenerState::Bound {
            rustix::net::connect_unspec(self.socket().as_fd()).context("receiving from everybody again")?;
        }
        // A port that the kernel picked was given back. (The old one is still told, and one that was not is refused.)
        if let Ok(bound) = self.address.trim_start_matches("udp:").parse::<SocketAddr>() {
            restore(&self.socket(), born, &["SO_REUSEADDR", "SO_REUSEPORT"].map(str::to_owned))?;
            match socket.bind(&bound.into()) {
                Err(error) if error.kind() == ErrorKind::InvalidInput => {}
                bound => bound.context("its port is in use by now")?,
            }
        }
        if born.state == ListenerState::Listens {
            socket.listen(self.spec.backlog.unwrap_or(BACKLOG)).context("it cannot listen again")?;
        }
        Ok(())
    }

    /// Makes another socket at the same address, which all have that have this listener.
    fn replace(&self) -> Result<()> {
        if self.passed {
            bail!("it was passed to this supervisor: start the unit, or whatever passed it, again");
        }
        let socket = match (&self.spec.place, self.address.trim_start_matches("udp:").parse()) {
            (Some(Address::Unix(path)), _) => {
                self.remove_path();
                bind::bind_unix(&self.spec, path)?
            }
            (Some(Address::Udp(_)), Ok(bound)) => bind::listen_at(&self.spec, bound, Type::DGRAM)?,
            _ => bail!("it cannot be made again"),
        };
        self.shared.borrow_mut().socket = Rc::new(socket.into());
        self.set_nonblocking()?;
        self.shared.borrow_mut().born = Facts::of(&self.socket(), self.path());
        Ok(())
    }

    fn restore_permissions(&self, born: &Facts) -> Result<()> {
        let (Some(path), Some(born)) = (self.path(), born.file) else { return Ok(()) };
        // Another file may be put there at any moment by a process that may write to its folder.
        let held = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let held = descriptors::path("self", held.as_fd().as_raw_fd());
        let found = std::fs::metadata(&held)?;
        ensure!((found.dev(), found.ino()) == born.file, "it is another file by now");
        std::os::unix::fs::chown(&held, Some(born.owner.0), Some(born.owner.1)).context("restoring its owner")?;
        std::fs::set_permissions(&held, std::fs::Permissions::from_mode(born.mode)).context("restoring its mode")
    }
}

fn state(socket: &Socket) -> ListenerState {
    let descriptor = socket.as_socket();
    let listens = descriptor.is_listener().unwrap_or(false);
    let ip = descriptor.local_addr().is_ok_and(|address| !address.is_unix());
    let datagrams = descriptor.r#type().is_ok_and(|kind| kind == Type::DGRAM);
    // One of TCP that was shut down is closed, and tells so.
    let shut = || is_now(socket.as_fd(), PollFlags::RDHUP);
    match () {
        () if listens && (ip || !shut()) => ListenerState::Listens,
        () if listens => ListenerState::Shut,
        () if ip && datagrams && shut() => ListenerState::Shut,
        () if datagrams && descriptor.peer_addr().is_ok() => ListenerState::Connected,
        () if datagrams || !ip => ListenerState::Bound,
        () => ListenerState::Closed,
    }
}

fn settings(socket: &Socket) -> BTreeMap<String, Vec<u8>> {
    let descriptor = socket.as_fd();
    let ip = socket.as_socket().local_addr().is_ok_and(|address| !address.is_unix());
    // Servers set it also where it means nothing.
    let read = |(name, level, option): &(&str, i32, i32)| {
        let value = kernel::get(descriptor, *level, *option).ok().filter(|_| ip || *name != "SO_REUSEADDR")?;
        Some(((*name).to_owned(), value))
    };
    let mut settings: BTreeMap<_, _> = SETTINGS.iter().filter_map(read).collect();
    if let Ok(flags) = fcntl_getfl(descriptor) {
        for (name, flag) in FLAGS {
            settings.insert(name.to_owned(), vec![u8::from(flags.contains(flag))]);
        }
    }
    settings.insert(FILTER.to_owned(), vec![u8::from(kernel::is_filtered(descriptor))]);
    settings
}

/// Flags of the open file, by name.
const FLAGS: [(&str, OFlags); 2] =
    [(NONBLOCK, OFlags::NONBLOCK), (ASYNC, OFlags::from_bits_retain(nix::libc::O_ASYNC as u32))];

/// Sets what has changed to what it was: all that can be, and then tells what could not.
fn restore(socket: &Socket, born: &Facts, changed: &[String]) -> Result<()> {
    let mut all = Ok(());
    for name in changed {
        let done = restore_one(socket, born, name).with_context(|| format!("{name} cannot be restored"));
        all = all.and(done);
    }
    all
}

fn restore_one(socket: &Socket, born: &Facts, name: &str) -> std::io::Result<()> {
    let (descriptor, Some(value)) = (socket.as_fd(), born.settings.get(name)) else { return Ok(()) };
    if let Some((_, flag)) = FLAGS.iter().find(|(flag, _)| *flag == name) {
        let mut flags = fcntl_getfl(descriptor)?;
        flags.set(*flag, value == &[1]);
        return Ok(fcntl_setfl(descriptor, flags)?);
    }
    if name == FILTER {
        // One that was there at first is not known.
        return if value == &[0] { kernel::detach_filter(descriptor) } else { Ok(()) };
    }
    let Some((_, level, option)) = SETTINGS.iter().find(|(known, _, _)| *known == name) else { return Ok(()) };
    match value.first_chunk() {
        Some(size) if [SNDBUF, RCVBUF].contains(&name) => {
            kernel::set(descriptor, *level, *option, &(i32::from_ne_bytes(*size) / 2).to_ne_bytes())?;
            // One that was set is not changed by the kernel any more.
            restore_one(socket, born, BUF_LOCK)
        }
        _ => kernel::set(descriptor, *level, *option, value),
    }
}

/// The file at a path.
fn file(path: &Path) -> Option<PathFacts> {
    let found = std::fs::symlink_metadata(path).ok()?;
    Some(PathFacts { file: (found.dev(), found.ino()), mode: found.mode() & 0o7777, owner: (found.uid(), found.gid()) })
}
