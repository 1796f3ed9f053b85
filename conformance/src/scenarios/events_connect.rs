//! Attempts to connect, as an event object is told of them.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{Stage, begin_connect, listener, nobody, unconnected};
use crate::watch::{ALL as EVERYTHING, told, untold};
use anyhow::Result;
use sharesock::{Event, NetworkEvents};

pub(super) const ALL: &[Scenario] = &[
    scenario("connect-made", "a connection that is made is told with room to send", "4.6, 4.7", made),
    scenario("connect-refused", "one that is refused is told with its code, and nothing else", "4.7", refused),
    scenario("connect-retried", "the next attempt is told of again", "4.7", retried),
    scenario("connect-unselected", "what was not asked for is told when it is", "4.3 R4, 4.7", unselected),
    scenario("connect-elsewhere", "who is registered is told of an attempt in another process", "4.7, 4.12", elsewhere),
];

const CONNECT: NetworkEvents = NetworkEvents::CONNECT;
const WRITE: NetworkEvents = NetworkEvents::WRITE;

fn made(stage: &Stage) -> Result<()> {
    let (_listener, address) = listener()?;
    let (socket, event) = (unconnected()?, Event::manual(&stage.domain)?);
    socket.event_select(&event, EVERYTHING)?;
    see("connecting", begin_connect(&socket, address));
    see("told", told(&socket, &event, CONNECT | WRITE));
    see("then", untold(&socket, &event));
    socket.event_select(&event, EVERYTHING)?;
    see("registered again", untold(&socket, &event));
    Ok(())
}

fn refused(stage: &Stage) -> Result<()> {
    let (_nobody, address) = nobody()?;
    let (socket, event) = (unconnected()?, Event::manual(&stage.domain)?);
    socket.event_select(&event, EVERYTHING)?;
    see("connecting", begin_connect(&socket, address));
    see("told", told(&socket, &event, CONNECT));
    see("then", untold(&socket, &event));
    socket.event_select(&event, EVERYTHING)?;
    see("registered again", untold(&socket, &event));
    Ok(())
}

fn retried(stage: &Stage) -> Result<()> {
    let (_nobody, address) = nobody()?;
    let (socket, event) = (unconnected()?, Event::manual(&stage.domain)?);
    socket.event_select(&event, EVERYTHING)?;
    begin_connect(&socket, address)?;
    see("the first", told(&socket, &event, CONNECT));
    let (_listener, address) = listener()?;
    see("connecting", begin_connect(&socket, address));
    see("the second", told(&socket, &event, CONNECT | WRITE));
    Ok(())
}

fn unselected(stage: &Stage) -> Result<()> {
    let (_listener, address) = listener()?;
    let (socket, event) = (unconnected()?, Event::manual(&stage.domain)?);
    socket.event_select(&event, WRITE)?;
    begin_connect(&socket, address)?;
    see("told, when room is asked for", told(&socket, &event, WRITE));
    socket.event_select(&event, CONNECT | WRITE)?;
    see("told, when the connection is asked for", told(&socket, &event, CONNECT));
    Ok(())
}

fn elsewhere(stage: &Stage) -> Result<()> {
    let (_listener, address) = listener()?;
    let socket = unconnected()?;
    let mut a = stage.holder(&socket)?;
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, EVERYTHING)?;
    see("A connects", a.ask(&format!("connect s {address}"))?);
    see("told here", told(&socket, &event, CONNECT | WRITE));
    Ok(())
}
