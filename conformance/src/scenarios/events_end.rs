//! The end of a connection, as an event object is told of it.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, Stage, connection, take};
use crate::watch::{ALL as EVERYTHING, quiet, told, untold};
use anyhow::Result;
use sharesock::{Event, NetworkEvents};
use std::net::Shutdown;

pub(super) const ALL: &[Scenario] = &[
    scenario("close-fin", "the peer's end is told once, and is no input", "4.8", fin),
    scenario("close-reset", "a reset is told with its code", "4.8", reset),
    scenario("close-peer-deaf", "that the peer ends its receiving is nothing", "4.8", deaf),
    scenario("close-own", "ending both directions is nothing, the peer's end is told still", "4.8", own),
    scenario("close-with-input", "the end is told at once, though input is unread", "4.8", with_input),
    scenario("close-before", "what ended before it was registered is told", "4.8", before),
    scenario("close-reset-before", "so is what was reset", "4.8", reset_before),
    scenario("close-unselected", "what was not asked for is told when it is", "4.3 R4, 4.8", unselected),
    scenario("close-after-own", "nothing is told of a socket that was closed here", "3.3, 4.8", after_own),
    scenario("close-not-last", "who closes one of two descriptors is told nothing", "3.3, 4.8", not_last),
];

const READ: NetworkEvents = NetworkEvents::READ;
const CLOSE: NetworkEvents = NetworkEvents::CLOSE;

fn fin(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.end()?;
    see("the peer ends its sending", told(&socket, &event, CLOSE));
    drop(peer);
    see("the peer closes", untold(&socket, &event));
    see("received", take(&socket, 1));
    see("then", untold(&socket, &event));
    socket.event_select(&event, EVERYTHING)?;
    see("registered again", untold(&socket, &event));
    Ok(())
}

fn reset(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.reset()?;
    see("told", told(&socket, &event, CLOSE));
    see("then", untold(&socket, &event));
    see("receiving", socket.recv(&mut [0]));
    socket.event_select(&event, EVERYTHING)?;
    see("registered again", untold(&socket, &event));
    Ok(())
}

fn deaf(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.close_ears()?;
    see("told", untold(&socket, &event));
    peer.send("x")?;
    see("told of what it sends", told(&socket, &event, READ));
    Ok(())
}

fn own(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    socket.shutdown(Shutdown::Both)?;
    see("told", untold(&socket, &event));
    peer.end()?;
    see("the peer ends its sending, told", told(&socket, &event, CLOSE));
    see("then", untold(&socket, &event));
    Ok(())
}

fn with_input(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send("ab")?;
    peer.end()?;
    see("told", told(&socket, &event, READ | CLOSE));
    see("received", take(&socket, 1));
    see("told", told(&socket, &event, READ));
    see("received", take(&socket, 1));
    see("told", untold(&socket, &event));
    see("received", take(&socket, 1));
    see("told", untold(&socket, &event));
    Ok(())
}

fn before(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    drop(peer);
    see("received", take(&socket, 1));
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, CLOSE)?;
    see("told", told(&socket, &event, CLOSE));
    Ok(())
}

fn reset_before(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    peer.reset()?;
    // To receive would consume the reset; on loopback a moment is ample for it to arrive.
    std::thread::sleep(BRIEF);
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, CLOSE)?;
    see("told", told(&socket, &event, CLOSE));
    Ok(())
}

fn unselected(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    socket.event_select(&event, READ)?;
    drop(peer);
    see("received", take(&socket, 1));
    see("told, when input is asked for", untold(&socket, &event));
    socket.event_select(&event, READ | CLOSE)?;
    see("told, when the end is asked for", told(&socket, &event, CLOSE));
    Ok(())
}

fn after_own(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    drop(socket);
    see("the peer hears", peer.hear(1)?);
    see("the event object is set", event.wait(Some(BRIEF)));
    drop(peer);
    see("the peer has closed, it is set", event.wait(Some(BRIEF)));
    Ok(())
}

fn not_last(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    let event = quiet(&stage.domain, &socket)?;
    drop(socket);
    peer.send("x")?;
    see("A receives", a.ask("receive s 1")?);
    peer.end()?;
    see("A receives", a.ask("receive s 1")?);
    see("the event object is set", event.wait(Some(BRIEF)));
    Ok(())
}
