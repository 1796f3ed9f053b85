//! Turns, for those who choose to take them.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{BRIEF, LONG, Stage, connection, done, udp};
use anyhow::{Context, Result};
use sharesock::{Direction, Turn};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(super) const ALL: &[Scenario] = &[
    scenario("turn-excludes", "a turn is held by one process at a time", "R6", excludes),
    scenario("turn-waits", "who waits for a turn gets it when it is given up", "R6", waits),
    scenario("turn-directions", "each direction of each socket has its own turn", "R6", directions),
    scenario("turn-killed", "a process that is killed gives its turn up", "R6", killed),
    scenario("turn-unforced", "nobody is forced to take turns", "R6", unforced),
    scenario("turn-threads", "threads exclude each other, too", "R6, R12", threads),
    scenario("turn-clones", "clones are one socket, with one turn", "R6, R8", clones),
];

const SEND: Direction = Direction::Send;

fn excludes(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    let turn = Turn::take(&stage.domain, &socket, SEND)?;
    see("held here, A gets it", a.ask("try-turn s send")?);
    drop(turn);
    see("given up here, A gets it", a.ask("try-turn s send")?);
    see("held there, got here", Turn::try_take(&stage.domain, &socket, SEND)?.is_some());
    see("within a moment", Turn::take_within(&stage.domain, &socket, SEND, BRIEF)?.is_some());
    done(&a.ask("end-turn")?)?;
    see("given up there, got here", Turn::try_take(&stage.domain, &socket, SEND)?.is_some());
    Ok(())
}

fn waits(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    let turn = Turn::take(&stage.domain, &socket, SEND)?;
    a.tell("take-turn s send")?;
    see("held here, A waits and gets", a.answer_within(BRIEF)?);
    drop(turn);
    see("given up here, A gets it", a.answer()?);
    Ok(())
}

fn directions(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let (other, _) = udp()?;
    let mut a = stage.holder(&socket)?;
    stage.share(&other, &mut a, "t")?;
    let _turn = Turn::take(&stage.domain, &socket, SEND)?;
    see("sending held here, A gets receiving", a.ask("try-turn s receive")?);
    see("A gets sending", a.ask("try-turn s send")?);
    see("A gets sending of another socket", a.ask("try-turn t send")?);
    Ok(())
}

fn killed(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    see("A gets it", a.ask("try-turn s send")?);
    see("got here", Turn::try_take(&stage.domain, &socket, SEND)?.is_some());
    a.kill()?;
    see("A was killed, got here", Turn::take_within(&stage.domain, &socket, SEND, LONG)?.is_some());
    Ok(())
}

fn unforced(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    let _turn = Turn::take(&stage.domain, &socket, SEND)?;
    see("held here, A sends", a.ask("send s hello")?);
    see("the peer hears", peer.hear(5)?);
    Ok(())
}

fn threads(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let (inside, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let turns = std::thread::scope(|scope| {
        let take = || -> Result<usize> {
            for _ in 0..20 {
                let _turn = Turn::take(&stage.domain, &socket, SEND)?;
                most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_micros(100));
                inside.fetch_sub(1, Ordering::SeqCst);
            }
            Ok(20)
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
        threads.into_iter().map(|thread| thread.join().ok().context("a thread failed")?).sum::<Result<usize>>()
    })?;
    see("four threads took turns", turns);
    see("at once there were at most", most.into_inner());
    Ok(())
}

fn clones(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let clone = socket.try_clone()?;
    let turn = Turn::take(&stage.domain, &socket, SEND)?;
    see("held of the socket, got of its clone", Turn::try_take(&stage.domain, &clone, SEND)?.is_some());
    drop(turn);
    see("given up, got of its clone", Turn::try_take(&stage.domain, &clone, SEND)?.is_some());
    Ok(())
}
