//! Handing off: a socket with application bytes is given away in one message, without a protocol info.
//!
//! The sender keeps its descriptor until the receiver's program has taken the parcel, which the two count in memory
//! that they share. So when a receiver ends, its sender knows exactly which sockets nobody took, and still has them.

pub(crate) mod load;
mod parcel;
mod receiver;
mod sender;
#[cfg(feature = "tokio")]
mod stream;

/// Reads a message as a load of any number of parcels.
#[cfg(fuzzing)]
pub(crate) fn fuzz(message: &[u8]) {
    for descriptors in 0..4 {
        if let Some(parts) = load::read(message, descriptors) {
            assert_eq!(parts.count(), descriptors);
        }
    }
}

pub use parcel::{Parcel, Refused};
pub use receiver::{Iter, Receiver};
pub use sender::Sender;
#[cfg(feature = "tokio")]
pub use stream::ReceiverStream;
