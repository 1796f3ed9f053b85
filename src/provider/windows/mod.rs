//! Windows: Winsock itself puts descriptors into other processes and keeps the events of sockets; what it does not do,
//! that a duplicate is redeemed once and by its target alone, lies in tickets.

pub(crate) mod codes;
mod convert;
mod directory;
mod endpoint;
mod hand_off;
mod holders;
mod lock_file;
mod members;
mod notify;
mod outcomes;
#[cfg(feature = "tokio")]
mod polled;
mod port;
pub(crate) mod process;
mod revoker;
mod socket;
mod spawn;
mod sys;
mod ticket;
mod trust;

pub(crate) use directory::Directory;
pub(crate) use endpoint::{Confirmation, Flushing, InnerEndpoint, Redemption};
pub(crate) use hand_off::{InnerReceiver, InnerSender, Progress};
pub(crate) use holders::descriptors;
pub(crate) use lock_file::LockFile;
pub(crate) use members::{members, processes_with_receiver};
pub(crate) use notify::{
    EventObject, Queue, accept, accept_apart, async_select, cancel_select, enum_network_events, event_select,
    pass_registration, registration, set_nonblocking,
};
#[cfg(feature = "tokio")]
pub(crate) use polled::Polled;
pub use port::SocketExt;
pub(crate) use revoker::Revoker;
pub use socket::RawDescriptor;
pub(crate) use socket::{
    BorrowedDescriptor, Shared, bind, borrow, connect, connection, join, raw, recv, recv_from, recv_oob, sending,
    share_in, shutdown, taking,
};
pub(crate) use spawn::spawn_with_endpoint;

/// Reads bytes as whatever another process can write into the domain.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    let _ = trust::distrust(bytes, &[]);
    let _ = std::str::from_utf8(bytes).map(ticket::parse_name);
}
