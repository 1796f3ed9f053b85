//! Named pipes: one operation at a time that waits for the other end, and writes that do not wait.
#![allow(unsafe_code)]

mod open;

use std::io;
use std::os::windows::io::{AsRawHandle, OwnedHandle};
use std::ptr::NonNull;
use std::sync::Arc;
use windows_sys::Win32::Foundation::{
    ERROR_IO_INCOMPLETE, ERROR_IO_PENDING, ERROR_NO_DATA, ERROR_OPERATION_ABORTED, ERROR_PIPE_CONNECTED,
};
use windows_sys::Win32::Storage::FileSystem::ReadFile;
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::ConnectNamedPipe;

/// An event that is set while no operation of its pipe is under way.
pub(crate) type PipeEvent = Arc<OwnedHandle>;

/// One end of a pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    handle: OwnedHandle,
    event: Option<PipeEvent>,
    /// From `Box::into_raw`. While an operation is under way the kernel writes to it, and nothing here borrows it.
    memory: NonNull<Memory>,
    under_way: bool,
    /// How much of the buffer has arrived.
    filled: usize,
}

#[derive(Debug)]
struct Memory {
    overlapped: Overlapped,
    buffer: Vec<u8>,
}

struct Overlapped(OVERLAPPED);

/// What has become of what was waited for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is still to come.
    Pending,
    /// All of it is there.
    Whole,
    /// It will not come: the other end is closed, or does what nobody does who keeps to the rules.
    Broken,
}

// SAFETY: the memory belongs to this end alone, no part of it to a thread, and `&self` reads none that the kernel
// writes to.
unsafe impl Send for Pipe {}
// SAFETY: as above.
unsafe impl Sync for Pipe {}

impl Pipe {
    /// Starts to wait for somebody to call. When that has happened, nothing is under way.
    pub(crate) fn await_call(&mut self) -> io::Result<()> {
        let overlapped = self.prepare();
        // SAFETY: nothing else is under way, so the memory is ours; it stays until the operation is over.
        let done = unsafe { ConnectNamedPipe(self.handle.as_raw_handle(), overlapped) };
        match succeeded(done).map_err(|error| (error.raw_os_error(), error)) {
            Err((Some(code), _)) if is(code, ERROR_IO_PENDING) => self.under_way = true,
            // Somebody is here already, or was here and left something.
            Err((Some(code), _)) if is(code, ERROR_PIPE_CONNECTED) || is(code, ERROR_NO_DATA) => {}
            Err((_, error)) => return Err(error),
            Ok(()) => {}
        }
        Ok(())
    }

    /// Whether somebody has called.
    pub(crate) fn was_called(&mut self) -> Arrival {
        loop {
            if !self.under_way {
                return Arrival::Whole;
            }
            match self.outcome() {
                None => return Arrival::Pending,
                Some(Ok(_)) => {}
                // The thread that started it has ended.
                Some(Err(code)) if is(code, ERROR_OPERATION_ABORTED) => {
                    if self.await_call().is_err() {
                        return Arrival::Broken;
                    }
                }
                Some(Err(_)) => return Arrival::Broken,
            }
        }
    }

    /// From now on waits for `length` bytes.
    pub(crate) fn expect(&mut self, length: usize) {
        if !self.under_way {
            self.filled = 0;
            // SAFETY: nothing is under way, so the memory is ours alone.
            unsafe { self.memory.as_mut() }.buffer = vec![0; length];
        }
    }

    /// The bytes that were expected, when all have arrived.
    pub(crate) fn arrived(&self) -> Option<&[u8]> {
        if self.under_way {
            return None;
        }
        // SAFETY: nothing is under way, so nobody writes to the memory, and nothing starts while `self` is borrowed.
        let buffer = &unsafe { self.memory.as_ref() }.buffer;
        (self.filled == buffer.len()).then_some(buffer)
    }

