//! What of a worker goes to a successor of the supervisor.

use crate::run::clock::Moment;
use crate::status::WorkerState;
use serde::{Deserialize, Serialize};

/// What of a worker goes to a successor of the supervisor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Names it among all that were ever started.
    pub(crate) number: u64,
    pub(crate) pid: i32,
    #[serde(rename = "place")]
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    pub(crate) state: WorkerState,
    pub(crate) since: Moment,
    /// When being alive is enough to be ready.
    pub(crate) ready_at: Option<Moment>,
    /// When it is asked to end also if it has not taken what it was given.
    #[serde(default)]
    pub(crate) settled_by: Option<Moment>,
    /// When it must be ready, or have ended.
    pub(crate) due: Option<Moment>,
    /// It said so, but is not given connections yet.
    pub(crate) said_ready: bool,
    pub(crate) says: Option<String>,
    pub(crate) handed_off: u64,
    /// Why it is being ended, if it failed.
    pub(crate) failure: Option<String>,
    /// It is a child of the supervisor that was to be succeeded, and not of this one.
    #[serde(default)]
    pub(crate) adopted: bool,
}
