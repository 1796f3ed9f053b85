//! Work that may take a while, on a thread of its own.

use super::signals::with_signals_blocked;
use std::io;
use std::sync::{Mutex, PoisonError};
use tokio::sync::oneshot::{Receiver, channel};

/// Starts it; what it comes to can be awaited.
///
/// # Errors
/// There is no thread to be had. (Tokio's own pool would panic.)
pub(super) fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<Receiver<T>> {
    let (done, result) = channel();
    let run = move || _ = done.send(work());
    with_signals_blocked(|| std::thread::Builder::new().name("sharesock".to_owned()).spawn(run))?;
    Ok(result)
}

/// Held while a thread starts a process, or this one becomes another program.
static STARTING: Mutex<()> = Mutex::new(());

/// Does it while no other thread starts a process.
pub(super) fn alone<T>(work: impl FnOnce() -> T) -> T {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    work()
}
