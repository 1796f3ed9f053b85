//! Duplicating: for whom, and what becomes of a duplicate that nobody has redeemed yet.

use super::{Scenario, scenario};
use crate::actor::Actor;
use crate::observe::see;
use crate::stage::{Peer, Stage, connection, done, udp};
use anyhow::{Context, Result};
use sharesock::Socket;

pub(super) const ALL: &[Scenario] = &[
    scenario("duplicate-forms", "an info has a wide, a narrow and a text form", "R1, R2, 1.7, 1.9", forms),
    scenario("duplicate-members", "an info is a genuine entry of the catalog", "1.9, 1.11", members),
    scenario("duplicate-pids", "the target must be a living process", "R1, 1.2, 1.3", pids),
    scenario("duplicate-own-pid", "a process may duplicate for itself", "1.3, 2.4", own_pid),
    scenario("duplicate-keeps-source", "duplicating leaves the source's descriptor as it was", "1.1", keeps_source),
    scenario("duplicate-for-two", "each target needs a duplicate of its own", "R1, 1.1", for_two),
    scenario("duplicate-many", "a target redeems many, in any order", "1.1", many),
    scenario("duplicate-of-duplicate", "a target is a source in its turn", "R3, R7", of_duplicate),
    scenario("source-closes-first", "the source may close before the target redeems", "R9, 1.4", source_closes),
    scenario("source-exits-first", "the source may end before the target redeems", "R9, 1.4", source_exits),
    scenario("source-killed-first", "the source may be killed before the target redeems", "R9, 1.4", source_killed),
    scenario(
        "target-killed-unredeemed",
        "a duplicate ends with its target, redeemed or not",
        "1.4, 3.5",
        target_killed,
    ),
    scenario("target-exits-unredeemed", "the same when the target ends by itself", "1.4, 3.5", target_exits),
];

fn forms(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, std::process::id())?;
    see("length of the wide form", info.to_wide_bytes().len());
    see("length of the narrow form", info.to_narrow_bytes().len());
    let text = info.to_string();
    see("the text begins with its version", text.starts_with("sharesock1:"));
    see(
        "the text is one word of letters and digits",
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':'),
    );
    let read = |bytes: &[u8]| sharesock::ProtocolInfo::from_bytes(bytes).map(|read| read == info);
    see("the wide form comes back the same", read(&info.to_wide_bytes()));
    see("the narrow form comes back the same", read(&info.to_narrow_bytes()));
    see("the text comes back the same", text.parse().map(|read: sharesock::ProtocolInfo| read == info));

    let redeemed = stage.endpoint.redeem(&text.parse()?)?;
    redeemed.send(b"hello")?;
    see("the peer hears from the descriptor", peer.hear(5)?);
    Ok(())
}

fn members(stage: &Stage) -> Result<()> {
    let v6 = |kind| Socket::new(socket2::Domain::IPV6, kind, None);
    for (kind, socket) in [
        ("TCP over IPv4", connection()?.1),
        ("UDP over IPv4", udp()?.0),
        ("TCP over IPv6", v6(socket2::Type::STREAM)?),
        ("UDP over IPv6", v6(socket2::Type::DGRAM)?),
    ] {
        let bytes = stage.endpoint.duplicate(&socket, std::process::id())?.to_wide_bytes();
        let word =
            |at: usize| bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u32::from_le_bytes(*word));
        see(&format!("{kind}, dwCatalogEntryId"), word(36).to_string());
        see(&format!("{kind}, dwServiceFlags1"), format!("{:#x}", word(0)));
        see(&format!("{kind}, dwProviderFlags"), format!("{:#x}", word(16)));
        see(&format!("{kind}, ProviderId begins"), format!("{:08x}", word(20)));
        see(&format!("{kind}, ChainLen and iVersion"), format!("{} {}", word(40), word(72)));
        see(&format!("{kind}, family, type, protocol"), format!("{} {} {}", word(76), word(88), word(92)));
        see(&format!("{kind}, longest and shortest address"), format!("{} {}", word(80), word(84)));
        see(&format!("{kind}, dwMessageSize"), format!("{:#x}", word(108)));
    }
    Ok(())
}

fn pids(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let actor = stage.actor()?;
    let pid = actor.pid();
    let attempt = |pid: u32| stage.endpoint.duplicate(&socket, pid).map(drop);
    see("process id 0", attempt(0));
    see("process id of all ones", attempt(u32::MAX));
    see("a living process", attempt(pid));
    see("this process", attempt(std::process::id()));
    actor.kill()?;
    see("a process that has ended", attempt(pid));
    Ok(())
}

