//! One registration for each socket, whichever process made it.

use super::{Scenario, scenario};
use crate::actor::Actor;
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Peer, Stage, connection, done, listener, take};
use crate::watch::{quiet, told, untold};
use anyhow::{Context, Result};
use sharesock::{Event, MessageQueue, NetworkEvents, Socket};

pub(super) const ALL: &[Scenario] = &[
    scenario("registrant", "who is registered", "R10, 4.12", registrant),
    scenario("last-registers", "who registered last is told, and nobody else", "R10, 4.12", last_registers),
    scenario("event-then-message", "messages take over from an event object", "R10, 4.12, 5.1", event_then_message),
    scenario("message-then-event", "an event object takes over from messages", "R10, 4.12, 5.1", message_then_event),
    scenario("message-then-message", "messages take over from messages", "R10, 4.12, 5.1", message_then_message),
    scenario("take-over-inside", "the same inside of one process", "R10, 5.1", inside),
    scenario("no-split", "no process is told of input while another is told of room", "R11, 4.12", no_split),
    scenario("enumerate-steals", "what another process enumerates is told to nobody else", "4.12", steals),
    scenario("receive-re-enables", "a receive in one process re-enables for another", "4.12", receive_re_enables),
    scenario("accept-re-enables", "so does an accept", "4.12", accept_re_enables),
    scenario("send-re-enables", "so does a send that would block", "4.12", send_re_enables),
    scenario("cancel-elsewhere", "any process cancels the registration", "4.12", cancel_elsewhere),
    scenario("blocking-elsewhere", "the mode is changed and guarded in every process", "4.2, 4.12", blocking_elsewhere),
    scenario("registrant-closes", "a registration ends with the descriptor it was made by", "4.12", closes),
    scenario("registrant-exits", "a registration ends with its process", "4.12", exits),
    scenario("registrant-killed", "also with one that was killed", "4.12", killed),
    scenario("hear-losses", "who wants to is told that another took over", "4.12", losses),
];

const READ: NetworkEvents = NetworkEvents::READ;

/// A connection that A and B hold, and this process.
fn shared(stage: &Stage) -> Result<(Peer, Socket, Actor, Actor)> {
    let (peer, socket) = connection()?;
    let (a, b) = (stage.holder(&socket)?, stage.holder(&socket)?);
    Ok((peer, socket, a, b))
}

fn registrant(stage: &Stage) -> Result<()> {
    let (_peer, socket, mut a, mut b) = shared(stage)?;
    let (pid_of_a, pid_of_b) = (a.pid(), b.pid());
    let registered = || {
        let registration = socket.registration()?;
        Ok::<_, sharesock::Error>(match registration.map(|registration| registration.process.pid()) {
            None => "nobody",
            Some(pid) if pid == pid_of_a => "A",
            Some(pid) if pid == pid_of_b => "B",
            Some(pid) if pid == std::process::id() => "this process",
            Some(_) => "another process",
        })
    };
    see("at first", registered());
    done(&a.ask("clone s t")?)?;
    done(&a.ask("select s READ")?)?;
    see("A has registered", registered());
    done(&b.ask("async s READ")?)?;
    see("B has asked for messages", registered());
    see("as A sees it", a.ask("registrant s")?.replace(&pid_of_b.to_string(), "B"));
    done(&a.ask("cancel s")?)?;
    see("A has cancelled", registered());
    done(&a.ask("select s READ")?)?;
    done(&b.ask("select s ")?)?;
    see("A has registered, B has asked for nothing", registered());
    done(&a.ask("select s READ")?)?;
    done(&a.ask("close s")?)?;
    see("A has registered and closed that descriptor", registered());
    done(&a.ask("select t READ")?)?;
    see("A has registered through another", registered());
    a.end()?;
    see("A has ended", registered());
    done(&b.ask("select s READ")?)?;
    see("B has registered", registered());
    b.kill()?;
    see("B was killed", registered());
    Ok(())
}

fn last_registers(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A registers", a.ask("select s READ")?);
    see("B registers", b.ask("select s READ")?);
    peer.send("x")?;
    see("B is told", b.ask("told s READ")?);
    see("the event object of A is set", a.ask("is-set")?);
    see("A registers again", a.ask("select s READ")?);
    a.ask("receive s 1")?;
    a.ask("untold s")?;
    peer.send("y")?;
    see("A is told", a.ask("told s READ")?);
    see("the event object of B is set", b.ask("is-set")?);
    Ok(())
}

fn event_then_message(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A registers an event object", a.ask("select s READ")?);
    see("B asks for messages", b.ask("async s READ")?);
    peer.send("x")?;
    see("B gets", b.ask("messages 1")?);
    see("the event object of A is set", a.ask("is-set")?);
    Ok(())
}

fn message_then_event(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A asks for messages", a.ask("async s READ")?);
    see("B registers an event object", b.ask("select s READ")?);
    peer.send("x")?;
    see("B is told", b.ask("told s READ")?);
    see("A gets", a.ask("no-message")?);
    Ok(())
}

fn message_then_message(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A asks for messages", a.ask("async s READ")?);
    see("B asks for messages", b.ask("async s READ")?);
    peer.send("x")?;
    see("B gets", b.ask("messages 1")?);
    see("A gets", a.ask("no-message")?);
    Ok(())
}

fn inside(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let clone = socket.try_clone()?;
    let event = quiet(&stage.domain, &socket)?;
    let queue = MessageQueue::new(&stage.domain)?;
    clone.async_select(&queue, 1, READ)?;
    peer.send("x")?;
    see("messages are asked for through a clone, got", queue.get_within(LONG));
    see("the event object is set", event.wait(Some(BRIEF)));
    let other = Event::manual(&stage.domain)?;
    socket.event_select(&other, READ)?;
    see("registered, received", take(&clone, 1));
    untold(&socket, &other)?;
    peer.send("y")?;
    see("told", told(&socket, &other, READ));
    see("got", queue.get_within(BRIEF));
    Ok(())
}

