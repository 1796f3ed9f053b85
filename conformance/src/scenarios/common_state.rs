//! All state is held in common: options, modes, addresses, queues, what a socket has become.

use super::{Scenario, scenario};
use crate::observe::{Seen, see};
use crate::options::{OF_TCP, OF_UDP, get, set};
use crate::stage::{BRIEF, Peer, Stage, address_of, connection, done, listener, loopback, take, udp, unconnected};
use anyhow::{Context, Result};
use sharesock::Socket;
use std::net::{Shutdown, UdpSocket};

pub(super) const ALL: &[Scenario] = &[
    scenario("options-tcp", "an option set through one descriptor is seen through the other", "R8, 3.1", options_tcp),
    scenario("options-udp", "the same of a socket for datagrams", "R8, 3.1", options_udp),
    scenario("blocking-mode", "whether a socket blocks is held in common", "R8, 3.1", blocking_mode),
    scenario("shutdown-sending", "sending is ended for all descriptors", "R8, 3.6", shutdown_sending),
    scenario("shutdown-receiving", "receiving is ended for all descriptors", "R8, 3.6", shutdown_receiving),
    scenario("shutdown-again", "a direction may be ended again, and needs a connection", "3.6", shutdown_again),
    scenario("addresses", "addresses are the same through all descriptors", "R8, 3.1, 3.6", addresses),
    scenario("connection-state", "so is how the connection stands", "R8, 3.1", connection_state),
    scenario("bytes-once", "each byte is received through one descriptor", "R5, R8, 3.1", bytes_once),
    scenario("datagrams-once", "each datagram is received through one descriptor", "R5, R8, 3.1", datagrams_once),
    scenario("independent", "processes send and receive independently of each other", "R5, R6", independent),
    scenario(
        "connections-once",
        "each waiting connection is accepted through one descriptor",
        "R8, 3.1",
        connections_once,
    ),
    scenario("bind-after-redemption", "what is bound later is bound for all", "R8, 3.2", bind_after),
    scenario("listen-after-redemption", "what listens later listens for all", "R8, 3.2", listen_after),
    scenario("connect-after-redemption", "what is connected later is connected for all", "R8, 3.2", connect_after),
];

fn options_tcp(stage: &Stage) -> Result<()> {
    options(stage, &connection()?.1, &OF_TCP)
}

fn options_udp(stage: &Stage) -> Result<()> {
    options(stage, &udp()?.0, &OF_UDP)
}

fn options(stage: &Stage, socket: &Socket, options: &[(&str, [&str; 2])]) -> Result<()> {
    let mut target = stage.holder(socket)?;
    for (option, [first, second]) in options {
        let here = set(socket, option, first)?.seen();
        let there = target.ask(&format!("option s {option}"))?;
        see(&format!("{option} set to {first} here"), format!("{here}; there {there}"));
        let there = target.ask(&format!("set-option s {option} {second}"))?;
        let here = get(socket, option)?.seen();
        see(&format!("{option} set to {second} there"), format!("{there}; here {here}"));
    }
    Ok(())
}

fn blocking_mode(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    see("made non-blocking here", socket.set_nonblocking(true));
    see("receiving there", target.ask("receive-now s 1")?);
    see("made blocking there", target.ask("blocking s true")?);
    target.tell("receive-now s 1")?;
    see("receiving there, without input", target.answer_within(BRIEF)?);
    peer.send("x")?;
    see("with input", target.answer()?);
    peer.send("y")?;
    see("receiving here", take(&socket, 1));
    Ok(())
}

fn shutdown_sending(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    see("ended there", target.ask("shutdown s write")?);
    see("the peer hears", peer.hear(1)?);
    see("sending here", socket.send(b"x"));
    see("sending there", target.ask("send s x")?);
    peer.send("still")?;
    see("receiving here", take(&socket, 5));
    Ok(())
}

fn shutdown_receiving(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    see("ended here", socket.shutdown(Shutdown::Read));
    see("receiving there", target.ask("receive-now s 1")?);
    see("receiving here", take(&socket, 1));
    target.ask("send s still")?;
    see("the peer hears", peer.hear(5)?);
    Ok(())
}

fn shutdown_again(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    see("sending ended here", socket.shutdown(Shutdown::Write));
    see("sending ended there", target.ask("shutdown s write")?);
    see("both ended there", target.ask("shutdown s both")?);
    see("both ended here", socket.shutdown(Shutdown::Both));
    see("of a socket without a connection", unconnected()?.shutdown(Shutdown::Both));
    see("sending of a listener", listener()?.0.shutdown(Shutdown::Write));
    Ok(())
}

