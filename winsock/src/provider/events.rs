//! `WSAEventSelect`, `WSAEnumNetworkEvents` and `WSAAsyncSelect`.

use super::socket;
use crate::code::{Code, Result};
use crate::layout::WsaNetworkEvents;
use crate::memory::Out;
use crate::{state, system::window};
use sharesock::NetworkEvents;

/// `FD_CLOSE` without an error, as a message has it.
const CLOSE: isize = 0x20;

/// The events of a mask. Changes of addresses and routes are accepted, as Windows does, and never occur: what asks for
/// them to occur is refused (`WSAIoctl`).
fn events(mask: i32) -> NetworkEvents {
    let asked = NetworkEvents::from_bits_truncate(u16::try_from(mask & 0x3ff).unwrap_or(0));
    let silent = NetworkEvents::ROUTING_INTERFACE_CHANGE | NetworkEvents::ADDRESS_LIST_CHANGE;
    match asked - silent {
        rest if rest.is_empty() && !asked.is_empty() => NetworkEvents::QOS,
        rest => rest,
    }
}

pub(crate) fn event_select(handle: usize, event: usize, mask: i32) -> Result<()> {
    let sock = socket(handle)?;
    let events = events(mask);
    if events.is_empty() {
        sock.socket.join(&state::domain()?)?;
        sock.socket.as_socket().set_nonblocking(true)?;
        sock.memory().told_by = None;
        return Ok(sock.socket.cancel_select()?);
    }
    let event = state::event(event).map_err(|_| Code::INVAL)?;
    sock.memory().told_by = None;
    Ok(sock.socket.event_select(&event, events)?)
}

pub(crate) fn enum_events(handle: usize, event: usize, found: Out<WsaNetworkEvents>) -> Result<()> {
    let sock = socket(handle)?;
    if found.is_null() {
        return Err(Code::FAULT);
    }
    let event = if event == 0 { None } else { Some(state::event(event).map_err(|_| Code::INVAL)?) };
    let occurred = sock.socket.enum_network_events(event.as_ref())?;
    // The codes of what has not occurred stay as the caller has them.
    let numbers = found.cast::<i32>();
    numbers.put(i32::from(occurred.events().bits()))?;
    for (bit, event) in NetworkEvents::all().iter().enumerate() {
        if occurred.contains(event) {
            numbers.put_at(1 + bit, occurred.code(event))?;
        }
    }
    Ok(())
}

pub(crate) fn async_select(handle: usize, window: usize, message: u32, mask: i32) -> Result<()> {
    let sock = socket(handle)?;
    let events = events(mask);
    if events.is_empty() {
        return event_select(handle, 0, 0);
    }
    // One number carries both to where the message is made.
    let number = u16::try_from(message).map_err(|_| Code::INVAL)?;
    let (queue, place) = window::queue_of(window).map_err(|_| Code::INVAL)?;
    sock.socket.async_select(&queue, u32::from(place) << 16 | u32::from(number), events)?;
    sock.memory().told_by = Some((window, message));
    Ok(())
}

/// A socket's handle is closed past Winsock, by `CloseHandle`: its window is told that the connection has ended.
pub(crate) fn tell_closed(handle: usize) {
    let Ok(sock) = socket(handle) else { return };
    let Some((window, message)) = sock.memory().told_by else { return };
    let is_told = sock.socket.registration().ok().flatten().is_some_and(|registration| {
        registration.messages
            && registration.process.pid() == std::process::id()
            && registration.events.contains(NetworkEvents::CLOSE)
    });
    if is_told {
        let _ = crate::system::message::post(window, message, handle, CLOSE);
    }
}
