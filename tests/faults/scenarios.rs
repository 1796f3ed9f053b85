//! What the two actors do while faults are injected into one of them.

use super::finding::Halt;
use super::stage::{Answer, Role, Stage};
use super::steps::{begin, hand_off_batch, hand_off_some, never, open, open_hand_off, reclaim, sender, share};
use Role::{Source, Target};

/// A play, and who is watched in it.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) watched: &'static [Role],
    /// How many sockets the source has.
    pub(crate) sockets: usize,
    /// Whether the target has its endpoint from birth.
    pub(crate) born: bool,
    /// Whether sockets that nobody took may be closed at the end: always, or when their source was killed.
    pub(crate) closes: Closes,
    pub(crate) play: fn(&mut Stage) -> Result<(), Halt>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closes {
    Never,
    /// The target closes its receiver, and only the source could take back what waits.
    WithSource,
    Always,
}

const BOTH: &[Role] = &[Source, Target];

const fn scenario(name: &'static str, watched: &'static [Role], play: fn(&mut Stage) -> Result<(), Halt>) -> Scenario {
    Scenario { name, watched, sockets: 3, born: false, closes: Closes::Never, play }
}

pub(crate) const SCENARIOS: &[Scenario] = &[
    scenario("duplicate", BOTH, duplicate),
    scenario("revoke-and-expire", BOTH, revoke_and_expire),
    scenario("hold-and-claim", BOTH, hold_and_claim),
    scenario("hold-and-flush", BOTH, hold_and_flush),
    scenario("hand-off", BOTH, hand_off),
    Scenario { sockets: 10, ..scenario("hand-off-many", BOTH, hand_off_many) },
    Scenario { sockets: 6, ..scenario("reclaim-in-the-middle", BOTH, reclaim_in_the_middle) },
    Scenario { sockets: 6, ..scenario("both-at-once", BOTH, both_at_once) },
    Scenario { sockets: 6, ..scenario("target-ends", &[Source], target_ends) },
    Scenario { sockets: 6, ..scenario("source-ends", &[Target], source_ends) },
    Scenario { sockets: 6, closes: Closes::WithSource, ..scenario("receiver-closes", BOTH, receiver_closes) },
    Scenario { sockets: 6, closes: Closes::Always, ..scenario("sender-drops-then-receiver", BOTH, both_drop) },
    Scenario { sockets: 6, ..scenario("few-descriptors", &[Target], few_descriptors) },
    Scenario { sockets: 6, ..scenario("few-descriptors-reclaim", &[Source], few_descriptors_reclaim) },
    scenario("spawn", &[Source], spawn),
    Scenario { born: true, ..scenario("born", &[Target], born) },
];

fn duplicate(stage: &mut Stage) -> Result<(), Halt> {
    open(stage)?;
    share(stage, |_| Ok(()))?;
    share(stage, |_| Ok(()))
}

fn revoke_and_expire(stage: &mut Stage) -> Result<(), Halt> {
    open(stage)?;
    let pid = stage.pid(Target);
    let info = stage.need(Source, &format!("duplicate-expired {pid}"))?;
    never(stage, &info)?;
    let info = stage.need(Source, &format!("duplicate-revocable {pid}"))?;
    if let Answer::Ok(_) = stage.ask(Source, "revoke")? {
        never(stage, &info)?;
        never(stage, &info)?;
    }
    share(stage, |_| Ok(()))
}

fn hold_and_claim(stage: &mut Stage) -> Result<(), Halt> {
    let pid = stage.pid(Target);
    stage.need(Source, "open")?;
    share(stage, |stage| stage.need(Target, "open").map(drop))?;
    // Held, revoked and held again.
    stage.need(Target, "drop-endpoint")?;
    let info = stage.need(Source, &format!("duplicate-revocable {pid}"))?;
    let revoked = stage.ask(Source, "revoke")?;
    stage.need(Target, "open")?;
    if let Answer::Ok(_) = revoked {
        never(stage, &info)?;
    }
    Ok(())
}

fn hold_and_flush(stage: &mut Stage) -> Result<(), Halt> {
    stage.need(Source, "open")?;
    share(stage, |stage| {
        stage.need(Target, "open")?;
        stage.need(Source, "flush 20000").map(drop)
    })
}

