//! The scenarios, a file for each idea.

mod accept;
mod across;
mod common_state;
mod duplicate;
mod event_objects;
mod events_connect;
mod events_data;
mod events_end;
mod hand_off;
mod last_close;
mod messages;
mod processes;
mod redeem;
mod refused;
mod register;
mod turns;
mod upkeep;

use crate::stage::Stage;
use anyhow::Result;

/// Something to be observed.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) shows: &'static str,
    /// The rules and the sections of the behaviour that it covers; see README.md.
    pub(crate) covers: &'static str,
    pub(crate) play: fn(&Stage) -> Result<()>,
}

/// A row of a table of scenarios.
const fn scenario(
    name: &'static str,
    shows: &'static str,
    covers: &'static str,
    play: fn(&Stage) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, covers, play }
}

/// All of them, in the order in which they are played.
pub(crate) fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        duplicate::ALL,
        redeem::ALL,
        refused::ALL,
        upkeep::ALL,
        common_state::ALL,
        last_close::ALL,
        register::ALL,
        events_data::ALL,
        events_connect::ALL,
        events_end::ALL,
        accept::ALL,
        across::ALL,
        messages::ALL,
        event_objects::ALL,
        hand_off::ALL,
        turns::ALL,
        processes::ALL,
    ]
    .into_iter()
    .flatten()
}
