//! Waiting in a tokio program.

use crate::error::{Error, Result};
use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use tokio::io::unix::AsyncFd;

/// Something whose descriptor a tokio runtime polls.
#[derive(Debug)]
pub(crate) struct Polled<T: AsRawFd>(AsyncFd<T>);

impl<T: AsRawFd> Polled<T> {
    pub(crate) fn new(inner: T) -> io::Result<Self> {
        // The objection to it is that a descriptor might change under tokio: those of ours do not.
        #[allow(deprecated)]
        AsyncFd::new(inner).map(Polled)
    }

    /// Waits until `look` finds something.
    pub(crate) async fn wait<R>(&self, look: impl Fn(&T) -> Result<Option<R>>) -> Result<R> {
        loop {
            let mut ready = self.0.readable().await.map_err(Error::io("waiting in a tokio runtime"))?;
            if let Some(found) = look(self.0.get_ref())? {
                return Ok(found);
            }
            ready.clear_ready();
        }
    }

    /// The same for a receiver, of which one task waits.
    pub(crate) fn poll<R>(&self, context: &mut Context<'_>, look: impl Fn(&T) -> Result<Option<R>>) -> Poll<Result<R>> {
        loop {
            let mut ready = ready!(self.0.poll_read_ready(context)).map_err(Error::io("waiting in a tokio runtime"))?;
            match look(self.0.get_ref()) {
                Ok(Some(found)) => return Poll::Ready(Ok(found)),
                Ok(None) => ready.clear_ready(),
                Err(error) => {
                    // What was there is told of again after a moment; without this, a task that goes on would spin.
                    if error.is_lack() {
                        ready.clear_ready();
                    }
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}
