//! Handing off: sockets given away with bytes of the program's own.

use super::{Scenario, scenario};
use crate::actor::Actor;
use crate::observe::{Bytes, Seen, see};
use crate::stage::{BRIEF, LONG, Peer, Stage, connection, done, listener, udp};
use crate::watch::quiet;
use anyhow::{Context, Result};
use sharesock::Parcel;
use std::collections::VecDeque;
use std::time::Duration;

pub(super) const ALL: &[Scenario] = &[
    scenario("typical", "one process connects, others exchange the information", "R7", typical),
    scenario("hand-off", "a socket is given away with bytes", "R7", one),
    scenario("hand-off-bytes", "so many bytes go with a socket", "R7", bytes),
    scenario("hand-off-order", "sockets arrive in their order, many in one message", "R7", order),
    scenario("hand-off-nobody", "who does not receive cannot be handed off to", "R7", nobody),
    scenario("hand-off-receiver-closed", "a receiver that closes leaves what it did not take", "R7", receiver_closed),
    scenario(
        "hand-off-receiver-killed",
        "what a killed process did not take comes back, exactly that",
        "R7",
        receiver_killed,
    ),
    scenario("hand-off-sender-killed", "what a killed process has handed off arrives", "R7", sender_killed),
    scenario("hand-off-forgotten", "what nobody takes and nobody reclaims is closed", "R7, 3.5", forgotten),
    scenario("hand-off-flush", "a sender waits until all was taken", "R7", flush),
    scenario("hand-off-reclaim", "what was reclaimed cannot be taken", "R7", reclaim),
    scenario("hand-off-twice", "a process has one receiver in a domain", "R7", twice),
    scenario("hand-off-registered", "a registration does not travel with a socket", "R10", registered),
];

/// Another process, with an open receiver.
fn receiver(stage: &Stage) -> Result<Actor> {
    let mut actor = stage.actor()?;
    done(&actor.ask("receiver")?)?;
    Ok(actor)
}

fn typical(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let mut workers = [receiver(stage)?, receiver(stage)?];
    let mut peers = Vec::new();
    for worker in &mut workers {
        let sender = stage.endpoint.sender(worker.pid())?;
        peers.push(Peer::connect(address)?);
        see("accepted and handed off", sender.hand_off(Parcel::new(listener.accept()?.0)));
        worker.ask("take c")?;
        sender.flush(LONG)?;
    }
    drop(listener);
    for ((name, worker), peer) in ["first", "second"].iter().zip(&mut workers).zip(&mut peers) {
        peer.send("question")?;
        see(&format!("the {name} worker receives"), worker.ask("receive c 8")?);
        worker.ask(&format!("send c {name}"))?;
        see("its peer hears", peer.hear(name.len())?);
        done(&worker.ask("close c")?)?;
        see("it closes, its peer hears", peer.hear(1)?);
    }
    Ok(())
}

fn one(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    see("handed off", sender.hand_off(Parcel::new(socket).with_bytes(b"a session".to_vec())));
    see("with it came", target.ask("take s")?);
    target.ask("send s hello")?;
    see("the peer hears", peer.hear(5)?);
    see("all were taken", sender.flush(LONG));
    done(&target.ask("close s")?)?;
    see("the target closes, the peer hears", peer.hear(1)?);
    Ok(())
}

fn bytes(stage: &Stage) -> Result<()> {
    let receiver = stage.endpoint.receiver()?;
    let sender = stage.endpoint.sender(std::process::id())?;
    for length in [0, 1, Parcel::MOST_BYTES, Parcel::MOST_BYTES + 1] {
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
        let handed = sender.hand_off(Parcel::new(udp()?.0).with_bytes(bytes.clone()));
        see(&format!("{length} bytes"), &handed);
        match handed {
            Ok(()) => see("arrive as they were", receiver.receive()?.bytes() == bytes),
            Err(refused) => see("come back as they were", refused.parcel.bytes() == bytes),
        }
    }
    Ok(())
}

fn order(stage: &Stage) -> Result<()> {
    const COUNT: usize = 300;
    let receiver = stage.endpoint.receiver()?;
    let sender = stage.endpoint.sender(std::process::id())?;
    let mut ids = Vec::new();
    let mut parcels = VecDeque::new();
    for index in 0..COUNT {
        let (socket, _) = udp()?;
        ids.push(socket.id()?);
        parcels.push_back(Parcel::new(socket).with_bytes(index.to_string().into_bytes()));
    }
    see("handed off in as many messages as needed", sender.hand_off_many(&mut parcels));
    see("not accepted", parcels.len());
    let mut right = 0;
    for (index, id) in ids.iter().enumerate() {
        let parcel = receiver.receive_within(LONG)?.context("all of them arrive")?;
        right += usize::from(parcel.socket().id()? == *id && parcel.bytes() == index.to_string().into_bytes());
    }
    see("of 300 arrive in order, with their own bytes", right);
    see("more arrive", receiver.try_receive()?.is_some());
    Ok(())
}

