//! Handing the supervisor's state to a candidate: sockets by hand-off, and a stream that tells what they are.
//!
//! The source sends one end of a stream first, then each socket with a label, then, over the stream, a line of JSON. The
//! taker answers with one line over the stream: that it has everything, or why it cannot go on.

use crate::run::listener::Facts;
use crate::run::machine::Carried;
use crate::run::options::Via;
use crate::run::settings::Settings;
use crate::run::signals::with_signals_blocked;
use crate::run::spec::Spec;
use crate::run::worker::lines::Kept;
use crate::run::worker::orphan::OrphanRecord;
use crate::run::worker::record::Record;
use crate::system::is_now;
use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};
use sharesock::{Endpoint, Parcel, Process, Receiver, Sender, Socket};
use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

/// Time in which everything must be taken.
pub(crate) const HANDOVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_millis(2);
/// Poll interval of whether the other side lives.
const PEER_POLL: Duration = Duration::from_millis(50);
/// The bytes that go with the stream.
const STREAM: &[u8] = b"sharesock estate 3";
/// The taker's good word.
const TAKEN: &str = "taken";

/// Purpose of a socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Label {
    /// One of `--listen`, by its name.
    Listener(String),
    /// The control socket.
    Control,
    /// The line to the guard.
    Guard,
    /// The socket at which the worker with this number says how it is.
    Notify(u64),
    /// The standard input of the worker with this number.
    Input(u64),
    /// Accepted, and given to nobody yet.
    Connection,
    /// The client that asked for the upgrade.
    Client,
}

/// State that is told in text.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HandoverState {
    pub(crate) name: String,
    /// Version and file of the program.
    #[serde(default)]
    pub(crate) program: Option<(String, PathBuf)>,
    /// The machine's state.
    pub(crate) machine: Carried,
    /// Way in which workers get connections, if they do.
    pub(crate) giving: Option<Via>,
    /// Settings of workers, as they were at the last reload.
    #[serde(default)]
    pub(crate) settings: Settings,
    /// Options from which the listeners were made.
    pub(crate) listen: Vec<Spec>,
    /// State of each listener when it was made.
    #[serde(default)]
    pub(crate) births: Vec<Facts>,
    /// Messages that were said of each.
    #[serde(default)]
    pub(crate) said: Vec<HashSet<String>>,
    /// The names of those that had been passed to the supervisor.
    pub(crate) passed: Vec<String>,
    /// The names of those that workers do not serve, and need not.
    pub(crate) ignored: Vec<String>,
    pub(crate) workers: Vec<(Record, Kept)>,
    /// Process groups whose workers have ended.
    pub(crate) orphans: Vec<OrphanRecord>,
    pub(crate) guard: i32,
    pub(crate) given: u64,
    /// The identity of each socket, in the order in which they come.
    pub(crate) sockets: Vec<(Label, u64)>,
}

/// Everything.
#[derive(Debug)]
pub(crate) struct Handover {
    pub(crate) state: HandoverState,
    pub(crate) sockets: Vec<(Label, Socket)>,
}

impl Handover {
    pub(crate) fn new(mut state: HandoverState, sockets: Vec<(Label, Socket)>) -> Result<Self> {
        state.sockets =
            sockets.iter().map(|(label, socket)| Ok((label.clone(), socket.id()?.as_u64()))).collect::<Result<_>>()?;
        Ok(Handover { state, sockets })
    }

    /// Takes out what has this label.
    pub(crate) fn take(&mut self, label: &Label) -> Option<Socket> {
        let at = self.sockets.iter().position(|(there, _)| there == label)?;
        Some(self.sockets.remove(at).1)
    }

