//! The courier: one thread of an endpoint, started at first need, that does what cannot wait for the program's calls.

use crate::error::{Error, Result};
use crate::provider::linux::sys::ForkMark;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something that the courier looks after.
pub(crate) trait Duty: Debug + Send + Sync {
    /// Does what is due, without waiting, and says what to wait for. `false` ends the duty.
    fn tend(&self, wait: &mut Wait) -> bool;
}

/// What the courier waits for before it tends its duties again.
#[derive(Debug, Default)]
pub(crate) struct Wait {
    descriptors: Vec<(Arc<OwnedFd>, PollFlags)>,
    until: Option<Instant>,
}

impl Wait {
    /// Until `descriptor` is ready, or at its end.
    pub(crate) fn ready(&mut self, descriptor: &Arc<OwnedFd>, flags: PollFlags) {
        self.descriptors.push((descriptor.clone(), flags));
    }

    /// Until so much time has passed, at the latest.
    pub(crate) fn at_most(&mut self, time: Duration) {
        let then = Instant::now() + time;
        self.until = Some(self.until.map_or(then, |until| until.min(then)));
    }
}

/// The handle of the thread; when it is dropped the thread ends.
#[derive(Debug)]
pub(crate) struct Courier {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    mark: ForkMark,
}

#[derive(Debug)]
struct Shared {
    bell: Arc<OwnedFd>,
    stop: AtomicBool,
    duties: Mutex<Vec<Arc<dyn Duty>>>,
}

impl Courier {
    pub(crate) fn new() -> Result<Self> {
        let refused = Error::system("preparing the courier");
        let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(&refused)?);
        let shared = Arc::new(Shared { bell, stop: AtomicBool::new(false), duties: Mutex::default() });
        Ok(Courier { shared, thread: Mutex::default(), mark: ForkMark::new().map_err(&refused)? })
    }

    /// Gives the thread one more duty, and starts it if it does not run.
    pub(crate) fn add(&self, duty: Arc<dyn Duty>) -> Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.duties.lock().unwrap_or_else(PoisonError::into_inner).push(duty);
        if thread.is_none() {
            let shared = self.shared.clone();
            let started = std::thread::Builder::new().name("sharesock".into()).spawn(move || shared.run());
            *thread = Some(started.map_err(Error::io("starting the courier's thread"))?);
        }
        self.ring();
        Ok(())
    }

    /// Makes the thread tend its duties.
    pub(crate) fn ring(&self) {
        let _ = rustix::io::write(&*self.shared.bell, &1_u64.to_ne_bytes());
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if !self.mark.is_mine() {
            // The thread did not follow into the forked child.
            std::mem::forget(thread);
            return;
        }
        self.shared.stop.store(true, Ordering::SeqCst);
        self.ring();
        // The last handle may be dropped by a duty: the thread does not wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            // First the bell, then what it was rung for: rung in between, it rings on.
            let _ = rustix::io::read(&*self.bell, &mut [0_u8; 8]);
            if self.stop.load(Ordering::SeqCst) {
                return;
            }
            let mut wait = Wait::default();
            wait.ready(&self.bell, PollFlags::IN);
            // Not under the lock: a duty may take others, in which somebody adds a duty.
            let duties = self.duties.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let ended: Vec<_> = duties.into_iter().filter(|duty| !duty.tend(&mut wait)).collect();
            if !ended.is_empty() {
                let mut duties = self.duties.lock().unwrap_or_else(PoisonError::into_inner);
                duties.retain(|duty| !ended.iter().any(|ended| Arc::ptr_eq(ended, duty)));
            }
            // What they keep is closed now, not when there is something to do again.
            drop(ended);
            wait.sleep();
        }
    }
}

impl Wait {
    fn sleep(&self) {
        let mut descriptors: Vec<_> =
            self.descriptors.iter().map(|(descriptor, flags)| PollFd::new(&**descriptor, *flags)).collect();
        let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut descriptors, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR | Errno::AGAIN) => {}
            // Nothing that a caller could mend; going on at once would spin.
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Idle;

    impl Duty for Idle {
        fn tend(&self, _: &mut Wait) -> bool {
            true
        }
    }

    #[test]
    fn it_ends_whenever_it_is_told_to() {
        // A bell that was cleared after it rang for the end would hang here, once in some thousand times.
        for _ in 0..10_000 {
            Courier::new().unwrap().add(Arc::new(Idle)).unwrap();
        }
    }
}
