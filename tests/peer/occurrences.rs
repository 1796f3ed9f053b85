//! What a peer does with network events.

use super::ring::Failure;
use sharesock::{Domain, Event, Message, MessageQueue, NetworkEvents, Socket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Its event object and its queue, once it has them.
#[derive(Default)]
pub(super) struct Occurrences {
    event: Option<Event>,
    queue: Option<MessageQueue>,
    storm: Option<Storm>,
}

/// A thread that does everything at once, and what stops it.
struct Storm {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32, sharesock::Error>>,
}

impl Storm {
    fn start(socket: &Socket, event: &Event, queue: &MessageQueue, mut seed: u64) -> Result<Self, Failure> {
        let (socket, event, queue) = (socket.try_clone()?, event.clone(), queue.clone());
        socket.as_socket().set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut count, mut other) = (0, socket.try_clone()?);
            while !stopped.load(Ordering::Relaxed) {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                let events =
                    NetworkEvents::from_bits_truncate((seed >> 8) as u16) & NetworkEvents::from_bits_retain(0x3f);
                match seed % 8 {
                    0 => socket.event_select(&event, events)?,
                    1 => socket.async_select(&queue, 7, events)?,
                    2 => socket.cancel_select()?,
                    3 => drop(socket.enum_network_events(Some(&event))?),
                    4 => drop(event.wait(Some(Duration::ZERO))?),
                    5 => drop(queue.try_get()?),
                    6 => drop(socket.recv(&mut [0; 2])),
                    _ => {
                        other = socket.try_clone()?;
                        other.event_select(&event, NetworkEvents::READ)?;
                    }
                }
                count += 1;
            }
            drop(other);
            Ok(count)
        });
        Ok(Storm { stop, thread })
    }
}

/// A thread that registers new sockets with new objects.
fn storm_of_new(domain: &Domain) -> Storm {
    let (domain, stop) = (domain.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let thread = std::thread::spawn(move || {
        let mut count = 0;
        while !stopped.load(Ordering::Relaxed) {
            let event = Event::manual(&domain)?;
            for _ in 0..8 {
                let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
                socket.event_select(&event, NetworkEvents::READ)?;
                count += 1;
            }
        }
        Ok(count)
    });
    Storm { stop, thread }
}

fn events(text: &str) -> Result<NetworkEvents, Failure> {
    Ok(NetworkEvents::from_bits_retain(text.parse()?))
}

fn milliseconds(text: &str) -> Result<Option<Duration>, Failure> {
    Ok(Some(Duration::from_millis(text.parse()?)))
}

impl Occurrences {
    /// Obeys, if the command is about network events.
    pub(super) fn obey(
        &mut self,
        domain: &Domain,
        verb: &str,
        rest: &str,
        socket: Option<&Socket>,
    ) -> Result<Option<String>, Failure> {
        let held = || socket.ok_or("holds no socket");
        if self.event.is_none() {
            self.event = Some(Event::manual(domain)?);
            self.queue = Some(MessageQueue::new(domain)?);
        }
        let (Some(event), Some(queue)) = (&self.event, &self.queue) else { return Ok(None) };
        Ok(Some(match verb {
            "event-select" => {
                held()?.event_select(event, events(rest)?)?;
                "ok".to_owned()
            }
            "async-select" => {
                let (id, mask) = rest.split_once(' ').ok_or("needs an id and events")?;
                held()?.async_select(queue, id.parse()?, events(mask)?)?;
                "ok".to_owned()
            }
            "hear-losses" => {
                event.hear_losses(true)?;
                queue.hear_losses(true)?;
                "ok".to_owned()
            }
            "losses" => format!("{} {}", event.wait(milliseconds(rest)?)?, event.losses()?.len()),
            "wait" => event.wait(milliseconds(rest)?)?.to_string(),
            "enumerate" => held()?.enum_network_events(Some(event))?.events().to_string(),
            "get" => match queue.get_within(milliseconds(rest)?.unwrap_or_default())? {
                Some(Message::Network { id, event, code, .. }) => format!("{id} {event} {code}"),
                Some(other) => format!("{other:?}"),
                None => "none".to_owned(),
            },
            "cancel" => {
                held()?.cancel_select()?;
                "ok".to_owned()
            }
            "registration" => match held()?.registration()? {
                Some(found) => format!("{} {} {}", found.process.pid(), found.events, found.messages),
                None => "none".to_owned(),
            },
            "blocking" => {
                held()?.set_nonblocking(false)?;
                "ok".to_owned()
            }
            "take" => format!("ok {}", held()?.recv(&mut vec![0; rest.parse()?])?),
            "fill" => {
                let mut sent = 0;
                while let Ok(count) = held()?.send(&[0; 65536]) {
                    sent += count;
                }
                format!("ok {sent}")
            }
            "accept-one" => format!("ok {:?}", held()?.accept()?.0.registration()?.map(|found| found.process.pid())),
            // Waits for so long, and says how much of the time it computed, in milliseconds.
            "cpu" => {
                let before = cpu()?;
                event.wait(milliseconds(rest)?)?;
                (cpu()? - before).as_millis().to_string()
            }
            "storm" => {
                self.storm = Some(Storm::start(held()?, event, queue, rest.parse()?)?);
                "ok".to_owned()
            }
            "storm-of-new" => {
                self.storm = Some(storm_of_new(domain));
                "ok".to_owned()
            }
            "calm" => {
                let Storm { stop, thread } = self.storm.take().ok_or("has no storm")?;
                stop.store(true, Ordering::Relaxed);
                format!("ok {}", thread.join().map_err(|_| "the storm panicked")??)
            }
            "no-events" => {
                (self.event, self.queue) = (None, None);
                "ok".to_owned()
            }
            // Takes the registration over so often.
            "fight" => {
                for _ in 0..rest.parse::<u32>()? {
                    held()?.event_select(event, NetworkEvents::READ)?;
                }
                "ok".to_owned()
            }
            _ => return Ok(None),
        }))
    }
}

fn cpu() -> Result<Duration, Failure> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Ok(Duration::new(now.tv_sec.try_into()?, now.tv_nsec.try_into()?))
}
