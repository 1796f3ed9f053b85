//! What the front and its workers tell each other: JSON lines over the worker's standard input and output.

use crate::serve::envelope::Envelope;
use crate::serve::page::Count;
use serde::{Deserialize, Serialize};

/// From the front to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToWorker {
    /// A connection, as a protocol info in its text form, with what else is known of it.
    Info { id: u64, info: String, envelope: Envelope },
    /// Hand idle connections over to these processes, take no new ones, and end when nothing is left.
    Retire { successors: Vec<u32> },
    /// What every worker has, for the page about them.
    Counts { workers: Vec<Count> },
    /// Finish what is in flight, close what is idle, and end.
    Drain,
}

/// From a worker to the front.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromWorker {
    /// It can receive.
    Ready,
    /// How many connections it serves, and how many it has received from the front since it started.
    Load { open: u64, received: u64 },
    /// It redeemed the connection with this number.
    Redeemed { id: u64 },
    /// It could not redeem it.
    Failed { id: u64, why: String },
}

/// One line.
pub(crate) fn to_line(message: &impl Serialize) -> String {
    serde_json::to_string(message).map(|line| line + "\n").unwrap_or_default()
}
