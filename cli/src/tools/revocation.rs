//! Where a `give --revocable` can be asked to revoke: a Unix socket in the domain, named by the info's token.

use super::published::{self, Published};
use anyhow::{Context, Result};
use sharesock::{Delivery, Domain};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// Who only looks whether somebody listens says nothing.
const REQUEST: &[u8] = b"revoke";
/// How long a `give` may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Who asks says so at once.
const REQUEST_WITHIN: Duration = Duration::from_secs(1);

/// What becomes of a duplicate that is to be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Revoked,
    Redeemed,
}

impl Answer {
    fn as_text(self) -> &'static str {
        match self {
            Answer::Revoked => "revoked",
            Answer::Redeemed => "redeemed",
        }
    }
}

/// Where others ask; its name goes with it.
#[derive(Debug)]
pub(super) struct Desk(Published);

impl Desk {
    pub(super) fn open(domain: &Domain, delivery: &Delivery) -> Result<Self> {
        let opening = "opening the place where it can be revoked";
        // The token is random: nobody else has it.
        Published::open(domain, &name(delivery)).context(opening)?.map(Desk).context(opening)
    }

    /// The next who asks now.
    pub(super) fn next(&self) -> Option<Asking> {
        loop {
            // What is refused now, for want of a descriptor, waits.
            let (mut stream, _) = self.0.listener.accept().ok()?;
            let mine = published::peer(&stream).is_ok_and(|(_, uid)| published::is_mine(uid));
            let mut request = [0; REQUEST.len()];
            let timely = stream.set_nonblocking(false).and_then(|()| stream.set_read_timeout(Some(REQUEST_WITHIN)));
            if mine && timely.is_ok() && stream.read_exact(&mut request).is_ok() && request == REQUEST {
                return Some(Asking(stream));
            }
        }
    }
}

/// Who asks that a duplicate be revoked.
#[derive(Debug)]
pub(super) struct Asking(UnixStream);

impl Asking {
    /// Who does not wait for the answer does not need it.
    pub(super) fn answer(mut self, answer: Answer) {
        let _ = self.0.write_all(answer.as_text().as_bytes());
    }
}

/// Asks the `give` that made it; nothing when none waits any more.
pub(super) fn ask(domain: &Domain, delivery: &Delivery) -> Result<Option<Answer>> {
    let asking = "asking its source to revoke";
    let Some(mut stream) = published::call(domain, &name(delivery)).context(asking)? else { return Ok(None) };
    check_peer(&stream, delivery)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN)).context(asking)?;
    stream.write_all(REQUEST).context(asking)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("its source does not answer")?;
    match [Answer::Revoked, Answer::Redeemed].into_iter().find(|known| known.as_text() == answer) {
        None => anyhow::bail!("its source ended before it answered: ask again"),
        known => Ok(known),
    }
}

/// In a domain that several users share, another could have taken the name.
fn check_peer(stream: &UnixStream, delivery: &Delivery) -> Result<()> {
    let (pid, uid) = published::peer(stream)?;
    let source = (delivery.source_pid, delivery.source_tag);
    let is_source = sharesock::Process::from_pid(pid).is_ok_and(|process| (process.pid(), process.tag()) == source);
    // One outside of this PID namespace has no id here.
    let unseen = pid == 0 && uid == rustix::process::geteuid().as_raw();
    anyhow::ensure!(
        is_source || unseen,
        "process {pid} answers for process {}: refused; the domain holds a name that is not what it says",
        delivery.source_pid
    );
    Ok(())
}

fn name(delivery: &Delivery) -> String {
    format!("{:032x}", u128::from_be_bytes(delivery.token))
}
