//! Functions of the system that Winsock programs use: event objects, waiting, and small things.
#![allow(unsafe_code)]

use super::startup::{WSAGetLastError, WSASetLastError};
use crate::boundary::winsock;
use crate::code::{Code, Result};
use crate::memory::In;
use crate::sign::{WithSign, WithoutSign};
use crate::system::message;
use crate::system::wait::{count, wait, wait_for_many, wait_or_message};
use crate::{provider, state};
use sharesock::Event;

/// `WAIT_FAILED`.
const FAILED: u32 = u32::MAX;

fn create_event(manual: i32, set: i32, named: bool) -> Result<usize> {
    if named {
        // Processes share sockets here, not event objects.
        return Err(Code::NOT_SUPPORTED);
    }
    let domain = state::domain()?;
    let event = if manual == 0 { Event::automatic(&domain)? } else { Event::manual(&domain)? };
    if set != 0 {
        event.set()?;
    }
    state::insert_event(event)
}

/// `GetLastError`.
#[unsafe(export_name = "sharesock_GetLastError")]
pub extern "C" fn get_last_error() -> u32 {
    WSAGetLastError().without_sign()
}

/// `SetLastError`.
#[unsafe(export_name = "sharesock_SetLastError")]
pub extern "C" fn set_last_error(code: u32) {
    WSASetLastError(code.with_sign());
}

/// `GetCurrentProcessId`: what `WSADuplicateSocket` is given.
#[unsafe(export_name = "sharesock_GetCurrentProcessId")]
pub extern "C" fn get_current_process_id() -> u32 {
    std::process::id()
}

/// `GetCurrentThreadId`.
#[unsafe(export_name = "sharesock_GetCurrentThreadId")]
pub extern "C" fn get_current_thread_id() -> u32 {
    message::this_thread()
}

/// `GetTickCount64`.
#[unsafe(export_name = "sharesock_GetTickCount64")]
pub extern "C" fn get_tick_count_64() -> u64 {
    message::ticks()
}

/// `GetTickCount`.
#[unsafe(export_name = "sharesock_GetTickCount")]
pub extern "C" fn get_tick_count() -> u32 {
    u32::try_from(message::ticks() & u64::from(u32::MAX)).unwrap_or(0)
}

/// `Sleep`.
#[unsafe(export_name = "sharesock_Sleep")]
pub extern "C" fn sleep(milliseconds: u32) {
    message::sleep(milliseconds);
}

winsock! {
    /// `CreateEventA`.
    "sharesock_CreateEventA" fn create_event_a(
        _security: In<u8>, manual: i32, set: i32, name: In<i8>,
    ) -> usize, else 0; {
        create_event(manual, set, !name.is_null())
    }

    /// `CreateEventW`.
    "sharesock_CreateEventW" fn create_event_w(
        _security: In<u8>, manual: i32, set: i32, name: In<u16>,
    ) -> usize, else 0; {
        create_event(manual, set, !name.is_null())
    }

    /// `SetEvent`.
    "sharesock_SetEvent" fn set_event(event: usize) -> i32, else 0; {
        state::event(event)?.set()?;
        Ok(1)
    }

    /// `ResetEvent`.
    "sharesock_ResetEvent" fn reset_event(event: usize) -> i32, else 0; {
        state::event(event)?.reset()?;
        Ok(1)
    }

    /// `CloseHandle`: of an event object; of a socket, too, as Windows does.
    "sharesock_CloseHandle" fn close_handle(handle: usize) -> i32, else 0; {
        if state::close_event(handle).is_err() {
            provider::events::tell_closed(handle);
            provider::create::close(handle).map_err(|_| Code::INVALID_HANDLE)?;
        }
        Ok(1)
    }

    /// `WaitForSingleObject`.
    "sharesock_WaitForSingleObject" fn wait_for_single_object(handle: usize, milliseconds: u32) -> u32, else FAILED; {
        wait(&[handle], false, milliseconds)
    }

    /// `WaitForMultipleObjects`.
    "sharesock_WaitForMultipleObjects" fn wait_for_multiple_objects(
        handles_count: u32, handles: In<usize>, all: i32, milliseconds: u32,
    ) -> u32, else FAILED; {
        let handles = handles.many(count(handles_count, 1, 64)?).map_err(|_| Code::INVALID_PARAMETER)?;
        wait_for_many(&handles, all != 0, milliseconds)
    }

    /// `MsgWaitForMultipleObjects`: for event objects, or a message of this thread.
    "sharesock_MsgWaitForMultipleObjects" fn msg_wait_for_multiple_objects(
        handles_count: u32, handles: In<usize>, all: i32, milliseconds: u32, wake_mask: u32,
    ) -> u32, else FAILED; {
        let handles = handles.many(count(handles_count, 0, 63)?).map_err(|_| Code::INVALID_PARAMETER)?;
        wait_or_message(&handles, all != 0, milliseconds, wake_mask != 0)
    }

    /// `GetModuleHandleA`: a number that stands for the program.
    "sharesock_GetModuleHandleA" fn get_module_handle_a(_name: In<i8>) -> usize, else 0; {
        Ok(0x40_0000)
    }

    /// `GetModuleHandleW`.
    "sharesock_GetModuleHandleW" fn get_module_handle_w(_name: In<u16>) -> usize, else 0; {
        Ok(0x40_0000)
    }
}
