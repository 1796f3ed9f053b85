//! Linux: the kernel holds descriptors in the queues of Unix sockets, and the events of sockets are kept in memory that
//! the processes of a domain have in common.

mod attached;
mod closer;
pub(crate) mod codes;
mod directory;
mod endpoint;
mod hand_off;
mod holders;
mod lock_file;
mod mail;
mod members;
mod network_events;
mod notify;
mod offering;
#[cfg(feature = "tokio")]
mod polled;
mod private;
pub(crate) mod process;
mod record;
mod redeeming;
mod revoker;
mod seat;
mod shared_file;
mod shared_segment;
mod socket;
mod spawn;
mod sys;
mod trust;

pub(crate) use directory::Directory;
pub(crate) use endpoint::InnerEndpoint;
pub(crate) use hand_off::{InnerReceiver, InnerSender, Progress};
pub(crate) use holders::descriptors;
pub(crate) use lock_file::LockFile;
pub(crate) use mail::Flushing;
pub(crate) use members::{members, processes_with_receiver};
pub(crate) use notify::{
    EventObject, Queue, accept, accept_apart, async_select, cancel_select, enum_network_events, event_select,
    pass_registration, registration, set_nonblocking,
};
pub(crate) use offering::Confirmation;
#[cfg(feature = "tokio")]
pub(crate) use polled::Polled;
pub(crate) use redeeming::Redemption;
pub(crate) use revoker::Revoker;
pub(crate) use seat::{Legacy, Seat};
pub use socket::RawDescriptor;
pub(crate) use socket::{
    BorrowedDescriptor, Shared, bind, borrow, connect, connection, join, raw, recv, recv_from, recv_oob, sending,
    share_in, shutdown, taking,
};
pub(crate) use spawn::spawn_with_endpoint;

/// Reads bytes as a frame, of which nothing comes back but what we would have written.
#[cfg(fuzzing)]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Some(frame) = bytes.first_chunk().and_then(mail::Frame::from_bytes) {
        assert_eq!(Some(&frame.to_bytes()), bytes.first_chunk());
    }
}
