//! A worker's link to its supervisor: the stop signal and standard input say what is to be done, `sd_notify` says how it goes, and
//! the control socket answers who else serves.

use crate::run::{OPEN, RECEIVED, brief_status};
use crate::serve::envelope::Envelope;
use crate::serve::page::{Count, View};
use crate::serve::{Ending, Told, WorkerOptions};
use crate::status::{Status, SupervisorState, WorkerState, WorkerStatus};
use crate::system::is_now;
use anyhow::{Context, Result};
use rustix::event::PollFlags;
use sharesock::{Process, ProtocolInfo};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{UnixDatagram, UnixStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

/// Bytes of a protocol info on standard input.
const INFO: usize = 628;
/// Most of them that are read in one go.
const INFOS_AT_ONCE: usize = 16;
/// Pause after a connection could not be redeemed for lack of descriptors.
const PAUSE_WHEN_SHORT: Duration = Duration::from_millis(250);
/// Time for the supervisor's answer; one that does not give it is taken for dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for which an answer is shown to those who look at the page.
const SHOWN_FOR: Duration = Duration::from_millis(100);

/// A worker's link to its supervisor.
#[derive(Debug)]
pub(crate) struct Link {
    terminate: Signal,
    /// Infos, with `--via info`, and what was read of the next ones.
    input: Option<UnixStream>,
    read: Vec<u8>,
    /// An info for which there was no room, and when it is tried again; those behind it wait.
    again: Option<(ProtocolInfo, Instant)>,
    /// The end of the input was told, though not everything before it was read.
    foresaw_end: bool,
    notify: UnixDatagram,
    /// A message for which there was no room.
    unsaid: Option<String>,
    /// Id of the supervisor that started this.
    accepts: u32,
    figures: Rc<Figures>,
}

impl Link {
    /// Opens it. From now on the stop signal is heard.
    pub(crate) fn open(options: &WorkerOptions) -> Result<Self> {
        let watch = |kind| signal(kind).context("watching for signals");
        let terminate = watch(SignalKind::terminate())?;
        // The supervisor forwards these signals; by default they would end this process.
        [SignalKind::user_defined1(), SignalKind::user_defined2()]
            .into_iter()
            .try_for_each(|kind| watch(kind).map(drop))?;
        let given = |name: &str| std::env::var(name).context("a worker is started by `sharesock serve`");
        let notify = UnixDatagram::unbound()?;
        notify.connect(given("NOTIFY_SOCKET")?).context("reaching the supervisor")?;
        let accepts = given("SHARESOCK_SUPERVISOR")?.parse::<Process>()?.pid();
        let input = std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
        // With `--via hand-off`, standard input is no socket.
        let input = match input.local_addr() {
            Ok(_) => {
                input.set_nonblocking(true)?;
                Some(UnixStream::from_std(input)?)
            }
            Err(_) => None,
        };
        let figures = Rc::new(Figures { supervisor: options.supervisor.clone(), seen: Mutex::default() });
        let read = Vec::with_capacity(INFOS_AT_ONCE * INFO);
        let (again, foresaw_end) = (None, false);
        Ok(Link { terminate, input, read, again, foresaw_end, notify, unsaid: None, accepts, figures })
    }

    /// The next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            if let Some((_, when)) = self.again {
                tokio::select! {
                    biased;
                    Some(()) = self.terminate.recv() => return Told::End,
                    () = tokio::time::sleep_until(when.into()) => {}
                    _ = self.notify.writable(), if self.unsaid.is_some() => {
                        self.say_again();
                        continue;
                    }
                }
                // Connections that are idle make room when they end, for which this has to be known.
                if !self.foresaw_end && self.input.as_ref().is_some_and(|input| is_now(input, PollFlags::RDHUP)) {
                    self.foresaw_end = true;
                    return Told::End;
                }
                if let Some((info, _)) = self.again.take() {
                    return self.redeem(Ok(info));
                }
            }
            if let Some(info) = self.read.get(..INFO).map(ProtocolInfo::from_bytes) {
                self.read.drain(..INFO);
                return self.redeem(info.map_err(Into::into));
            }
            let input = async {
                match &mut self.input {
                    Some(input) => input.read_buf(&mut self.read).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                read = input => if !read.is_ok_and(|length| length > 0) {
                    self.input = None;
                    return Told::End;
                },
                Some(()) = self.terminate.recv() => return Told::End,
                _ = self.notify.writable(), if self.unsaid.is_some() => self.say_again(),
            }
        }
    }

    fn redeem(&self, info: Result<ProtocolInfo>) -> Told {
        Told::Redeem { id: 0, info, envelope: Envelope::bare(self.accepts) }
    }

    /// Keeps an info for which there is no room now: it comes again, after a pause or when something was closed. Whether this
    /// can be done.
    pub(crate) fn keep(&mut self, info: &ProtocolInfo) -> bool {
        self.again = Some((*info, Instant::now() + PAUSE_WHEN_SHORT));
        true
    }

    /// Whether an info is kept.
    pub(crate) fn is_behind(&self) -> bool {
        self.again.is_some()
    }

    /// Something was closed: there may be room.
    pub(crate) fn hurry(&mut self) {
        self.again.iter_mut().for_each(|(_, when)| *when = Instant::now());
    }

    /// Tells what became of a connection that was to be redeemed. The supervisor hears of it by the counts.
    #[allow(clippy::unused_self)]
    pub(crate) fn answer(&mut self, _: u64, redeemed: Result<()>) {
        if let Err(error) = redeemed {
            eprintln!("sharesock: a connection could not be redeemed: {error:#}");
        }
    }

    /// Says that this worker serves, and how many connections it has open, and has received from the supervisor.
    pub(crate) fn say(&mut self, open: u64, received: u64) {
        self.unsaid = Some(format!("READY=1\n{OPEN}={open}\n{RECEIVED}={received}"));
        self.say_again();
    }

    fn say_again(&mut self) {
        let send = |text: &String| self.notify.try_send(text.as_bytes());
        let full = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        // One that has ended does not need to know.
        if !self.unsaid.as_ref().map(send).is_some_and(|sent| sent.is_err_and(full)) {
            self.unsaid = None;
        }
    }

    /// The way in which this worker ends, by its supervisor's word; one that does not answer is dead.
    pub(crate) async fn ending(&mut self) -> Ending {
        let dead = Ending { successors: Vec::new(), takes: true };
        self.figures.status().await.map_or(dead, |status| ending(&status, std::process::id()))
    }

    /// Figures of all workers.
    pub(crate) fn figures(&self) -> Rc<Figures> {
        Rc::clone(&self.figures)
    }
}

