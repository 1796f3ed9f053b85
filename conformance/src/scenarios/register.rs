//! Registering an event object: what it makes of the socket, of the record, and of the event object.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Peer, Stage, begin_connect, connection, listener, take, unconnected};
use crate::watch::{ALL as EVERYTHING, enumerated, quiet, told, untold};
use anyhow::Result;
use sharesock::{Event, NetworkEvents};

pub(super) const ALL: &[Scenario] = &[
    scenario("select-non-blocking", "registering makes the socket non-blocking", "R8, 4.2", non_blocking),
    scenario("select-refuses-blocking", "a registered socket cannot be made blocking", "4.2", refuses_blocking),
    scenario("select-cancel", "a registration is cancelled by asking for nothing, or by name", "4.2, 4.3", cancel),
    scenario("select-unreportable", "events that do not occur at one socket", "4.1, 4.2", unreportable),
    scenario("select-unconnected", "nothing is told of a TCP socket that is nothing yet", "4.2", silent),
    scenario("select-other-domain", "a socket shares its events in one domain", "4.2", other_domain),
    scenario("record-kept", "registering again does not clear what was recorded", "4.3 R1", kept),
    scenario("record-consumed", "what was told is not told again by registering again", "4.3 R2", consumed),
    scenario("record-object-left", "registering does not reset the event object", "4.3 R3", object_left),
    scenario("record-unselected", "what was not asked for is recorded, and told when it is", "4.3 R4", unselected),
    scenario("record-from-birth", "recording begins with the socket", "4.3 R5", from_birth),
    scenario("record-enumerated", "enumerating tells and clears only what is asked for", "4.3 R6", masks),
    scenario("record-cancelled", "nothing is enumerated without a registration", "4.3 R7", cancelled),
    scenario("record-drained", "what was consumed before anybody asked is not told", "4.3 R8", drained),
    scenario("enumerate-resets", "enumerating resets the event object it is given", "4.10", resets),
];

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;