    /// Gives everything to a process that awaits it; what is here stays here, too.
    pub(crate) async fn give(&self, sender: &Sender) -> Result<StdStream> {
        let (ours, theirs) = StdStream::pair().context("a stream for the estate")?;
        ours.set_nonblocking(true)?;
        send(sender, Parcel::new(Socket::from(theirs)).with_bytes(STREAM.to_vec())).await?;
        for (label, socket) in &self.sockets {
            send(sender, Parcel::new(socket.try_clone()?).with_bytes(serde_json::to_vec(label)?)).await?;
        }
        let mut stream = UnixStream::from_std(ours)?;
        stream.write_all((serde_json::to_string(&self.state)? + "\n").as_bytes()).await.context("telling the state")?;
        let mut answer = String::new();
        tokio::io::BufReader::new(&mut stream).read_line(&mut answer).await.context("awaiting an answer")?;
        match answer.trim() {
            TAKEN => Ok(stream.into_std()?),
            "" => bail!("it ended without an answer"),
            why => bail!("{why}"),
        }
    }

    /// Takes everything that this process gives; then it must be told how that went.
    pub(crate) fn receive(receiver: &Receiver, source: Process) -> Result<(Self, Answer)> {
        let deadline = Instant::now() + HANDOVER_TIMEOUT;
        let next = || loop {
            ensure!(Instant::now() < deadline, "timed out waiting for the old supervisor's state");
            ensure!(Process::from_pid(source.pid()) == Ok(source), "whoever was to give it everything has ended");
            let Some(parcel) = receiver.receive_within(PEER_POLL)? else { continue };
            // Others of this user may hand something off, and are not heard.
            if parcel.source() == Some(source) {
                return Ok::<_, anyhow::Error>(parcel.into_parts());
            }
        };
        let (stream, bytes) = next()?;
        ensure!(bytes == STREAM, "what it was given is of another version of this program");
        let stream = StdStream::from(stream);
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(HANDOVER_TIMEOUT))?;
        let mut line = String::new();
        // The other side writes this last, and hands off more than a queue may hold before: so the sockets are taken first.
        let mut sockets = Vec::new();
        let state: HandoverState = loop {
            if is_now(&stream, PollFlags::IN) {
                BufReader::new(&stream).read_line(&mut line).context("the state did not come")?;
                break serde_json::from_str(&line)
                    .map_err(|why| anyhow!("what it was told is of another version: {why}"))?;
            }
            if let Some(parcel) = receiver.receive_within(RETRY_PAUSE)? {
                if parcel.source() == Some(source) {
                    sockets.push(parcel.into_parts());
                }
            }
            ensure!(Instant::now() < deadline, "timed out waiting for the old supervisor's state");
            ensure!(Process::from_pid(source.pid()) == Ok(source), "whoever was to give it everything has ended");
        };
        while sockets.len() < state.sockets.len() {
            sockets.push(next()?);
        }
        let label = |(socket, bytes): (Socket, Vec<u8>)| {
            Ok((serde_json::from_slice(&bytes).context("a socket without a label")?, socket))
        };
        let sockets = sockets.into_iter().map(label).collect::<Result<_>>()?;
        Ok((Handover::checked(state, sockets)?, Answer(stream)))
    }

    /// These sockets, if they are those that the state tells of.
    pub(super) fn checked(state: HandoverState, sockets: Vec<(Label, Socket)>) -> Result<Self> {
        for ((label, socket), (said, id)) in sockets.iter().zip(&state.sockets) {
            ensure!(label == said && socket.id()?.as_u64() == *id, "a socket is not what it was said to be");
        }
        ensure!(sockets.len() == state.sockets.len(), "there are not as many sockets as were said to be");
        Ok(Handover { state, sockets })
    }
}

/// The answer that a taker owes.
#[derive(Debug)]
pub(crate) struct Answer(StdStream);

impl Answer {
    /// It has everything, and can go on with it.
    pub(crate) fn taken(mut self) -> Result<StdStream> {
        writeln!(self.0, "{TAKEN}").context("answering")?;
        Ok(self.0)
    }

    pub(crate) fn refused(mut self, why: &anyhow::Error) {
        let _ = writeln!(self.0, "{}", format!("{why:#}").replace('\n', " "));
    }
}

