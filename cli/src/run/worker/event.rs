//! Events from workers, and from tasks that look at them.

use super::notify::NotifyMessage;
use crate::run::listener::Resolved;
use crate::run::machine::{Sign, WorkerId};
use crate::run::options::Options;
use anyhow::Result;
use rustix::process::Pid;
use sharesock::Parcel;
use std::time::Instant;

/// Events from the workers, and from tasks that look at them.
#[derive(Debug)]
pub(crate) enum WorkerEvent {
    Notify(WorkerId, NotifyMessage),
    Sign(WorkerId, Sign),
    /// A check of a worker has failed, and why.
    Failing(WorkerId, String),
    /// A worker has ended that is no child of this process.
    Gone(WorkerId),
    /// The connections of a worker that is to be killed were counted, and why it is.
    Counted(WorkerId, String, Option<u64>),
    /// The guard has ended.
    GuardGone(Pid),
    /// The options of a generation were read.
    Planned(u32, Box<Result<(Options, Resolved)>>),
}

/// A connection, accepted, and given to nobody yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) parcel: Parcel,
    pub(crate) since: Instant,
}

impl Waiting {
    /// A connection that waits from now on.
    pub(crate) fn new(parcel: Parcel) -> Self {
        Waiting { parcel, since: Instant::now() }
    }
}
