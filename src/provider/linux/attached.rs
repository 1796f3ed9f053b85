//! Which segment the processes of a domain have attached: locks on its directory tell.
//!
//! Every process that attaches a segment shares a lock on one byte of the directory, at a place that is made of its IPC namespace
//! and the segment's number. The kernel lets go when the process ends, and nobody can remove the directory without
//! ending the domain. So a newcomer learns from the kernel what is attached, whatever became of files in the domain.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::shared_segment::HEADER;
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

/// Segments that others have attached.
#[derive(Debug)]
pub(super) enum Found {
    /// The one of the domain, attached here, too.
    Segment(Segment),
    Nothing,
    /// One that another process proposes.
    Proposed,
    /// Something else, or something of which no more can be said; of processes that are just ending it goes away.
    Unusable(&'static str),
}

/// The first word of a segment that is proposed, and of one whose proposal was stopped.
const PROPOSED: u64 = 0;
const STOPPED: u64 = 1;

impl Locks {
    pub(super) fn of(domain: &Domain) -> Result<Self> {
        // Without `/proc` all are taken to be in one.
        let namespace = std::fs::metadata("/proc/self/ns/ipc").map_or(0, |found| found.st_ino());
        Ok(Locks { folder: domain.reopen()?, base: SEGMENTS | (namespace & 0x3fff_ffff) << 32 })
    }

    /// Looks what others have attached, and attaches it, if it begins with `header`. The last byte of its first word is
    /// the version of what follows.
    pub(super) fn find(&self, words: usize, header: &[u64; HEADER]) -> Result<Found> {
        self.search(words, header, None, |_| false)
    }

    /// Makes `segment` the one of the domain: then nothing is found. Of those that others propose, ones with a higher
    /// number are stopped, and all are if this one insists: their processes may be stopped, too.
    ///
    /// It is shown first, then others are looked for: so of two that are proposed at once, at least one is seen by the
    /// other; and whichever is stopped is not made the one of the domain before it is proposed anew.
    pub(super) fn propose(
        &self,
        segment: &Segment,
        words: usize,
        header: &[u64; HEADER],
        insist: bool,
    ) -> Result<Found> {
        for (at, value) in header.iter().enumerate().skip(1) {
            segment.word(at).store(*value, Ordering::SeqCst);
        }
        let first = segment.word(0);
        first.store(PROPOSED, Ordering::SeqCst);
        let own = self.place_of(segment);
        self.share(own)?;
        let mut found = self.search(words, header, Some(own), |place| insist || place > own)?;
        let [ours, ..] = *header;
        if matches!(found, Found::Nothing)
            && first.compare_exchange(PROPOSED, ours, Ordering::SeqCst, Ordering::SeqCst).is_err()
        {
            found = Found::Proposed;
        }
        if !matches!(found, Found::Nothing) {
            self.leave(own);
        }
        Ok(found)
    }

    /// The segments at all places but one; those that are proposed at places that `stops` names are stopped.
    fn search(
        &self,
        words: usize,
        header: &[u64; HEADER],
        own: Option<u64>,
        stops: impl Fn(u64) -> bool,
    ) -> Result<Found> {
        let last = self.base | u64::from(u32::MAX);
        let mut ranges = match own {
            Some(own) => vec![(self.base, own - 1), (own + 1, last)],
            None => vec![(self.base, last)],
        };
        for _ in 0..ATTEMPTS {
            let Some((from, to)) = ranges.pop() else {
                let elsewhere = self.locked(SEGMENTS, self.base - 1)?.or(self.locked(last + 1, LAST)?);
                return Ok(match elsewhere {
                    Some(_) => Found::Unusable(ELSEWHERE),
                    None => Found::Nothing,
                });
            };
            let Some(place) = self.locked(from, to)? else { continue };
            // Shared before it is attached: so at no time it is attached by those alone who do not show it.
            self.share(place)?;
            let found = match Segment::attach(number_at(place), words) {
                Ok(segment) => identify(segment, header, stops(place)),
                // Whoever had it is ending, and has let the memory go already.
                Err(_) => Found::Nothing,
            };
            if matches!(found, Found::Segment(_)) {
                return Ok(found);
            }
            self.leave(place);
            if !matches!(found, Found::Nothing) {
                return Ok(found);
            }
            ranges.extend((place > from).then(|| (from, place - 1)));
            ranges.extend((place < to).then(|| (place + 1, to)));
        }
        Ok(Found::Unusable("a process keeps the directory locked: end it"))
    }

    /// A place in a range that others show; an empty range begins behind its end.
    fn locked(&self, from: u64, to: u64) -> Result<Option<u64>> {
        if from > to {
            return Ok(None);
        }
        locked_by_others(&self.folder, from, to).map_err(Error::system("looking who has the table of events"))
    }

    fn share(&self, place: u64) -> Result<()> {
        try_share_range(&self.folder, place).map_err(Error::system("sharing the table of events"))
    }

