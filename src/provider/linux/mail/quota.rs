//! How many links others may have open to one of our listeners.

use crate::process::Process;
use rustix::process::{Resource, geteuid, getrlimit};

/// The most links that wait to be accepted, and that are open, whatever the limit of descriptors.
pub(crate) const MOST_LINKS: usize = 4096;

/// How many may be open of all others together, of one process, and of one user.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Quota {
    /// Of all others together: half of the descriptors are left for the program.
    pub(crate) links: usize,
    of_a_process: usize,
    /// Of another user.
    of_a_user: usize,
    own_user: u32,
}

impl Quota {
    /// The quota of this process now; another process may have `of_a_process` of them.
    pub(crate) fn here(of_a_process: usize) -> Self {
        let limit = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        Self::of(limit, of_a_process, geteuid().as_raw())
    }

    /// The same of queues for parcels, each of which has two descriptors.
    pub(crate) fn of_queues(of_a_process: usize) -> Self {
        let limit = usize::try_from(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        Self::of(limit / 2, of_a_process, geteuid().as_raw())
    }

    fn of(limit: usize, of_a_process: usize, own_user: u32) -> Self {
        let links = (limit / 2).clamp(1, MOST_LINKS);
        Quota { links, of_a_process, of_a_user: links.div_ceil(4), own_user }
    }

    /// How many of at most `most` may be open that have not said whose they are: they leave room for those that do.
    pub(crate) fn silent(&self, most: usize) -> usize {
        most.min(self.links / 4).max(1)
    }

    /// Whether a process of this user may have one more link, when these are open.
    pub(crate) fn admits(&self, (process, uid): (Process, u32), open: impl Iterator<Item = (Process, u32)>) -> bool {
        let (mut of_process, mut of_user) = (0, 0);
        for (other, owner) in open {
            of_process += usize::from(other == process);
            of_user += usize::from(owner == uid);
        }
        of_process < self.of_a_process && (uid == self.own_user || of_user < self.of_a_user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_process_and_no_other_user_takes_it_all() {
        let quota = Quota::of(20_000, 64, 1);
        let links = |processes: u32, each: usize, uid: u32| {
            (0..processes).flat_map(move |pid| std::iter::repeat_n((Process::from_parts(pid, 1, 1), uid), each))
        };
        let new = (Process::from_parts(7, 1, 1), 2);
        assert!(quota.admits(new, links(8, 63, 2)));
        assert!(!quota.admits(new, links(8, 64, 2)));
        assert!(quota.admits((Process::from_parts(9, 1, 1), 2), links(8, 64, 2)));
        assert!(!quota.admits((Process::from_parts(90, 1, 1), 2), links(17, 63, 2)));
        assert!(quota.admits((Process::from_parts(90, 1, 1), 3), links(17, 63, 2)));
        assert!(quota.admits((Process::from_parts(90, 1, 1), 1), links(60, 63, 1)));
        assert_eq!([100, 20_000].map(|limit| Quota::of(limit, 64, 1).silent(256)), [12, 256]);
        assert_eq!((quota.links, Quota::of(100, 64, 1).links, Quota::of(0, 64, 1).links), (4096, 50, 1));
    }
}