fn non_blocking(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    socket.event_select(&Event::manual(&stage.domain)?, READ)?;
    see("receiving without input", socket.recv(&mut [0]));
    let (_peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    socket.event_select(&Event::manual(&stage.domain)?, NetworkEvents::empty())?;
    see("the same in another process, nothing asked for", target.ask("receive-now s 1")?);
    Ok(())
}

fn refuses_blocking(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    see("made blocking", socket.set_nonblocking(false));
    see("made non-blocking", socket.set_nonblocking(true));
    socket.event_select(&event, NetworkEvents::empty())?;
    see("cancelled and made blocking", socket.set_nonblocking(false));
    Ok(())
}

fn cancel(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    see("without a registration", socket.cancel_select());
    let event = quiet(&stage.domain, &socket)?;
    see("by asking for nothing", socket.event_select(&event, NetworkEvents::empty()));
    peer.send("x")?;
    see("what arrives", take(&socket, 1));
    see("told", untold(&socket, &event));
    socket.event_select(&event, READ)?;
    see("by name", socket.cancel_select());
    peer.send("y")?;
    see("what arrives", take(&socket, 1));
    see("told", untold(&socket, &event));
    Ok(())
}

fn unreportable(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let event = Event::manual(&stage.domain)?;
    see("QOS", socket.event_select(&event, NetworkEvents::QOS));
    see("GROUP_QOS", socket.event_select(&event, NetworkEvents::GROUP_QOS));
    see("ROUTING_INTERFACE_CHANGE", socket.event_select(&event, NetworkEvents::ROUTING_INTERFACE_CHANGE));
    see("ADDRESS_LIST_CHANGE", socket.event_select(&event, NetworkEvents::ADDRESS_LIST_CHANGE));
    see("told", untold(&socket, &event));
    Ok(())
}

fn silent(stage: &Stage) -> Result<()> {
    let socket = unconnected()?;
    let event = Event::manual(&stage.domain)?;
    see("registered", socket.event_select(&event, EVERYTHING));
    see("told", untold(&socket, &event));
    Ok(())
}

fn other_domain(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    quiet(&stage.domain, &socket)?;
    let other = sharesock::Domain::at(stage.path("other"))?;
    see("an event object of another domain", socket.event_select(&Event::manual(&other)?, READ));
    let queue = sharesock::MessageQueue::new(&other)?;
    see("a queue of another domain", socket.async_select(&queue, 1, READ));
    Ok(())
}

fn kept(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let first = quiet(&stage.domain, &socket)?;
    peer.send("x")?;
    see("the first event object is set", first.wait(Some(LONG)));
    let second = Event::manual(&stage.domain)?;
    socket.event_select(&second, READ)?;
    see("registered with a second, which is set", second.is_set());
    see("told", told(&socket, &second, READ));
    Ok(())
}

fn consumed(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send("x")?;
    see("told", told(&socket, &event, READ));
    socket.event_select(&event, EVERYTHING)?;
    see("registered again", untold(&socket, &event));
    socket.event_select(&event, WRITE)?;
    socket.event_select(&event, EVERYTHING)?;
    see("registered for something else and again", untold(&socket, &event));
    let other = Event::manual(&stage.domain)?;
    socket.event_select(&other, EVERYTHING)?;
    see("registered with another event object", untold(&socket, &other));
    Ok(())
}

fn object_left(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let event = Event::manual(&stage.domain)?;
    listener.event_select(&event, NetworkEvents::ACCEPT)?;
    let _peer = Peer::connect(address)?;
    see("a connection waits, it is set", event.wait(Some(LONG)));
    listener.event_select(&event, READ)?;
    see("registered for something else, it is set", event.is_set());
    event.reset()?;
    listener.event_select(&event, READ)?;
    see("reset and registered for that again, it is set", event.wait(Some(BRIEF)));
    listener.event_select(&event, READ | NetworkEvents::ACCEPT)?;
    see("registered for connections again, it is set", event.wait(Some(BRIEF)));
    see("told", told(&listener, &event, NetworkEvents::ACCEPT));
    Ok(())
}

fn unselected(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    socket.event_select(&event, NetworkEvents::CLOSE)?;
    peer.send("xy")?;
    see("part of what arrives", take(&socket, 1));
    see("told, when only the end is asked for", untold(&socket, &event));
    socket.event_select(&event, READ)?;
    see("told, when input is asked for", told(&socket, &event, READ));

    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    socket.cancel_select()?;
    peer.send("xy")?;
    see("cancelled, part of what arrives", take(&socket, 1));
    socket.event_select(&event, EVERYTHING)?;
    see("told, when it is registered again", told(&socket, &event, READ));
    Ok(())
}

fn from_birth(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let socket = unconnected()?;
    begin_connect(&socket, address)?;
    let (accepted, _) = listener.accept()?;
    accepted.send(b"x")?;
    see("long connected, it receives", take(&socket, 1));
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, EVERYTHING)?;
    see("told at the first registration", told(&socket, &event, CONNECT | WRITE));
    see("then", untold(&socket, &event));
    Ok(())
}

fn masks(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    peer.send("x")?;
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, READ)?;
    see("told, when input is asked for", told(&socket, &event, READ));
    socket.event_select(&event, READ | WRITE)?;
    see("told, when room is asked for, too", told(&socket, &event, WRITE));
    Ok(())
}

fn cancelled(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    see("never registered", enumerated(&socket));
    let event = quiet(&stage.domain, &socket)?;
    peer.send("x")?;
    event.wait(Some(LONG))?;
    socket.cancel_select()?;
    see("cancelled after input was recorded", enumerated(&socket));
    Ok(())
}

fn drained(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    peer.send("x")?;
    see("received", take(&socket, 1));
    let event = quiet(&stage.domain, &socket)?;
    see("registered then", untold(&socket, &event));
    let (listener, address) = listener()?;
    let _peer = Peer::connect(address)?;
    see("accepted", listener.accept().map(|(socket, _)| socket));
    let event = Event::manual(&stage.domain)?;
    listener.event_select(&event, EVERYTHING)?;
    see("registered then", untold(&listener, &event));
    Ok(())
}

fn resets(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send("x")?;
    event.wait(Some(LONG))?;
    see("enumerated without the event object", enumerated(&socket));
    see("it is set", event.is_set());
    see("enumerated with it", socket.enum_network_events(Some(&event)).map(|occurred| occurred.events().to_string()));
    see("it is set", event.is_set());
    let other = Event::manual(&stage.domain)?;
    other.set()?;
    socket.enum_network_events(Some(&other))?;
    see("enumerated with another that was set, which is set", other.is_set());
    Ok(())
}
