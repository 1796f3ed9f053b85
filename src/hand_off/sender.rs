//! Handing sockets off to one target.

use super::{Parcel, Refused};
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::process::{Process, Target};
use crate::provider::Outlet;
use std::collections::VecDeque;
use std::time::Duration;

/// Hands sockets off to one target process, in order.
///
/// A parcel that was accepted is on its way: it reaches the target even if this process ends. The sender keeps its own
/// descriptor until the target's program has taken the parcel, and closes it soon after: on Linux the endpoint's
/// courier thread does, on Windows the next call of the sender. When the target ends or fails,
/// [`reclaim`](Sender::reclaim) gives back exactly what its program did not take, with its bytes.
///
/// Dropping a sender changes nothing for parcels on their way; those that the target then does not take are closed.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-sender-{}", std::process::id()));
/// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
/// use sharesock::{Parcel, Socket};
/// let receiver = endpoint.receiver()?; // here in the same process
/// let sender = endpoint.sender(std::process::id())?;
/// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
/// sender.hand_off(Parcel::new(socket).with_bytes(b"a session".to_vec()))?;
/// let (_socket, bytes) = receiver.receive()?.into_parts();
/// assert_eq!(bytes, b"a session");
/// # drop((endpoint, receiver, sender));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Sender(pub(crate) Outlet);

impl Endpoint {
    /// A sender that hands sockets off to the process `target`.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::NoEndpoint`] when the target has no [`Receiver`](crate::Receiver) in this
    /// domain; [`Error::Impostor`]; [`Error::System`].
    pub fn sender(&self, target: impl Target) -> Result<Sender> {
        let target = target.process()?;
        self.0.outlet(target).map(Sender)
    }
}

impl Sender {
    /// The process that receives.
    #[must_use]
    pub fn target(&self) -> Process {
        self.0.target()
    }

    /// Hands one parcel off, waiting while there is no room for it.
    ///
    /// # Errors
    /// The parcel comes back with [`Error::TargetGone`], [`Error::TargetOutOfDescriptors`], [`Error::TooManyBytes`],
    /// [`Error::Forked`] or [`Error::System`].
    pub fn hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        self.0.hand_off(parcel.into())
    }

    /// Hands one parcel off if there is room for it now.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); and [`Error::HandOffFull`] when 4,096 parcels are not taken yet, when the
    /// kernel's queue is full, or when too many descriptors are in flight.
    pub fn try_hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        self.0.try_hand_off(parcel.into())
    }

    /// Hands parcels off from the front of `parcels`, many in one message, until all are accepted or there is no room
    /// for more; returns how many were accepted. The others stay in `parcels`.
    ///
    /// # Errors
    /// As [`try_hand_off`](Sender::try_hand_off), when not even one was accepted.
    pub fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        self.0.try_hand_off_many(parcels)
    }

    /// Hands all parcels off, from the front, many in one message, waiting while there is no room for more.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); what was not accepted stays in `parcels`.
    pub fn hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<()> {
        self.0.hand_off_many(parcels)
    }

    /// How many parcels the target's program has not taken yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.0.outstanding()
    }

    /// Waits until the target's program has taken everything.
    ///
    /// # Errors
    /// [`Error::NotTaken`] when it has not after `timeout`; [`Error::TargetGone`] and
    /// [`Error::TargetOutOfDescriptors`] when it will not: then [`reclaim`](Sender::reclaim).
    pub fn flush(&self, timeout: Duration) -> Result<()> {
        self.0.flush(timeout)
    }

    /// Whether the target has ended or closed its receiver, so that it takes nothing more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends the link and gives back, in order, exactly what the target's program has not taken.
    ///
    /// It may be called at any time: what this returns, the target cannot take any more.
    #[must_use = "the sockets that were not taken are closed when they are dropped"]
    pub fn reclaim(self) -> Vec<Parcel> {
        self.0.reclaim()
    }
}
