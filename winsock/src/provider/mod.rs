//! What a provider does, function by function: behind `WSP*`, and behind the functions of `WSA*` and of BSD sockets.

pub(crate) mod accept;
pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod events;
pub(crate) mod ioctl;
pub(crate) mod options;
pub(crate) mod options_table;
pub(crate) mod receive;
pub(crate) mod select;
pub(crate) mod send;

use crate::code::{Code, Result};
use crate::sock::Sock;
use crate::state;
use std::sync::Arc;

pub(crate) use crate::state::socket;

/// Whether a socket is for a stream.
pub(crate) fn is_stream(sock: &Sock) -> bool {
    matches!(sock.socket.as_socket().r#type(), Ok(socket2::Type::STREAM))
}

/// Whether a socket listens.
pub(crate) fn is_listening(sock: &Sock) -> bool {
    sock.socket.as_socket().is_listener().is_ok_and(|listening| listening)
}

/// Gives a socket its handle.
pub(crate) fn new_handle(sock: Sock) -> Result<usize> {
    state::insert_socket(Arc::new(sock))
}

/// Overlapped operations complete through the kernel of Windows, which has no counterpart here.
pub(crate) fn refuse_overlapped(overlapped: usize, completion: usize) -> Result<()> {
    if overlapped == 0 && completion == 0 { Ok(()) } else { Err(Code::OPNOTSUPP) }
}