    /// Reads of what is expected what there is; what is missing stays under way.
    pub(crate) fn arrival(&mut self) -> Arrival {
        loop {
            if !self.under_way {
                if self.arrived().is_some() {
                    return Arrival::Whole;
                }
                if self.start_reading().is_err() {
                    return Arrival::Broken;
                }
            }
            match self.outcome() {
                None => return Arrival::Pending,
                // Nobody sends nothing, unless to keep us busy.
                Some(Ok(0)) => return Arrival::Broken,
                Some(Ok(count)) => self.filled += count,
                // The thread that started it has ended.
                Some(Err(code)) if is(code, ERROR_OPERATION_ABORTED) => {}
                Some(Err(_)) => return Arrival::Broken,
            }
        }
    }

    fn start_reading(&mut self) -> io::Result<()> {
        let overlapped = self.prepare();
        let filled = self.filled;
        // SAFETY: nothing is under way, so the memory is ours; the borrow ends before the operation starts.
        let (at, left) = match unsafe { self.memory.as_mut() }.buffer.get_mut(filled..) {
            Some(rest) => (rest.as_mut_ptr(), rest.len() as u32),
            None => return Ok(()),
        };
        // SAFETY: the buffer has this many bytes. It and the structure stay where they are until the operation is over:
        // `expect` leaves them alone while it is under way, and `drop` waits for its end.
        let done = unsafe { ReadFile(self.handle.as_raw_handle(), at, left, std::ptr::null_mut(), overlapped) };
        at_once(done)?;
        self.under_way = true;
        Ok(())
    }

    /// The structure for the next operation.
    fn prepare(&mut self) -> *mut OVERLAPPED {
        let event = self.event.as_ref().map_or(std::ptr::null_mut(), |event| event.as_raw_handle());
        // SAFETY: nothing is under way when an operation is prepared, so the memory is ours alone.
        let memory = unsafe { self.memory.as_mut() };
        memory.overlapped.0 = OVERLAPPED { hEvent: event, ..OVERLAPPED::default() };
        &raw mut memory.overlapped.0
    }

    /// What the operation under way has come to; nothing while it is.
    fn outcome(&mut self) -> Option<Result<usize, i32>> {
        let outcome = self.result(false);
        self.under_way = outcome.is_none();
        outcome
    }

    fn result(&self, wait: bool) -> Option<Result<usize, i32>> {
        // SAFETY: this makes an address only; the kernel may be writing there.
        let overlapped = unsafe { &raw const (*self.memory.as_ptr()).overlapped.0 };
        let mut count = 0;
        // SAFETY: the structure is that of the last operation on this handle, and stays while `self` lives.
        let done = unsafe { GetOverlappedResult(self.handle.as_raw_handle(), overlapped, &mut count, wait.into()) };
        match succeeded(done).map_err(|error| error.raw_os_error().unwrap_or_default()) {
            Ok(()) => Some(Ok(count as usize)),
            Err(code) if is(code, ERROR_IO_INCOMPLETE) => None,
            Err(code) => Some(Err(code)),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        if self.under_way {
            // SAFETY: this makes an address only; the kernel may be writing there.
            let overlapped = unsafe { &raw const (*self.memory.as_ptr()).overlapped.0 };
            // SAFETY: the handle is open still.
            unsafe { CancelIoEx(self.handle.as_raw_handle(), overlapped) };
            // Not before the kernel is done with the memory, which it soon is.
            while self.result(true).is_none() {
                std::thread::yield_now();
            }
        }
        // SAFETY: the memory came from a box, nothing is under way any more, and nothing borrows from it.
        drop(unsafe { Box::from_raw(self.memory.as_ptr()) });
    }
}

impl std::fmt::Debug for Overlapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OVERLAPPED")
    }
}

/// Whether an operation ended at once; one that did not is under way.
fn at_once(result: windows_sys::core::BOOL) -> io::Result<bool> {
    match succeeded(result) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error().is_some_and(|code| is(code, ERROR_IO_PENDING)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn succeeded(result: windows_sys::core::BOOL) -> io::Result<()> {
    match result {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

fn is(code: i32, error: u32) -> bool {
    u32::try_from(code) == Ok(error)
}
