//! Event objects, and registering sockets for network events.
#![allow(unsafe_code)]

use crate::boundary::winsock;
use crate::code::Code;
use crate::layout::WsaNetworkEvents;
use crate::memory::{In, Out};
use crate::provider::events;
use crate::state;
use crate::system::wait::{TIMED_OUT, wait_for_many};
use sharesock::Event;

/// `WSA_WAIT_FAILED`.
const FAILED: u32 = u32::MAX;

winsock! {
    /// `WSACreateEvent`: reset by hand, and not set.
    "WSACreateEvent" fn wsa_create_event() -> usize, else 0; {
        state::check_started()?;
        state::insert_event(Event::manual(&state::domain()?)?)
    }

    /// `WSACloseEvent`.
    "WSACloseEvent" fn wsa_close_event(event: usize) -> i32, else 0; {
        state::check_started()?;
        state::close_event(event)?;
        Ok(1)
    }

    /// `WSASetEvent`.
    "WSASetEvent" fn wsa_set_event(event: usize) -> i32, else 0; {
        state::check_started()?;
        state::event(event)?.set()?;
        Ok(1)
    }

    /// `WSAResetEvent`.
    "WSAResetEvent" fn wsa_reset_event(event: usize) -> i32, else 0; {
        state::check_started()?;
        state::event(event)?.reset()?;
        Ok(1)
    }

    /// `WSAWaitForMultipleEvents`.
    "WSAWaitForMultipleEvents" fn wsa_wait_for_multiple_events(
        count: u32, handles: In<usize>, all: i32, milliseconds: u32, _alertable: i32,
    ) -> u32, else FAILED; {
        state::check_started()?;
        let count = crate::system::wait::count(count, 1, 64)?;
        let handles = handles.many(count).map_err(|_| Code::INVALID_PARAMETER)?;
        let found = wait_for_many(&handles, all != 0, milliseconds)?;
        debug_assert!(found == TIMED_OUT || found < 64);
        Ok(found)
    }

    /// `WSAEventSelect`.
    "WSAEventSelect" fn wsa_event_select(s: usize, event: usize, mask: i32) -> i32, else -1; {
        events::event_select(s, event, mask)?;
        Ok(0)
    }

    /// `WSAEnumNetworkEvents`.
    "WSAEnumNetworkEvents" fn wsa_enum_network_events(
        s: usize, event: usize, found: Out<WsaNetworkEvents>,
    ) -> i32, else -1; {
        events::enum_events(s, event, found)?;
        Ok(0)
    }

    /// `WSAAsyncSelect`.
    "WSAAsyncSelect" fn wsa_async_select(s: usize, window: usize, message: u32, mask: i32) -> i32, else -1; {
        events::async_select(s, window, message, mask)?;
        Ok(0)
    }
}
