//! Opening what a path names, without waiting for anything but the file system, and for that not on the serving thread.

use super::conditions::Version;
use http::StatusCode;
use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, UNIX_EPOCH};
use tokio::sync::{Semaphore, oneshot};

/// How long a path counts as that of a regular file, and how many do.
const SEEN_FOR: Duration = Duration::from_secs(1);
const MOST_SEEN: usize = 1024;

/// What a path names.
#[derive(Debug)]
pub(super) enum Found {
    File(Arc<File>, Metadata),
    Folder,
}

/// Threads on which is done what may wait for the file system, and how long a client waits for them.
#[derive(Debug, Clone)]
pub(super) struct Apart(Arc<Semaphore>, Duration);

impl Apart {
    /// At most so many threads, and so long.
    pub(super) fn new(most: usize, within: Duration) -> Self {
        Apart(Arc::new(Semaphore::new(most)), within)
    }

    /// Runs `work` on another thread.
    ///
    /// # Errors
    /// 503 when the file system does not answer in time, others wait for it already, or there is no thread to be had.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StatusCode> {
        let done = async {
            let permit = Arc::clone(&self.0).acquire_owned().await.ok()?;
            let (done, result) = oneshot::channel();
            // The permit is held for as long as the thread is, though nobody awaits it any more.
            let run = move || _ = (done.send(work()), permit);
            // Tokio's own pool would panic for want of a thread.
            std::thread::Builder::new().name("files".to_owned()).spawn(run).ok()?;
            result.await.ok()
        };
        tokio::time::timeout(self.1, done).await.ok().flatten().ok_or(StatusCode::SERVICE_UNAVAILABLE)
    }
}

/// Paths at which regular files were a moment ago: they are opened without a look at what they are, which takes as long.
/// If a FIFO has taken the place of one, opening it does not wait either.
#[derive(Debug, Default)]
pub(super) struct Seen(RefCell<HashMap<PathBuf, Instant>>);

impl Seen {
    fn has(&self, path: &Path) -> bool {
        self.0.borrow().get(path).is_some_and(|seen| seen.elapsed() < SEEN_FOR)
    }

    fn note(&self, path: PathBuf) {
        let mut seen = self.0.borrow_mut();
        if seen.len() >= MOST_SEEN {
            seen.clear();
        }
        seen.insert(path, Instant::now());
    }
}

/// Opens a regular file, or says that it is a folder.
///
/// # Errors
/// 404 for what is neither; 403 when it may not be read; 503 when it cannot be read now.
pub(super) async fn open(apart: &Apart, seen: &Seen, path: PathBuf) -> Result<Found, StatusCode> {
    let was_file = seen.has(&path);
    let found = match look::at_once(&path, was_file) {
        Some(found) => {
            if !was_file && matches!(found, Ok(Some(Found::File(..)))) {
                seen.note(path);
            }
            found
        }
        None => apart.run(move || look::patiently(&path)).await?,
    };
    found.map_err(|error| status_of(&error)).and_then(|found| found.ok_or(StatusCode::NOT_FOUND))
}

/// Reads some of a file without waiting for its storage; nothing when that cannot be done.
pub(super) fn read_at_once(file: &File, buffer: &mut [u8], at: u64) -> Option<io::Result<usize>> {
    look::read_at_once(file, buffer, at)
}

/// Whether a part of a file can be had without waiting for its storage, by its first and last byte.
pub(crate) fn is_at_hand(file: &File, range: &Range<u64>) -> bool {
    let is_there = |at| matches!(read_at_once(file, &mut [0], at), Some(Ok(1)));
    is_there(range.start) && is_there(range.end.saturating_sub(1))
}

/// Reads some of a file, however long that takes.
pub(super) fn read_patiently(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    look::read_patiently(file, buffer, at)
}

/// What tells this version of a file from others.
pub(super) fn version(metadata: &Metadata) -> Version {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    let nanoseconds = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let tag = format!("\"{:x}-{:x}-{nanoseconds:x}\"", look::number(metadata), metadata.len());
    Version { tag, modified }
}