fn addresses(stage: &Stage) -> Result<()> {
    let (peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    let local = address_of(&socket)?.to_string();
    let other = peer.address()?.to_string();
    // An address differs from run to run: what counts is whether it is the same.
    let compared = |there: String, here: &str| if there == here { "the same".to_owned() } else { there };
    see("its own address there", compared(target.ask("local-address s")?, &local));
    see("the peer's address there", compared(target.ask("peer-address s")?, &other));
    socket.shutdown(Shutdown::Both)?;
    peer.end()?;
    see("both sides have ended, its own there", compared(target.ask("local-address s")?, &local));
    see("the peer's there", compared(target.ask("peer-address s")?, &other));
    Ok(())
}

fn connection_state(stage: &Stage) -> Result<()> {
    let new = unconnected()?;
    let mut target = stage.holder(&new)?;
    see("of a new socket", target.ask("connection s")?);
    let (peer, socket) = connection()?;
    stage.share(&socket, &mut target, "s")?;
    see("of a connection", target.ask("connection s")?);
    peer.end()?;
    see("the peer ends, received here", take(&socket, 1));
    see("there", target.ask("connection s")?);
    target.ask("shutdown s write")?;
    drop(peer);
    see("of what both sides have ended, here", format!("{:?}", socket.connection()));
    let (peer, socket) = connection()?;
    stage.share(&socket, &mut target, "s")?;
    peer.reset()?;
    see("the peer resets, received here", take(&socket, 1));
    see("there", target.ask("connection s")?);
    see("of a socket for datagrams", format!("{:?}", udp()?.0.connection()));
    Ok(())
}

fn bytes_once(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    peer.send("abcdef")?;
    see("here", take(&socket, 2));
    see("there", target.ask("receive s 1")?);
    see("here", take(&socket, 1));
    see("there", target.ask("receive s 10")?);
    socket.set_nonblocking(true)?;
    see("there, then", target.ask("receive-now s 10")?);
    Ok(())
}

fn datagrams_once(stage: &Stage) -> Result<()> {
    let (socket, address) = udp()?;
    let mut target = stage.holder(&socket)?;
    let sender = UdpSocket::bind(loopback())?;
    for text in ["one", "two", "three"] {
        sender.send_to(text.as_bytes(), address)?;
    }
    see("here", take(&socket, 10));
    see("there", target.ask("receive s 10")?);
    see("here", take(&socket, 10));
    socket.set_nonblocking(true)?;
    see("there, then", target.ask("receive-now s 10")?);
    Ok(())
}

fn independent(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    // One waits for input in this direction while the other sends in that.
    target.tell("receive s 1")?;
    socket.send(b"meanwhile")?;
    see("one receives there, the peer hears from here", peer.hear(9)?);
    peer.send("x")?;
    see("it receives", target.answer()?);
    std::thread::scope(|scope| -> Result<()> {
        let receiving = scope.spawn(|| take(&socket, 1));
        target.ask("send s meanwhile")?;
        see("one receives here, the peer hears from there", peer.hear(9)?);
        peer.send("y")?;
        see("it receives", receiving.join().ok().context("a thread failed")?);
        Ok(())
    })
}

fn connections_once(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let mut target = stage.holder(&listener)?;
    let mut peers = [Peer::connect(address)?, Peer::connect(address)?];
    see("accepted there", target.ask("accept s c")?);
    target.ask("send c there")?;
    let accepted = listener.accept().map(|(socket, _)| socket);
    see("accepted here", &accepted);
    accepted?.send(b"here!")?;
    for (name, peer) in ["the first peer hears", "the second peer hears"].iter().zip(&mut peers) {
        see(name, peer.hear(5)?);
    }
    Ok(())
}

fn bind_after(stage: &Stage) -> Result<()> {
    let socket = Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    let mut target = stage.holder(&socket)?;
    see("bound here", socket.bind(&loopback().into()));
    UdpSocket::bind(loopback())?.send_to(b"hello", address_of(&socket)?)?;
    see("received there", target.ask("receive s 10")?);
    Ok(())
}

fn listen_after(stage: &Stage) -> Result<()> {
    let socket = unconnected()?;
    let mut target = stage.holder(&socket)?;
    see("bound here", socket.bind(&loopback().into()));
    see("listening there", target.ask("listen s")?);
    let mut peer = Peer::connect(address_of(&socket)?);
    see("a peer connects", peer.as_ref().map(drop).map_err(|error| std::io::Error::from(error.kind())));
    if let Ok(peer) = &mut peer {
        see("accepted there", target.ask("accept s c")?);
        done(&target.ask("close c")?)?;
        see("closed there, the peer hears", peer.hear(1)?);
    }
    Ok(())
}

fn connect_after(stage: &Stage) -> Result<()> {
    let socket = unconnected()?;
    let mut target = stage.holder(&socket)?;
    let (listener, address) = listener()?;
    see("connected here", socket.connect(&address.into()));
    let (mut other, _) = listener.accept()?;
    see("sent there", target.ask("send s hello")?);
    see("the other side receives", take(&other, 5));
    std::io::Write::write_all(&mut other, b"answer")?;
    see("received there", target.ask("receive s 6")?);
    Ok(())
}
