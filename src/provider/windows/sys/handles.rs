//! Which handles of which processes are of one object.
#![allow(unsafe_code)]

use super::duplicate::handle;
use socket2::Socket;
use std::io;
use windows_sys::Wdk::System::SystemInformation::{NtQuerySystemInformation, SYSTEM_INFORMATION_CLASS};
use windows_sys::Win32::Foundation::STATUS_INFO_LENGTH_MISMATCH;

/// `SystemExtendedHandleInformation`.
const ALL_HANDLES: SYSTEM_INFORMATION_CLASS = 64;
/// The list is not made longer than so many words.
const MOST: usize = 64 << 20;
/// Words of an entry: object, process, handle, and 16 bytes that are not used here.
const ENTRY: usize = 3 + 16 / size_of::<usize>();

/// A handle in some process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) handle: u32,
    object: usize,
    kind: u16,
}

impl Seen {
    fn of(entry: &[usize]) -> Option<Self> {
        let [object, pid, handle, ..] = *entry else { return None };
        // Behind the rights and a number that is not used.
        let mut bytes = entry.iter().flat_map(|word| word.to_le_bytes()).skip(3 * size_of::<usize>() + 6);
        let kind = u16::from_le_bytes([bytes.next()?, bytes.next()?]);
        Some(Seen { pid: u32::try_from(pid).ok()?, handle: u32::try_from(handle).ok()?, object, kind })
    }
}

/// What was found of a socket's handles.
#[derive(Debug)]
pub(crate) enum Handles {
    /// All of them.
    All(Vec<Seen>),
    /// The system hides which are of one object: these are of objects of the same kind.
    Candidates(Vec<Seen>),
}

/// All handles of the object that the socket's handle is of; nothing where the system does not show any.
pub(crate) fn handles_of(socket: &Socket) -> io::Result<Option<Handles>> {
    let words = all_handles()?;
    let count = words.first().copied().unwrap_or(0);
    let seen = || words.get(2..).unwrap_or_default().chunks_exact(ENTRY).take(count).filter_map(Seen::of);
    let (me, number) = (std::process::id(), handle(socket).addr());
    let mine = seen().find(|seen| seen.pid == me && usize::try_from(seen.handle) == Ok(number));
    Ok(mine.map(|mine| match mine.object {
        0 => Handles::Candidates(seen().filter(|seen| seen.kind == mine.kind).collect()),
        object => Handles::All(seen().filter(|seen| seen.object == object).collect()),
    }))
}

/// A count, a reserved word, and the entries.
fn all_handles() -> io::Result<Vec<usize>> {
    let mut words = vec![0_usize; 64 << 10];
    loop {
        let size = u32::try_from(size_of_val(&*words)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut needed = 0;
        // SAFETY: `words` is writable for `size` bytes and aligned for the structure, which is words.
        let status = unsafe { NtQuerySystemInformation(ALL_HANDLES, words.as_mut_ptr().cast(), size, &raw mut needed) };
        if status != STATUS_INFO_LENGTH_MISMATCH {
            return super::kernel(status).map(|()| words);
        }
        // More may come meanwhile.
        let wanted = (words.len() * 2).max(needed as usize / size_of::<usize>() + 4096);
        if wanted > MOST {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        words.resize(wanted, 0);
    }
}