pub(super) fn status_of(error: &io::Error) -> StatusCode {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::PermissionDenied => StatusCode::FORBIDDEN,
        Kind::NotFound | Kind::NotADirectory | Kind::InvalidInput => StatusCode::NOT_FOUND,
        _ if look::is_no_name(error) => StatusCode::NOT_FOUND,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

type Looked = io::Result<Option<Found>>;

#[cfg(target_os = "linux")]
mod look {
    use super::{File, Found, Looked, Metadata, Path};
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};
    use std::io::{self, IoSliceMut};
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
    use std::sync::Arc;

    /// Looks without waiting for storage; nothing when that cannot be done.
    pub(super) fn at_once(path: &Path, was_file: bool) -> Option<Looked> {
        let open = |flags: OFlags| {
            openat2(
                CWD,
                path,
                flags | OFlags::CLOEXEC,
                Mode::empty(),
                ResolveFlags::CACHED | ResolveFlags::NO_MAGICLINKS,
            )
        };
        match look(was_file, open) {
            // Not in the kernel's memory, a link of /proc, or a kernel that does not know this question.
            Err(Errno::AGAIN | Errno::NOSYS | Errno::INVAL | Errno::PERM | Errno::LOOP | Errno::TOOBIG) => None,
            found => Some(found.map_err(Into::into)),
        }
    }

    /// Looks, however long that takes.
    pub(super) fn patiently(path: &Path) -> Looked {
        let open = |flags: OFlags| {
            let flags = i32::try_from((flags | OFlags::CLOEXEC).bits()).map_err(|_| Errno::INVAL)?;
            let opened = File::options().read(true).custom_flags(flags).open(path);
            opened.map(Into::into).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        };
        Ok(look(false, open)?)
    }

    /// Opens only what is a regular file, or was one: opening something else may wait, or do something.
    fn look(was_file: bool, open: impl Fn(OFlags) -> rustix::io::Result<OwnedFd>) -> rustix::io::Result<Option<Found>> {
        let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        if !was_file {
            let facts = File::from(open(OFlags::PATH)?).metadata().map_err(errno)?;
            if facts.is_dir() {
                return Ok(Some(Found::Folder));
            }
            if !facts.is_file() {
                return Ok(None);
            }
        }
        // Another may have its name by now.
        let file = File::from(open(OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)?);
        let facts = file.metadata().map_err(errno)?;
        Ok(match facts.is_dir() {
            true => Some(Found::Folder),
            false => facts.is_file().then(|| Found::File(Arc::new(file), facts)),
        })
    }

    pub(super) fn read_at_once(file: &File, buffer: &mut [u8], at: u64) -> Option<io::Result<usize>> {
        match preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
            Ok(count) => Some(Ok(count)),
            Err(_) => None,
        }
    }

    pub(super) fn read_patiently(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        file.read_at(buffer, at)
    }

    /// The file's number in its file system.
    pub(super) fn number(metadata: &Metadata) -> u64 {
        metadata.ino()
    }

    /// Whether nothing can have this name.
    pub(super) fn is_no_name(error: &io::Error) -> bool {
        matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NAMETOOLONG | Errno::NXIO))
    }
}

#[cfg(windows)]
mod look {
    use super::{File, Found, Looked, Metadata, Path};
    use std::io;
    use std::os::windows::fs::FileExt;
    use std::sync::Arc;

    pub(super) fn at_once(_: &Path, _: bool) -> Option<Looked> {
        None
    }

    pub(super) fn patiently(path: &Path) -> Looked {
        let facts = std::fs::metadata(path)?;
        if facts.is_dir() {
            return Ok(Some(Found::Folder));
        }
        if !facts.is_file() {
            return Ok(None);
        }
        let file = File::open(path)?;
        let facts = file.metadata()?;
        Ok(Some(Found::File(Arc::new(file), facts)))
    }

    pub(super) fn read_at_once(_: &File, _: &mut [u8], _: u64) -> Option<io::Result<usize>> {
        None
    }

    pub(super) fn read_patiently(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        file.seek_read(buffer, at)
    }

    pub(super) fn number(metadata: &Metadata) -> u64 {
        std::os::windows::fs::MetadataExt::creation_time(metadata)
    }

    /// Whether nothing can have this name.
    pub(super) fn is_no_name(error: &io::Error) -> bool {
        // ERROR_INVALID_NAME, ERROR_FILENAME_EXCED_RANGE.
        matches!(error.raw_os_error(), Some(123 | 206))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_file_system_that_hangs_holds_so_many_threads_and_nobody_longer_than_it_may() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let apart = Apart::new(2, Duration::from_millis(50));
        let (hangs, ends): (Vec<_>, Vec<_>) = (0..3).map(|_| channel::<()>()).unzip();
        runtime.block_on(async {
            for end in ends {
                let run = apart.run(move || end.recv());
                assert_eq!(run.await, Err(StatusCode::SERVICE_UNAVAILABLE));
            }
            assert_eq!(apart.0.available_permits(), 0, "the threads that hang hold their permits");
            drop(hangs);
            // The threads end.
            let patient = Apart(Arc::clone(&apart.0), Duration::from_secs(30));
            assert_eq!(patient.run(|| 7).await, Ok(7));
        });
    }
}
