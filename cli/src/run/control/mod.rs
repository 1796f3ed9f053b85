//! The control socket: one request a connection, a line of JSON, and one or more lines as an answer.

pub(super) mod client;
pub(super) mod folder;
pub(super) mod metrics;

use crate::procfs::stat::Stat;
use crate::status::Status;
use crate::system::is_now;
use anyhow::{Context, Result, bail};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use rustix::event::PollFlags;
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Largest request, in bytes.
const LONGEST_REQUEST: u64 = 16 << 10;
/// Most clients that are served at a time; more wait.
const MOST_CLIENTS: usize = 16;
/// Read and write timeout of a client.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Time after which a client is told of progress.
const PROGRESS_AFTER: Duration = Duration::from_secs(1);

/// A request to a supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Status {
        /// Number of last lines of each worker's output.
        #[serde(default)]
        lines: usize,
        /// Only what the supervisor itself knows, which costs little.
        #[serde(default)]
        brief: bool,
    },
    Reload {},
    Upgrade {
        /// The program to become; by default the one that was started, as it lies on disk now.
        to: Option<PathBuf>,
    },
    Stop {},
    /// Give up the reload that is under way.
    Cancel {},
}

/// Its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Status(Box<Status>),
    /// More will follow.
    Progress(String),
    Done(String),
    Failed(String),
    /// Something else is under way.
    Busy(String),
    /// The asker may not ask.
    Refused(String),
}

/// Reason why a supervisor does not do, or tell, what it is asked.
#[derive(Debug)]
pub(crate) enum Failure {
    Nobody(String),
    Busy(String),
    NotAllowed(String),
    NoAnswer(String),
}

impl std::error::Error for Failure {}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Failure::Nobody(why) | Failure::Busy(why) | Failure::NotAllowed(why) | Failure::NoAnswer(why)) = self;
        f.write_str(why)
    }
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) UnixStream);

impl Client {
    /// Whether it waits still: who has given up was told that nothing was done.
    pub(crate) fn waits(&self) -> bool {
        // One that has said all that it says still hears.
        !is_now(&self.0, PollFlags::empty())
    }

    /// Says it without waiting: who does not read is not waited for.
    pub(crate) fn say(&self, answer: &Answer) {
        let line = serde_json::to_string(answer).unwrap_or_default() + "\n";
        let _ = self.0.try_write(line.as_bytes());
    }

    /// Says the last of it, however long it is.
    pub(crate) fn end(mut self, answer: Answer) {
        let line = serde_json::to_string(&answer).unwrap_or_default() + "\n";
        tokio::task::spawn_local(async move {
            let _ = timeout(CLIENT_TIMEOUT, self.0.write_all(line.as_bytes())).await;
        });
    }
}

