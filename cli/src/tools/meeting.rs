//! Meeting by name: a `give --as NAME` waits for a `take NAME` in another terminal, or the other way round.

use super::published::{self, Published};
use crate::run::check_name;
use anyhow::{Context, Result, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sharesock::Domain;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Before a name, so that no other kind of name in the domain is met.
const PREFIX: &str = "as-";
/// What a taker says. Whoever only looks whether somebody listens says nothing.
const REQUEST: &[u8] = b"take";
/// Time for a taker to say it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// Poll interval of a taker for its giver.
const GIVER_POLL: Duration = Duration::from_millis(50);

/// A name for a meeting, on the command line.
pub(super) fn name(text: &str) -> Result<String, String> {
    check_name(text).map(|()| text.to_owned())
}

/// The giver's side.
#[derive(Debug)]
pub(super) struct Meeting(Published);

/// A taker: its process id, and the line over which it gets the info.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) pid: u32,
    pub(super) line: UnixStream,
}

impl Meeting {
    pub(super) fn open(domain: &Domain, name: &str) -> Result<Self> {
        let published = Published::open(domain, &format!("{PREFIX}{name}")).context("taking the name in the domain")?;
        published.map(Meeting).with_context(|| {
            format!("another `sharesock give` has the name {name}: take that first, or choose another")
        })
    }

    /// The first taker, or nothing when the time is over.
    pub(super) fn wait(&self, timeout: Option<Duration>) -> Result<Option<Taker>> {
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let time = left.and_then(|left| Timespec::try_from(left).ok());
            let mut listener = [PollFd::new(&self.0.listener, PollFlags::IN)];
            match poll(&mut listener, time.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for a taker"),
            }
            let Ok((mut line, _)) = self.0.listener.accept() else { continue };
            let (pid, uid) = published::peer(&line)?;
            let mut request = [0; REQUEST.len()];
            let timely = line.set_nonblocking(false).and_then(|()| line.set_read_timeout(Some(REQUEST_TIMEOUT)));
            let asks = timely.and_then(|()| line.read_exact(&mut request)).is_ok() && request == REQUEST;
            // Somebody else is not answered, and the taker still awaited.
            if asks && published::is_mine(uid) && pid != 0 {
                return Ok(Some(Taker { pid, line }));
            }
        }
    }
}

/// The taker's side: the line to the giver, from which the info comes.
pub(super) fn meet(domain: &Domain, name: &str, timeout: Option<Duration>) -> Result<UnixStream> {
    let started = Instant::now();
    let mut told = false;
    loop {
        if let Some(mut line) = published::call(domain, &format!("{PREFIX}{name}")).context("calling the giver")? {
            let (pid, uid) = published::peer(&line)?;
            ensure!(
                published::is_mine(uid),
                "process {pid} of user {uid} gives under the name {name}: refused; choose another name"
            );
            line.write_all(REQUEST).context("asking the giver")?;
            return Ok(line);
        }
        if timeout.is_some_and(|timeout| timeout <= started.elapsed()) {
            anyhow::bail!(
                "nobody gave under the name {name} within {} s: run `sharesock give --as {name}` in the same domain, {}",
                started.elapsed().as_secs(),
                domain.path().display()
            );
        }
        if !told {
            eprintln!("sharesock: waiting for `sharesock give --as {name}` in {}", domain.path().display());
            told = true;
        }
        std::thread::sleep(GIVER_POLL);
    }
}
