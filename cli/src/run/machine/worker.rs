//! One worker, from its start to its end.

use super::event::{ReadyRule, Rules, Sign};
use crate::run::clock::Moment;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Bounds how long a draining worker may take what it was given before it is asked to end.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
/// Pause between two SIGKILL to what does not die, and how many there are.
pub(crate) const KILL_AGAIN: Duration = Duration::from_secs(1);
pub(crate) const KILLS: u32 = 3;

/// Advice about a worker that serves nothing.
const TAKES_IT: &str =
    "does it take the listener that it is passed? Else choose by --ready how to tell that it is ready";

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Worker {
    /// Not known until it was started.
    pub(crate) pid: Option<i32>,
    pub(crate) slot: u32,
    pub(crate) generation: u32,
    /// It serves one connection, and ends.
    pub(crate) single: bool,
    pub(crate) since: Moment,
    pub(crate) stop_timeout: Duration,
    /// Why a check of it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failing: Option<String>,
    pub(crate) phase: Phase,
}

/// Phase of a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    Starting(Start),
    Ready,
    Draining(Drain),
    /// It was sent SIGKILL, and has not ended yet.
    Killed(Kill),
}

/// Signs of a worker that is starting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) said: bool,
    pub(crate) serves: bool,
    pub(crate) serves_some: bool,
    pub(crate) unseen: bool,
    pub(crate) hidden: bool,
    pub(crate) linked: bool,
    /// It has lived long enough.
    pub(crate) alive: bool,
    /// When it will have.
    pub(crate) alive_at: Option<Moment>,
    /// When it is killed.
    pub(crate) due: Moment,
}

/// Progress of asking a worker to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Drain {
    /// When it is asked to end though it has not taken what it was given; nothing once it was asked.
    pub(crate) settle_by: Option<Moment>,
    /// When it is killed, and how long after it was asked to end that is.
    pub(crate) due: Moment,
    #[serde(default)]
    pub(crate) within: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kill {
    /// Why it has failed; nothing if it was asked to end.
    pub(crate) failure: Option<String>,
    /// It was ready before.
    pub(crate) was_ready: bool,
    pub(crate) kills: u32,
    pub(crate) due: Moment,
}

impl Worker {
    pub(crate) fn new(slot: u32, generation: u32, rules: &Rules, single: bool, now: Moment) -> Self {
        let phase = if single { Phase::Ready } else { Phase::Starting(Start::new(rules, now)) };
        Worker {
            pid: None,
            slot,
            generation,
            single,
            since: now,
            stop_timeout: rules.stop_timeout,
            failing: None,
            phase,
        }
    }

    pub(crate) fn has_started(&mut self, pid: i32, rules: Option<&Rules>, now: Moment) {
        (self.pid, self.since) = (Some(pid), now);
        if let (Phase::Starting(start), Some(rules)) = (&mut self.phase, rules) {
            *start = Start::new(rules, now);
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    pub(crate) fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting(_))
    }

    /// Whether nobody has asked it to end, or killed it.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(self.phase, Phase::Starting(_) | Phase::Ready)
    }

    /// When something is due.
    pub(crate) fn due(&self) -> Option<Moment> {
        match &self.phase {
            Phase::Starting(start) => Some(start.alive_at.map_or(start.due, |alive| alive.min(start.due))),
            Phase::Ready => None,
            Phase::Draining(drain) => Some(drain.settle_by.map_or(drain.due, |settle| settle.min(drain.due))),
            Phase::Killed(kill) => Some(kill.due),
        }
    }

    /// Asks it to end within its stop timeout.
    pub(crate) fn drain(&mut self, now: Moment) {
        self.drain_within(self.stop_timeout, now);
    }

    pub(crate) fn drain_within(&mut self, within: Duration, now: Moment) {
        let (settle_by, due) = (now.after(SETTLE_WITHIN), now.after(within));
        self.phase = Phase::Draining(Drain { settle_by: Some(settle_by), due, within });
    }

    /// Leaves one that drains no more than its stop timeout; whether that is less than it had.
    pub(crate) fn hurry(&mut self, now: Moment) -> bool {
        let (Phase::Draining(drain), due) = (&mut self.phase, now.after(self.stop_timeout)) else { return false };
        let is_sooner = due < drain.due;
        if is_sooner {
            (drain.due, drain.within) = (due, self.stop_timeout);
        }
        is_sooner
    }

    pub(crate) fn kill(&mut self, failure: Option<String>, now: Moment) {
        let was_ready = !self.is_starting();
        self.phase = Phase::Killed(Kill { failure, was_ready, kills: 1, due: now.after(KILL_AGAIN) });
    }
}

impl Start {
    fn new(rules: &Rules, now: Moment) -> Self {
        let alive_at = match rules.ready {
            ReadyRule::Alive(time) | ReadyRule::SaidOrAlive(time) => Some(now.after(time)),
            ReadyRule::Said | ReadyRule::Serves | ReadyRule::Linked => None,
        };
        let due = now.after(rules.ready_timeout);
        let [said, serves, serves_some, unseen, hidden, linked, alive] = [false; 7];
        Start { said, serves, serves_some, unseen, hidden, linked, alive, alive_at, due }
    }

    pub(crate) fn note(&mut self, sign: Sign) {
        match sign {
            Sign::Said => self.said = true,
            Sign::Serves => self.serves = true,
            // The last look holds.
            Sign::ServesSome | Sign::Unseen | Sign::Hidden | Sign::Nothing => {
                self.serves_some = sign == Sign::ServesSome;
                self.unseen = matches!(sign, Sign::Unseen | Sign::Hidden);
                self.hidden = sign == Sign::Hidden;
            }
            Sign::Hung => {}
            Sign::Linked => self.linked = true,
        }
    }

    /// Notes that time has passed.
    pub(crate) fn tick(&mut self, now: Moment) {
        self.alive |= self.alive_at.take_if(|at| *at <= now).is_some();
    }

    /// Whether what is known makes it ready.
    pub(crate) fn is_enough(&self, rules: &Rules) -> bool {
        let ready = match rules.ready {
            ReadyRule::Said => self.said,
            // A hidden worker is believed.
            ReadyRule::Serves => self.serves || (self.hidden && self.said),
            ReadyRule::SaidOrAlive(_) => self.said || self.alive,
            ReadyRule::Alive(_) => self.alive,
            ReadyRule::Linked => self.linked,
        };
        ready && (self.linked || !rules.hands_off)
    }

    /// Whether it may serve, though it was not seen to: to end it would do more harm than to let it be.
    pub(crate) fn may_serve(&self, rules: &Rules) -> bool {
        rules.ready == ReadyRule::Serves && (self.serves_some || self.unseen)
    }

    /// Why it is not ready, for the person who must do something about it.
    pub(crate) fn is_missing(&self, rules: &Rules, failing: Option<&str>) -> String {
        let time = rules.ready_timeout.as_secs_f64();
        match rules.ready {
            ReadyRule::Said => format!("it did not say READY=1 within {time} s"),
            ReadyRule::Serves if self.unseen => format!(
                "it was not seen to serve within {time} s, for it may not be looked at: give this process CAP_SYS_PTRACE, \
                 or choose by --ready how to tell that it is ready"
            ),
            ReadyRule::Serves => format!("{} within {time} s: {}", rules.unserved, failing.unwrap_or(TAKES_IT)),
            _ if rules.hands_off && !self.linked => format!("it did not open its receiver within {time} s"),
            _ => format!("it was not ready within {time} s"),
        }
    }
}
