//! Completion ports, which only Windows has.

use super::sys;
use crate::error::{Error, Result};
use crate::socket::Socket;
use std::os::windows::io::BorrowedHandle;

/// `ERROR_INVALID_PARAMETER`.
const BOUND_ALREADY: i32 = 87;

/// Binding a socket to a completion port, and freeing it again.
///
/// The binding belongs to the underlying socket: made through one descriptor, it holds for all of them, in every process,
/// and what they complete goes to that one port. So a socket that is shared is best used by readiness.
pub trait SocketExt {
    /// Binds the underlying socket to `port`; what completes there has `key` (`CreateIoCompletionPort`).
    ///
    /// # Errors
    /// [`Error::BoundToPort`] when it is bound to one already, by whichever descriptor in whichever process: use it
    /// here by readiness, or have its owner [`dissociate`](SocketExt::dissociate) it before it is shared.
    /// [`Error::System`] when the system refuses otherwise.
    fn associate(&self, port: BorrowedHandle<'_>, key: usize) -> Result<()>;

    /// Frees the underlying socket from the completion port that it is bound to (Windows 8.1 and later).
    ///
    /// # Errors
    /// [`Error::System`] when something is still pending, or the system is older.
    fn dissociate(&self) -> Result<()>;
}

impl SocketExt for Socket {
    fn associate(&self, port: BorrowedHandle<'_>, key: usize) -> Result<()> {
        sys::associate(self.as_socket(), port, key).map_err(|error| match error.raw_os_error() {
            Some(BOUND_ALREADY) => Error::BoundToPort,
            _ => Error::io("binding a socket to a completion port")(error),
        })
    }

    fn dissociate(&self) -> Result<()> {
        sys::dissociate(self.as_socket()).map_err(Error::io("freeing a socket from its completion port"))
    }
}
