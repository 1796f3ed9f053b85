//! What several scenarios have in common.

use super::finding::{Halt, Kind, found};
use super::stage::{Answer, Role, Stage};
use Role::{Source, Target};

pub(super) fn open(stage: &mut Stage) -> Result<(), Halt> {
    stage.need(Target, "open")?;
    stage.need(Source, "open").map(drop)
}

pub(super) fn open_hand_off(stage: &mut Stage) -> Result<(), Halt> {
    open(stage)?;
    stage.need(Target, "receiver")?;
    sender(stage)
}

pub(super) fn sender(stage: &mut Stage) -> Result<(), Halt> {
    let pid = stage.pid(Target);
    stage.need(Source, &format!("sender {pid}")).map(drop)
}

/// Duplicates until a duplicate is redeemed.
pub(super) fn share(stage: &mut Stage, between: impl Fn(&mut Stage) -> Result<(), Halt>) -> Result<(), Halt> {
    let pid = stage.pid(Target);
    let mut last = String::new();
    for _ in 0..3 {
        let info = stage.need(Source, &format!("duplicate {pid}"))?;
        between(stage)?;
        // Redeemed again, the same info may succeed: what failed once was for a moment.
        for _ in 0..3 {
            match stage.ask(Target, &format!("redeem {info}"))? {
                Answer::Ok(id) if id == stage.connections[0].0 => return Ok(()),
                Answer::Ok(id) => return found(Kind::Wrong, format!("another socket was redeemed: {id}")),
                Answer::Error(error) => last = error,
                Answer::Died => return Err(Halt::Cut("the target was killed".into())),
            }
        }
    }
    Err(Halt::Cut(format!("no duplicate can be redeemed: {last}")))
}

/// What was revoked or has expired is redeemed by nobody.
pub(super) fn never(stage: &mut Stage, info: &str) -> Result<(), Halt> {
    match stage.ask(Target, &format!("redeem {info}"))? {
        Answer::Ok(_) => found(Kind::Wrong, "what was revoked, or has expired, was redeemed"),
        Answer::Error(_) => Ok(()),
        Answer::Died => Err(Halt::Cut("the target was killed".into())),
    }
}

/// Hands single ones off; when that fails the sender is given up, as a program does.
pub(super) fn hand_off_some(stage: &mut Stage, count: usize) -> Result<(), Halt> {
    let (mut done, mut failed) = (0, 0);
    while done < count {
        match stage.ask(Source, "hand-off")? {
            Answer::Ok(id) => done += usize::from(stage.accepted.insert(id)),
            Answer::Error(error) if failed > 3 => return Err(Halt::Cut(format!("hand-off: {error}"))),
            Answer::Error(_) => {
                failed += 1;
                reclaim(stage)?;
                sender(stage)?;
            }
            Answer::Died => return Err(Halt::Cut("the source was killed".into())),
        }
    }
    Ok(())
}

pub(super) fn hand_off_batch(stage: &mut Stage, count: usize) -> Result<(), Halt> {
    for _ in 0..4 {
        match stage.ask(Source, &format!("hand-off-many {count}"))? {
            Answer::Ok(ids) => {
                stage.accepted.extend(ids.split_whitespace().map(str::to_owned));
                return Ok(());
            }
            Answer::Error(_) => {
                reclaim(stage)?;
                sender(stage)?;
            }
            Answer::Died => return Err(Halt::Cut("the source was killed".into())),
        }
    }
    Err(Halt::Cut("no batch can be handed off".into()))
}

/// Takes everything back; the sender is gone afterwards.
pub(super) fn reclaim(stage: &mut Stage) -> Result<(), Halt> {
    loop {
        let back = stage.need(Source, "reclaim");
        if !stage.source.alive {
            // What it was taking back ends with it.
            stage.accepted.clear();
        }
        let back = back?;
        if back.is_empty() {
            return Ok(());
        }
        for id in back.split_whitespace() {
            if stage.received.contains(id) {
                return found(Kind::Doubled, format!("{id} was received and came back"));
            }
            stage.accepted.remove(id);
        }
    }
}

/// A message of many, of which some were taken one by one.
pub(super) fn begin(stage: &mut Stage) -> Result<(), Halt> {
    open_hand_off(stage)?;
    stage.whet("receive-many 4")?;
    hand_off_batch(stage, 6)?;
    stage.need(Target, "receive 1000").map(drop)
}
