//! Endpoints that open late, close, or open twice; sources that hold what their targets cannot take yet.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{LONG, Stage, connection, done};
use anyhow::Result;
use sharesock::Endpoint;

pub(super) const ALL: &[Scenario] = &[
    scenario("endpoint-late", "a target may open its endpoint after it was duplicated for", "1.1, 1.4", late),
    scenario(
        "endpoint-late-source-waits",
        "a source that waits until it is rid of its duplicates may end",
        "1.4",
        waits,
    ),
    scenario("endpoint-late-source-killed", "a source that is killed before its target can receive", "1.4", killed),
    scenario("endpoint-twice", "a process has one endpoint in a domain", "1.4", twice),
    scenario("endpoint-closed", "duplicates for an endpoint end with it", "1.4, 3.5", closed),
];

fn late(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor_without_endpoint()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("duplicated for a target without an endpoint, the peer hears", peer.listen()?);
    done(&target.ask("open")?)?;
    see("the target opens its endpoint and redeems", target.ask(&format!("redeem s {info}"))?);
    target.ask("send s hello")?;
    see("the peer hears", peer.hear(5)?);
    Ok(())
}

fn waits(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let (mut source, mut target) = (stage.holder(&socket)?, stage.actor_without_endpoint()?);
    drop(socket);
    let info = source.ask(&format!("duplicate s {}", target.pid()))?;
    source.tell("flush")?;
    done(&target.ask("open")?)?;
    target.tell(&format!("redeem s {info}"))?;
    see("the target opens its endpoint, and the source is rid of the duplicate", source.answer()?);
    see("the target redeems", target.answer()?);
    source.end()?;
    target.ask("send s hello")?;
    see("the source has ended, the peer hears", peer.hear(5)?);
    Ok(())
}

fn killed(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let (mut source, mut target) = (stage.holder(&socket)?, stage.actor_without_endpoint()?);
    let info = source.ask(&format!("duplicate s {}", target.pid()))?;
    source.kill()?;
    done(&target.ask("open")?)?;
    see("the target opens its endpoint and redeems", target.ask(&format!("redeem s {info}"))?);
    Ok(())
}

fn twice(stage: &Stage) -> Result<()> {
    see("a second endpoint in the same domain", Endpoint::open(&stage.domain).map(drop));
    let other = sharesock::Domain::at(stage.path("other"))?;
    see("one in another domain", Endpoint::open(&other).map(drop));
    see("there again, when that was closed", Endpoint::open(&other).map(drop));
    see("nothing is held", stage.endpoint.flush(LONG));
    Ok(())
}

fn closed(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let domain = sharesock::Domain::at(stage.path("other"))?;
    let endpoint = Endpoint::open(&domain)?;
    let info = endpoint.duplicate(&socket, std::process::id())?;
    drop(socket);
    see("the source has closed, the peer hears", peer.listen()?);
    drop(endpoint);
    see("the target's endpoint was closed, the peer hears", peer.hear(1)?);
    let endpoint = Endpoint::open(&domain)?;
    see("redeemed at a new endpoint", endpoint.redeem(&info));
    Ok(())
}
