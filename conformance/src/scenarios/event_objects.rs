//! Event objects for themselves: set, reset and waited for.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Stage, connection};
use crate::watch::{enumerated, quiet, told, untold};
use anyhow::{Context, Result};
use sharesock::{Event, NetworkEvents};
use std::time::Duration;

pub(super) const ALL: &[Scenario] = &[
    scenario("event-manual", "a manual event object stays set until it is reset", "4.1, 4.11", manual),
    scenario("event-automatic", "an automatic one is reset by the wait that it ends", "4.10, 4.11", automatic),
    scenario("event-automatic-socket", "an automatic one serves a socket", "4.10", automatic_socket),
    scenario("event-wait-any", "waiting for any gives the lowest that is set", "4.11", wait_any),
    scenario("event-wait-all", "waiting for all resets none before all are set", "4.11", wait_all),
    scenario("event-wait-many", "more can be waited for than 64", "4.11", wait_many),
    scenario("event-wait-bad", "waits that cannot be", "4.11", wait_bad),
    scenario("event-threads", "a thread waits while another sets", "R4, 4.11", threads),
    scenario("event-for-two", "one event object serves several sockets", "4.10", for_two),
];

fn manual(stage: &Stage) -> Result<()> {
    let event = Event::manual(&stage.domain)?;
    see("new, it is set", event.is_set());
    see("waited for", event.wait(Some(Duration::ZERO)));
    event.set()?;
    see("set, waited for", event.wait(None));
    see("again", event.wait(None));
    event.reset()?;
    see("reset, waited for", event.wait(Some(Duration::ZERO)));
    Ok(())
}

fn automatic(stage: &Stage) -> Result<()> {
    let event = Event::automatic(&stage.domain)?;
    see("new, it is set", event.is_set());
    event.set()?;
    see("set, asked about", event.is_set());
    see("waited for", event.wait(None));
    see("again", event.wait(Some(Duration::ZERO)));
    Ok(())
}

fn automatic_socket(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = Event::automatic(&stage.domain)?;
    socket.event_select(&event, NetworkEvents::READ)?;
    peer.send("x")?;
    see("told", told(&socket, &event, NetworkEvents::READ));
    see("then", untold(&socket, &event));
    Ok(())
}

fn wait_any(stage: &Stage) -> Result<()> {
    let events = [(); 4].map(|()| Event::automatic(&stage.domain));
    let events: Vec<_> = events.into_iter().collect::<Result<_, _>>()?;
    let all: Vec<&Event> = events.iter().collect();
    see("none is set", Event::wait_any(&all, Some(Duration::ZERO)));
    for index in [3, 1] {
        events.get(index).context("four of them")?.set()?;
    }
    for _ in 0..3 {
        see("the fourth and the second were set", Event::wait_any(&all, Some(Duration::ZERO)));
    }
    Ok(())
}

fn wait_all(stage: &Stage) -> Result<()> {
    let (one, two) = (Event::automatic(&stage.domain)?, Event::automatic(&stage.domain)?);
    one.set()?;
    see("one is set", Event::wait_all(&[&one, &two], Some(BRIEF)));
    see("it still is", one.is_set());
    two.set()?;
    see("both are set", Event::wait_all(&[&one, &two], Some(LONG)));
    see("then the first", one.is_set());
    see("and the second", two.is_set());
    Ok(())
}

fn wait_many(stage: &Stage) -> Result<()> {
    let events: Vec<_> = (0..70).map(|_| Event::manual(&stage.domain)).collect::<Result<_, _>>()?;
    let all: Vec<&Event> = events.iter().collect();
    events.last().context("seventy of them")?.set()?;
    see("the last of 70 is set, any", Event::wait_any(&all, Some(LONG)));
    see("all", Event::wait_all(&all, Some(BRIEF)));
    events.iter().try_for_each(Event::set)?;
    see("all are set, all", Event::wait_all(&all, Some(LONG)));
    Ok(())
}

fn wait_bad(stage: &Stage) -> Result<()> {
    let event = Event::manual(&stage.domain)?;
    event.set()?;
    see("any of none", Event::wait_any(&[], Some(Duration::ZERO)));
    see("all of none", Event::wait_all(&[], Some(Duration::ZERO)));
    see("any of one, given twice", Event::wait_any(&[&event, &event], Some(Duration::ZERO)));
    see("all of one, given twice", Event::wait_all(&[&event, &event.clone()], Some(Duration::ZERO)));
    Ok(())
}

fn threads(stage: &Stage) -> Result<()> {
    let event = Event::automatic(&stage.domain)?;
    let woken = std::thread::scope(|scope| -> Result<usize> {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| event.wait(Some(LONG)))).collect();
        for _ in 0..4 {
            event.set()?;
            // Set again before a thread took it, it would be set once.
            while event.is_set()? {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        let waits = waiting.into_iter().map(|thread| thread.join().ok().context("a thread failed"));
        Ok(waits.filter(|waited| matches!(waited, Ok(Ok(true)))).count())
    })?;
    see("set four times, of four threads that waited were woken", woken);
    see("it is set", event.is_set());
    Ok(())
}

fn for_two(stage: &Stage) -> Result<()> {
    let ((mut peer, one), (_other_peer, two)) = (connection()?, connection()?);
    let event = quiet(&stage.domain, &one)?;
    two.event_select(&event, NetworkEvents::READ)?;
    peer.send("x")?;
    see("input arrives at the first, it is set", event.wait(Some(LONG)));
    event.reset()?;
    see("enumerated of the second", enumerated(&two));
    see("of the first", enumerated(&one));
    Ok(())
}
