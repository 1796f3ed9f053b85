//! Waiting for event objects, and for them or a message.

use super::message;
use crate::code::{Code, Result};
use crate::state;
use crate::waiting::poll_until;
use rustix::event::{PollFd, PollFlags};
use sharesock::Event;
use std::time::{Duration, Instant};

/// `WSA_MAXIMUM_WAIT_EVENTS`, `MAXIMUM_WAIT_OBJECTS`.
const MOST: u32 = 64;
/// `WSA_INFINITE`, `INFINITE`.
const INFINITE: u32 = u32::MAX;
/// `WSA_WAIT_TIMEOUT`, `WAIT_TIMEOUT`.
pub(crate) const TIMED_OUT: u32 = 258;

fn time(milliseconds: u32) -> Option<Duration> {
    (milliseconds != INFINITE).then(|| Duration::from_millis(milliseconds.into()))
}

/// How many handles a caller gives, if it is not too few or too many.
pub(crate) fn count(count: u32, least: u32, most: u32) -> Result<usize> {
    match usize::try_from(count) {
        Ok(found) if (least..=most).contains(&count) => Ok(found),
        _ => Err(Code::INVALID_PARAMETER),
    }
}

/// Waits for event objects: the index of the first that is set, 0 when all are to be, or [`TIMED_OUT`].
pub(crate) fn wait(handles: &[usize], all: bool, milliseconds: u32) -> Result<u32> {
    let events = handles.iter().map(|handle| state::event(*handle)).collect::<Result<Vec<_>>>()?;
    let events: Vec<&Event> = events.iter().collect();
    let found = match all {
        // One alone is waited for without telling other threads of it.
        _ if events.len() == 1 => match events.first() {
            Some(event) => event.wait(time(milliseconds))?.then_some(0),
            None => None,
        },
        true => Event::wait_all(&events, time(milliseconds))?.then_some(0),
        false => Event::wait_any(&events, time(milliseconds))?,
    };
    Ok(found.map_or(TIMED_OUT, |index| u32::try_from(index).unwrap_or(TIMED_OUT)))
}

/// As many as the interface allows.
pub(crate) fn wait_for_many(handles: &[usize], all: bool, milliseconds: u32) -> Result<u32> {
    count(u32::try_from(handles.len()).unwrap_or(u32::MAX), 1, MOST)?;
    wait(handles, all, milliseconds)
}

/// Waits for event objects or, if `hears`, a message, whose index is behind those of the objects.
pub(crate) fn wait_or_message(handles: &[usize], all: bool, milliseconds: u32, hears: bool) -> Result<u32> {
    let behind = u32::try_from(handles.len()).unwrap_or(MOST);
    count(behind, 0, MOST - 1)?;
    let events = handles.iter().map(|handle| state::event(*handle)).collect::<Result<Vec<_>>>()?;
    let queue = message::queue()?;
    let until = time(milliseconds).and_then(|time| Instant::now().checked_add(time));
    loop {
        let heard = hears && message::is_waiting()?;
        // All is all objects, and a message.
        if (!all || heard) && !handles.is_empty() {
            let found = wait(handles, all, 0)?;
            if found != TIMED_OUT {
                return Ok(found);
            }
        }
        if heard && (!all || handles.is_empty()) {
            return Ok(behind);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Ok(TIMED_OUT);
        }
        // What is there already is not waited for.
        let mut polled = Vec::new();
        for event in &events {
            if !all || !event.is_set()? {
                polled.push(PollFd::new(event, PollFlags::IN));
            }
        }
        if hears && !heard {
            polled.push(PollFd::new(&queue, PollFlags::IN));
        }
        // With nothing left to wait for, only the time ends it.
        let _ = poll_until(&mut polled, until)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_and_too_many_are_refused() {
        assert_eq!(count(0, 1, MOST), Err(Code::INVALID_PARAMETER));
        assert_eq!(count(65, 1, MOST), Err(Code::INVALID_PARAMETER));
        assert_eq!(count(64, 1, MOST), Ok(64));
        assert_eq!(time(INFINITE), None);
    }
}
