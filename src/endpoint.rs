//! The place in a domain where one process duplicates for others and redeems what others duplicated for it.

use crate::domain::Domain;
use crate::duplicate::{DuplicateOptions, Revocation};
use crate::error::{Error, Result};
use crate::pending::{PendingFlush, PendingRedeem, Redeeming};
use crate::process::{Process, Target};
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::provider::InnerEndpoint;
use crate::socket::{Socket, SocketRef};
use crate::trace::tell;
use crate::wait::Wait;

/// A process's endpoint in a domain.
///
/// A process has one in a domain: open it early, keep it, and clone it for other parts of the program. When the last
/// clone is dropped its name is removed and duplicates that nobody redeemed are closed.
///
/// It starts no thread, with two exceptions, both on Linux: one answers claims while duplicates have to be held for their
/// targets, and for a minute after; others close, for a moment, what a stranger sent and whose closing could wait. They block
/// all signals, so that every signal reaches the program's own threads.
///
/// After `fork` the child must not receive what is meant for its parent: the first use in the child opens an
/// endpoint of the child's own, and closes what the child inherited of the parent's. A child that neither uses nor
/// drops the endpoint, nor calls `exec`, keeps the parent's descriptors open.
#[derive(Debug, Clone)]
pub struct Endpoint(pub(crate) InnerEndpoint);

impl Endpoint {
    /// Opens the endpoint of this process in `domain`.
    ///
    /// A process that was started by [`spawn_with_endpoint`](crate::SpawnExt::spawn_with_endpoint) takes over the
    /// endpoint that was made for it, with all that was delivered there since.
    ///
    /// # Errors
    /// [`Error::EndpointOpen`] when this process has one there already; [`Error::System`] when the name cannot be made;
    /// [`Error::NameTaken`] when another user has taken it.
    pub fn open(domain: &Domain) -> Result<Self> {
        let opened = InnerEndpoint::open(domain).map(Endpoint)?;
        tell!(debug, %domain, "endpoint opened");
        Ok(opened)
    }

    /// In a forked child, closes what the child inherited of the endpoint, without opening one of its own; does nothing in the
    /// process that opened it.
    ///
    /// For a child that goes on without sharing sockets; it may use the endpoint later all the same.
    pub fn close_inherited(&self) {
        self.0.close_inherited();
    }

    /// The process that this endpoint belongs to: what a source in another PID namespace is told as its target.
    ///
    /// # Errors
    /// As [`Endpoint::open`], at the first use after `fork`.
    pub fn process(&self) -> Result<Process> {
        self.0.process()
    }

