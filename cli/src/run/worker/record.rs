//! A worker's record, which goes to a successor of the supervisor beside the machine's state.

use crate::run::machine::WorkerId;
use serde::{Deserialize, Serialize};

/// A worker's record, which goes to a successor of the supervisor beside the machine's state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) number: WorkerId,
    pub(crate) pid: i32,
    pub(crate) slot: u32,
    /// Its own words about its status.
    pub(crate) says: Option<String>,
    /// Connections that were handed off to it.
    pub(crate) handed_off: u64,
    /// Its own words about what it has open, and has received of these connections.
    #[serde(default)]
    pub(crate) open: Option<u64>,
    #[serde(default)]
    pub(crate) received: Option<u64>,
    /// It is a child of the supervisor that was to be succeeded, and not of this one.
    pub(crate) adopted: bool,
}

impl Record {
    /// Connections that it was given and has not received, if it says how many it has.
    pub(crate) fn unreceived(&self) -> Option<u64> {
        Some(self.handed_off.saturating_sub(self.received?))
    }

    /// Connections that it has open, those on their way to it among them, if it says so.
    pub(crate) fn load(&self) -> Option<u64> {
        Some(self.open?.saturating_add(self.unreceived().unwrap_or_default()))
    }
}
