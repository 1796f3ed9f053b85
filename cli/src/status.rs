//! What a supervisor says of itself: its answer to `status`, and what `--json` prints.

use serde::{Deserialize, Serialize};

/// A supervisor at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// Name that `reload`, `status` and the others use.
    pub(crate) name: String,
    pub(crate) pid: u32,
    /// Of the program.
    pub(crate) version: String,
    /// Since it was first started; an upgrade does not begin anew.
    pub(crate) uptime_s: f64,
    pub(crate) state: SupervisorState,
    pub(crate) generation: u32,
    pub(crate) reloads: u64,
    pub(crate) upgrades: u64,
    /// Workers that ended unasked and were replaced.
    pub(crate) restarts: u64,
    /// Workers that the options ask for: none, if each serves a single connection.
    pub(crate) wanted: usize,
    /// Those of the current generation that are ready.
    pub(crate) ready: usize,
    /// What failed last, since the last reload: a reload, an upgrade, a worker.
    pub(crate) last_failure: Option<String>,
    /// Time since then.
    pub(crate) last_failure_age_s: Option<f64>,
    pub(crate) failed_reloads: u64,
    pub(crate) failed_upgrades: u64,
    /// Connections that workers still had when they were killed at their stop deadline.
    pub(crate) connections_cut: u64,
    /// When the last reload was over, in seconds since 1970, and its duration.
    pub(crate) last_reload_at_s: Option<f64>,
    pub(crate) last_reload_took_s: Option<f64>,
    pub(crate) listeners: Vec<ListenerStatus>,
    pub(crate) workers: Vec<WorkerStatus>,
    /// There if connections are handed off, rather than listeners passed.
    pub(crate) hand_offs: Option<HandOffs>,
    /// What the supervisor said last, the oldest first; since an upgrade, if there was one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) events: Vec<PastEvent>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PastEvent {
    /// As RFC 3339 has it, in UTC.
    pub(crate) time: String,
    pub(crate) text: String,
}

impl Status {
    /// Whether a connection that arrives now is served.
    pub(crate) fn serves(&self) -> bool {
        self.state != SupervisorState::Stopping && (self.ready > 0 || self.wanted == 0)
    }
}

/// What a supervisor is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SupervisorState {
    /// Its first workers are not ready yet.
    Starting,
    Running,
    /// Fewer workers are ready than the options ask for.
    Degraded,
    /// A new generation is starting.
    Reloading,
    Upgrading,
    Stopping,
}

/// One listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListenerStatus {
    pub(crate) name: String,
    /// As `--listen` spells it: `127.0.0.1:8080`, `udp:127.0.0.1:53`, `unix:/run/site.sock`; with the port that was picked.
    pub(crate) address: String,
    /// Connections that wait to be accepted, if the system tells.
    pub(crate) queued: Option<u64>,
    /// How many may wait: what is in force, if the system tells, else what was asked for.
    pub(crate) backlog: Option<u64>,
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct WorkerStatus {
    pub(crate) pid: u32,
    /// Counted from 0; the worker that replaces another has the same place.
    pub(crate) place: u32,
    pub(crate) generation: u32,
    pub(crate) state: WorkerState,
    pub(crate) uptime_s: f64,
    /// How often the worker in this place was replaced, unasked, in this generation.
    pub(crate) restarts: u64,
    /// Connections to the listeners' addresses that it and its children have open, if the system tells.
    pub(crate) connections: Option<u64>,
    /// Of it and its children.
    pub(crate) memory_bytes: Option<u64>,
    /// Processor time of it and its children, in seconds.
    pub(crate) cpu_s: Option<f64>,
    /// Connections handed off to it since it started.
    pub(crate) handed_off: u64,
    /// Connections that it says it has open (`X_SHARESOCK_OPEN=` of `sd_notify`), those on their way to it among them.
    #[serde(default)]
    pub(crate) open: Option<u64>,
    /// What it said of itself (`STATUS=` of `sd_notify`).
    pub(crate) says: Option<String>,
    /// The last lines that it printed, if they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) output: Vec<String>,
}

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorkerState {
    Starting,
    Ready,
    /// It was asked to end, and finishes what it has.
    Draining,
}

/// Connections that were handed off.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct HandOffs {
    /// Since the supervisor was first started.
    pub(crate) total: u64,
    /// Accepted, and not given to a worker yet.
    pub(crate) waiting: u64,
    /// From accepting a connection until a worker took it, of the last 1,000, in microseconds.
    pub(crate) median_us: Option<u64>,
    /// Ninety-nine of a hundred were faster.
    pub(crate) slowest_percent_us: Option<u64>,
}
