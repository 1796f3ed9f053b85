//! Which segment the processes of a domain have attached: locks on its directory tell.
//!
//! Whoever attaches a segment shares a lock on one byte of the directory, at a place that is made of its IPC namespace
//! and the segment's number. The kernel lets go when the process ends, and nobody can remove the directory without
//! ending the domain. So a newcomer learns from the kernel what is attached, whatever became of files in the domain.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::commons::HEADER;
use crate::provider::linux::sys::{Segment, locked_by_others, try_share_range, unlock_range};
use std::os::fd::OwnedFd;
use std::os::linux::fs::MetadataExt;
use std::sync::atomic::Ordering;

/// Places of these locks have this bit; those of turns do not.
const SEGMENTS: u64 = 1 << 62;
const LAST: u64 = (1 << 63) - 1;
/// So many numbers are tried: those of processes that are just ending, or of members that lie.
const ATTEMPTS: usize = 64;

/// The directory, opened for locks of one holder.
#[derive(Debug)]
pub(super) struct Locks {
    folder: OwnedFd,
    /// The first place of this IPC namespace.
    base: u64,
}

/// What is attached by others.
#[derive(Debug)]
pub(super) enum Found {
    Segment(Segment),
    Nothing,
    /// One that is not complete yet.
    BeingMade,
    /// Something else, or something of which no more can be said; of processes that are just ending it goes away.
    Unusable(&'static str),
}

impl Locks {
    pub(super) fn of(domain: &Domain) -> Result<Self> {
        // Without `/proc` all are taken to be in one.
        let namespace = std::fs::metadata("/proc/self/ns/ipc").map_or(0, |found| found.st_ino());
        Ok(Locks { folder: domain.reopen()?, base: SEGMENTS | (namespace & 0x3fff_ffff) << 32 })
    }

    /// Looks what others have attached, and attaches it, if it begins with `header`. The last byte of its first word is
    /// the version of what follows.
    pub(super) fn find(&self, words: usize, header: &[u64; HEADER]) -> Result<Found> {
        let last = self.base | u64::from(u32::MAX);
        let mut ranges = vec![(self.base, last)];
        for _ in 0..ATTEMPTS {
            let Some((from, to)) = ranges.pop() else {
                let elsewhere = [(SEGMENTS, self.base - 1), (last + 1, LAST)];
                for (from, to) in elsewhere.into_iter().filter(|(from, to)| from <= to) {
                    if self.locked(from, to)?.is_some() {
                        return Ok(Found::Unusable(
                            "processes of another IPC namespace use it: let all have one, or give each a domain",
                        ));
                    }
                }
                return Ok(Found::Nothing);
            };
            let Some(place) = self.locked(from, to)? else { continue };
            // Shared before it is attached: so at no time it is attached by those alone who do not show it.
            self.share(place)?;
            let found = match Segment::attach(number_at(place), words) {
                Ok(segment) => identify(segment, header),
                // Whoever had it is ending, and has let the memory go already.
                Err(_) => None,
            };
            if let Some(found @ Found::Segment(_)) = found {
                return Ok(found);
            }
            let _ = unlock_range(&self.folder, place);
            if let Some(found) = found {
                return Ok(found);
            }
            ranges.extend((place > from).then(|| (from, place - 1)));
            ranges.extend((place < to).then(|| (place + 1, to)));
        }
        Ok(Found::Unusable("a process keeps the directory locked: end it"))
    }

    fn locked(&self, from: u64, to: u64) -> Result<Option<u64>> {
        locked_by_others(&self.folder, from, to).map_err(Error::system("looking who has the table of events"))
    }

    /// From now on others find this segment.
    pub(super) fn show(&self, segment: &Segment) -> Result<()> {
        self.share(self.place_of(segment))
    }

    /// From now on they do not.
    pub(super) fn hide(&self, segment: &Segment) -> Result<()> {
        unlock_range(&self.folder, self.place_of(segment)).map_err(Error::system("sharing the table of events"))
    }

    fn place_of(&self, segment: &Segment) -> u64 {
        self.base | u64::from(segment.number().unsigned_abs())
    }

    fn share(&self, place: u64) -> Result<()> {
        try_share_range(&self.folder, place).map_err(Error::system("sharing the table of events"))
    }
}

/// What an attached segment is; nothing when it has nothing to do with this.
fn identify(segment: Segment, header: &[u64; HEADER]) -> Option<Found> {
    let mut found = [0; HEADER];
    found.iter_mut().enumerate().for_each(|(at, word)| *word = segment.word(at).load(Ordering::SeqCst));
    let ([version, domain @ ..], [ours, here @ ..]) = (&found, header);
    let same_magic = (version ^ ours) << 8 == 0;
    match *version {
        _ if found == *header => Some(Found::Segment(segment)),
        0 => Some(Found::BeingMade),
        _ if !same_magic => Some(Found::Unusable("its memory holds something else: end the processes that use it")),
        // The number was given to another domain's.
        _ if domain != here => None,
        _ => Some(Found::Unusable("another version of this library uses it: end its processes first")),
    }
}

fn number_at(place: u64) -> i32 {
    i32::try_from(place & u64::from(u32::MAX)).unwrap_or(-1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: usize = 1024;
    const HERE: [u64; HEADER] = [u64::from_le_bytes(*b"shareev\x07"), 1, 2];

    fn made(header: [u64; HEADER]) -> Segment {
        let segment = Segment::create(WORDS, None).unwrap();
        header.iter().enumerate().for_each(|(at, word)| segment.word(at).store(*word, Ordering::SeqCst));
        segment
    }

    fn find(domain: &Domain) -> &'static str {
        match Locks::of(domain).unwrap().find(WORDS, &HERE).unwrap() {
            Found::Segment(_) => "found",
            Found::Nothing => "nothing",
            Found::BeingMade => "being made",
            Found::Unusable(why) => why.split_once(':').unwrap().0,
        }
    }

    #[test]
    fn what_others_show_is_found_and_what_they_let_go_is_not() {
        let path = std::env::temp_dir().join(format!("sharesock-attached-{}", std::process::id()));
        let domain = Domain::at(&path).unwrap();
        assert_eq!(find(&domain), "nothing");
        // Processes that are ending: they show what they have let go, or what has its number now.
        let ending: Vec<Locks> = [made(HERE), made(HERE)]
            .iter()
            .map(|segment| {
                let locks = Locks::of(&domain).unwrap();
                locks.show(segment).unwrap();
                locks
            })
            .collect();
        let locks = Locks::of(&domain).unwrap();
        let another = made([HERE[0], 1, 3]);
        locks.show(&another).unwrap();
        assert_eq!(find(&domain), "nothing");

        let whole = made(HERE);
        locks.show(&whole).unwrap();
        assert_eq!(find(&domain), "found");
        for (first, what) in [
            (0, "being made"),
            (HERE[0] ^ 1 << 56, "another version of this library uses it"),
            (1, "its memory holds something else"),
        ] {
            whole.word(0).store(first, Ordering::SeqCst);
            assert_eq!(find(&domain), what);
        }
        locks.hide(&whole).unwrap();
        drop(ending);
        let elsewhere = Locks { folder: domain.reopen().unwrap(), base: locks.base ^ 1 << 33 };
        elsewhere.show(&whole).unwrap();
        assert_eq!(find(&domain), "processes of another IPC namespace use it");
        std::fs::remove_dir_all(&path).unwrap();
    }
}
