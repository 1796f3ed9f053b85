//! The memory that all processes of a domain have in common.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::linux::ended::has_ended;
use crate::provider::linux::sys::{
    ForkMark, Segment, remove_abandoned_segments, try_lock_range, try_share_range, unlock_range,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

/// The file of the domain that names the memory.
pub(super) const FILE: &str = "events";
/// What the file, and the memory, begin with; the last byte is the version of the layout.
const MAGIC: [u8; 8] = *b"shareev\x01";
/// Byte of the file that is locked while something is inserted, and the one that is shared by all who are attached.
const INSERTING: u64 = 0;
const ATTACHED: u64 = 1;
/// How long the other members may take to let a lock go that is held for microseconds.
const LOCKED_AT_MOST: Duration = Duration::from_secs(2);
/// Words at the beginning of the memory that are in use here: the magic, and a random number in two.
pub(crate) const HEADER: usize = 3;

/// What in this process watches sockets of the domain for one owner of registrations.
pub(crate) trait Watcher: Debug + Send + Sync {
    /// Something may be due of the socket that has this slot.
    fn look(&self, slot: u32);
    /// Records all that the kernel has reported; whether the registration of `slot` still is this owner's.
    fn gather(&self, slot: u32) -> bool;
    /// Ends watching the socket with this slot, if it still is under this number.
    fn leave(&self, slot: u32, number: u32);
    /// Its own type, for those who know it.
    fn as_any(self: Arc<Self>) -> Arc<dyn std::any::Any + Send + Sync>;
}

/// The attached memory.
#[derive(Debug)]
pub(crate) struct Commons {
    segment: Segment,
    /// Shows to others that somebody is attached, as long as it is open.
    _file: OwnedFd,
    watchers: Watchers,
}

/// Who in this process owns registrations; and in those that were forked from it, each of which has its own.
#[derive(Debug)]
struct Watchers {
    mark: ForkMark,
    here: RwLock<HashMap<u16, Weak<dyn Watcher>>>,
    forked: OnceLock<Box<Watchers>>,
}

impl Watchers {
    fn new() -> Result<Self> {
        let mark = ForkMark::new().map_err(Error::system("marking the table of events"))?;
        Ok(Watchers { mark, here: RwLock::default(), forked: OnceLock::new() })
    }

    /// Those of the process that runs. What it inherited may be locked by a thread that it does not have.
    fn mine(&self) -> Result<&RwLock<HashMap<u16, Weak<dyn Watcher>>>> {
        let mut found = self;
        while !found.mark.is_mine() {
            found = match found.forked.get() {
                Some(forked) => forked,
                None => {
                    let made = Box::new(Watchers::new()?);
                    found.forked.get_or_init(|| made)
                }
            };
        }
        Ok(&found.here)
    }
}

/// The file's contents: the magic, the segment's number and its random number.
type Name = [u8; 28];

impl Commons {
    /// Attaches the memory of `domain`, or makes it when nobody has it attached.
    pub(crate) fn open(domain: &Domain, words: usize) -> Result<Self> {
        let file = domain.open_file(FILE)?;
        let _lock = InsertLock::on(domain, domain.open_file(FILE)?)?;
        let mut name = Name::default();
        let length = rustix::io::pread(&file, &mut name, 0).map_err(Error::system("reading the table of events"))?;
        let refused = match Self::attach(&name, length, words) {
            Ok(segment) => return Self::attached(domain, segment, file),
            Err(refused) => refused,
        };
        // It is of no use; if somebody is attached, to another or by another name, there must not be two.
        match try_lock_range(&file, ATTACHED) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(bad(domain, refused)),
            Err(errno) => return Err(Error::system("looking who has the table of events")(errno)),
        }
        remove_abandoned_segments(words, has_ended);
        let making = Error::system("making the table of events");
        let segment = Segment::create(words, domain.group()).map_err(&making)?;
        let mut random = [0; 16];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty()).map_err(&making)?;
        for (index, value) in
            [word(&MAGIC), word(&random), word(random.get(8..).unwrap_or_default())].iter().enumerate()
        {
            segment.word(index).store(*value, Ordering::SeqCst);
        }
        let mut name = Name::default();
        name.copy_from_slice(&[&MAGIC[..], &segment.number().to_le_bytes(), &random].concat());
        rustix::fs::ftruncate(&file, 0).map_err(&making)?;
        rustix::io::pwrite(&file, &name, 0).map_err(&making)?;
        Self::attached(domain, segment, file)
    }

    fn attach(name: &Name, length: usize, words: usize) -> Result<Segment, &'static str> {
        if length != name.len() || name.get(..7) != MAGIC.get(..7) {
            return Err("its file holds something else");
        }
        if name.get(7) != MAGIC.get(7) {
            return Err("another version of this library uses it");
        }
        let number = name.get(8..12).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
        let gone = "it was made in another IPC namespace, or removed";
        let segment = Segment::attach(number.ok_or(gone)?, words).map_err(|_| gone)?;
        let expected =
            [word(&MAGIC), word(name.get(12..20).unwrap_or_default()), word(name.get(20..).unwrap_or_default())];
        let same = expected.iter().enumerate().all(|(at, value)| segment.word(at).load(Ordering::SeqCst) == *value);
        if same { Ok(segment) } else { Err("its memory holds something else") }
    }

    fn attached(domain: &Domain, segment: Segment, file: OwnedFd) -> Result<Self> {
        match try_share_range(&file, ATTACHED) {
            Ok(()) => Ok(Commons { segment, _file: file, watchers: Watchers::new()? }),
            Err(Errno::AGAIN | Errno::ACCESS) => Err(bad(domain, "a process keeps it locked")),
            Err(errno) => Err(Error::system("sharing the table of events")(errno)),
        }
    }

    /// The memory.
    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// From now on `watcher` is found under `owner`.
    pub(crate) fn watch(&self, owner: u16, watcher: Weak<dyn Watcher>) -> Result<()> {
        self.watchers.mine()?.write().unwrap_or_else(PoisonError::into_inner).insert(owner, watcher);
        Ok(())
    }

    pub(crate) fn unwatch(&self, owner: u16) {
        if let Ok(watchers) = self.watchers.mine() {
            watchers.write().unwrap_or_else(PoisonError::into_inner).remove(&owner);
        }
    }

    /// Who in this process is `owner`.
    pub(crate) fn watcher(&self, owner: u16) -> Option<Arc<dyn Watcher>> {
        self.watchers.mine().ok()?.read().unwrap_or_else(PoisonError::into_inner).get(&owner)?.upgrade()
    }
}

/// Held while something is inserted into the memory; the kernel lets it go when its holder dies.
#[derive(Debug)]
pub(crate) struct InsertLock(OwnedFd);

impl InsertLock {
    pub(crate) fn take(domain: &Domain) -> Result<Self> {
        Self::on(domain, domain.open_file(FILE)?)
    }

    /// Each has its own open file, so that threads and forked children exclude each other, too.
    fn on(domain: &Domain, file: OwnedFd) -> Result<Self> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(20);
        loop {
            match try_lock_range(&file, INSERTING) {
                Ok(()) => return Ok(InsertLock(file)),
                Err(Errno::AGAIN | Errno::ACCESS) if started.elapsed() < LOCKED_AT_MOST => {}
                Err(Errno::AGAIN | Errno::ACCESS) => return Err(bad(domain, "a process keeps it locked")),
                Err(errno) => return Err(Error::system("locking the table of events")(errno)),
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
    }
}

impl Drop for InsertLock {
    fn drop(&mut self) {
        // A forked child may hold the same open file: closing ours would not let go.
        let _ = unlock_range(&self.0, INSERTING);
    }
}

fn bad(domain: &Domain, why: &'static str) -> Error {
    Error::BadTable { path: domain.path().join(FILE), why }
}

fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
