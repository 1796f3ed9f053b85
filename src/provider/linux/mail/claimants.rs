//! Those who claim what is held for them, and the answers that they get.

use super::holding::Holding;
use super::{Frame, Listener, Quota, Refusal, Token, is_passing, read_frame};
use crate::error::Result;
use crate::process::Process;
use crate::provider::linux::closer::{Closer, Link};
use crate::provider::linux::process::Peer;
use crate::provider::linux::sys::send_rights;
use rustix::io::{Errno, IoSlice};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many links are accepted, and frames read of one link, before others get their turn.
const BUDGET: usize = 64;
/// A link is to say whose it is within this time.
const GREETING_WITHIN: Duration = Duration::from_secs(5);
/// So many links that did not say whose they are may be open.
const MOST_SILENT: usize = 256;
/// So many links may be of one process, each of whose threads may claim something.
const OF_A_PROCESS: usize = 1024;

/// A link over which a target claims.
#[derive(Debug)]
struct Claimant {
    link: Arc<Link>,
    /// What it says who it is, until the kernel agreed.
    greeting: Option<Process>,
    process: Option<Process>,
    uid: u32,
    since: Instant,
    /// A claim that could not be answered yet.
    unanswered: Option<Token>,
}

/// The links over which others claim.
#[derive(Debug, Default)]
pub(super) struct Claimants(Vec<Claimant>);

/// What a look at a link came to.
enum Look {
    /// It waits for a claim.
    Quiet,
    /// There may be more to read.
    More,
    /// It is to be looked at again after a while: the kernel takes no answer now, or no descriptor is free.
    Later,
    Over,
}

/// What to do after all were looked at.
pub(super) struct Looked {
    /// Links from which something may come.
    pub(super) quiet: Vec<Arc<Link>>,
    pub(super) more: bool,
    pub(super) later: bool,
}

impl Claimants {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Accepts those who want to claim; whether there may be more.
    ///
    /// # Errors
    /// [`Error::System`](crate::Error::System) when no descriptor is free for them; they wait in the backlog.
    pub(super) fn accept(&mut self, listener: &Listener, closer: &Closer) -> Result<bool> {
        let most = Quota::here(OF_A_PROCESS).links;
        for _ in 0..BUDGET {
            let Some(link) = listener.accept()? else { return Ok(false) };
            let link = Arc::new(closer.guard_link(link));
            // The oldest gives way, but to no more than it would anyway.
            if self.0.len() >= most {
                self.0.remove(0);
            }
            let since = Instant::now();
            self.0.push(Claimant { link, greeting: None, process: None, uid: 0, since, unanswered: None });
        }
        Ok(true)
    }

    /// Reads what claimants say, and answers.
    pub(super) fn answer(&mut self, holding: &mut Holding, closer: &Closer, me: &Process) -> Looked {
        let now = Instant::now();
        let silent = self.0.iter().filter(|claimant| claimant.process.is_none()).count();
        let quota = Quota::here(OF_A_PROCESS);
        let mut surplus = silent.saturating_sub(quota.silent(MOST_SILENT));
        let mut looked = Looked { quiet: Vec::new(), more: false, later: false };
        let mut open: Vec<(Process, u32)> =
            self.0.iter().filter_map(|claimant| Some((claimant.process?, claimant.uid))).collect();
        self.0.retain_mut(|claimant| {
            let known = claimant.process.is_some();
            let look = claimant.serve(holding, closer, me);
            match claimant.process {
                Some(process) if !known => {
                    if !quota.admits((process, claimant.uid), open.iter().copied()) {
                        return false;
                    }
                    open.push((process, claimant.uid));
                }
                None => {
                    let late = now.saturating_duration_since(claimant.since) > GREETING_WITHIN;
                    if late || (surplus > 0 && !matches!(look, Look::More)) {
                        surplus = surplus.saturating_sub(1);
                        return false;
                    }
                }
                Some(_) => {}
            }
            match look {
                Look::Quiet => looked.quiet.push(claimant.link.clone()),
                Look::More => looked.more = true,
                Look::Later => looked.later = true,
                Look::Over => return false,
            }
            true
        });
        looked.later |= self.0.iter().any(|claimant| claimant.process.is_none());
        looked
    }
}

impl Claimant {
    fn serve(&mut self, holding: &mut Holding, closer: &Closer, me: &Process) -> Look {
        for _ in 0..BUDGET {
            if let (None, Some(claim)) = (self.process, self.greeting) {
                match Peer::of(&*self.link) {
                    // Who has ended claims nothing: whoever has its link still is another process.
                    Ok(peer) if !peer.has_ended() && peer.is(&claim, me) => {
                        (self.process, self.uid) = (Some(claim), peer.uid)
                    }
                    Ok(_) => return Look::Over,
                    Err(_) => return Look::Later,
                }
            }
            if let (Some(token), Some(process)) = (self.unanswered, self.process) {
                match self.give(holding, &token, &process) {
                    Ok(()) => self.unanswered = None,
                    Err(Errno::TOOMANYREFS | Errno::NOBUFS | Errno::NOMEM | Errno::AGAIN) => return Look::Later,
                    Err(_) => return Look::Over,
                }
            }
            match (read_frame(&self.link, closer, false), self.process) {
                (Ok(Some((Frame::Hello(process), [None, None]))), None) => self.greeting = Some(process),
                (Ok(Some((Frame::Claim(token), [None, None]))), Some(_)) => self.unanswered = Some(token),
                (Err(Errno::AGAIN), _) => return Look::Quiet,
                (Err(errno), _) if is_passing(errno) => return Look::Later,
                _ => return Look::Over,
            }
        }
        Look::More
    }

    fn give(&self, holding: &mut Holding, token: &Token, process: &Process) -> rustix::io::Result<()> {
        match holding.find(token, process, self.uid) {
            Ok(entry) => {
                let frame = entry.mail.to_frame(entry.gate.is_some()).to_bytes();
                send_rights(&*self.link, &[IoSlice::new(&frame)], &entry.descriptors())?;
                match entry.heir.process() {
                    Some(_) => _ = holding.remove(token),
                    // Others may have the same info: for a while they are told.
                    None => holding.end(token, Refusal::NotHeld, Instant::now()),
                }
                Ok(())
            }
            Err(refusal) => {
                let frame = Frame::Refuse(*token, refusal).to_bytes();
                send_rights(&*self.link, &[IoSlice::new(&frame)], &[])
            }
        }
    }
}
