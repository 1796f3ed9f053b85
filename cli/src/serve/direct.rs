//! Parts of files that the kernel sends by itself, without a copy in this process.
//!
//! The HTTP library writes bytes and knows no files. So it is given a slice of a region in place of each part, and when it writes
//! such a slice, the part is sent. It queues what it is given (`writev`) and copies none of it.

use super::files::is_at_hand;
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a part at most.
const MOST: usize = 256 << 10;
/// Bytes of a part at least: fewer are copied as fast.
const FEWEST: u64 = 32 << 10;

/// Stands for what is sent. Nobody reads it.
static REGION: [u8; MOST] = [0; MOST];

/// Parts that the library was given, and has not written.
#[derive(Debug, Default)]
pub(super) struct Direct(RefCell<VecDeque<(Arc<File>, Range<u64>)>>);

impl Direct {
    /// Has the beginning of this range sent, and returns what stands for it; nothing when it must be read.
    pub(super) fn queue(&self, file: &Arc<File>, range: &Range<u64>) -> Option<Bytes> {
        let end = range.end.min(range.start + MOST as u64);
        if end - range.start < FEWEST || !is_at_hand(file, &(range.start..end)) {
            return None;
        }
        let stands = REGION.get(..usize::try_from(end - range.start).ok()?)?;
        self.0.borrow_mut().push_back((Arc::clone(file), range.start..end));
        Some(Bytes::from_static(stands))
    }

    /// Whether a slice stands for a part.
    pub(super) fn stands_for(slice: &[u8]) -> bool {
        REGION.as_ptr_range().contains(&slice.as_ptr())
    }

    /// Sends some of the first part.
    pub(super) fn send(&self, socket: &socket2::Socket) -> io::Result<usize> {
        let mut parts = self.0.borrow_mut();
        let (file, range) = parts.front_mut().ok_or(io::ErrorKind::InvalidData)?;
        let sent = send(socket, file, range)?;
        if sent == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a file became shorter while it was sent"));
        }
        range.start += sent as u64;
        if range.is_empty() {
            parts.pop_front();
        }
        Ok(sent)
    }
}

/// Sends some of a part.
#[cfg(target_os = "linux")]
fn send(socket: &socket2::Socket, file: &File, range: &Range<u64>) -> io::Result<usize> {
    let (mut at, length) = (range.start, usize::try_from(range.end - range.start).unwrap_or(0));
    Ok(rustix::fs::sendfile(socket, file, Some(&mut at), length)?)
}

/// Nothing is at hand there, so nothing is sent.
#[cfg(windows)]
fn send(_: &socket2::Socket, _: &File, _: &Range<u64>) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