    fn leave(&self, place: u64) {
        let _ = unlock_range(&self.folder, place);
    }

    fn place_of(&self, segment: &Segment) -> u64 {
        self.base | u64::from(segment.number().unsigned_abs())
    }
}

const ELSEWHERE: &str = "processes of another IPC namespace use it: let all have one, or give each a domain";

/// What an attached segment is. One that is proposed is stopped on demand: then it is nothing.
fn identify(segment: Segment, header: &[u64; HEADER], stop: bool) -> Found {
    let mut found = [0; HEADER];
    found.iter_mut().enumerate().for_each(|(at, word)| *word = segment.word(at).load(Ordering::SeqCst));
    let ([first, domain @ ..], [ours, here @ ..]) = (&found, header);
    let same_magic = (first ^ ours) << 8 == 0;
    match *first {
        _ if found == *header => Found::Segment(segment),
        PROPOSED | STOPPED if domain != here => Found::Nothing,
        PROPOSED if stop => {
            let stopped = segment.word(0).compare_exchange(PROPOSED, STOPPED, Ordering::SeqCst, Ordering::SeqCst);
            if stopped.is_ok() { Found::Nothing } else { Found::Proposed }
        }
        PROPOSED => Found::Proposed,
        STOPPED => Found::Nothing,
        _ if !same_magic => Found::Unusable("its memory holds something else: end the processes that use it"),
        // The number was given to another domain's.
        _ if domain != here => Found::Nothing,
        _ => Found::Unusable("another version of this library uses it: end its processes first"),
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

    fn said(found: &Found) -> &'static str {
        match found {
            Found::Segment(_) => "found",
            Found::Nothing => "nothing",
            Found::Proposed => "proposed",
            Found::Unusable(why) => why.split_once(':').unwrap().0,
        }
    }

    fn find(domain: &Domain) -> &'static str {
        said(&Locks::of(domain).unwrap().find(WORDS, &HERE).unwrap())
    }

    fn shown(domain: &Domain, segment: &Segment) -> Locks {
        let locks = Locks::of(domain).unwrap();
        locks.share(locks.place_of(segment)).unwrap();
        locks
    }

    /// A domain that is removed at the end.
    struct TestDomain(Domain);

    impl TestDomain {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sharesock-attached-{name}-{}", std::process::id()));
            TestDomain(Domain::at(path).unwrap())
        }
    }

    impl Drop for TestDomain {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(self.0.path());
        }
    }

    #[test]
    fn what_others_show_is_found_and_what_they_let_go_is_not() {
        let place = TestDomain::new("shown");
        let domain = &place.0;
        assert_eq!(find(domain), "nothing");
        // Processes that are ending: they show what they have let go, or what has its number now.
        let ending: Vec<Locks> = [made(HERE), made(HERE)].iter().map(|segment| shown(domain, segment)).collect();
        let another = made([HERE[0], 1, 3]);
        let _of_another = shown(domain, &another);
        assert_eq!(find(domain), "nothing");

        let whole = made(HERE);
        let locks = shown(domain, &whole);
        assert_eq!(find(domain), "found");
        for (first, what) in [
            (PROPOSED, "proposed"),
            (STOPPED, "nothing"),
            (HERE[0] ^ 1 << 56, "another version of this library uses it"),
            (7, "its memory holds something else"),
        ] {
            whole.word(0).store(first, Ordering::SeqCst);
            assert_eq!(find(domain), what);
        }
        let elsewhere = Locks { folder: domain.reopen().unwrap(), base: locks.base ^ 1 << 33 };
        drop((ending, locks));
        elsewhere.share(elsewhere.place_of(&whole)).unwrap();
        assert_eq!(find(domain), "processes of another IPC namespace use it");
    }

    #[test]
    fn of_two_that_are_proposed_one_is_made() {
        let place = TestDomain::new("proposed");
        let mut segments = [made(HERE), made(HERE)];
        segments.sort_by_key(Segment::number);
        let [low, high] = &segments;
        let [first, second] = [0, 1].map(|_| Locks::of(&place.0).unwrap());
        let propose = |locks: &Locks, segment, insist| said(&locks.propose(segment, WORDS, &HERE, insist).unwrap());
        // One is stopped while it proposes. The other waits for it, and in the end does not.
        low.word(0).store(PROPOSED, Ordering::SeqCst);
        first.share(first.place_of(low)).unwrap();
        assert_eq!(propose(&second, high, false), "proposed");
        assert_eq!(propose(&second, high, true), "nothing");
        assert_eq!(low.word(0).load(Ordering::SeqCst), STOPPED);
        assert_eq!((find(&place.0), propose(&first, low, true)), ("found", "found"));
        drop((first, second));
        assert_eq!(find(&place.0), "nothing");
        let first = Locks::of(&place.0).unwrap();
        assert_eq!((propose(&first, low, false), find(&place.0)), ("nothing", "found"));
    }
}
