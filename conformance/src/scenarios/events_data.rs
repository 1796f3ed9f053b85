//! Input, urgent data and room to send, as an event object is told of them.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Stage, address_of, connection, fill, loopback, take, udp};
use crate::watch::{ALL as EVERYTHING, quiet, told, untold};
use anyhow::Result;
use sharesock::{Event, NetworkEvents, Socket};
use std::net::UdpSocket;

pub(super) const ALL: &[Scenario] = &[
    scenario("read-each-arrival", "each arrival is told, though nothing was received", "4.4", each_arrival),
    scenario("read-partial", "a receive that leaves something is told of it", "4.5", partial),
    scenario("read-failing", "a receive that finds nothing changes nothing", "4.5", failing),
    scenario("read-spurious", "an event object stays set when its cause is gone", "4.9", spurious),
    scenario("read-datagrams", "each datagram that is left is told", "4.5", datagrams),
    scenario("oob", "urgent data is told for itself", "4.5", oob),
    scenario("oob-second", "a second urgent byte, the first not received", "4.4", oob_second),
    scenario("oob-inline", "urgent data that is received in line is input", "4.5", oob_inline),
    scenario("write-once", "room is told once of an accepted connection", "4.6", once),
    scenario("write-sent", "a send that succeeds changes nothing", "4.5, 4.6", sent),
    scenario("write-blocked", "room is told once after a send that would block", "4.5, 4.6", blocked),
    scenario("write-udp-bound", "room is told once of a bound socket for datagrams", "4.6", udp_bound),
    scenario("write-udp-unbound", "an unbound one is silent until it is bound, or connected", "4.6", udp_unbound),
    scenario("write-udp-connected", "a bound one is connected", "4.6, 4.13", udp_connected),
];

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const OOB: NetworkEvents = NetworkEvents::OOB;
const CONNECT: NetworkEvents = NetworkEvents::CONNECT;

fn each_arrival(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    for arrival in ["the first", "the second", "the third"] {
        peer.send("x")?;
        see(arrival, told(&socket, &event, READ));
        see("then", untold(&socket, &event));
    }
    see("received", take(&socket, 10));
    see("then", untold(&socket, &event));
    Ok(())
}

fn partial(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send("abc")?;
    see("told", told(&socket, &event, READ));
    for _ in 0..2 {
        see("received of what is there", take(&socket, 1));
        see("told", told(&socket, &event, READ));
    }
    see("received", take(&socket, 1));
    see("told", untold(&socket, &event));
    Ok(())
}

fn failing(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    see("receiving without input", socket.recv(&mut [0]));
    see("told", untold(&socket, &event));
    peer.send("x")?;
    see("told of what arrives", told(&socket, &event, READ));
    Ok(())
}

fn spurious(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send("x")?;
    see("it is set", event.wait(Some(LONG)));
    see("received before it was asked about", take(&socket, 1));
    see("told", untold(&socket, &event));
    see("then", untold(&socket, &event));
    Ok(())
}

fn datagrams(stage: &Stage) -> Result<()> {
    let (socket, address) = udp()?;
    let event = quiet(&stage.domain, &socket)?;
    let sender = UdpSocket::bind(loopback())?;
    for text in ["one", "two", "three"] {
        sender.send_to(text.as_bytes(), address)?;
    }
    see("told", told(&socket, &event, READ));
    for _ in 0..2 {
        see("received", take(&socket, 10));
        see("told", told(&socket, &event, READ));
    }
    see("received", take(&socket, 10));
    see("told", untold(&socket, &event));
    Ok(())
}

fn oob(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    for text in ["!", "?"] {
        peer.send_urgent(text)?;
        see("told", told(&socket, &event, OOB));
        let mut byte = [0];
        let received = socket.recv_oob(&mut byte);
        see("received", received.map(|_| String::from_utf8_lossy(&byte).into_owned()));
        see("told", untold(&socket, &event));
    }
    Ok(())
}

fn oob_second(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    peer.send_urgent("!")?;
    see("told", told(&socket, &event, OOB));
    peer.send_urgent("?")?;
    peer.send("x")?;
    // Input, which is told of in any case, shows that the byte before it has arrived; after a moment one look finds both.
    std::thread::sleep(BRIEF);
    see("told when another byte and input are there", told(&socket, &event, READ));
    let mut byte = [0];
    let received = socket.recv_oob(&mut byte);
    see("received", received.map(|_| String::from_utf8_lossy(&byte).into_owned()));
    Ok(())
}

fn oob_inline(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    socket.as_socket().set_out_of_band_inline(true)?;
    peer.send_urgent("!")?;
    see("told", told(&socket, &event, READ));
    see("received", take(&socket, 1));
    see("told", untold(&socket, &event));
    Ok(())
}

fn once(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, EVERYTHING)?;
    see("told", told(&socket, &event, WRITE));
    for _ in 0..2 {
        socket.event_select(&event, EVERYTHING)?;
        see("registered again", untold(&socket, &event));
    }
    Ok(())
}

fn sent(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, WRITE)?;
    see("sent before it was asked about", socket.send(b"hello"));
    see("told", told(&socket, &event, WRITE));
    see("sent", socket.send(b"hello"));
    see("the peer hears", peer.hear(10)?);
    see("told", untold(&socket, &event));
    Ok(())
}

fn blocked(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    for _ in 0..2 {
        let (sent, refused) = fill(&socket)?;
        see("filled until a send is", refused);
        // What room there was meanwhile may have set it.
        event.reset()?;
        see("told", untold(&socket, &event));
        peer.drain(sent)?;
        see("the peer has received all, told", told(&socket, &event, WRITE));
        see("then", untold(&socket, &event));
    }
    Ok(())
}

fn udp_bound(stage: &Stage) -> Result<()> {
    let (socket, _) = udp()?;
    let event = Event::manual(&stage.domain)?;
    socket.event_select(&event, EVERYTHING)?;
    see("told", told(&socket, &event, WRITE));
    for _ in 0..2 {
        socket.event_select(&event, EVERYTHING)?;
        see("registered again", untold(&socket, &event));
    }
    Ok(())
}

fn unbound() -> Result<Socket> {
    Ok(Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?)
}

fn udp_unbound(stage: &Stage) -> Result<()> {
    let event = Event::manual(&stage.domain)?;
    let socket = unbound()?;
    socket.event_select(&event, EVERYTHING)?;
    see("neither bound nor connected", untold(&socket, &event));
    socket.bind(&loopback().into())?;
    see("bound", told(&socket, &event, WRITE));
    let socket = unbound()?;
    socket.event_select(&event, EVERYTHING)?;
    see("another", untold(&socket, &event));
    let (other, _) = udp()?;
    socket.connect(&address_of(&other)?.into())?;
    see("connected", told(&socket, &event, CONNECT | WRITE));
    see("then", untold(&socket, &event));
    Ok(())
}

fn udp_connected(stage: &Stage) -> Result<()> {
    let (socket, _) = udp()?;
    let event = quiet(&stage.domain, &socket)?;
    let (_other, address) = udp()?;
    see("connected", socket.connect(&address.into()));
    see("told", told(&socket, &event, CONNECT));
    see("then", untold(&socket, &event));
    Ok(())
}
