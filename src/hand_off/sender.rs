//! Handing sockets off to one target.

use super::{Parcel, ReceiverName, Refused};
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::process::{Process, Target};
use crate::provider::{self, InnerSender};
use crate::socket::SocketRef;
use crate::trace::tell;
use crate::wait::Wait;
use std::collections::VecDeque;

/// Hands sockets off to one target process, in order.
///
/// A parcel that was accepted is on its way: it reaches the target even if this process ends at once, unless the target has too
/// many senders and turns this one away ([`Error::TurnedAway`]; then reclaim it). When the target ends,
/// [`reclaim`](Sender::reclaim) gives back exactly what its program did not take, with its bytes. Dropping a sender changes
/// nothing for parcels on their way; those that the target then does not take are closed.
///
/// On Linux nothing of an accepted parcel is kept here: the peer of a connection sees its end when the target closes it, and
/// a sender has five descriptors, however many parcels are on their way. At most 4,096 wait in a queue of
/// the kernel; fewer when they have bytes or `net.core.wmem_max` is small (with 212,992, about 550 without bytes), and without
/// privilege at most as many as the limit of open files in all queues of this user together. Many go in one message if the target's program
/// takes many at a time ([`Receiver::receive_many`](crate::Receiver::receive_many)). On Windows a sender keeps its own
/// descriptor until the target's program has taken the parcel; the next call of the sender closes it.
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
#[doc(alias = "SCM_RIGHTS")]
#[doc(alias = "sendmsg")]
#[derive(Debug)]
pub struct Sender(pub(crate) InnerSender);

impl Endpoint {
    /// A sender that hands sockets off to the process `target`.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`]; [`Error::NoEndpoint`] when the target has no [`Receiver`](crate::Receiver) in this
    /// domain; [`Error::QueueFull`] when too many senders wait to be accepted there; [`Error::TooManyInFlight`];
    /// [`Error::Impostor`]; [`Error::System`]; in a forked child, those of [`Endpoint::open`].
    pub fn sender(&self, target: impl Target) -> Result<Sender> {
        let target = self.0.find(&target)?;
        self.open_sender(target, &ReceiverName::default())
    }

    /// A sender that hands sockets off to the receiver `name` of the process `target`
    /// ([`receiver_named`](Endpoint::receiver_named)).
    ///
    /// # Errors
    /// [`Error::BadName`]; as [`sender`](Endpoint::sender).
    pub fn sender_named(&self, target: impl Target, name: &str) -> Result<Sender> {
        let name = ReceiverName::new(name)?;
        let target = self.0.find(&target)?;
        self.open_sender(target, &name)
    }

    fn open_sender(&self, target: Process, name: &ReceiverName) -> Result<Sender> {
        let sender = self.0.sender(target, name).map(Sender)?;
        tell!(debug, %target, receiver = name.as_str(), "sender opened");
        Ok(sender)
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
    /// One that is accepted is not taken yet: its target may end before, or have ended within the last millisecond. Then
    /// [`reclaim`](Sender::reclaim) gives it back.
    ///
    /// # Errors
    /// The parcel comes back with [`Error::TargetGone`], [`Error::TurnedAway`], [`Error::TooManyBytes`],
    /// [`Error::Forked`] or [`Error::System`]; on Windows also with [`Error::TargetOutOfDescriptors`].
    pub fn hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        self.hand_off_within(parcel, Wait::forever())
    }

    /// As [`hand_off`](Sender::hand_off), waiting for room for as long as `wait` says, and until a signal handler has run if
    /// it says so.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); [`Error::HandOffFull`] when the time is over; [`Error::Interrupted`].
    pub fn hand_off_within(&self, parcel: impl Into<Parcel>, wait: impl Into<Wait>) -> Result<(), Box<Refused>> {
        self.0.hand_off(parcel.into(), wait.into())?;
        tell!(trace, target = %self.target(), "handed off");
        Ok(())
    }

