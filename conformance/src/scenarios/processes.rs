//! Processes with an endpoint from birth, who holds a socket, and threads where no other process is needed.

use super::{Scenario, scenario};
use crate::actor::Actor;
use crate::observe::see;
use crate::stage::{Stage, connection, done, take};
use anyhow::{Context, Result};
use sharesock::{Process, Socket};
use std::sync::Mutex;

pub(super) const ALL: &[Scenario] = &[
    scenario("spawn", "a child has its endpoint from birth", "R1, 1.1", spawn),
    scenario(
        "spawn-parent-closes",
        "what was duplicated before the child opened its endpoint waits for it",
        "1.4",
        early,
    ),
    scenario("spawn-child-killed", "what such a child did not redeem ends with it", "1.4, 3.5", child_killed),
    scenario("names", "a process names itself", "1.1", names),
    scenario("holders", "who holds a descriptor can be asked", "R9", holders),
    scenario("threads-valid", "a descriptor is valid in all threads", "R4", valid),
    scenario("threads-unordered", "nothing stops two that receive at once", "R6", unordered),
    scenario("threads-tight", "where coordination must be tight, threads have it", "R12", tight),
];

fn spawn(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut child = Actor::start_with_endpoint(stage.domain.path(), &stage.endpoint)?;
    let info = stage.endpoint.duplicate(&socket, child.pid())?;
    see("the child opens its endpoint", child.ask("open")?);
    see("the child redeems", child.ask(&format!("redeem s {info}"))?);
    child.ask("send s hello")?;
    see("the peer hears", peer.hear(5)?);
    see("the child opens another", child.ask("open")?);
    Ok(())
}

fn early(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut child = Actor::start_with_endpoint(stage.domain.path(), &stage.endpoint)?;
    let info = stage.endpoint.duplicate(&socket, child.pid())?;
    drop(socket);
    see("nothing is held for it", stage.endpoint.flush(std::time::Duration::ZERO));
    see("the parent closes, the peer hears", peer.listen()?);
    done(&child.ask("open")?)?;
    see("the child redeems", child.ask(&format!("redeem s {info}"))?);
    done(&child.ask("close s")?)?;
    see("the child closes, the peer hears", peer.hear(1)?);
    Ok(())
}

fn child_killed(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let child = Actor::start_with_endpoint(stage.domain.path(), &stage.endpoint)?;
    stage.endpoint.duplicate(&socket, child.pid())?;
    drop(socket);
    child.kill()?;
    see("the child was killed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn names(stage: &Stage) -> Result<()> {
    let me = stage.endpoint.process()?;
    see("by its id", me.pid() == std::process::id());
    see("it is this process", Process::current()? == me);
    see("its text comes back the same", me.to_string().parse() == Ok(me));
    see("a text that names nobody", "nobody".parse::<Process>().map(drop));
    let (_peer, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, me)?;
    see("duplicated for a process by its name, redeemed", stage.endpoint.redeem(&info));
    Ok(())
}

fn holders(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let (mut a, b) = (stage.holder(&socket)?, stage.holder(&socket)?);
    let clone = socket.try_clone()?;
    let pids = [("this process", std::process::id()), ("A", a.pid()), ("B", b.pid())];
    let count = |socket: &Socket| -> sharesock::Result<String> {
        let seen = socket.holders()?.seen;
        let of = |pid| seen.iter().filter(|holder| holder.pid == pid).count();
        Ok(pids.map(|(name, pid)| format!("{name} {}", of(pid))).join(", "))
    };
    see("with a clone here", count(&socket));
    done(&a.ask("close s")?)?;
    drop(clone);
    see("A and the clone closed", count(&socket));
    b.kill()?;
    see("B killed", count(&socket));
    Ok(())
}

fn valid(_: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| socket.send(b"x"))).collect();
        let sent = threads.into_iter().filter_map(|thread| thread.join().ok()?.ok()).sum::<usize>();
        see("bytes that four threads sent through one descriptor", sent);
        Ok(())
    })?;
    see("the peer hears", peer.hear(4)?);
    Ok(())
}

fn unordered(stage: &Stage) -> Result<()> {
    const COUNT: usize = 200;
    let (mut peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    let received = std::thread::scope(|scope| -> Result<usize> {
        let here =
            scope.spawn(|| (0..COUNT / 2).filter(|_| take(&socket, 1).is_ok_and(|bytes| bytes.0 == b"x")).count());
        peer.send(&"x".repeat(COUNT))?;
        let mut there = 0;
        for _ in 0..COUNT / 2 {
            there += usize::from(a.ask("receive s 1")? == "\"x\"");
        }
        Ok(there + here.join().ok().context("a thread failed")?)
    })?;
    see("of 200 bytes, received in two processes at once", received);
    socket.set_nonblocking(true)?;
    see("left", socket.recv(&mut [0]));
    Ok(())
}

fn tight(_: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    // A question and its answer must not be torn apart: a lock among threads sees to it.
    let exchange = Mutex::new(());
    peer.send(&"q".repeat(40))?;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let _alone = exchange.lock();
                    let _ = take(&socket, 1);
                    let _ = b"<a>".iter().try_for_each(|letter| socket.send(&[*letter]).map(drop));
                }
            });
        }
    });
    let mut whole = 0;
    for _ in 0..40 {
        whole += usize::from(peer.hear(3)? == "\"<a>\"");
    }
    see("of 40 questions that four threads answer, answers that are whole", whole);
    Ok(())
}
