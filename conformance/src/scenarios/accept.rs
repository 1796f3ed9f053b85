//! Connections that wait, and what an accepted socket inherits.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::options;
use crate::stage::{BRIEF, LONG, Peer, Stage, listener, patiently, take};
use crate::watch::{ALL as EVERYTHING, ID, messages, no_message, told, untold};
use anyhow::Result;
use sharesock::{Event, MessageQueue, NetworkEvents, Socket};
use std::net::SocketAddr;

pub(super) const ALL: &[Scenario] = &[
    scenario("accept-each-arrival", "each connection is told, though none was accepted", "4.4", each_arrival),
    scenario("accept-left", "an accept that leaves a connection is told of it", "4.5", left),
    scenario("accept-before-select", "connections that wait when it is registered are told", "4.3", before_select),
    scenario("accept-inherits", "an accepted socket is registered as its listener is", "4.9", inherits),
    scenario("accept-inherits-messages", "the same with messages", "4.9, 5.2", inherits_messages),
    scenario(
        "accept-inherits-mode",
        "an accepted socket does not block if its listener does not",
        "4.9",
        inherits_mode,
    ),
    scenario("accept-inherits-options", "an accepted socket has its listener's options", "3.8", inherits_options),
    scenario("accept-elsewhere", "a socket accepted in another process has no registration", "4.9, 4.12", elsewhere),
    scenario("accept-apart", "registration can be put off until the program is ready", "4.9", apart),
];

const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;
const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;

/// A listener that is registered for everything.
fn registered(stage: &Stage) -> Result<(Socket, SocketAddr, Event)> {
    let (listener, address) = listener()?;
    let event = Event::manual(&stage.domain)?;
    listener.event_select(&event, EVERYTHING)?;
    Ok((listener, address, event))
}

fn each_arrival(stage: &Stage) -> Result<()> {
    let (listener, address, event) = registered(stage)?;
    let mut peers = Vec::new();
    for arrival in ["the first", "the second", "the third"] {
        peers.push(Peer::connect(address)?);
        see(arrival, told(&listener, &event, ACCEPT));
        see("then", untold(&listener, &event));
    }
    Ok(())
}

fn left(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let _peers = [Peer::connect(address)?, Peer::connect(address)?];
    let event = Event::manual(&stage.domain)?;
    listener.event_select(&event, ACCEPT)?;
    see("two wait, told", told(&listener, &event, ACCEPT));
    see("accepted", listener.accept().map(drop));
    see("told", told(&listener, &event, ACCEPT));
    see("accepted", listener.accept().map(drop));
    see("told", untold(&listener, &event));
    see("accepted", listener.accept().map(drop));
    see("told", untold(&listener, &event));
    Ok(())
}

fn before_select(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let _peer = Peer::connect(address)?;
    let event = Event::manual(&stage.domain)?;
    listener.event_select(&event, EVERYTHING)?;
    see("told", told(&listener, &event, ACCEPT));
    see("then", untold(&listener, &event));
    Ok(())
}

fn inherits(stage: &Stage) -> Result<()> {
    let (listener, address, event) = registered(stage)?;
    let mut peer = Peer::connect(address)?;
    see("told of the listener", told(&listener, &event, ACCEPT));
    let (accepted, _) = listener.accept()?;
    see("told of the accepted socket, by the same event object", told(&accepted, &event, WRITE));
    peer.send("x")?;
    see("and of what arrives", told(&accepted, &event, READ));
    see("told of the listener", untold(&listener, &event));
    Ok(())
}

fn inherits_messages(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let queue = MessageQueue::new(&stage.domain)?;
    listener.async_select(&queue, ID, EVERYTHING)?;
    let mut peer = Peer::connect(address)?;
    see("told", messages(&queue, 1));
    let (accepted, _) = listener.accept()?;
    let told = messages(&queue, 1)?;
    let about = told
        .iter()
        .all(|message| matches!(message, sharesock::Message::Network { socket, .. } if Ok(*socket) == accepted.id()));
    see("told of the accepted socket", told);
    see("the message names it", about);
    peer.send("x")?;
    see("of what arrives", messages(&queue, 1));
    see("then", no_message(&queue));
    Ok(())
}

fn inherits_mode(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    listener.set_nonblocking(true)?;
    let _peer = Peer::connect(address)?;
    let (accepted, _) = patiently(|| listener.accept())?;
    see("receiving without input", accepted.recv(&mut [0]));
    let (listener, address, event) = registered(stage)?;
    let _peer = Peer::connect(address)?;
    event.wait(Some(LONG))?;
    let (accepted, _) = listener.accept()?;
    see("with a registered listener", accepted.recv(&mut [0]));
    see("made blocking", accepted.set_nonblocking(false));
    Ok(())
}

fn inherits_options(_: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let inherited = [
        ("keepalive", "true"),
        ("no-delay", "true"),
        ("linger", "7"),
        ("oob-inline", "true"),
        ("receive-timeout", "3"),
        ("send-timeout", "4"),
    ];
    for (option, value) in inherited {
        options::set(&listener, option, value)??;
    }
    let _peer = Peer::connect(address)?;
    let (accepted, _) = listener.accept()?;
    for (option, _) in inherited {
        see(option, options::get(&accepted, option)?);
    }
    Ok(())
}

fn elsewhere(stage: &Stage) -> Result<()> {
    let (listener, address, event) = registered(stage)?;
    let mut a = stage.holder(&listener)?;
    let mut peer = Peer::connect(address)?;
    see("told here", told(&listener, &event, ACCEPT));
    see("A accepts", a.ask("accept s c")?);
    peer.send("x")?;
    see("A receives", a.ask("receive c 1")?);
    see("the event object here is set", event.wait(Some(BRIEF)));
    Ok(())
}

fn apart(stage: &Stage) -> Result<()> {
    let (listener, address, event) = registered(stage)?;
    let mut peer = Peer::connect(address)?;
    see("told", told(&listener, &event, ACCEPT));
    let (accepted, _) = listener.accept_apart()?;
    peer.send("xy")?;
    see("accepted, it receives", take(&accepted, 1));
    see("the event object is set", event.wait(Some(BRIEF)));
    see("registered as its listener is", listener.pass_registration(&accepted));
    see("told", told(&accepted, &event, READ | WRITE));
    Ok(())
}
