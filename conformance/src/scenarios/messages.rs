//! Messages: one for each event, and when it comes again.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{LONG, Peer, Stage, begin_connect, connection, fill, listener, nobody, take, udp, unconnected};
use crate::watch::{ALL as EVERYTHING, ID, messages, no_message};
use anyhow::{Result, ensure};
use sharesock::{Event, MessageQueue, NetworkEvents, Socket};

pub(super) const ALL: &[Scenario] = &[
    scenario("message-each-event", "one message for each event", "5.1, 5.2", each_event),
    scenario("message-connect", "a connection is told before room to send", "4.7, 5.2", connect),
    scenario("message-connect-refused", "a refused connection is told with its code", "4.7, 5.2", refused),
    scenario("message-connect-before", "a connection that was made before is not told", "4.7, 5.2", connect_before),
    scenario("message-selected-again", "registering again tells again what holds", "5.2", selected_again),
    scenario("message-read-once", "input is told once until something is received", "4.4, 5.2", read_once),
    scenario("message-accept-once", "connections are told once until one is accepted", "4.4, 5.2", accept_once),
    scenario("message-oob-once", "urgent data is told once until it is received", "4.4, 5.2", oob_once),
    scenario("message-write", "room is told again after a send that would block", "4.6, 5.2", write),
    scenario("message-udp", "room is told of an unbound socket for datagrams, too", "4.6, 5.2", of_udp),
    scenario("message-close", "the end is told at once, and again when registered again", "4.8, 5.2", close),
    scenario("message-reset", "so is a reset, with its code", "4.8, 5.2", reset),
    scenario("message-cancelled", "a message that was not got when its registration is cancelled", "5.1", cancelled),
    scenario("message-own-close", "nothing is told of a socket that was closed here", "5.2", own_close),
    scenario("message-non-blocking", "asking for messages makes the socket non-blocking", "5.1", non_blocking),
    scenario("message-posted", "a program's own messages come in their turn", "5.1", posted),
];

const READ: NetworkEvents = NetworkEvents::READ;

/// A connection of which room to send has been told.
fn quiet(stage: &Stage) -> Result<(Peer, Socket, MessageQueue)> {
    let (peer, socket) = connection()?;
    let queue = MessageQueue::new(&stage.domain)?;
    socket.async_select(&queue, ID, EVERYTHING)?;
    ensure!(messages(&queue, 1)?.len() == 1, "nothing was told at first");
    Ok((peer, socket, queue))
}

fn each_event(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, queue) = quiet(stage)?;
    peer.send("x")?;
    see("input arrives", messages(&queue, 1));
    peer.end()?;
    see("the peer ends", messages(&queue, 1));
    see("then", no_message(&queue));
    Ok(())
}

fn connect(stage: &Stage) -> Result<()> {
    let (_listener, address) = listener()?;
    let (socket, queue) = (unconnected()?, MessageQueue::new(&stage.domain)?);
    socket.async_select(&queue, ID, EVERYTHING)?;
    see("before", no_message(&queue));
    begin_connect(&socket, address)?;
    see("connected", messages(&queue, 2));
    see("then", no_message(&queue));
    Ok(())
}

fn refused(stage: &Stage) -> Result<()> {
    let (_nobody, address) = nobody()?;
    let (socket, queue) = (unconnected()?, MessageQueue::new(&stage.domain)?);
    socket.async_select(&queue, ID, EVERYTHING)?;
    begin_connect(&socket, address)?;
    see("refused", messages(&queue, 1));
    see("then", no_message(&queue));
    Ok(())
}

fn connect_before(stage: &Stage) -> Result<()> {
    let (_listener, address) = listener()?;
    let (socket, queue) = (unconnected()?, MessageQueue::new(&stage.domain)?);
    socket.connect(&address.into())?;
    socket.async_select(&queue, ID, EVERYTHING)?;
    see("connected before", messages(&queue, 1));
    see("then", no_message(&queue));
    let (socket, queue) = (unconnected()?, MessageQueue::new(&stage.domain)?);
    socket.async_select(&queue, ID, NetworkEvents::WRITE)?;
    begin_connect(&socket, address)?;
    see("connected when only room was asked for", messages(&queue, 1));
    socket.async_select(&queue, ID, NetworkEvents::CONNECT)?;
    see("the connection asked for", no_message(&queue));
    Ok(())
}

fn selected_again(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    peer.send("x")?;
    see("input arrives", messages(&queue, 1));
    for _ in 0..2 {
        socket.async_select(&queue, ID + 1, EVERYTHING)?;
        see("registered again with another id", messages(&queue, 2));
        see("then", no_message(&queue));
    }
    Ok(())
}

