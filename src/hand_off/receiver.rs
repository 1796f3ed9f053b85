//! Receiving what others hand off.

use super::Parcel;
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::Intake;
use std::time::Duration;

/// Receives what other processes hand off to this one, from each in its order.
///
/// It may be shared by reference between threads; each parcel goes to one of them. Dropping it closes its links:
/// their senders get back what was not taken.
#[derive(Debug)]
pub struct Receiver(pub(crate) Intake);

impl Endpoint {
    /// The receiver of this process: from now on others can hand sockets off to it.
    ///
    /// # Errors
    /// [`Error::System`] with `EEXIST` when this process has one in this domain already, and with the system's own
    /// code when it cannot be made.
    pub fn receiver(&self) -> Result<Receiver> {
        self.0.intake().map(Receiver)
    }
}

impl Receiver {
    /// Takes one parcel, waiting until there is one.
    ///
    /// # Errors
    /// [`Error::System`] with `EMFILE` when no descriptor is free for what arrived: the parcel stays in the queue, even if
    /// its sender has ended; close a descriptor, and call again. On Windows its sender has it still. [`Error::Forked`].
    pub fn receive(&self) -> Result<Parcel> {
        self.0.receive()
    }

    /// Takes one parcel, waiting for at most `timeout`; nothing when there is none.
    ///
    /// # Errors
    /// As [`receive`](Receiver::receive).
    pub fn receive_within(&self, timeout: Duration) -> Result<Option<Parcel>> {
        self.0.receive_within(timeout)
    }

    /// Takes one parcel if there is one now.
    ///
    /// # Errors
    /// As [`receive`](Receiver::receive).
    pub fn try_receive(&self) -> Result<Option<Parcel>> {
        self.0.try_receive()
    }

    /// Takes up to `most` parcels, waiting until there is one; those that came in one message come together.
    ///
    /// On Linux senders put up to `most` parcels into one message from then on, 252 at the most, which costs them and this
    /// process about a quarter of what single ones do. Before that they come one by one. What came in one message and is then
    /// taken by [`receive`](Receiver::receive), or in smaller portions, keeps its connections open until all of it is taken.
    ///
    /// # Errors
    /// As [`receive`](Receiver::receive), when there is not even one.
    pub fn receive_many(&self, most: usize) -> Result<Vec<Parcel>> {
        self.0.receive_many(most)
    }

    /// All parcels, as they come; it never ends by itself.
    #[must_use]
    pub fn iter(&self) -> Iter<'_> {
        Iter(self)
    }
}

/// All parcels of a [`Receiver`], as they come.
#[derive(Debug)]
pub struct Iter<'a>(&'a Receiver);

impl Iterator for Iter<'_> {
    type Item = Result<Parcel>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.receive())
    }
}

impl<'a> IntoIterator for &'a Receiver {
    type Item = Result<Parcel>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
