//! Changes that the kernel tells of: names removed from the supervisor's folder, receivers opened in its domain, and
//! listeners that were shut down or lost their path.

use super::Supervisor;
use crate::run::clock::Moment;
use crate::run::listener::Listener;
use crate::run::options::Pass;
use crate::system::polled;
use anyhow::Result;
use rustix::event::epoll::{self, CreateFlags as EpollFlags, Event, EventData, EventFlags};
use rustix::fs::inotify::{self, CreateFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Pause between the removal of a name and the look for others: whoever removes one is about to remove all.
pub(super) const NAMES_DELAY: Duration = Duration::from_millis(100);
/// Marks the names in the set of what is watched; listeners have another mark.
const NAMES: u64 = 0;
const LISTENER: u64 = 1;

/// Everything that is watched.
#[derive(Debug)]
pub(super) struct Watch {
    /// A set of what follows. Of listeners it tells only that they ended: not that a connection came, which would wake
    /// the supervisor for each.
    set: AsyncFd<OwnedFd>,
    names: OwnedFd,
    folder: i32,
    domain: i32,
    above: Vec<i32>,
    own: Vec<u8>,
}

/// Changes since the last look.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changes {
    /// Names of the supervisor's own are gone, or may be.
    pub(super) names: bool,
    /// A listener, or its path, was changed.
    pub(super) listeners: bool,
}

impl Watch {
    fn new<'a>(folder: &Path, domain: &Path, listeners: impl Iterator<Item = &'a Rc<Listener>>) -> Result<Self> {
        let gone = WatchFlags::DELETE | WatchFlags::MOVED_FROM | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        let names = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let set = epoll::create(EpollFlags::CLOEXEC)?;
        // A receiver moves to its name when it listens.
        let domain_id = inotify::add_watch(&names, domain, gone | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)?;
        let folder_id = inotify::add_watch(&names, folder, gone | WatchFlags::ONLYDIR)?;
        // Folders above it may move, too.
        let moved = WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR;
        let above = domain.ancestors().skip(1).filter_map(|folder| inotify::add_watch(&names, folder, moved).ok());
        let above = above.collect();
        epoll::add(&set, &names, EventData::new_u64(NAMES), EventFlags::IN)?;
        for listener in listeners {
            // It leaves the set when nobody has it any more.
            epoll::add(&set, &*listener.socket(), EventData::new_u64(LISTENER), EventFlags::RDHUP | EventFlags::ET)?;
            if let Some(path) = listener.path() {
                // Its links are told of as attributes. One that is gone by now was told of before.
                let changed = WatchFlags::ATTRIB | WatchFlags::MOVE_SELF | WatchFlags::DONT_FOLLOW;
                let _ = inotify::add_watch(&names, path, changed);
            }
        }
        Ok(Watch {
            set: polled(set)?,
            names,
            folder: folder_id,
            domain: domain_id,
            above,
            own: folder.file_name().unwrap_or_default().as_encoded_bytes().to_owned(),
        })
    }

    /// Waits for the next change. Nothing is lost if this is not awaited to its end.
    pub(super) async fn changed(&self) -> Changes {
        match self.set.readable().await {
            Ok(mut ready) => {
                let changes = self.take();
                ready.clear_ready();
                changes
            }
            Err(_) => std::future::pending().await,
        }
    }

    fn take(&self) -> Changes {
        let mut changes = Changes::default();
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 16];
        loop {
            let now = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
            match epoll::wait(self.set.get_ref(), &mut events[..], Some(&now)) {
                Ok(0) => return changes,
                Ok(count) => {
                    for event in events.iter().take(count) {
                        // Its field is not aligned.
                        let data = event.data;
                        if data.u64() == NAMES { self.read_names(&mut changes) } else { changes.listeners = true }
                    }
                }
                Err(Errno::INTR) => {}
                Err(_) => return changes,
            }
        }
    }

    fn read_names(&self, changes: &mut Changes) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(self.names.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            let lost = inotify::ReadFlags::QUEUE_OVERFLOW | inotify::ReadFlags::UNMOUNT;
            let is_own = event.file_name().map(CStr::to_bytes) == Some(&self.own);
            match event.wd() {
                _ if event.events().intersects(lost) => (changes.names, changes.listeners) = (true, true),
                folder if folder == self.folder || self.above.contains(&folder) => changes.names = true,
                // Another's name, unless it is the domain itself: a receiver was opened, or closed.
                domain if domain == self.domain => changes.names |= is_own || event.file_name().is_none(),
                _ => changes.listeners = true,
            }
        }
    }
}

impl Supervisor {
    /// Watches all that there is now. Where the kernel cannot, it is looked for at intervals.
    pub(super) fn watch(&mut self) {
        let (folder, domain) = (self.context.folder.path(), self.context.domain.path());
        let listeners = self.plans.values().flat_map(|plan| &plan.listeners);
        self.watch = Watch::new(folder, domain, listeners).ok();
        // The kernel does not tell of earlier changes.
        self.look_at_names = Some(Moment::now());
    }

    pub(super) fn note_changes(&mut self, changes: Changes) {
        if changes.names {
            self.look_at_names = self.look_at_names.or(Some(Moment::now().after(NAMES_DELAY)));
        }
        // Where this accepts itself, a new socket takes the place of one without a path, and nobody notices.
        if changes.listeners && (self.options().pass == Pass::Connection || self.may_be_closing_listeners()) {
            self.mend_listeners(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn watch(domain: &Path) -> Watch {
        Watch::new(&domain.join("run-app"), domain, std::iter::empty()).unwrap()
    }

    #[tokio::test]
    async fn names_that_go_are_told_of_and_those_of_others_are_not() {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("run-app");
        std::fs::create_dir(&folder).unwrap();
        let _control = UnixListener::bind(folder.join("control")).unwrap();
        let watch = watch(place.path());
        let names = Changes { names: true, listeners: false };
        // A receiver that is opened wakes whoever waits, which has nothing else to do.
        std::fs::write(place.path().join("new-1"), "").unwrap();
        std::fs::rename(place.path().join("new-1"), place.path().join("7-receiver")).unwrap();
        assert_eq!(watch.changed().await, Changes::default());
        std::fs::remove_file(folder.join("control")).unwrap();
        assert_eq!(watch.changed().await, names);
        std::fs::remove_dir(&folder).unwrap();
        assert_eq!(watch.changed().await, names);
    }

    #[tokio::test]
    async fn folders_above_that_move_are_told_of() {
        let place = tempfile::tempdir().unwrap();
        let domain = place.path().join("a/b");
        std::fs::create_dir_all(domain.join("run-app")).unwrap();
        let watch = watch(&domain);
        std::fs::rename(place.path().join("a"), place.path().join("moved")).unwrap();
        assert_eq!(watch.changed().await, Changes { names: true, listeners: false });
    }
}
