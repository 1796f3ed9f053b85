//! What event objects and message queues tell.

use crate::observe::{Seen, event};
use crate::stage::BRIEF;
use sharesock::{Domain, Event, Message, MessageQueue, NetworkEvents, Result, Socket};
use std::time::{Duration, Instant};

/// All that can happen at one socket.
pub(crate) const ALL: NetworkEvents = NetworkEvents::READ
    .union(NetworkEvents::WRITE)
    .union(NetworkEvents::OOB)
    .union(NetworkEvents::ACCEPT)
    .union(NetworkEvents::CONNECT)
    .union(NetworkEvents::CLOSE);

/// An event is awaited for so long. Some systems never tell some events, so it is less than what else is awaited.
const TELLS_WITHIN: Duration = Duration::from_secs(3);

/// The id of the messages that are asked for.
pub(crate) const ID: u32 = 7;

/// What was enumerated, each event with its code.
#[derive(Debug, Default)]
pub(crate) struct Told {
    events: NetworkEvents,
    codes: Vec<(NetworkEvents, i32)>,
    /// How the event object did not fit what was enumerated.
    mismatch: Option<&'static str>,
}

impl Told {
    /// Enumerates, and adds what it finds.
    fn enumerate(&mut self, socket: &Socket, event: Option<&Event>) -> Result<()> {
        let occurred = socket.enum_network_events(event)?;
        self.events |= occurred.events();
        self.codes
            .extend(occurred.events().iter().map(|event| (event, occurred.code(event))).filter(|(_, code)| *code != 0));
        Ok(())
    }
}

impl Seen for Told {
    fn seen(&self) -> String {
        let code = |event| self.codes.iter().find(|(of, _)| *of == event).map_or(0, |(_, code)| *code);
        let told: Vec<_> = self.events.iter().map(|about| event(about, code(about))).collect();
        let told = if told.is_empty() { "nothing".to_owned() } else { told.join(" | ") };
        match self.mismatch {
            Some(mismatch) => format!("{told}, {mismatch}"),
            None => told,
        }
    }
}

/// What the event object tells of the socket, until it has told all that is `awaited` or time is over.
pub(crate) fn told(socket: &Socket, event: &Event, awaited: NetworkEvents) -> Result<Told> {
    let started = Instant::now();
    let mut told = Told::default();
    while !told.events.contains(awaited) && event.wait(Some(TELLS_WITHIN.saturating_sub(started.elapsed())))? {
        told.enumerate(socket, Some(event))?;
    }
    Ok(told)
}

/// What it tells now, where nothing is awaited, and whether the event object fits that.
pub(crate) fn untold(socket: &Socket, event: &Event) -> Result<Told> {
    let set = event.wait(Some(BRIEF))?;
    let mut told = Told::default();
    told.enumerate(socket, Some(event))?;
    told.mismatch = match (set, told.events.is_empty()) {
        (true, true) => Some("though the event object was set"),
        (false, false) => Some("though the event object was not set"),
        _ => None,
    };
    Ok(told)
}

/// What is enumerated, the event object left alone.
pub(crate) fn enumerated(socket: &Socket) -> Result<Told> {
    let mut told = Told::default();
    told.enumerate(socket, None)?;
    Ok(told)
}

/// The next `count` messages, fewer when they do not come.
pub(crate) fn messages(queue: &MessageQueue, count: usize) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    while messages.len() < count {
        let Some(message) = queue.get_within(TELLS_WITHIN)? else { break };
        messages.push(message);
    }
    Ok(messages)
}

/// The messages that come where none is awaited.
pub(crate) fn no_message(queue: &MessageQueue) -> Result<Vec<Message>> {
    let mut messages = Vec::new();
    while let Some(message) = queue.get_within(BRIEF)? {
        messages.push(message);
    }
    Ok(messages)
}

/// A registered socket whose first reports have been taken.
pub(crate) fn quiet(domain: &Domain, socket: &Socket) -> anyhow::Result<Event> {
    let event = Event::manual(domain)?;
    socket.event_select(&event, ALL)?;
    let told = told(socket, &event, NetworkEvents::WRITE)?;
    anyhow::ensure!(told.events == NetworkEvents::WRITE, "told at first: {}", told.seen());
    Ok(event)
}
