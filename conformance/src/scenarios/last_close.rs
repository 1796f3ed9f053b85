//! Closing: a descriptor alone, or with the last of them the socket.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Peer, Stage, connection, done, listener, take, udp};
use anyhow::{Context, Result};
use std::net::UdpSocket;
use std::time::Duration;

pub(super) const ALL: &[Scenario] = &[
    scenario("close-source", "the source closes, the socket lives until its target closes", "R9, 3.3, 3.5", source),
    scenario("close-target", "the target closes, the socket lives until its source closes", "R9, 3.3, 3.5", target),
    scenario("close-by-exit", "a process that ends closes its descriptors", "R9, 3.5", by_exit),
    scenario("close-by-kill", "so does one that is killed", "R9, 3.5", by_kill),
    scenario(
        "close-by-kill-not-last",
        "one that is killed takes nobody else's descriptor with it",
        "R9, 3.5",
        kill_one,
    ),
    scenario("close-clones", "clones in one process are descriptors like any others", "R9, 2.4", clones),
    scenario("close-while-receiving", "closing another descriptor does not end a receive", "3.4", while_receiving),
    scenario("close-unread", "input that is unread at the last close resets the connection", "3.3", unread),
    scenario("linger-hard", "a hard close is made by the last descriptor", "3.3, 3.5", linger),
    scenario("close-listener", "a listener accepts until its last descriptor is closed", "R9, 3.5", of_listener),
    scenario("close-udp", "a bound address is free when the last descriptor is closed", "R9, 3.4", of_udp),
];

fn source(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    drop(socket);
    see("the source closes, the peer hears", peer.listen()?);
    target.ask("send s alive")?;
    see("and from the target", peer.hear(5)?);
    done(&target.ask("close s")?)?;
    see("the target closes, the peer hears", peer.hear(1)?);
    Ok(())
}

fn target(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    done(&target.ask("close s")?)?;
    see("the target closes, the peer hears", peer.listen()?);
    socket.send(b"alive")?;
    see("and from the source", peer.hear(5)?);
    drop(socket);
    see("the source closes, the peer hears", peer.hear(1)?);
    Ok(())
}

fn by_exit(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let target = stage.holder(&socket)?;
    drop(socket);
    see("the source closes, the peer hears", peer.listen()?);
    target.end()?;
    see("the target ends, the peer hears", peer.hear(1)?);
    Ok(())
}

fn by_kill(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let target = stage.holder(&socket)?;
    drop(socket);
    see("the source closes, the peer hears", peer.listen()?);
    target.kill()?;
    see("the target is killed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn kill_one(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    stage.holder(&socket)?.kill()?;
    see("a process is killed, the peer hears", peer.listen()?);
    socket.send(b"alive")?;
    see("and from another that holds the socket", peer.hear(5)?);
    peer.send("answer")?;
    see("which receives", take(&socket, 6));
    Ok(())
}

fn clones(_: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let clones = [socket.try_clone()?, socket.try_clone()?];
    see("they are one socket", clones.iter().all(|clone| *clone == socket));
    drop(socket);
    for clone in clones {
        see("one is closed, the peer hears", peer.listen()?);
        clone.send(b"x")?;
        see("and from the next", peer.hear(1)?);
    }
    see("all are closed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn while_receiving(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let clone = socket.try_clone()?;
    let mut target = stage.holder(&socket)?;
    target.tell("receive s 1")?;
    std::thread::scope(|scope| -> Result<()> {
        let receiving = scope.spawn(|| take(&clone, 1));
        // Most likely both wait by now; the result is the same if they do not.
        std::thread::sleep(BRIEF);
        drop(socket);
        peer.send("xx")?;
        see("a thread receives through a clone", receiving.join().ok().context("a thread failed")?);
        see("another process receives", target.answer()?);
        Ok(())
    })
}

fn unread(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    peer.send("unread")?;
    see("what arrives first", take(&socket, 2));
    drop(socket);
    see("the source closes, the peer hears", peer.listen()?);
    done(&target.ask("close s")?)?;
    see("the target closes, the peer hears", peer.hear(1)?);
    Ok(())
}

fn linger(stage: &Stage) -> Result<()> {
    for (setter, of_source) in [("the source", true), ("the target", false)] {
        let (mut peer, socket) = connection()?;
        let mut target = stage.holder(&socket)?;
        if of_source {
            socket.as_socket().set_linger(Some(Duration::ZERO))?;
            drop(socket);
            see(&format!("{setter} asks for a hard close and closes, the peer hears"), peer.listen()?);
            done(&target.ask("close s")?)?;
        } else {
            done(&target.ask("set-option s linger 0")?)?;
            done(&target.ask("close s")?)?;
            see(&format!("{setter} asks for a hard close and closes, the peer hears"), peer.listen()?);
            drop(socket);
        }
        see("the other closes, the peer hears", peer.hear(1)?);
    }
    Ok(())
}

fn of_listener(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let mut target = stage.holder(&listener)?;
    drop(listener);
    let peer = Peer::connect(address).map(drop);
    see("the source closes, connecting", peer);
    see("the target accepts", target.ask("accept s c")?);
    done(&target.ask("close s")?)?;
    see("the target closes, connecting", Peer::connect(address).map(drop));
    Ok(())
}

fn of_udp(stage: &Stage) -> Result<()> {
    let (socket, address) = udp()?;
    let mut target = stage.holder(&socket)?;
    drop(socket);
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", address)?;
    see("the source closes, the target receives", target.ask("receive s 10")?);
    see("binding the address", UdpSocket::bind(address).map(drop));
    done(&target.ask("close s")?)?;
    let again = UdpSocket::bind(address);
    see(
        "the target closes, binding the address",
        again.as_ref().map(drop).map_err(|error| std::io::Error::from(error.kind())),
    );
    again?.set_read_timeout(Some(LONG))?;
    Ok(())
}
