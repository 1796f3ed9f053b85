//! Work that may take a while, on a thread of its own.

use super::signals::with_signals_blocked;
use std::io;
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
