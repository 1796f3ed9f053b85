//! The rules of network events, written down as plainly as possible; and that the record keeps them.
//!
//! Nothing here is fast, shared or clever: sets, and one function for each thing that can happen.

use super::word::{Record, Seen};
use crate::network_events::NetworkEvents;
use proptest::prelude::*;
use std::collections::HashSet;

/// What can be reported of a connection, in the order of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Event {
    Connect,
    Read,
    Write,
    Oob,
    Close,
}

const EVENTS: [Event; 5] = [Event::Connect, Event::Read, Event::Write, Event::Oob, Event::Close];

/// How a socket is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Registration {
    Nobody,
    EventObject(HashSet<Event>),
    Messages(HashSet<Event>),
}

/// A connection, and what is remembered of it.
#[derive(Debug)]
struct Reference {
    /// What the kernel knows.
    connected: bool,
    unread: u32,
    /// Urgent data that was not received.
    urgent: bool,
    room: bool,
    ended: bool,
    /// What is remembered.
    registration: Registration,
    /// Has happened, and was not reported.
    pending: HashSet<Event>,
    /// Was posted as a message, and not re-enabled since.
    posted: HashSet<Event>,
    /// A send would have blocked, and there was no room since.
    blocked: bool,
    /// The event object.
    set: bool,
}

impl Reference {
    /// A socket that is not connected, and not registered.
    fn new() -> Self {
        Reference {
            connected: false,
            unread: 0,
            urgent: false,
            room: true,
            ended: false,
            registration: Registration::Nobody,
            pending: HashSet::new(),
            posted: HashSet::new(),
            blocked: false,
            set: false,
        }
    }

    /// Something has happened: it is recorded, selected or not; an event object that asks for it is set. In messages
    /// it is told once until it is re-enabled.
    fn happens(&mut self, event: Event) {
        match &self.registration {
            Registration::Messages(_) if !self.posted.insert(event) => return,
            Registration::EventObject(mask) => self.set |= mask.contains(&event),
            _ => {}
        }
        self.pending.insert(event);
    }

    /// The attempt to connect succeeds: then the connection can be sent on, too.
    fn connects(&mut self) {
        if !self.connected {
            self.connected = true;
            self.happens(Event::Connect);
            self.happens(Event::Write);
        }
    }

    /// Every arrival is an event, though earlier ones were not received yet.
    fn data_arrives(&mut self) {
        if self.connected && !self.ended {
            self.unread += 1;
            self.happens(Event::Read);
        }
    }

    /// Urgent data is an event once until it is received: there is one at a time, and more takes its place.
    fn urgent_arrives(&mut self) {
        if self.connected && !self.ended && !self.urgent {
            self.urgent = true;
            self.happens(Event::Oob);
        }
    }

    /// The other side ends the connection: an event at once, with data unread or not, and once.
    fn ends(&mut self) {
        if self.connected && !self.ended {
            self.ended = true;
            self.happens(Event::Close);
        }
    }

    /// Receiving re-enables: what was to be told of it is not true any more, and if something is left it is told.
    fn receive(&mut self) {
        self.unread = self.unread.saturating_sub(1);
        self.pending.remove(&Event::Read);
        self.posted.remove(&Event::Read);
        if self.unread > 0 {
            self.happens(Event::Read);
        }
    }

    /// Receiving urgent data re-enables it: nothing of it is left.
    fn receive_urgent(&mut self) {
        self.urgent = false;
        self.pending.remove(&Event::Oob);
        self.posted.remove(&Event::Oob);
    }

    /// Somebody receives everything past the library, while nobody is registered.
    fn taken_past(&mut self) {
        if self.registration == Registration::Nobody {
            self.unread = 0;
        }
    }

    /// A send that would block, or an empty one when there is no room: it is to be told when there is.
    fn send_blocks(&mut self) {
        if self.connected {
            self.room = false;
            self.blocked = true;
            self.pending.remove(&Event::Write);
            self.posted.remove(&Event::Write);
        }
    }

    fn room_is_made(&mut self) {
        self.room = true;
        if std::mem::take(&mut self.blocked) {
            self.happens(Event::Write);
        }
    }

    /// What was recorded, still holds and was not reported is due at once; what was reported is not, though it was not
    /// received. The event object is never reset by this.
    fn select_events(&mut self, mask: HashSet<Event>) {
        if self.unread == 0 {
            self.pending.remove(&Event::Read);
        }
        self.set |= self.pending.iter().any(|event| mask.contains(event));
        self.registration = Registration::EventObject(mask);
    }

    /// All that holds now is told, reported before or not; that the connection was made only if it is made later.
    fn select_messages(&mut self, mask: HashSet<Event>) {
        self.registration = Registration::Messages(mask);
        self.pending.clear();
        self.posted.clear();
        let holds = [
            (Event::Read, self.unread > 0),
            (Event::Write, self.connected && self.room),
            (Event::Oob, self.urgent),
            (Event::Close, self.ended),
        ];
        holds.into_iter().filter(|(_, holds)| *holds).for_each(|(event, _)| self.happens(event));
        if self.connected && self.room {
            self.blocked = false;
        }
    }

    fn cancel(&mut self) {
        self.registration = Registration::Nobody;
    }

    /// What is pending and asked for is reported, and pending no more; the event object is reset.
    fn enumerate(&mut self) -> HashSet<Event> {
        self.set = false;
        let mask = match &self.registration {
            Registration::Nobody => return HashSet::new(),
            Registration::EventObject(mask) | Registration::Messages(mask) => mask.clone(),
        };
        let due = self.pending.intersection(&mask).copied().collect();
        self.pending.retain(|event| !mask.contains(event));
        due
    }
}

