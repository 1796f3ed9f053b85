//! What a supervisor has done, since it was first started.

use crate::run::clock::Moment;
use serde::{Deserialize, Serialize};

/// What it has done, since it was first started.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) started: Moment,
    pub(crate) reloads: u64,
    pub(crate) upgrades: u64,
    pub(crate) restarts: u64,
    pub(crate) last_worker: u64,
    pub(crate) last_generation: u32,
    pub(crate) last_failure: Option<String>,
}

impl Counts {
    pub(crate) fn new() -> Self {
        let started = Moment::now();
        Counts { started, reloads: 0, upgrades: 0, restarts: 0, last_worker: 0, last_generation: 1, last_failure: None }
    }
}