fn nobody(stage: &Stage) -> Result<()> {
    let attempt = |pid: u32| stage.endpoint.sender(pid).map(drop);
    let target = stage.actor()?;
    see("a process without a receiver", attempt(target.pid()));
    see("process id 0", attempt(0));
    let pid = target.pid();
    target.kill()?;
    see("a process that has ended", attempt(pid));
    Ok(())
}

/// Hands off as many sockets for datagrams, whose bytes are their numbers.
fn hand_off(sender: &sharesock::Sender, count: usize) -> Result<()> {
    for index in 0..count {
        sender.hand_off(Parcel::new(udp()?.0).with_bytes(index.to_string().into_bytes()))?;
    }
    Ok(())
}

/// The numbers of parcels.
fn numbers(parcels: &[Parcel]) -> String {
    parcels.iter().map(|parcel| Bytes(parcel.bytes().to_vec()).seen()).collect::<Vec<_>>().join(", ")
}

fn receiver_closed(stage: &Stage) -> Result<()> {
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    hand_off(&sender, 3)?;
    see("three handed off, taken", target.ask("take s")?);
    done(&target.ask("receiver close")?)?;
    see("waiting for the rest to be taken", sender.flush(LONG));
    see("the link is closed", sender.is_closed());
    let refused = sender.hand_off(Parcel::new(udp()?.0));
    see("handing off one more", refused);
    see("reclaimed", numbers(&sender.reclaim()));
    Ok(())
}

fn receiver_killed(stage: &Stage) -> Result<()> {
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    hand_off(&sender, 5)?;
    see("five handed off, taken", target.ask("take s")?);
    see("taken", target.ask("take s")?);
    target.kill()?;
    see("waiting for the rest to be taken", sender.flush(LONG));
    let left = sender.reclaim();
    see("reclaimed", numbers(&left));
    let mut other = receiver(stage)?;
    let sender = stage.endpoint.sender(other.pid())?;
    let mut left = VecDeque::from(left);
    see("given to another", sender.hand_off_many(&mut left));
    for _ in 0..3 {
        see("it takes", other.ask("take s")?);
    }
    Ok(())
}

fn sender_killed(stage: &Stage) -> Result<()> {
    let mut target = receiver(stage)?;
    let mut source = stage.actor()?;
    done(&source.ask(&format!("sender {}", target.pid()))?)?;
    let (mut peer, socket) = connection()?;
    stage.share(&socket, &mut source, "s")?;
    drop(socket);
    for number in ["0", "1"] {
        done(&source.ask("udp u")?)?;
        done(&source.ask(&format!("hand-off u {number}"))?)?;
    }
    see("two and a connection are handed off", source.ask("hand-off s 2")?);
    source.kill()?;
    for _ in 0..3 {
        see("the source was killed, the target takes", target.ask("take s")?);
    }
    target.ask("send s hello")?;
    see("the peer hears", peer.hear(5)?);
    Ok(())
}

fn forgotten(stage: &Stage) -> Result<()> {
    let target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    let (mut peer, socket) = connection()?;
    sender.hand_off(Parcel::new(socket))?;
    drop(sender);
    see("the sender is dropped, the peer hears", peer.listen()?);
    target.kill()?;
    see("the target is killed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn flush(stage: &Stage) -> Result<()> {
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    see("nothing handed off", sender.flush(Duration::ZERO));
    hand_off(&sender, 2)?;
    see("two handed off", sender.flush(Duration::ZERO));
    see("not taken", sender.outstanding());
    target.ask("take s")?;
    see("one taken, not taken", sender.outstanding());
    target.ask("take s")?;
    see("both taken", sender.flush(LONG));
    see("not taken", sender.outstanding());
    Ok(())
}

fn reclaim(stage: &Stage) -> Result<()> {
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    hand_off(&sender, 3)?;
    see("three handed off, taken", target.ask("take s")?);
    see("reclaimed", numbers(&sender.reclaim()));
    see("taken", target.ask("try-take s")?);
    let sender = stage.endpoint.sender(target.pid())?;
    hand_off(&sender, 1)?;
    see("by another sender, taken", target.ask("take s")?);
    Ok(())
}

fn twice(stage: &Stage) -> Result<()> {
    let receiver = stage.endpoint.receiver();
    see("the first", receiver.as_ref().map(drop).map_err(Clone::clone));
    see("the second", stage.endpoint.receiver().map(drop));
    drop(receiver);
    see("when the first was closed", stage.endpoint.receiver().map(drop));
    Ok(())
}

fn registered(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let event = quiet(&stage.domain, &socket)?;
    let mut target = receiver(stage)?;
    let sender = stage.endpoint.sender(target.pid())?;
    sender.hand_off(Parcel::new(socket))?;
    target.ask("take s")?;
    peer.send("x")?;
    see("the target receives", target.ask("receive s 1")?);
    see("the event object is set", event.wait(Some(BRIEF)));
    Ok(())
}