/// Hands off without ever waiting for more than there is time.
async fn send(sender: &Sender, mut parcel: Parcel) -> Result<()> {
    let deadline = Instant::now() + HANDOVER_TIMEOUT;
    loop {
        match sender.try_hand_off(parcel) {
            Ok(()) => return Ok(()),
            Err(refused) if Instant::now() < deadline && !sender.is_closed() => parcel = refused.parcel,
            Err(refused) => return Err(refused.error.into()),
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// The way to a process, as soon as it receives; `gone` says whether it has ended, and why.
pub(crate) async fn reach(
    endpoint: &Endpoint,
    process: Process,
    gone: &mut dyn FnMut() -> Option<String>,
) -> Result<Sender> {
    let wait = async {
        loop {
            if let Ok(sender) = with_signals_blocked(|| endpoint.sender(process)) {
                return Ok(sender);
            }
            if let Some(why) = gone() {
                bail!("{why}");
            }
            sleep(RETRY_PAUSE).await;
        }
    };
    timeout(HANDOVER_TIMEOUT, wait)
        .await
        .unwrap_or_else(|_| bail!("it did not begin to receive within {} s", HANDOVER_TIMEOUT.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// An older version, or a newer one, reads it: a member may be added if it has a default, and none may change its name.
    #[test]
    fn the_state_has_the_names_that_other_versions_know() {
        let (moment, time) = (json!(1), json!({"secs": 30, "nanos": 0}));
        let kept = json!({"lines": ["a line"], "begun": [[], [98]]});
        let told = json!({
            "name": "web",
            "program": ["0.1.0", "/usr/bin/sharesock"],
            "machine": {
                "generation": 5,
                "slots": [{"backoff": {"failures": 0}, "restarts": 1, "restart_at": null}],
                "workers": {
                    "4": {
                        "pid": 100, "slot": 0, "generation": 5, "single": false, "since": moment, "stop_timeout": time,
                        "phase": "Ready",
                    },
                    "6": {
                        "pid": 101, "slot": 1, "generation": 5, "single": false, "since": moment, "stop_timeout": time,
                        "phase": {"Starting": {
                            "said": false, "serves": false, "serves_some": false, "unseen": false, "hidden": false, "linked": false,
                            "alive": false, "alive_at": null, "due": moment,
                        }},
                    },
                    "7": {
                        "pid": 102, "slot": 2, "generation": 4, "single": false, "since": moment, "stop_timeout": time,
                        "phase": {"Draining": {"settle_by": moment, "due": moment, "within": time}},
                    },
                    "8": {
                        "pid": 103, "slot": 3, "generation": 4, "single": true, "since": moment, "stop_timeout": time,
                        "phase": {"Killed": {"failure": "why", "was_ready": true, "kills": 1, "due": moment}},
                    },
                },
                "orphans": {"3": {"due": moment, "kills": 0}},
                "counts": {
                    "started": moment, "reloads": 1, "upgrades": 2, "restarts": 3, "last_worker": 4,
                    "last_generation": 5, "last_failure": {"why": "why", "at": moment}, "failed_reloads": 1,
                    "failed_upgrades": 2, "cut": 3, "last_reload": [moment, time], "is_short": false,
                },
            },
            "giving": "HandOff",
            "settings": {
                "chdir": "/srv/app/1", "env": [["A", "1"]],
                "rights": {
                    "identity": {"user": 1, "group": 2, "groups": [2, 3]}, "umask": 0o27, "limits": [["core", null]],
                },
            },
            "listen": [],
            "births": [{
                "state": "listens", "settings": {"O_NONBLOCK": [1]},
                "file": {"file": [1, 2], "mode": 0o600, "owner": [0, 0]},
            }],
            "passed": ["web"],
            "said": [["a worker changed TCP_NODELAY"]],
            "ignored": ["admin"],
            "workers": [[
                {"number": 4, "pid": 100, "slot": 0, "says": "warm", "handed_off": 6, "open": 2, "received": 5,
                    "adopted": false}, kept,
            ]],
            "orphans": [{"group": 99, "strays": [98], "number": 3, "stop_signal": 15, "prefix": "0 | ",
                "slot": 0, "kept": kept}],
            "guard": 98,
            "given": 7,
            "sockets": [["control", 1], [{"listener": "web"}, 2], [{"notify": 4}, 3]],
        });
        let state: HandoverState = serde_json::from_value(told.clone()).unwrap();
        assert_eq!(serde_json::to_value(&state).unwrap(), told);
    }
}
