//! What a peer does with network events.

use super::ring::Failure;
use sharesock::{Domain, Event, Message, MessageQueue, NetworkEvents, Socket};
use std::time::Duration;

/// Its event object and its queue, once it has them.
#[derive(Default)]
pub(super) struct Occurrences {
    event: Option<Event>,
    queue: Option<MessageQueue>,
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
