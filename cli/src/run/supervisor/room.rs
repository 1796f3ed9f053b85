//! Room for connections: how many may be held here, so that descriptors stay free for starting workers.

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, getrlimit};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// Most accepted connections that wait here for a worker; more wait in the kernel's backlog.
const MOST_WAITING: usize = 64;
/// Most connections of which infos were written to one worker, and which it has not received.
const MOST_KEPT: usize = 64;
/// Descriptors that it takes to start a worker, and to open a way to it.
const FOR_A_WORKER: usize = 16;
/// Most descriptors that are left free: enough for several workers, and for those who ask how it goes.
const MOST_FREE: usize = 64;

/// How long a count of free descriptors holds, less what is accepted meanwhile.
const COUNT_INTERVAL: Duration = Duration::from_millis(10);

/// Room for one more connection.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Number of connections that wait, as far as is known.
    waiting: usize,
    /// Whether others are held that were given away.
    holds: bool,
    /// Open connections, those that wait among them, as far as is known, and how many there may be.
    open: u64,
    most_open: u64,
    /// Descriptors that were free beyond those to be left, without those that were taken since, and when they were counted.
    spare: Option<(usize, Instant)>,
}

impl Room {
    /// Limits the open connections.
    pub(super) fn limit(&mut self, most_open: Option<u64>) {
        self.most_open = most_open.unwrap_or(u64::MAX);
    }

    pub(super) fn note(&mut self, waiting: usize, holds: bool, open: u64) {
        (self.waiting, self.holds, self.open) = (waiting, holds, open);
    }

    pub(super) fn note_one_more(&mut self) {
        self.waiting += 1;
        self.open += 1;
        self.spare = self.spare.map(|(spare, counted)| (spare.saturating_sub(1), counted));
    }

    /// Whether one more may be accepted.
    pub(super) fn is_there(&mut self) -> bool {
        match self.waiting {
            _ if self.open >= self.most_open => false,
            // Whatever the limit is, something is to be served.
            0 if !self.holds => true,
            waiting if waiting >= MOST_WAITING => false,
            waiting => {
                // Counting for each connection would cost as much as accepting it.
                let known = self.spare.filter(|(spare, counted)| *spare > 0 && counted.elapsed() < COUNT_INTERVAL);
                let (spare, counted) =
                    known.unwrap_or_else(|| (free().saturating_sub(to_leave(waiting)), Instant::now()));
                self.spare = Some((spare, counted));
                spare > 0
            }
        }
    }
}

/// Number of descriptors that must stay free while so many connections wait.
///
/// A single one may have most of what is free: else connections that a worker does not receive would keep all others waiting.
fn to_leave(waiting: usize) -> usize {
    if waiting == 0 { FOR_A_WORKER } else { (limit() / 4).clamp(FOR_A_WORKER, MOST_FREE) }
}

/// Most connections that are kept for one of so many workers until it has received them.
pub(super) fn most_kept(workers: usize) -> usize {
    (limit() / 4 / workers.max(1)).clamp(1, MOST_KEPT)
}

/// Descriptors that nothing else can take; none when fewer are free than are to be left.
pub(super) fn set_aside(waiting: usize, any: impl AsFd) -> Option<Vec<OwnedFd>> {
    (0..to_leave(waiting)).map(|_| fcntl_dupfd_cloexec(&any, 0).ok()).collect()
}

fn limit() -> usize {
    getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

fn free() -> usize {
    limit().saturating_sub(used())
}

/// Number of open descriptors; none where the system does not tell.
fn used() -> usize {
    const OWN: &str = "/proc/self/fd";
    match std::fs::metadata(OWN).map(|folder| folder.len()) {
        // Linux tells since 6.2; before, they are counted, which takes one.
        Ok(0) => std::fs::read_dir(OWN).map_or(usize::MAX, Iterator::count),
        Ok(count) => usize::try_from(count).unwrap_or(usize::MAX),
        Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_one_and_for_no_more_than_may_wait() {
        let mut room = Room::default();
        room.limit(None);
        assert!(room.is_there());
        room.note(MOST_WAITING - 1, true, 1 << 40);
        assert!(room.is_there());
        room.note_one_more();
        assert!(!room.is_there());
    }

    #[test]
    fn there_is_room_for_no_more_than_may_be_open() {
        let mut room = Room::default();
        room.limit(Some(10));
        for (open, is_there) in [(0, true), (9, true), (10, false), (11, false)] {
            room.note(0, false, open);
            assert_eq!(room.is_there(), is_there, "{open}");
        }
        room.note(0, false, 9);
        room.note_one_more();
        assert!(!room.is_there());
    }

    #[test]
    fn what_is_set_aside_counts_as_used() {
        let (file, before) = (std::fs::File::open("/dev/null").unwrap(), used());
        let aside = set_aside(1, &file).unwrap();
        assert!(aside.len() >= FOR_A_WORKER && before > 0);
        // Other tests open and close descriptors meanwhile.
        assert!(used() > aside.len());
    }
}
