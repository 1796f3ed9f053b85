//! The control socket: one request a connection, a line of JSON, and one or more lines as an answer.

pub(super) mod client;
pub(super) mod folder;
pub(super) mod metrics;

use crate::status::Status;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
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

/// What a supervisor is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    Status {
        /// As many of the last lines of each worker's output.
        #[serde(default)]
        lines: usize,
    },
    Reload {},
    Upgrade {
        /// The program to become; by default the one that was started, as it lies on disk now.
        to: Option<PathBuf>,
    },
    Stop {},
}

/// What it answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Status(Box<Status>),
    /// More will follow.
    Progress(String),
    Done(String),
    Failed(String),
}

/// Somebody who waits for an answer.
#[derive(Debug)]
pub(crate) struct Client(pub(crate) UnixStream);

impl Client {
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
                Ok(Err(Some((why, client)))) => client.end(Answer::Failed(why)),
                Ok(Err(None)) | Err(_) => {}
            }
        });
    }
}

/// What somebody asks; or why it is refused, if it is worth an answer.
async fn request(mut stream: UnixStream) -> Result<(Request, Client), Option<(String, Client)>> {
    let uid = stream.peer_cred().map_err(|_| None)?.uid();
    if uid != rustix::process::geteuid().as_raw() && uid != 0 {
        return Err(Some((
            format!("user {uid} may not ask: only the supervisor's own user, and root, may"),
            Client(stream),
        )));
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
        Err(why) => Err(Some((format!("malformed request: {why}"), Client(stream)))),
    }
}

/// Asks a supervisor, and waits for its last word, if need be for so long; without a bound, how it goes is told meanwhile.
pub(crate) fn ask(
    mut stream: StdStream,
    request: &Request,
    patience: Option<Duration>,
    progress: &mut dyn FnMut(&str),
) -> Result<Answer> {
    let peer = rustix::net::sockopt::socket_peercred(&stream).context("asking who answers")?.uid;
    let mine = rustix::process::geteuid();
    ensure!(peer == mine || peer.is_root() || mine.is_root(), "user {} answers: refused", peer.as_raw());
    stream.set_read_timeout(Some(patience.unwrap_or(PROGRESS_AFTER)))?;
    // A supervisor that refuses to hear says why before it reads.
    let _ = stream.write_all((serde_json::to_string(request)? + "\n").as_bytes());
    let mut lines = BufReader::new(stream.take(64 << 20));
    let (mut line, mut latest, mut slow) = (String::new(), None, false);
    loop {
        match lines.read_line(&mut line) {
            Ok(0) => bail!("the supervisor ended before it answered"),
            Ok(_) => {}
            // What is done at once needs no word about how it goes.
            Err(error) if error.kind() == ErrorKind::WouldBlock && patience.is_none() => {
                slow = true;
                latest.take().into_iter().for_each(|text: String| progress(&text));
                continue;
            }
            Err(error) => return Err(error).context("the supervisor does not answer"),
        }
        match serde_json::from_str(&line).context("the answer is not understood: is it of another version?")? {
            Answer::Progress(text) if slow => progress(&text),
            Answer::Progress(text) => latest = Some(text),
            answer => return Ok(answer),
        }
        line.clear();
    }
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
        let answer = ask(client, &Request::Reload {}, None, &mut |text| hear(text, &mut supervisor.borrow_mut()));
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
