//! What became of the requests.

use crate::client::Trouble;
use crate::kill::Killed;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How a request failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Nobody listened.
    Refused,
    /// The connection was torn down.
    Reset,
    /// The connection ended before the whole answer.
    Short,
    /// Other bytes than expected, or another status than 200.
    Wrong,
    TimedOut,
    /// No failure of the server: this program ran out of something.
    Own,
}

impl Kind {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused => Self::Refused,
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => Self::Reset,
            ErrorKind::UnexpectedEof => Self::Short,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => Self::TimedOut,
            _ => Self::Own,
        }
    }
}

/// A request that failed.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Failure {
    kind: Kind,
    error: String,
    /// Seconds since 1970, as in the notes of who was killed.
    began: f64,
    ended: f64,
    from: Option<SocketAddr>,
    pid: Option<u32>,
    received: usize,
    /// The process that had its connection was killed.
    killed: bool,
}

/// Seconds since 1970.
pub(crate) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// What one lane saw, or all.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    ok: u64,
    reused: u64,
    failures: Vec<Failure>,
    pids: BTreeMap<u32, u64>,
    /// Of the pages that are not slow on purpose, in microseconds.
    latencies: Vec<u32>,
}

impl Tally {
    pub(crate) fn answered(&mut self, pid: Option<u32>, took: Option<Duration>) {
        self.ok += 1;
        if let Some(pid) = pid {
            *self.pids.entry(pid).or_default() += 1;
        }
        self.latencies.extend(took.map(|took| u32::try_from(took.as_micros()).unwrap_or(u32::MAX)));
    }

    /// A kept connection that the server had ended before it saw the request: HTTP lets it, and the client asks again.
    pub(crate) fn reused(&mut self) {
        self.reused += 1;
    }

    pub(crate) fn failed(&mut self, trouble: Trouble, began: f64) {
        let Trouble { kind, error, pid, received, from } = trouble;
        self.failures.push(Failure { kind, error, began, ended: now(), from, pid, received, killed: false });
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.ok += other.ok;
        self.reused += other.reused;
        self.failures.extend(other.failures);
        self.latencies.extend(other.latencies);
        for (pid, count) in other.pids {
            *self.pids.entry(pid).or_default() += count;
        }
    }

    pub(crate) fn report(mut self, name: &str, took: Duration, killed: &[Killed]) -> Report {
        for failure in &mut self.failures {
            failure.killed = killed.iter().any(|killed| explains(killed, failure));
        }
        self.latencies.sort_unstable();
        let count = |kind| self.failures.iter().filter(|failure| failure.kind == kind).count();
        let excused = self.failures.iter().filter(|failure| failure.killed).count();
        let own = count(Kind::Own);
        Report {
            name: name.to_owned(),
            seconds: took.as_secs_f64(),
            requests: self.ok + self.failures.len() as u64,
            ok: self.ok,
            refused: count(Kind::Refused),
            reset: count(Kind::Reset),
            short: count(Kind::Short),
            wrong: count(Kind::Wrong),
            timed_out: count(Kind::TimedOut),
            own,
            killed: excused,
            lost: self.failures.iter().filter(|failure| !failure.killed && failure.kind != Kind::Own).count(),
            reused: self.reused,
            p50_us: quantile(&self.latencies, 50),
            p99_us: quantile(&self.latencies, 99),
            max_us: self.latencies.last().copied(),
            pids: self.pids,
            failures: self.failures,
        }
    }
}

/// Whether the process that was killed had the failed request's connection, at the moment when it was killed.
fn explains(killed: &Killed, failure: &Failure) -> bool {
    let torn = matches!(failure.kind, Kind::Reset | Kind::Short | Kind::TimedOut);
    let had = failure.from.is_some_and(|from| killed.connections.contains(&from));
    let pid_fits = failure.pid.is_none_or(|pid| killed.pids.contains(&pid));
    torn && had && pid_fits && failure.began <= killed.at && failure.ended >= killed.stopped_at
}

fn quantile(sorted: &[u32], percent: usize) -> Option<u32> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

/// What came of it all.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    name: String,
    seconds: f64,
    requests: u64,
    ok: u64,
    refused: usize,
    reset: usize,
    short: usize,
    wrong: usize,
    timed_out: usize,
    pub(crate) own: usize,
    /// Of the failures, those of connections that a killed process had.
    killed: usize,
    /// All other failures.
    pub(crate) lost: usize,
    /// Kept connections that ended between two requests: no failures.
    reused: u64,
    p50_us: Option<u32>,
    p99_us: Option<u32>,
    max_us: Option<u32>,
    /// Answers by the process that gave them.
    pids: BTreeMap<u32, u64>,
    failures: Vec<Failure>,
}

impl Report {
    /// Of the table.
    pub(crate) const TITLE: &str = "name                 requests  refused    reset    short    wrong timed-out   \
                                    killed     lost   reused   p50 ms   p99 ms   max ms";

    /// Of the table.
    pub(crate) fn line(&self) -> String {
        let ms = |us: Option<u32>| us.map_or_else(|| "-".to_owned(), |us| format!("{:.2}", f64::from(us) / 1000.0));
        format!(
            "{:<20} {:>8} {:>8} {:>8} {:>8} {:>8} {:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
            self.name,
            self.requests,
            self.refused,
            self.reset,
            self.short,
            self.wrong,
            self.timed_out,
            self.killed,
            self.lost,
            self.reused,
            ms(self.p50_us),
            ms(self.p99_us),
            ms(self.max_us),
        )
    }
}