/// The same, by the record. The kernel is played by the reference.
#[derive(Debug, Default)]
struct Recorded {
    record: Record,
    set: bool,
    /// Something arrived while nobody watched.
    missed: bool,
}

fn bit(event: Event) -> NetworkEvents {
    match event {
        Event::Connect => NetworkEvents::CONNECT,
        Event::Read => NetworkEvents::READ,
        Event::Write => NetworkEvents::WRITE,
        Event::Oob => NetworkEvents::OOB,
        Event::Close => NetworkEvents::CLOSE,
    }
}

fn bits<'a>(events: impl IntoIterator<Item = &'a Event>) -> NetworkEvents {
    events.into_iter().fold(NetworkEvents::empty(), |all, event| all | bit(*event))
}

impl Recorded {
    /// What the kernel would say.
    fn seen(kernel: &Reference) -> Seen {
        let mut holds = NetworkEvents::empty();
        holds.set(NetworkEvents::CONNECT, kernel.connected);
        holds.set(NetworkEvents::READ, kernel.unread > 0);
        holds.set(NetworkEvents::WRITE, kernel.connected && kernel.room);
        holds.set(NetworkEvents::OOB, kernel.urgent);
        holds.set(NetworkEvents::CLOSE, kernel.ended);
        Seen { holds, ..Seen::default() }
    }

    /// The kernel reports to whoever watches. That there is room it reports alone; input comes with all that holds.
    fn reported(&mut self, kernel: &Reference, arrived: bool) {
        if self.record.is_registered() {
            let mut seen = Self::seen(kernel);
            if !arrived {
                seen.holds -= NetworkEvents::READ;
            }
            self.set |= !self.record.see(&seen, arrived).is_empty();
        } else {
            self.missed |= arrived;
        }
    }

    fn register(&mut self, kernel: &Reference, mask: &HashSet<Event>, messages: bool) {
        let missed = std::mem::take(&mut self.missed);
        let due = self.record.register(7, bits(mask), messages, &Self::seen(kernel), missed);
        self.set |= !messages && !due.is_empty();
    }
}

/// What can happen.
#[derive(Debug, Clone)]
enum Step {
    Connects,
    DataArrives,
    UrgentArrives,
    Ends,
    Receive,
    ReceiveUrgent,
    TakenPast,
    SendBlocks,
    RoomIsMade,
    SelectEvents(HashSet<Event>),
    SelectMessages(HashSet<Event>),
    Cancel,
    Enumerate,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let mask = || proptest::sample::subsequence(EVENTS.to_vec(), 1..=5).prop_map(HashSet::from_iter);
    let step = prop_oneof![
        10 => Just(Step::Connects),
        20 => Just(Step::DataArrives),
        5 => Just(Step::UrgentArrives),
        1 => Just(Step::Ends),
        15 => Just(Step::Receive),
        3 => Just(Step::ReceiveUrgent),
        5 => Just(Step::TakenPast),
        10 => Just(Step::SendBlocks),
        10 => Just(Step::RoomIsMade),
        15 => mask().prop_map(Step::SelectEvents),
        5 => mask().prop_map(Step::SelectMessages),
        10 => Just(Step::Cancel),
        20 => Just(Step::Enumerate),
    ];
    proptest::collection::vec(step, 0..300)
}

proptest! {
    #[test]
    fn the_record_keeps_the_rules(steps in steps()) {
        let (mut reference, mut recorded) = (Reference::new(), Recorded::default());
        for step in steps {
            match &step {
                Step::Connects => {
                    reference.connects();
                    recorded.reported(&reference, false);
                }
                Step::DataArrives => {
                    let open = reference.connected && !reference.ended;
                    reference.data_arrives();
                    recorded.reported(&reference, open);
                }
                Step::Ends => {
                    reference.ends();
                    recorded.reported(&reference, false);
                }
                Step::Receive => {
                    reference.receive();
                    let looked = recorded.record;
                    let registered = recorded.record.is_registered();
                    let remains = registered && reference.unread > 0;
                    let due = recorded.record.take(NetworkEvents::READ, &looked, remains);
                    recorded.set |= due.is_some_and(|due| !due.is_empty());
                }
                Step::UrgentArrives => {
                    reference.urgent_arrives();
                    recorded.reported(&reference, false);
                }
                Step::ReceiveUrgent => {
                    reference.receive_urgent();
                    let looked = recorded.record;
                    recorded.record.take(NetworkEvents::OOB, &looked, false);
                }
                Step::TakenPast => reference.taken_past(),
                Step::SendBlocks => {
                    reference.send_blocks();
                    if reference.connected {
                        recorded.record.block();
                    }
                }
                Step::RoomIsMade => {
                    reference.room_is_made();
                    recorded.reported(&reference, false);
                }
                Step::SelectEvents(mask) => {
                    reference.select_events(mask.clone());
                    recorded.register(&reference, mask, false);
                }
                Step::SelectMessages(mask) => {
                    reference.select_messages(mask.clone());
                    recorded.register(&reference, mask, true);
                }
                Step::Cancel => {
                    reference.cancel();
                    recorded.record.cancel();
                }
                Step::Enumerate => {
                    recorded.set = false;
                    prop_assert_eq!(recorded.record.report(), bits(&reference.enumerate()), "{:?}", step);
                }
            }
            if matches!(reference.registration, Registration::EventObject(_)) {
                prop_assert_eq!(recorded.set, reference.set, "{:?}", step);
            } else {
                (recorded.set, reference.set) = (false, false);
            }
            prop_assert_eq!(Record::unpack(recorded.record.pack()), recorded.record);
        }
    }
}
