//! What a program waits for in its own event loop: a redemption and a flush that cannot be finished at once.

#[cfg(doc)]
use crate::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::{Flushing, Redemption};
use crate::socket::Socket;

/// What [`Endpoint::start_redeem`] came to.
#[derive(Debug)]
pub enum Redeeming {
    /// The redeemed descriptor.
    Done(Socket),
    /// The source holds the duplicate, and was asked for it.
    Pending(PendingRedeem),
}

/// A redemption that waits for the answer of the source ([`Endpoint::start_redeem`]).
///
/// On Linux it has a descriptor (`AsFd`) for an event loop: when that is readable, call
/// [`try_finish`](PendingRedeem::try_finish). It stays quiet for a moment after an attempt for which no descriptor was
/// free, so that the loop does not spin. Dropping it gives up waiting; the same info can be redeemed later. On Windows
/// nothing is ever pending.
#[derive(Debug)]
pub struct PendingRedeem(pub(crate) Redemption);

impl PendingRedeem {
    /// The redeemed descriptor, if the source has answered by now.
    ///
    /// # Errors
    /// As [`Endpoint::redeem`]; [`Error::SourceSilent`] when the source has not answered for 5 seconds, at which the
    /// descriptor becomes readable. After [`Error::System`] with `EMFILE`, call it again when the descriptor is readable.
    pub fn try_finish(&mut self) -> Result<Option<Socket>> {
        self.0.try_finish()
    }
}

/// A flush that goes on while this lives ([`Endpoint::start_flush`]): what becomes deliverable is delivered.
///
/// On Linux it has a descriptor (`AsFd`) for an event loop, which becomes readable when nothing may be held any more: then
/// ask how much is [left](PendingFlush::left).
#[derive(Debug)]
pub struct PendingFlush(pub(crate) Flushing);

impl PendingFlush {
    /// How many duplicates this process still holds for their targets.
    pub fn left(&mut self) -> usize {
        self.0.left()
    }
}

#[cfg(unix)]
mod descriptors {
    use super::{PendingFlush, PendingRedeem};
    use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

    macro_rules! descriptor {
        ($($type:ty),+) => {$(
            impl AsFd for $type {
                fn as_fd(&self) -> BorrowedFd<'_> {
                    self.0.as_fd()
                }
            }

            impl AsRawFd for $type {
                fn as_raw_fd(&self) -> RawFd {
                    self.as_fd().as_raw_fd()
                }
            }
        )+};
    }

    descriptor!(PendingRedeem, PendingFlush);
}