    /// Hands off one more descriptor of a socket with `bytes`, and leaves the caller its own.
    ///
    /// For sockets of other types, which a failure must not close; and for sharing a socket by a hand-off.
    ///
    /// # Errors
    /// As [`hand_off_within`](Sender::hand_off_within).
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-copy-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// # let receiver = endpoint.receiver()?;
    /// # let sender = endpoint.sender(std::process::id())?;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// sender.hand_off_copy(&listener, b"the same listener", None)?;
    /// let (another, _) = receiver.receive()?.into_parts();
    /// assert_eq!(std::net::TcpListener::from(another).local_addr()?, listener.local_addr()?);
    /// # drop((endpoint, receiver, sender));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn hand_off_copy<'a>(
        &self,
        socket: impl Into<SocketRef<'a>>,
        bytes: &[u8],
        wait: impl Into<Wait>,
    ) -> Result<()> {
        self.0.hand_off_copy(&socket.into(), bytes, wait.into())
    }

    /// Hands one parcel off if there is room for it now.
    ///
    /// # Errors
    /// As [`hand_off`](Sender::hand_off); and [`Error::HandOffFull`] when 4,096 parcels are not taken yet, when the
    /// kernel's queue is full, or when too many descriptors are in flight.
    pub fn try_hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
        self.hand_off_within(parcel, Wait::none())
    }

    /// Hands parcels off from the front of `parcels`, as many in one message as the target's program takes at a time, until
    /// all are accepted or there is no room for more; returns how many were accepted. The others stay in `parcels`.
    ///
    /// # Errors
    /// As [`try_hand_off`](Sender::try_hand_off), when not even one was accepted.
    pub fn try_hand_off_many(&self, parcels: &mut VecDeque<Parcel>) -> Result<usize> {
        self.0.try_hand_off_many(parcels)
    }

    /// Hands all parcels off, from the front, as many in one message as the target's program takes at a time, waiting while
    /// there is no room for more.
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
    /// [`Error::NotTaken`] when it has not when the wait is over; [`Error::TargetGone`], [`Error::TurnedAway`] and, on Windows,
    /// [`Error::TargetOutOfDescriptors`] when it will not: then [`reclaim`](Sender::reclaim). [`Error::Interrupted`]; [`Error::Forked`].
    pub fn flush(&self, wait: impl Into<Wait>) -> Result<()> {
        self.0.flush(wait.into())
    }

    /// What tells that the target has taken something and that there is room, for programs with an event loop; of Linux.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free; [`Error::Forked`]; [`Error::NotOnThisSystem`] on Windows.
    pub fn progress(&self) -> Result<Progress> {
        self.0.progress().map(Progress)
    }

    /// Whether this sender can hand off nothing more: the target has ended, closed its receiver or turned it away, or
    /// [`reclaim_some`](Sender::reclaim_some) was called, or this is a forked child.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Ends the hand-offs and gives back, in order, exactly what the target's program has not taken.
    ///
    /// It may be called at any time: what this returns, the target cannot take any more. Each socket that comes back needs a
    /// free descriptor here; those for which none is free are closed with the sender. Call
    /// [`reclaim_some`](Sender::reclaim_some) to lose none.
    #[must_use = "the sockets that were not taken are closed when they are dropped"]
    pub fn reclaim(self) -> Vec<Parcel> {
        self.0.reclaim()
    }

    /// Ends the hand-offs and gives back, in order, as much of what the target's program has not taken as descriptors are
    /// free for; nothing when nothing is left. What is left waits for the next call. After it this sender hands off nothing
    /// more, even if the target lives: open a new one.
    ///
    /// # Errors
    /// [`Error::System`] with `EMFILE` when no descriptor is free for any of it (about ten more than it needs while the target
    /// receives): close some, and call again; with `EBUSY` when the target was stopped while it took something: call again. A
    /// target that lives may take what waits meanwhile. [`Error::Forked`].
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-reclaim-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// # let receiver = endpoint.receiver()?;
    /// let sender = endpoint.sender(std::process::id())?;
    /// sender.hand_off(sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?))?;
    /// assert_eq!(sender.reclaim_some()?.len(), 1);
    /// assert!(sender.reclaim_some()?.is_empty());
    /// # drop((endpoint, receiver, sender));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn reclaim_some(&self) -> Result<Vec<Parcel>> {
        self.0.reclaim_some()
    }
}

/// Tells when the target of a [`Sender`] has taken something, or has ended ([`Sender::progress`]).
///
/// It has a descriptor (`AsFd`) for an event loop. When that is readable, [clear](Progress::clear) it, and only then try
/// to hand off again, or look at [`Sender::outstanding`].
#[derive(Debug)]
pub struct Progress(provider::Progress);

impl Progress {
    /// Takes note of what was told: the descriptor is readable again at the next progress, and remains so when the target
    /// has ended.
    pub fn clear(&self) {
        self.0.clear();
    }
}

#[cfg(unix)]
impl std::os::fd::AsRawFd for Progress {
    fn as_raw_fd(&self) -> std::os::fd::RawFd {
        std::os::fd::AsFd::as_fd(self).as_raw_fd()
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Progress {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}
