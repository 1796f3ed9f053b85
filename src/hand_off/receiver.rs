//! Receiving what others hand off.

use super::{Parcel, ReceiverName};
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::InnerReceiver;
use crate::trace::tell;
use crate::wait::Wait;

/// Receives what other processes hand off to this one, from each in its order.
///
/// On Linux it has a descriptor (`AsFd`) for an event loop: when that is readable, call
/// [`try_receive`](Receiver::try_receive). While no descriptor is free for what arrived, it is told of every 50 ms.
///
/// It may be shared by reference between threads; each parcel goes to one of them. Dropping it closes its links:
/// their senders get back what was not taken.
#[doc(alias = "SCM_RIGHTS")]
#[doc(alias = "recvmsg")]
#[derive(Debug)]
pub struct Receiver(pub(crate) InnerReceiver);

impl Endpoint {
    /// The receiver of this process: from now on others can hand sockets off to it.
    ///
    /// # Errors
    /// [`Error::ReceiverOpen`] when this process has one in this domain already; [`Error::System`] when it cannot be made.
    pub fn receiver(&self) -> Result<Receiver> {
        self.open_receiver(&ReceiverName::default())
    }

    /// A receiver with a name, beside the unnamed one and others: so that parts of a program that know nothing of each
    /// other have one each. [`sender_named`](Endpoint::sender_named) hands sockets off to it.
    ///
    /// A name has up to 32 letters, digits, `.`, `_` and `-`. A library uses its own, such as `mylib` or `mylib.control`.
    ///
    /// # Errors
    /// [`Error::BadName`]; as [`receiver`](Endpoint::receiver).
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-named-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// let (control, data) = (endpoint.receiver_named("control")?, endpoint.receiver_named("data")?);
    /// let sender = endpoint.sender_named(std::process::id(), "data")?;
    /// sender.hand_off(std::net::UdpSocket::bind("127.0.0.1:0")?)?;
    /// assert!(control.try_receive()?.is_none() && data.receive().is_ok());
    /// # drop((endpoint, control, data, sender));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receiver_named(&self, name: &str) -> Result<Receiver> {
        self.open_receiver(&ReceiverName::new(name)?)
    }

    fn open_receiver(&self, name: &ReceiverName) -> Result<Receiver> {
        let receiver = self.0.receiver(name).map(Receiver)?;
        tell!(debug, name = name.as_str(), "receiver opened");
        Ok(receiver)
    }
}

impl Receiver {
    /// Takes one parcel, waiting until there is one.
    ///
    /// # Errors
    /// [`Error::System`] with `EMFILE` when no descriptor is free for what arrived: the parcel stays in the queue, even if
    /// its sender has ended; close a descriptor, and call again. On Windows its sender has it still. [`Error::Forked`].
    pub fn receive(&self) -> Result<Parcel> {
        loop {
            if let Some(parcel) = self.receive_within(Wait::forever())? {
                return Ok(parcel);
            }
        }
    }

    /// Takes one parcel, waiting for as long as `wait` says; nothing when there is none.
    ///
    /// # Errors
    /// As [`receive`](Receiver::receive); [`Error::Interrupted`] if the wait is to be.
    pub fn receive_within(&self, wait: impl Into<Wait>) -> Result<Option<Parcel>> {
        let parcel = self.0.receive(wait.into())?;
        if let Some(_parcel) = &parcel {
            tell!(trace, source = ?_parcel.source(), "received");
        }
        Ok(parcel)
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