fn read_once(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    peer.send("ab")?;
    see("input arrives", messages(&queue, 1));
    peer.send("c")?;
    see("more arrives", no_message(&queue));
    see("received", take(&socket, 1));
    see("told of what is left", messages(&queue, 1));
    see("received", take(&socket, 10));
    see("told", no_message(&queue));
    see("receiving without input", socket.recv(&mut [0]));
    peer.send("d")?;
    see("input arrives", messages(&queue, 1));
    Ok(())
}

fn accept_once(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let queue = MessageQueue::new(&stage.domain)?;
    listener.async_select(&queue, ID, NetworkEvents::ACCEPT)?;
    let _first = Peer::connect(address)?;
    see("one connects", messages(&queue, 1));
    let _second = Peer::connect(address)?;
    see("another connects", no_message(&queue));
    see("accepted", listener.accept().map(drop));
    see("told of what is left", messages(&queue, 1));
    see("accepted", listener.accept().map(drop));
    see("told", no_message(&queue));
    Ok(())
}

fn oob_once(stage: &Stage) -> Result<()> {
    let (peer, socket, queue) = quiet(stage)?;
    socket.async_select(&queue, ID, NetworkEvents::OOB)?;
    peer.send_urgent("!")?;
    see("urgent data arrives", messages(&queue, 1));
    see("received", socket.recv_oob(&mut [0]));
    see("told", no_message(&queue));
    peer.send_urgent("?")?;
    see("more arrives", messages(&queue, 1));
    Ok(())
}

fn write(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    see("sent", socket.send(b"x"));
    see("told", no_message(&queue));
    let (sent, refused) = fill(&socket)?;
    see("filled until a send is", refused);
    see("told", no_message(&queue));
    peer.drain(sent + 1)?;
    see("the peer has received all, told", messages(&queue, 1));
    see("then", no_message(&queue));
    Ok(())
}

fn of_udp(stage: &Stage) -> Result<()> {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    let queue = MessageQueue::new(&stage.domain)?;
    socket.async_select(&queue, ID, EVERYTHING)?;
    see("unbound", messages(&queue, 1));
    see("then", no_message(&queue));
    let (_other, address) = udp()?;
    see("connecting", socket.connect(&address.into()));
    see("told", no_message(&queue));
    Ok(())
}

fn close(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    socket.async_select(&queue, ID, NetworkEvents::CLOSE)?;
    peer.send("x")?;
    peer.end()?;
    see("the end, with input unread", messages(&queue, 1));
    see("received", take(&socket, 1));
    see("then", no_message(&queue));
    for _ in 0..2 {
        socket.async_select(&queue, ID, NetworkEvents::CLOSE)?;
        see("registered again", messages(&queue, 1));
    }
    see("then", no_message(&queue));
    Ok(())
}

fn reset(stage: &Stage) -> Result<()> {
    let (peer, socket, queue) = quiet(stage)?;
    peer.reset()?;
    see("a reset", messages(&queue, 1));
    see("then", no_message(&queue));
    socket.async_select(&queue, ID, NetworkEvents::CLOSE)?;
    see("registered again", messages(&queue, 1));
    Ok(())
}

fn cancelled(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    peer.send("xy")?;
    see("input arrives, part of it received", take(&socket, 1));
    socket.cancel_select()?;
    see("cancelled, got", no_message(&queue));
    peer.send("z")?;
    see("received", take(&socket, 1));
    see("got", no_message(&queue));
    Ok(())
}

fn own_close(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    drop(socket);
    see("the peer hears", peer.hear(1)?);
    drop(peer);
    see("got", no_message(&queue));
    Ok(())
}

fn non_blocking(stage: &Stage) -> Result<()> {
    let (_peer, socket, queue) = quiet(stage)?;
    see("receiving without input", socket.recv(&mut [0]));
    see("made blocking", socket.set_nonblocking(false));
    socket.async_select(&queue, ID, NetworkEvents::empty())?;
    see("cancelled and made blocking", socket.set_nonblocking(false));
    Ok(())
}

fn posted(stage: &Stage) -> Result<()> {
    let (mut peer, socket, queue) = quiet(stage)?;
    see("got", queue.try_get());
    queue.post(1, 2, 3)?;
    queue.post(4, 5, 6)?;
    see("posted", messages(&queue, 2));
    // An event object in another registration shows that the input has arrived.
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, READ)?;
    peer.send("x")?;
    see("input arrives", event.wait(Some(LONG)));
    socket.async_select(&queue, ID, READ)?;
    queue.post(1, 0, 0)?;
    see("registered, then posted", messages(&queue, 2));
    Ok(())
}