fn hand_off(stage: &mut Stage) -> Result<(), Halt> {
    open_hand_off(stage)?;
    hand_off_some(stage, 2)?;
    stage.need(Source, "outstanding")?;
    stage.need(Target, "receive-forever")?;
    stage.need(Target, "receive 1000")?;
    stage.ask(Source, "flush-sender 1000")?;
    hand_off_some(stage, 1)?;
    stage.need(Target, "receive 1000").map(drop)
}

fn hand_off_many(stage: &mut Stage) -> Result<(), Halt> {
    open_hand_off(stage)?;
    stage.whet("receive-many 4")?;
    hand_off_batch(stage, 10)?;
    stage.need(Source, "outstanding")?;
    stage.need(Target, "receive-many 6")?;
    stage.need(Target, "receive 1000")?;
    stage.need(Target, "receive 1000")?;
    stage.ask(Source, "flush-sender 50")?;
    stage.need(Target, "receive-many 4").map(drop)
}

fn reclaim_in_the_middle(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.need(Source, "outstanding")?;
    reclaim(stage)?;
    stage.need(Target, "receive 50").map(drop)
}

/// The target waits for what comes, the source until all is taken.
fn both_at_once(stage: &mut Stage) -> Result<(), Halt> {
    open(stage)?;
    stage.need(Target, "receiver")?;
    stage.tell(Target, "receive-many 4");
    let sent = sender(stage).and_then(|()| hand_off_some(stage, 2)).and_then(|()| hand_off_batch(stage, 4));
    stage.hear(Target, "receive-many 4")?;
    sent?;
    stage.tell(Source, "flush-sender 300");
    let drained = stage.ask(Target, "drain");
    stage.hear(Source, "flush-sender 300")?;
    drained.map(drop)
}

fn target_ends(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.target.kill();
    stage.ask(Source, "flush-sender 1000")?;
    stage.ask(Source, "hand-off")?;
    reclaim(stage)
}

fn source_ends(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.source.kill();
    stage.need(Target, "receive-many 2")?;
    stage.need(Target, "receive 1000").map(drop)
}

fn receiver_closes(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.need(Target, "drop-receiver")?;
    stage.ask(Source, "flush-sender 1000")?;
    reclaim(stage)?;
    stage.need(Target, "receiver")?;
    sender(stage)?;
    hand_off_some(stage, 1)?;
    stage.need(Target, "receive 1000").map(drop)
}

fn both_drop(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.need(Source, "drop-sender")?;
    stage.need(Target, "receive 1000")?;
    stage.need(Target, "drop-receiver").map(drop)
}

fn few_descriptors(stage: &mut Stage) -> Result<(), Halt> {
    open_hand_off(stage)?;
    stage.whet("receive-many 4")?;
    hand_off_batch(stage, 4)?;
    hand_off_some(stage, 2)?;
    for free in [1, 4] {
        stage.need(Target, &format!("few-descriptors {free}"))?;
        stage.ask(Target, "receive 50")?;
        stage.need(Target, "free-descriptors")?;
    }
    stage.need(Target, "receive-many 8").map(drop)
}

fn few_descriptors_reclaim(stage: &mut Stage) -> Result<(), Halt> {
    begin(stage)?;
    stage.target.kill();
    stage.need(Source, "few-descriptors 3")?;
    stage.ask(Source, "reclaim")?;
    stage.need(Source, "free-descriptors")?;
    reclaim(stage)
}

fn spawn(stage: &mut Stage) -> Result<(), Halt> {
    stage.need(Source, "open")?;
    let child = stage.need(Source, "spawn")?;
    // The child may be what was killed.
    stage.ask(Source, &format!("duplicate {child}"))?;
    stage.ask(Source, &format!("sender {child}"))?;
    if let Answer::Ok(id) = stage.ask(Source, "hand-off")? {
        stage.accepted.insert(id);
    }
    reclaim(stage)
}

fn born(stage: &mut Stage) -> Result<(), Halt> {
    stage.need(Source, "open")?;
    let pid = stage.pid(Target);
    let info = stage.need(Source, &format!("duplicate {pid}"))?;
    sender(stage)?;
    hand_off_some(stage, 1)?;
    stage.need(Target, "open")?;
    stage.need(Target, &format!("redeem {info}")).ok();
    stage.need(Target, "receiver")?;
    stage.need(Target, "receive 1000").map(drop)
}
