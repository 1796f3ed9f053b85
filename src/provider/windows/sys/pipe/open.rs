//! Opening pipes, who is at the other end, and writes that do not wait.
#![allow(unsafe_code)]

use super::{Memory, Overlapped, Pipe, at_once, succeeded};
use crate::provider::windows::sys::wide::{milliseconds, wide};
use crate::provider::windows::sys::{Descriptor, PipeEvent, Port, event};
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;
use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, GENERIC_READ, GENERIC_WRITE, INVALID_HANDLE_VALUE, WAIT_OBJECT_0,
};
use windows_sys::Win32::Storage::FileSystem::{
    CreateFileW, FILE_FLAG_FIRST_PIPE_INSTANCE, FILE_FLAG_OVERLAPPED, OPEN_EXISTING, PIPE_ACCESS_DUPLEX,
    SECURITY_IDENTIFICATION, SECURITY_SQOS_PRESENT, WriteFile,
};
use windows_sys::Win32::System::IO::{CancelIoEx, GetOverlappedResult, OVERLAPPED};
use windows_sys::Win32::System::Pipes::{
    CreateNamedPipeW, GetNamedPipeClientProcessId, GetNamedPipeHandleStateW, GetNamedPipeServerProcessId,
    PIPE_READMODE_BYTE, PIPE_REJECT_REMOTE_CLIENTS, PIPE_TYPE_BYTE, PIPE_UNLIMITED_INSTANCES, PIPE_WAIT,
};
use windows_sys::Win32::System::Threading::WaitForSingleObject;

impl Pipe {
    /// One instance of the pipe `name`, whose operations are reported to `port` under `key`. Its buffer takes `room`
    /// bytes from the other end, and `back` the other way. The first instance is refused when there is one already.
    pub(crate) fn serve(
        name: &str,
        first: bool,
        security: &Descriptor,
        (port, key): (&Port, usize),
        (room, back): (u32, u32),
    ) -> io::Result<Self> {
        let open = PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED | if first { FILE_FLAG_FIRST_PIPE_INSTANCE } else { 0 };
        let mode = PIPE_TYPE_BYTE | PIPE_READMODE_BYTE | PIPE_WAIT | PIPE_REJECT_REMOTE_CLIENTS;
        let (name, attributes) = (wide(name), security.attributes());
        // SAFETY: the name ends with a zero; it, the attributes and what they point to outlive the call.
        let handle = unsafe {
            CreateNamedPipeW(name.as_ptr(), open, mode, PIPE_UNLIMITED_INSTANCES, back, room, 0, &attributes)
        };
        let pipe = Self::of(handle, None)?;
        if first && pipe.instances()? > 1 {
            // Wine takes the flag and does not heed it.
            return Err(io::Error::from_raw_os_error(ERROR_ACCESS_DENIED as i32));
        }
        port.attach(pipe.handle.as_handle(), key)?;
        Ok(pipe)
    }

    /// The other end of an instance of the pipe `name`, and an event that is set when there may be something new.
    pub(crate) fn call(name: &str) -> io::Result<(Self, PipeEvent)> {
        let (name, event) = (wide(name), Arc::new(event::create(true)?));
        let access = GENERIC_READ | GENERIC_WRITE;
        // Whoever serves it may learn who calls, but not act for them.
        let flags = FILE_FLAG_OVERLAPPED | SECURITY_SQOS_PRESENT | SECURITY_IDENTIFICATION;
        let nothing = std::ptr::null_mut();
        // SAFETY: the name ends with a zero and outlives the call.
        let handle = unsafe { CreateFileW(name.as_ptr(), access, 0, std::ptr::null(), OPEN_EXISTING, flags, nothing) };
        Self::of(handle, Some(event.clone())).map(|pipe| (pipe, event))
    }

    /// How many instances of this pipe there are.
    fn instances(&self) -> io::Result<u32> {
        let (mut count, none) = (0, std::ptr::null_mut());
        let handle = self.handle.as_raw_handle();
        // SAFETY: the handle is open as long as `self` lives, and the number is ours; nothing else is asked for.
        let told = unsafe { GetNamedPipeHandleStateW(handle, none, &mut count, none, none, std::ptr::null_mut(), 0) };
        succeeded(told).map(|()| count)
    }

    /// The process at the other end of an instance that is served, as the kernel knows it.
    pub(crate) fn client_pid(&self) -> io::Result<u32> {
        let mut pid = 0;
        // SAFETY: the handle is open as long as `self` lives, and the number is ours.
        succeeded(unsafe { GetNamedPipeClientProcessId(self.handle.as_raw_handle(), &mut pid) }).map(|()| pid)
    }

    /// The process that serves the pipe that was called, as the kernel knows it.
    pub(crate) fn server_pid(&self) -> io::Result<u32> {
        let mut pid = 0;
        // SAFETY: as above.
        succeeded(unsafe { GetNamedPipeServerProcessId(self.handle.as_raw_handle(), &mut pid) }).map(|()| pid)
    }

    /// Writes all of `bytes`; when the pipe does not take them within `patience`, none may count as written.
    pub(crate) fn write(&self, bytes: &[u8], patience: Duration) -> io::Result<()> {
        let event = event::create(true)?;
        let mut overlapped = OVERLAPPED { hEvent: event.as_raw_handle(), ..OVERLAPPED::default() };
        let (overlapped, handle) = (&raw mut overlapped, self.handle.as_raw_handle());
        let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: the bytes, the structure and the event outlive the operation, for whose end this function waits.
        let done = unsafe { WriteFile(handle, bytes.as_ptr(), length, std::ptr::null_mut(), overlapped) };
        let pending = !at_once(done)?;
        let mut count = 0;
        // SAFETY: as above. When the patience is over the operation is cancelled, and only its end is waited for then.
        let done = unsafe {
            if pending && WaitForSingleObject(event.as_raw_handle(), milliseconds(Some(patience))) != WAIT_OBJECT_0 {
                CancelIoEx(handle, overlapped);
            }
            GetOverlappedResult(handle, overlapped, &mut count, 1)
        };
        succeeded(done)?;
        match count == length {
            true => Ok(()),
            false => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn of(handle: RawHandle, event: Option<PipeEvent>) -> io::Result<Self> {
        if handle == INVALID_HANDLE_VALUE {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the callers opened the handle just now, and nobody else has it.
        let handle = unsafe { OwnedHandle::from_raw_handle(handle) };
        let memory = Memory { overlapped: Overlapped(OVERLAPPED::default()), buffer: Vec::new() };
        let memory = NonNull::from(Box::leak(Box::new(memory)));
        Ok(Pipe { handle, event, memory, under_way: false, filled: 0 })
    }
}