/// Receives requests, until the task is stopped.
pub(crate) async fn serve(listener: Rc<UnixListener>, requests: mpsc::UnboundedSender<(Request, Client)>) {
    let places = Arc::new(Semaphore::new(MOST_CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let requests = requests.clone();
        tokio::task::spawn_local(async move {
            let _place = place;
            match timeout(CLIENT_TIMEOUT, request(stream)).await {
                Ok(Ok((request, client))) => _ = requests.send((request, client)),
                Ok(Err(Some((answer, client)))) => client.end(answer),
                Ok(Err(None)) | Err(_) => {}
            }
        });
    }
}

/// Reads a request; or the answer that refuses it, if it is worth one.
async fn request(mut stream: UnixStream) -> Result<(Request, Client), Option<(Answer, Client)>> {
    let uid = stream.peer_cred().map_err(|_| None)?.uid();
    if uid != rustix::process::geteuid().as_raw() && uid != 0 {
        let why = format!("user {uid} may not ask: only the supervisor's own user, and root, may");
        return Err(Some((Answer::Refused(why), Client(stream))));
    }
    let mut text = Vec::new();
    let mut limited = (&mut stream).take(LONGEST_REQUEST);
    while !text.contains(&b'\n') {
        if limited.read_buf(&mut text).await.map_err(|_| None)? == 0 {
            break;
        }
    }
    let text = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    match serde_json::from_slice(text) {
        Ok(request) => Ok((request, Client(stream))),
        Err(_) if text.is_empty() => Err(None),
        Err(why) => Err(Some((Answer::Failed(format!("malformed request: {why}")), Client(stream)))),
    }
}

/// Actions while an answer takes long: telling how it goes, and looking whether the supervisor lives.
pub(crate) type Meanwhile<'a> = (&'a mut dyn FnMut(&str), &'a mut dyn FnMut() -> Result<()>);

/// Asks a supervisor, and waits for its last word: for so long, or, if something is to be done meanwhile, as long as it lives.
pub(crate) fn ask(
    mut stream: StdStream,
    request: &Request,
    patience: Duration,
    mut meanwhile: Option<Meanwhile<'_>>,
) -> Result<Answer> {
    // In other namespaces of processes it has no id here, which this must not depend on.
    let peer = getsockopt(&stream, PeerCredentials).context("asking who answers")?;
    let (peer, pid, mine) = (peer.uid(), peer.pid(), rustix::process::geteuid().as_raw());
    if ![mine, 0].contains(&peer) && mine != 0 {
        return Err(Failure::NotAllowed(format!("user {peer} answers: refused")).into());
    }
    let pause = if meanwhile.is_some() { patience.min(PROGRESS_AFTER) } else { patience };
    stream.set_read_timeout(Some(pause))?;
    stream.set_write_timeout(Some(patience))?;
    // A supervisor that refuses to hear says why before it reads.
    let _ = stream.write_all((serde_json::to_string(request)? + "\n").as_bytes());
    let mut lines = BufReader::new(stream.take(64 << 20));
    let (mut line, mut latest, mut slow, mut heard) = (String::new(), None, false, Instant::now());
    loop {
        match lines.read_line(&mut line) {
            Ok(0) => bail!("the supervisor ended before it answered"),
            Ok(_) => heard = Instant::now(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let Some((progress, lives)) = &mut meanwhile else { return Err(no_answer(patience, pid)) };
                // Progress is not told of a request that is done at once.
                slow = true;
                latest.take().into_iter().for_each(|text: String| progress(&text));
                if heard.elapsed() >= patience {
                    lives()?;
                    heard = Instant::now();
                }
                continue;
            }
            Err(error) => return Err(error).context("reading the answer"),
        }
        match serde_json::from_str(&line).context("the answer is not understood: is it of another version?")? {
            Answer::Progress(text) => match &mut meanwhile {
                Some((progress, _)) if slow => progress(&text),
                _ => latest = Some(text),
            },
            Answer::Busy(why) => return Err(Failure::Busy(why).into()),
            Answer::Refused(why) => return Err(Failure::NotAllowed(why).into()),
            answer => return Ok(answer),
        }
        line.clear();
    }
}

fn no_answer(patience: Duration, pid: i32) -> anyhow::Error {
    let why = match Stat::of(pid) {
        Some(stat) if stat.is_stopped() => format!("process {pid} is stopped: continue it with `kill -CONT {pid}`"),
        Some(_) => format!("process {pid} may be wedged: see what it waits for, or kill it"),
        None => "it may be stopped or wedged".to_owned(),
    };
    let why = format!("the supervisor does not answer within {} s: {why}", patience.as_secs_f64());
    Failure::NoAnswer(why).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    /// Asks a supervisor that has said this before it is asked; `hear` is called with how it goes, and the supervisor's end.
    fn ask_after(said: &[Answer], mut hear: impl FnMut(&str, &mut StdStream)) -> String {
        let (client, supervisor) = StdStream::pair().unwrap();
        let supervisor = RefCell::new(supervisor);
        said.iter().for_each(|answer| say(&mut supervisor.borrow_mut(), answer));
        let mut progress = |text: &str| hear(text, &mut supervisor.borrow_mut());
        let meanwhile: Meanwhile<'_> = (&mut progress, &mut || Ok(()));
        let answer = ask(client, &Request::Reload {}, PROGRESS_AFTER, Some(meanwhile));
        let Ok(Answer::Done(text)) = answer else { panic!("{answer:?}") };
        text
    }

    fn say(supervisor: &mut StdStream, answer: &Answer) {
        supervisor.write_all((serde_json::to_string(answer).unwrap() + "\n").as_bytes()).unwrap();
    }

    #[test]
    fn how_it_goes_is_told_only_to_a_client_that_has_to_wait() {
        let progress = ["none is ready", "one is ready"].map(|text| Answer::Progress(text.to_owned()));
        let done = Answer::Done("all are ready".to_owned());
        let at_once = [&progress[..], std::slice::from_ref(&done)].concat();
        assert_eq!(ask_after(&at_once, |text, _| panic!("{text:?} was told")), "all are ready");
        let mut told = Vec::new();
        let later = ask_after(&progress, |text, supervisor| {
            told.push(text.to_owned());
            say(supervisor, &done);
        });
        assert_eq!(later, "all are ready");
        assert_eq!(told, ["one is ready"], "the latest of it alone");
    }
}