/// The way in which the worker with this id ends, by its supervisor's status.
///
/// One that its supervisor has not asked to end takes nothing more, and finishes what it has. Somebody else has sent it the signal,
/// or the kernel has, for its parent has died and a candidate goes on; then all others were sent it as well.
fn ending(status: &Status, own: u32) -> Ending {
    let everything = status.state == SupervisorState::Stopping;
    let known = status.workers.iter().find(|worker| worker.pid == own);
    let asked = known.map(|own| everything || own.state == WorkerState::Draining);
    let serves = |worker: &&WorkerStatus| worker.generation == status.generation && worker.state == WorkerState::Ready;
    let others = status.workers.iter().filter(serves).map(|worker| worker.pid);
    let successors = if asked == Some(true) && !everything { others.collect() } else { Vec::new() };
    Ending { successors, takes: asked != Some(false) }
}

/// Figures of all workers, as their supervisor tells them, for the page.
#[derive(Debug)]
pub(crate) struct Figures {
    supervisor: String,
    seen: Mutex<Option<(Instant, View)>>,
}

impl Figures {
    async fn status(&self) -> Result<Status> {
        brief_status(self.supervisor.clone(), ANSWER_TIMEOUT).await
    }

    /// Figures of a moment ago. However many clients look, the supervisor is asked once.
    pub(crate) async fn look(&self) -> View {
        let mut seen = self.seen.lock().await;
        if let Some((_, view)) = seen.as_ref().filter(|(when, _)| when.elapsed() < SHOWN_FOR) {
            return view.clone();
        }
        let view = self.status().await.map(|status| view(&status)).unwrap_or_default();
        *seen = Some((Instant::now(), view.clone()));
        view
    }
}

/// The word for a state.
fn word(state: &impl serde::Serialize) -> String {
    serde_json::to_value(state).ok().and_then(|state| state.as_str().map(str::to_owned)).unwrap_or_default()
}

fn view(status: &Status) -> View {
    let count = |worker: &WorkerStatus| Count {
        pid: worker.pid,
        generation: worker.generation,
        state: word(&worker.state),
        open: worker.open.unwrap_or_default(),
        given: worker.handed_off,
        given_per_second: (worker.uptime_s > 0.0).then(|| worker.handed_off as f64 / worker.uptime_s),
    };
    let median = status.hand_offs.and_then(|hand_offs| hand_offs.median_us);
    View {
        state: word(&status.state),
        generation: status.generation,
        workers: status.workers.iter().map(count).collect(),
        hand_off_us: median.and_then(|median| u32::try_from(median).ok()).map(f64::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn connections_go_to_workers_that_serve_when_the_supervisor_wants_this_one_to_end() {
        let ending = |state: &str, workers: &[(u32, u32, &str)]| {
            let worker = |(pid, generation, state): &(u32, u32, &str)| {
                json!({"pid": pid, "generation": generation, "state": state, "place": 0, "uptime_s": 1.0, "restarts": 0,
                    "handed_off": 0})
            };
            let status = json!({"state": state, "generation": 2, "workers": workers.iter().map(worker).collect::<Vec<_>>(),
                "name": "a", "pid": 1, "version": "1", "uptime_s": 1.0, "reloads": 0, "upgrades": 0, "restarts": 0,
                "wanted": 2, "ready": 2, "failed_reloads": 0, "failed_upgrades": 0, "connections_cut": 0, "listeners": []});
            let Ending { successors, takes } = ending(&serde_json::from_value(status).unwrap(), 7);
            (successors, takes)
        };
        let reloaded = [(7, 1, "draining"), (8, 1, "ready"), (9, 2, "ready"), (10, 2, "starting"), (11, 2, "ready")];
        let hung = [(7, 2, "draining"), (8, 2, "ready"), (9, 2, "draining")];
        let unasked = [(7, 2, "ready"), (8, 2, "ready")];
        for (state, workers, expected, why) in [
            ("running", &reloaded[..], (vec![9, 11], true), "newer workers serve"),
            ("reloading", &reloaded, (vec![9, 11], true), "another reload has begun"),
            ("upgrading", &reloaded, (vec![9, 11], true), "the supervisor is being replaced"),
            ("stopping", &reloaded, (vec![], true), "the whole service ends"),
            ("running", &hung, (vec![8], true), "this one alone is replaced"),
            ("running", &hung[..1], (vec![], true), "nobody else serves"),
            ("running", &unasked, (vec![], false), "its supervisor has not asked"),
            ("stopping", &unasked, (vec![], true), "it will be asked"),
            ("running", &unasked[1..], (vec![], true), "its supervisor does not know of it"),
        ] {
            assert_eq!(ending(state, workers), expected, "{why}");
        }
    }
}
