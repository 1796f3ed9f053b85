//! Events that a supervisor's machine is told of, and its actions.

use crate::run::report::Report;
use std::time::Duration;

/// Names a worker among all that were ever started.
pub(crate) type WorkerId = u64;
/// Names whoever waits for an answer.
pub(crate) type AskerId = u64;

/// Options of a generation's workers, as far as decisions rest on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) workers: Workers,
    pub(crate) ready: ReadyRule,
    /// Message about a worker that does not serve.
    pub(crate) unserved: String,
    /// Message about a worker that is not well any more.
    pub(crate) unwell: String,
    /// Connections are handed off to them, which no worker is ready without.
    pub(crate) hands_off: bool,
    pub(crate) ready_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    /// The same for workers that a reload has replaced.
    pub(crate) drain_timeout: Duration,
    /// Failures in a row of one slot.
    pub(crate) restart_limit: u32,
}

/// Which workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// This many, each in its slot.
    Slots(u32),
    /// One for each connection, this many at most.
    Single(u32),
}

/// When a worker is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadyRule {
    /// It said so.
    Said,
    /// It was seen to serve.
    Serves,
    /// It said so, or has lived this long.
    SaidOrAlive(Duration),
    /// It has lived this long.
    Alive(Duration),
    /// Connections can be handed off to it.
    Linked,
}

/// Something that a starting worker is seen to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// It said READY=1.
    Said,
    /// It serves its listeners, or answers at the address that was named.
    Serves,
    /// It serves some of its listeners.
    ServesSome,
    /// Part of it may not be looked at.
    Unseen,
    /// Its main process may not be looked at: what it says of itself is believed.
    Hidden,
    /// It can be looked at, and serves nothing.
    Nothing,
    /// It was ready, and is not well any more.
    Hung,
    /// Connections can be handed off to it.
    Linked,
}

/// End of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Code(i32),
    Signal(String),
    /// It was no child of this process, and nobody tells.
    Untold,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time has passed.
    Tick,
    /// The answer to [`Action::Start`].
    Started {
        worker: WorkerId,
        result: Result<i32, String>,
    },
    Sign {
        worker: WorkerId,
        sign: Sign,
    },
    /// A check of it has failed.
    Failing {
        worker: WorkerId,
        why: String,
    },
    /// A draining worker has taken everything that it was given.
    Settled {
        worker: WorkerId,
    },
    Ended {
        worker: WorkerId,
        how: End,
        printed: Vec<String>,
        leaves_orphans: bool,
    },
    /// Nothing is left of the process group of a worker that has ended.
    OrphansGone {
        worker: WorkerId,
    },
    /// This many connections wait for workers of their own.
    Waiting {
        connections: usize,
    },
    /// A reload is asked for, by somebody who waits for the answer or by a signal.
    Reload {
        asker: Option<AskerId>,
    },
    /// The reload that is under way is to be given up.
    CancelReload {
        asker: AskerId,
    },
    /// The answer to [`Action::Plan`].
    Planned {
        generation: u32,
        result: Result<Rules, String>,
    },
    Upgrade {
        asker: AskerId,
    },
    /// The answer to [`Action::Upgrade`]; if it succeeds, nobody is there to hear it.
    UpgradeFailed {
        why: String,
    },
    /// The answer to [`Action::Cut`], if the worker was killed: how many connections it still had, if the system tells.
    Cut {
        pid: i32,
        why: String,
        connections: Option<u64>,
    },
    /// The end is asked for: the first time workers drain, by a second signal they are killed.
    Stop {
        asker: Option<AskerId>,
    },
}

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a worker in a slot, and answer with [`Event::Started`].
    Start {
        worker: WorkerId,
        generation: u32,
        slot: u32,
    },
    /// The same, with the next of the connections that wait.
    StartForConnection {
        worker: WorkerId,
        generation: u32,
    },
    /// Put the connection of a worker that could not be started back; drop it, if that would be for ever.
    Unserved {
        worker: WorkerId,
        drop: bool,
    },
    /// Give it nothing more, and tell when it has taken what it was given.
    Settle {
        worker: WorkerId,
    },
    /// Ask it to shut down; what it has not taken is for others.
    AskToEnd {
        worker: WorkerId,
    },
    /// Kill it, and all that it started.
    Kill {
        worker: WorkerId,
    },
    /// Kill it at its stop deadline, and answer with [`Event::Cut`].
    Cut {
        worker: WorkerId,
        why: String,
    },
    /// Ask what a worker left to end.
    EndOrphans {
        worker: WorkerId,
    },
    KillOrphans {
        worker: WorkerId,
    },
    /// Nothing of it is left, or nothing that could be ended.
    Bury {
        worker: WorkerId,
    },
    /// Read the options anew, and answer with [`Event::Planned`].
    Plan {
        generation: u32,
    },
    /// Its plan is the one that is served from now on.
    Adopt {
        generation: u32,
    },
    /// All workers of a generation are ready; the first, or one that a reload has made.
    Serving {
        generation: u32,
        is_first: bool,
    },
    /// Its plan is not needed.
    Discard {
        generation: u32,
    },
    /// Replace this program, and answer with [`Event::UpgradeFailed`].
    Upgrade,
    /// Give up replacing it.
    CancelUpgrade,
    /// Accept nothing more, and give away what was accepted.
    CloseDoor,
    /// Drop the connections that wait.
    DropWaiting,
    Answer {
        asker: AskerId,
        reply: Reply,
    },
    Say(Report),
    Tell(Notice),
    /// All workers have ended.
    Finish {
        failure: Option<String>,
    },
}

/// Answer to an asker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// More will follow.
    Progress(String),
    Done(String),
    Failed(String),
    /// Something else is under way.
    Busy(String),
}

impl Reply {
    #[cfg(test)]
    pub(crate) fn is_last(&self) -> bool {
        !matches!(self, Reply::Progress(_))
    }
}

/// Message to the service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    Reloading,
    /// The workers from before the reload go on.
    ReloadFailed(String),
    Stopping {
        within: Duration,
    },
    Status(String),
}

impl End {
    /// A worker that was ready and ends so has meant to.
    pub(crate) fn is_planned(&self) -> bool {
        *self == End::Code(0)
    }

    /// Whether to start it again would do no better: there is no such program.
    pub(crate) fn is_no_program(&self) -> bool {
        matches!(self, End::Code(126 | 127))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            End::Code(code) => write!(f, "exited with code {code}"),
            End::Signal(name) => write!(f, "was ended by {name}"),
            End::Untold => write!(f, "ended"),
        }
    }
}