    /// Duplicates `socket` for the process `target` (`WSADuplicateSocket`, R1).
    ///
    /// Returns the 628 bytes' worth of [`ProtocolInfo`] to send to it. The descriptor lies in the target's own
    /// receive queue when this returns: the source may close its socket, or exit. The target may be this process.
    /// If the target ends without redeeming it, the kernel closes it.
    ///
    /// When that is not possible now, because the target has not opened its endpoint yet or its queue is full, or
    /// because too many descriptors are in flight, this process holds the duplicate until the target claims it, which
    /// it does when it redeems: then see [`flush`](Endpoint::flush) before this process ends.
    ///
    /// # Errors
    /// In this order: [`Error::NotASocket`]; [`Error::System`] when the socket cannot be asked; [`Error::NoSuchProcess`];
    /// [`Error::Impostor`]; [`Error::QueueFull`] when too much is held already; [`Error::System`].
    #[doc(alias = "WSADuplicateSocket")]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn duplicate<'a>(&self, socket: impl Into<SocketRef<'a>>, target: impl Target) -> Result<ProtocolInfo> {
        self.duplicate_with(socket, target, &DuplicateOptions::new())
    }

    /// As [`duplicate`](Endpoint::duplicate), with an expiry.
    ///
    /// # Errors
    /// As [`duplicate`](Endpoint::duplicate).
    pub fn duplicate_with<'a>(
        &self,
        socket: impl Into<SocketRef<'a>>,
        target: impl Target,
        options: &DuplicateOptions,
    ) -> Result<ProtocolInfo> {
        let info = self.0.duplicate(&socket.into(), &target, options)?;
        tell!(debug, ?info, "duplicated");
        Ok(info)
    }

    /// As [`duplicate_with`](Endpoint::duplicate_with), with the means to revoke it.
    ///
    /// # Errors
    /// As [`duplicate`](Endpoint::duplicate), and [`Error::System`] when no descriptor is free.
    pub fn duplicate_revocable<'a>(
        &self,
        socket: impl Into<SocketRef<'a>>,
        target: impl Target,
        options: &DuplicateOptions,
    ) -> Result<(ProtocolInfo, Revocation)> {
        let (info, revoker) = self.0.duplicate_revocable(&socket.into(), &target, options)?;
        tell!(debug, ?info, "duplicated, revocably");
        Ok((info, Revocation(revoker)))
    }

    /// Redeems `info` for one more descriptor of the underlying socket, close-on-exec (`WSASocket`, R3).
    ///
    /// # Errors
    /// [`Error::NothingToRedeem`], [`Error::WrongProcess`], [`Error::WrongDomain`], [`Error::AlreadyRedeemed`],
    /// [`Error::Expired`], [`Error::Revoked`], [`Error::UnknownDelivery`], and, for a duplicate that its source holds,
    /// [`Error::SourceGone`]. After [`Error::SourceSilent`] (5 seconds without an answer),
    /// [`Error::TooManyUnredeemed`], [`Error::TooManyLinks`] and [`Error::System`] with `EMFILE` the same info can be
    /// redeemed later.
    #[doc(alias = "WSASocket")]
    #[doc(alias = "WSPSocket")]
    #[doc(alias = "fromshare")]
    pub fn redeem(&self, info: &ProtocolInfo) -> Result<Socket> {
        told(info, self.0.redeem(delivery(info)?, None))
    }

    /// As [`redeem`](Endpoint::redeem), waiting for the source of a duplicate that is held for as long as `wait` says, and
    /// until a signal handler has run if it says so.
    ///
    /// # Errors
    /// As [`redeem`](Endpoint::redeem); [`Error::SourceSilent`] when the time is over; [`Error::Interrupted`]. After both
    /// the same info can be redeemed later.
    pub fn redeem_within(&self, info: &ProtocolInfo, wait: impl Into<Wait>) -> Result<Socket> {
        told(info, self.0.redeem(delivery(info)?, Some(wait.into())))
    }

    /// As [`redeem`](Endpoint::redeem), without waiting: nothing when the source holds the duplicate and has not answered
    /// yet. It was asked, so that a later call, of this or of another kind, gets the answer.
    ///
    /// # Errors
    /// As [`redeem`](Endpoint::redeem), without [`Error::SourceSilent`].
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-try-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// let socket = std::net::UdpSocket::bind("127.0.0.1:0")?;
    /// let info = endpoint.duplicate(&socket, std::process::id())?;
    /// // It lies with its target, which is this process: there is nothing to wait for.
    /// assert!(endpoint.try_redeem(&info)?.is_some());
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_redeem(&self, info: &ProtocolInfo) -> Result<Option<Socket>> {
        self.0.try_redeem(delivery(info)?)
    }

    /// Begins to redeem `info` without waiting, for programs with an event loop: what cannot be had at once comes with a
    /// descriptor to wait on.
    ///
    /// # Errors
    /// As [`redeem`](Endpoint::redeem), without [`Error::SourceSilent`].
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-start-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::Redeeming;
    /// # let info = endpoint.duplicate(&std::net::UdpSocket::bind("127.0.0.1:0")?, std::process::id())?;
    /// match endpoint.start_redeem(&info)? {
    ///     Redeeming::Done(socket) => drop(socket),
    ///     // Register `pending` (AsFd) with the event loop; when it is readable, call `pending.try_finish()`.
    ///     Redeeming::Pending(pending) => drop(pending),
    /// }
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_redeem(&self, info: &ProtocolInfo) -> Result<Redeeming> {
        Ok(match self.0.start_redeem(delivery(info)?)? {
            Ok(socket) => Redeeming::Done(socket),
            Err(pending) => Redeeming::Pending(PendingRedeem(pending)),
        })
    }

    /// Closes the duplicate that `info` names without redeeming it: for a target that does not want it (R9).
    ///
    /// Until it is redeemed or discarded, a duplicate keeps the underlying socket open: the other side of a connection
    /// sees no end. So do it when an info arrives too late, or for nothing. What is never discarded is closed when the
    /// target drops its endpoint or ends.
    ///
    /// # Errors
    /// As [`redeem`](Endpoint::redeem).
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-discard-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::{Error, Socket};
    /// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let info = endpoint.duplicate(&socket, std::process::id())?;
    /// endpoint.discard(&info)?;
    /// assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn discard(&self, info: &ProtocolInfo) -> Result<()> {
        self.0.discard(delivery(info)?)
    }

    /// Waits until every duplicate that this process holds has been claimed, or delivered to a target that has become
    /// able to receive. A source that wants to end calls it first; it returns at once when nothing is held.
    ///
    /// # Errors
    /// [`Error::StillHeld`] when something is still held when the wait is over; [`Error::Interrupted`].
    pub fn flush(&self, wait: impl Into<Wait>) -> Result<()> {
        self.0.flush(wait.into())
    }

    /// Begins a flush without waiting, for programs with an event loop; it goes on while what this returns lives.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free; in a forked child, those of [`Endpoint::open`].
    pub fn start_flush(&self) -> Result<PendingFlush> {
        self.0.start_flush().map(PendingFlush)
    }
}

fn delivery(info: &ProtocolInfo) -> Result<&Delivery> {
    info.delivery().ok_or(Error::NothingToRedeem)
}

/// Tells the log what became of a redemption.
#[cfg_attr(not(feature = "tracing"), allow(unused_variables))]
fn told(info: &ProtocolInfo, redeemed: Result<Socket>) -> Result<Socket> {
    match &redeemed {
        Ok(_) => {
            tell!(debug, ?info, "redeemed");
        }
        Err(error) => {
            tell!(debug, ?info, %error, "not redeemed");
        }
    }
    redeemed
}
