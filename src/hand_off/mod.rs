//! Handing off: a socket with application bytes is given away in one message, without a protocol info.
//!
//! A parcel that was accepted lies in a queue of the system until the receiver's program takes it. When a receiver ends, its
//! sender takes back what nobody took; when a sender ends, its receiver finds all that was sent.

pub(crate) mod load;
mod name;
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

pub(crate) use name::ReceiverName;
pub use parcel::{Parcel, Refused};
pub use receiver::{Iter, Receiver};
pub use sender::{Progress, Sender};
#[cfg(feature = "tokio")]
pub use stream::ReceiverStream;
