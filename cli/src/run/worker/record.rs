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
    /// It is a child of the supervisor that was to be succeeded, and not of this one.
    pub(crate) adopted: bool,
}