fn no_split(stage: &Stage) -> Result<()> {
    let (mut peer, socket, mut a, mut b) = shared(stage)?;
    see("A asks for input", a.ask("select s READ")?);
    see("B asks for room", b.ask("select s WRITE")?);
    see("B is told", b.ask("told s WRITE")?);
    peer.send("x")?;
    see("input arrives, seen here", take(&socket, 1));
    peer.send("y")?;
    see("the event object of A is set", a.ask("is-set")?);
    see("B is told", b.ask("untold s")?);
    see("A asks for both", a.ask("select s READ|WRITE")?);
    see("A is told", a.ask("told s READ")?);
    Ok(())
}

fn steals(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("B registers", b.ask("select s READ")?);
    peer.send("x")?;
    see("its event object is set", b.ask("wait")?);
    see("A enumerates", a.ask("enumerate s")?);
    see("B enumerates", b.ask("enumerate s")?);
    Ok(())
}

fn receive_re_enables(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A registers", a.ask("select s READ")?);
    peer.send("abc")?;
    see("A is told", a.ask("told s READ")?);
    for _ in 0..2 {
        a.tell("told s READ")?;
        see("A waits, B receives", b.ask("receive s 1")?);
        see("A is told", a.answer()?);
    }
    see("B receives", b.ask("receive s 1")?);
    see("A is told", a.ask("untold s")?);
    Ok(())
}

fn accept_re_enables(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let (mut a, mut b) = (stage.holder(&listener)?, stage.holder(&listener)?);
    let _peers = [Peer::connect(address)?, Peer::connect(address)?];
    see("A registers", a.ask("select s ACCEPT")?);
    see("A is told", a.ask("told s ACCEPT")?);
    a.tell("told s ACCEPT")?;
    see("A waits, B accepts", b.ask("accept s c")?);
    see("A is told", a.answer()?);
    see("B accepts", b.ask("accept s d")?);
    see("A is told", a.ask("untold s")?);
    Ok(())
}

fn send_re_enables(stage: &Stage) -> Result<()> {
    let (mut peer, _socket, mut a, mut b) = shared(stage)?;
    see("A registers", a.ask("select s WRITE")?);
    see("A is told", a.ask("told s WRITE")?);
    let answer = b.ask("fill s")?;
    let (sent, refused) = answer.split_once(' ').context("how much was sent, and how it ended")?;
    see("B fills it until a send is", refused);
    a.tell("told s WRITE")?;
    peer.drain(sent.parse()?)?;
    see("A waits, the peer receives all, A is told", a.answer()?);
    Ok(())
}

fn cancel_elsewhere(stage: &Stage) -> Result<()> {
    let (mut peer, socket, mut a, mut b) = shared(stage)?;
    for command in ["cancel s", "select s "] {
        see("A registers", a.ask("select s READ")?);
        see(if command.starts_with("cancel") { "B cancels" } else { "B asks for nothing" }, b.ask(command)?);
        peer.send("x")?;
        see("input arrives, seen here", take(&socket, 1));
        see("A is told", a.ask("untold s")?);
        see("B makes the socket blocking", b.ask("blocking s true")?);
    }
    Ok(())
}

fn blocking_elsewhere(stage: &Stage) -> Result<()> {
    let (_peer, socket, mut a, mut b) = shared(stage)?;
    see("A registers", a.ask("select s READ")?);
    see("B receives without input", b.ask("receive-now s 1")?);
    see("B makes the socket blocking", b.ask("blocking s true")?);
    see("made blocking here", socket.set_nonblocking(false));
    see("B makes it non-blocking", b.ask("blocking s false")?);
    Ok(())
}

fn closes(stage: &Stage) -> Result<()> {
    let (mut peer, socket, mut a, _b) = shared(stage)?;
    done(&a.ask("clone s t")?)?;
    see("A registers", a.ask("select s READ")?);
    done(&a.ask("close s")?)?;
    peer.send("x")?;
    see("A closes that descriptor and keeps another, input arrives, seen here", take(&socket, 1));
    see("the event object of A is set", a.ask("is-set")?);
    Ok(())
}

fn exits(stage: &Stage) -> Result<()> {
    ends(stage, Actor::end)
}

fn killed(stage: &Stage) -> Result<()> {
    ends(stage, Actor::kill)
}

fn ends(stage: &Stage, end: fn(Actor) -> Result<()>) -> Result<()> {
    let (mut peer, socket, mut a, mut b) = shared(stage)?;
    see("A registers", a.ask("select s READ")?);
    peer.send("x")?;
    see("its event object is set", a.ask("wait")?);
    end(a)?;
    see("A has ended, made blocking here", socket.set_nonblocking(false));
    see("B registers", b.ask("select s READ")?);
    see("B is told of what A had been told of", b.ask("told s READ")?);
    see("B receives", b.ask("receive s 1")?);
    Ok(())
}

fn losses(stage: &Stage) -> Result<()> {
    let (_peer, _socket, mut a, mut b) = shared(stage)?;
    see("A wants to hear of it", a.ask("hear-losses")?);
    see("A registers an event object", a.ask("select s READ")?);
    see("B registers", b.ask("select s READ")?);
    see("sockets that A has lost", a.ask("losses")?);
    see("A asks for messages", a.ask("async s READ")?);
    see("B registers", b.ask("select s READ")?);
    see("A gets", a.ask("messages 1")?);
    see("B, which did not want to, has its event object set", b.ask("is-set")?);
    Ok(())
}
