//! Bytes that are no info, or no longer one.

use super::{Scenario, scenario};
use crate::observe::{Refusal, see};
use crate::stage::{Stage, udp};
use anyhow::Result;
use sharesock::{CatalogEntry, ProtocolInfo};

pub(super) const ALL: &[Scenario] = &[
    scenario("info-altered", "an altered member is noticed", "1.6, 1.9", altered),
    scenario("info-name", "the name of the protocol is decoration", "1.7", name),
    scenario("info-length", "an info is read whole or not at all", "1.7", length),
    scenario("info-zero", "all zeros are no info", "2.1", zero),
    scenario("info-ones", "all ones are no info", "2.1", ones),
    scenario("info-text", "a text that is not an info is refused", "R2", text),
    scenario("info-catalog", "an entry of the catalog names no duplicate", "2.2", catalog),
];

/// The members before the name, each with its place in the structure.
const MEMBERS: [(&str, usize); 26] = [
    ("dwServiceFlags1", 0),
    ("dwServiceFlags2", 4),
    ("dwServiceFlags3", 8),
    ("dwServiceFlags4", 12),
    ("dwProviderFlags", 16),
    ("ProviderId", 20),
    ("dwCatalogEntryId", 36),
    ("ChainLen", 40),
    ("ChainEntries[0]", 44),
    ("ChainEntries[1]", 48),
    ("ChainEntries[2]", 52),
    ("ChainEntries[3]", 56),
    ("ChainEntries[4]", 60),
    ("ChainEntries[5]", 64),
    ("ChainEntries[6]", 68),
    ("iVersion", 72),
    ("iAddressFamily", 76),
    ("iMaxSockAddr", 80),
    ("iMinSockAddr", 84),
    ("iSocketType", 88),
    ("iProtocol", 92),
    ("iProtocolMaxOffset", 96),
    ("iNetworkByteOrder", 100),
    ("iSecurityScheme", 104),
    ("dwMessageSize", 108),
    ("dwProviderReserved", 112),
];
const NAME: usize = 116;

fn altered(stage: &Stage) -> Result<()> {
    let info = stage.endpoint.duplicate(&udp()?.0, std::process::id())?;
    for (member, at) in MEMBERS {
        see(member, ProtocolInfo::from_bytes(&flipped(&info, at)).map(drop));
    }
    let noticed = (0..NAME).filter(|at| ProtocolInfo::from_bytes(&flipped(&info, *at)).is_err()).count();
    see("of the 116 bytes before the name, altered and noticed", noticed);
    see("unaltered it is still good", stage.endpoint.redeem(&info));
    Ok(())
}

/// The wide form with the lowest bit of one byte flipped.
fn flipped(info: &ProtocolInfo, at: usize) -> [u8; 628] {
    let mut bytes = info.to_wide_bytes();
    bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
    bytes
}

fn name(stage: &Stage) -> Result<()> {
    let info = stage.endpoint.duplicate(&udp()?.0, std::process::id())?;
    let mut bytes = info.to_wide_bytes();
    bytes.iter_mut().skip(NAME).for_each(|byte| *byte = b'x');
    see("with another name", stage.endpoint.redeem(&ProtocolInfo::from_bytes(&bytes)?));
    Ok(())
}

fn length(stage: &Stage) -> Result<()> {
    let info = stage.endpoint.duplicate(&udp()?.0, std::process::id())?;
    let bytes = [&info.to_wide_bytes()[..], &[0]].concat();
    for length in [0, 1, 116, 371, 372, 373, 627, 628, 629] {
        let cut = ProtocolInfo::from_bytes(bytes.get(..length).unwrap_or_default());
        see(&format!("{length} bytes"), cut.map(drop));
    }
    Ok(())
}

fn zero(_: &Stage) -> Result<()> {
    see("628 zeros", ProtocolInfo::from_bytes(&[0; 628]).map(drop));
    see("372 zeros", ProtocolInfo::from_bytes(&[0; 372]).map(drop));
    Ok(())
}

fn ones(_: &Stage) -> Result<()> {
    see("628 bytes of ones", ProtocolInfo::from_bytes(&[0xff; 628]).map(drop));
    Ok(())
}

fn text(stage: &Stage) -> Result<()> {
    let text = stage.endpoint.duplicate(&udp()?.0, std::process::id())?.to_string();
    let read = |text: &str| text.parse().map(|_: ProtocolInfo| ());
    see("as it is", read(&text));
    see("with a line's end", read(&format!("{text}\n")));
    see("empty", read(""));
    see("without its prefix", read(text.trim_start_matches("sharesock1:")));
    see("with a digit too few", read(text.get(..text.len() - 1).unwrap_or_default()));
    see("with a digit too many", read(&format!("{text}0")));
    see("with a letter that is no digit", read(&format!("{}g", text.get(..text.len() - 1).unwrap_or_default())));
    Ok(())
}

fn catalog(stage: &Stage) -> Result<()> {
    let mut answers: Vec<_> =
        CatalogEntry::all().iter().map(|entry| stage.endpoint.redeem(&ProtocolInfo::from(entry))).collect();
    answers.dedup_by_key(|answer| answer.as_ref().map_or_else(Refusal::refusal, |_| "redeemed".to_owned()));
    see("redeeming each of the entries", answers);
    Ok(())
}