fn own_pid(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let redeemed = stage.endpoint.redeem(&stage.endpoint.duplicate(&socket, std::process::id())?)?;
    see("both are descriptors of one socket", socket.id()? == redeemed.id()?);
    drop(socket);
    redeemed.send(b"one")?;
    see("the first closed, the peer hears from the second", peer.hear(3)?);
    drop(redeemed);
    see("the second closed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn keeps_source(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let before = socket.id()?;
    let mut target = stage.actor()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    see("it is the same socket", socket.id()? == before);
    socket.send(b"before")?;
    see("the peer hears from the source, not redeemed", peer.hear(6)?);
    done(&target.ask(&format!("redeem s {info}"))?)?;
    socket.send(b"after")?;
    see("the peer hears from the source, redeemed", peer.hear(5)?);
    Ok(())
}

fn for_two(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let (mut a, mut b) = (stage.actor()?, stage.actor()?);
    let for_a = stage.endpoint.duplicate(&socket, a.pid())?;
    let for_b = stage.endpoint.duplicate(&socket, b.pid())?;
    see("A redeems what is for B", a.ask(&format!("redeem s {for_b}"))?);
    see("A redeems what is for A", a.ask(&format!("redeem s {for_a}"))?);
    see("B redeems what is for B", b.ask(&format!("redeem s {for_b}"))?);
    a.ask("send s from-A")?;
    see("the peer hears from A", peer.hear(6)?);
    b.ask("send s from-B")?;
    see("the peer hears from B", peer.hear(6)?);
    Ok(())
}

fn many(stage: &Stage) -> Result<()> {
    const COUNT: usize = 100;
    let sockets: Vec<_> = (0..COUNT).map(|_| udp()).collect::<Result<_>>()?;
    let mut target = stage.actor()?;
    let infos: Vec<_> =
        sockets.iter().map(|(socket, _)| stage.endpoint.duplicate(socket, target.pid())).collect::<Result<_, _>>()?;
    let mut right = 0;
    for (index, info) in infos.iter().enumerate().rev() {
        done(&target.ask(&format!("redeem s{index} {info}"))?)?;
        let expected = sockets.get(index).context("as many infos as sockets")?.0.id()?.as_u64().to_string();
        right += usize::from(target.ask(&format!("id s{index}"))? == expected);
    }
    see("redeemed from the last to the first, each the socket it was made of", right);
    Ok(())
}

fn of_duplicate(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut a = stage.holder(&socket)?;
    drop(socket);
    let mut b = stage.actor()?;
    let info = a.ask(&format!("duplicate s {}", b.pid()))?;
    see("B redeems what A duplicated", b.ask(&format!("redeem s {info}"))?);
    a.end()?;
    b.ask("send s hello")?;
    see("A has ended, the peer hears from B", peer.hear(5)?);
    Ok(())
}

fn source_closes(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("the source has closed, the peer hears", peer.listen()?);
    see("the target redeems", target.ask(&format!("redeem s {info}"))?);
    exchange(&mut peer, &mut target)
}

fn source_exits(stage: &Stage) -> Result<()> {
    let (mut peer, mut source, mut target) = two(stage)?;
    let info = source.ask(&format!("duplicate s {}", target.pid()))?;
    source.end()?;
    see("the source has ended, the peer hears", peer.listen()?);
    see("the target redeems", target.ask(&format!("redeem s {info}"))?);
    exchange(&mut peer, &mut target)
}

fn source_killed(stage: &Stage) -> Result<()> {
    let (mut peer, mut source, mut target) = two(stage)?;
    let info = source.ask(&format!("duplicate s {}", target.pid()))?;
    source.kill()?;
    see("the source was killed, the peer hears", peer.listen()?);
    see("the target redeems", target.ask(&format!("redeem s {info}"))?);
    exchange(&mut peer, &mut target)
}

fn target_killed(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let target = stage.actor()?;
    stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("the source has closed, the peer hears", peer.listen()?);
    target.kill()?;
    see("the target was killed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn target_exits(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let target = stage.actor()?;
    stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("the source has closed, the peer hears", peer.listen()?);
    target.end()?;
    see("the target has ended, the peer hears", peer.hear(1)?);
    Ok(())
}

/// A connection that a source alone holds, and a target.
fn two(stage: &Stage) -> Result<(Peer, Actor, Actor)> {
    let (peer, socket) = connection()?;
    Ok((peer, stage.holder(&socket)?, stage.actor()?))
}

/// The target uses what it redeemed.
fn exchange(peer: &mut Peer, target: &mut Actor) -> Result<()> {
    target.ask("send s hello")?;
    see("the peer hears from the target", peer.hear(5)?);
    peer.send("answer")?;
    see("the target receives", target.ask("receive s 6")?);
    done(&target.ask("close s")?)?;
    see("the target has closed, the peer hears", peer.hear(1)?);
    Ok(())
}
