//! Offers: a duplicate for whoever redeems it first, for those who do not know their target.

use crate::domain::Domain;
use crate::duplicate::{DuplicateOptions, Revocation};
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::hand_off::Receiver;
use crate::process::{Process, Target};
use crate::protocol_info::ProtocolInfo;
use crate::provider::{self, Confirmation};
use crate::socket::{Socket, SocketRef};
use crate::wait::Wait;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The name of the receiver of those who keep offers.
const KEEPER: &str = "keeper";
/// How long a keeper may take to take an offer.
const KEPT_WITHIN: Duration = Duration::from_secs(5);
/// What goes to a keeper with a socket begins with this and the version.
const MAGIC: [u8; 4] = *b"SSK\x01";
/// What goes to a keeper with the stream on which it is to confirm an offer begins with this and the version.
const CONFIRM_MAGIC: [u8; 4] = *b"SSC\x01";
/// Number of streams for confirmations that may lie with a keeper; the oldest go first.
const MOST_CONFIRMATIONS: usize = 64;
/// Number of parcels that are no offers which one call takes.
const MOST_OTHERS: usize = 16;

/// What [`Endpoint::offer`] is told of an offer.
///
/// ```
/// use sharesock::OfferOptions;
/// let options = OfferOptions::expiring_in(std::time::Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OfferOptions {
    duplicate: DuplicateOptions,
    user: Option<u32>,
}

impl OfferOptions {
    /// An offer that ends after `time` if nobody has redeemed it. Time asleep counts.
    #[must_use]
    pub fn expiring_in(time: Duration) -> Self {
        OfferOptions { duplicate: DuplicateOptions::new().expires_in(time), user: None }
    }

    /// Only processes of the user `uid` may redeem it; else every member of the domain may.
    #[must_use]
    pub fn for_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) fn duplicate(&self) -> &DuplicateOptions {
        &self.duplicate
    }

    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) fn user(&self) -> Option<u32> {
        self.user
    }
}

/// What a keeper is told of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) token: [u8; 16],
    /// When it expires, in nanoseconds since boot.
    pub(crate) expires: u64,
    pub(crate) user: Option<u32>,
}

impl Kept {
    fn to_bytes(self) -> Vec<u8> {
        let user = self.user.map_or(u64::MAX, u64::from);
        [&MAGIC[..], &self.token, &self.expires.to_le_bytes(), &user.to_le_bytes()].concat()
    }

    /// Nothing when the bytes are not what an offerer writes.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (token, rest) = bytes.strip_prefix(&MAGIC)?.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let expires = u64::from_le_bytes(*expires);
        let user = match u64::from_le_bytes(rest.try_into().ok()?) {
            u64::MAX => None,
            user => Some(u32::try_from(user).ok()?),
        };
        // An offer that never ends would stay with its keeper for ever.
        (expires != 0).then_some(Kept { token: *token, expires, user })
    }
}

impl Endpoint {
    /// Offers a duplicate of `socket` to whoever redeems the info first, once, until it expires; of Linux.
    ///
    /// For those who do not know their target: a job in a queue or a database, a pickled object. **The info is a bearer
    /// token**: unlike that of [`duplicate`](Endpoint::duplicate), which only its target can redeem, it gives the socket to
    /// every process of the domain (or of [one user](OfferOptions::for_user)) that has the bytes. Treat it as a secret.
    ///
    /// The offer is held by this process and ends with it, or with the endpoint: [`offer_kept`](Endpoint::offer_kept) gives it
    /// to another process. [`flush`](Endpoint::flush) does not wait for it, as it may have no taker.
    ///
    /// # Errors
    /// [`Error::NotASocket`]; [`Error::QueueFull`] when too much is held already; [`Error::NotOnThisSystem`] on Windows, where a
    /// socket is duplicated into a process that is named; [`Error::System`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::open()?)?;
    /// use sharesock::OfferOptions;
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let info = endpoint.offer(&listener, &OfferOptions::expiring_in(std::time::Duration::from_secs(60)))?;
    /// // Whichever worker of the domain gets these bytes first has the listener.
    /// let _job = info.to_string();
    /// # Ok(())
    /// # }
    /// ```
    pub fn offer<'a>(&self, socket: impl Into<SocketRef<'a>>, options: &OfferOptions) -> Result<ProtocolInfo> {
        self.0.offer(&socket.into(), options)
    }

    /// As [`offer`](Endpoint::offer), with the means to revoke it.
    ///
    /// # Errors
    /// As [`offer`](Endpoint::offer).
    pub fn offer_revocable<'a>(
        &self,
        socket: impl Into<SocketRef<'a>>,
        options: &OfferOptions,
    ) -> Result<(ProtocolInfo, Revocation)> {
        let (info, revoker) = self.0.offer_revocable(&socket.into(), options)?;
        Ok((info, Revocation(revoker)))
    }

    /// As [`offer`](Endpoint::offer), held by the process `keeper`, which [keeps](Endpoint::keeper) offers: it survives the end of
    /// this process. `sharesock keep` is such a process; [`Domain::keepers`] finds them.
    ///
    /// # Errors
    /// As [`offer`](Endpoint::offer), with [`Error::QueueFull`] also when `keeper` holds too much already; those of
    /// [`sender`](Endpoint::sender) when it keeps nothing; [`Error::TargetGone`] when it ended before it had the offer;
    /// [`Error::NotTaken`] when it has not confirmed it after 5 seconds: then it is taken back.
    pub fn offer_kept<'a>(
        &self,
        socket: impl Into<SocketRef<'a>>,
        keeper: impl Target,
        options: &OfferOptions,
    ) -> Result<ProtocolInfo> {
        let (socket, keeper) = (socket.into(), self.0.find(&keeper)?);
        let sender = self.sender_named(keeper, KEEPER)?;
        let (kept, info) = self.0.offer_by(&socket, keeper, options)?;
        let (confirmation, theirs) = Confirmation::new()?;
        let word = [&CONFIRM_MAGIC[..], &kept.token].concat();
        sender.hand_off_copy(&theirs, &word, KEPT_WITHIN)?;
        drop(theirs);
        sender.hand_off_copy(socket, &kept.to_bytes(), KEPT_WITHIN)?;
        let error = match confirmation.wait(KEPT_WITHIN)? {
            Some(true) => return Ok(info),
            Some(false) if sender.is_closed() => Error::TargetGone { pid: keeper.pid() },
            Some(false) => Error::QueueFull { pid: keeper.pid() },
            None => Error::NotTaken { pid: keeper.pid(), count: 1 },
        };
        drop(sender.reclaim());
        Err(error)
    }

    /// Keeps offers of other processes from now on, in this one.
    ///
    /// # Errors
    /// [`Error::ReceiverOpen`] when this process does already; as [`receiver`](Endpoint::receiver).
    pub fn keeper(&self) -> Result<Keeper> {
        Ok(Keeper { endpoint: self.clone(), receiver: self.receiver_named(KEEPER)?, confirmations: Mutex::default() })
    }
}

impl Domain {
    /// The processes of this domain that keep offers and are seen to live from here.
    ///
    /// # Errors
    /// [`Error::NotOnThisSystem`] on Windows.
    pub fn keepers(&self) -> Result<Vec<Process>> {
        provider::processes_with_receiver(self, KEEPER)
    }
}

/// The streams on which offers are to be confirmed, the youngest first: of whom, for which token.
type Confirmations = VecDeque<(Option<Process>, [u8; 16], Socket)>;

/// Keeps offers of other processes ([`Endpoint::keeper`]): each until it is redeemed or expires.
///
/// On Linux it has a descriptor (`AsFd`) for an event loop. Dropping it refuses new offers; those that it has stay with the
/// endpoint.
#[derive(Debug)]
pub struct Keeper {
    endpoint: Endpoint,
    receiver: Receiver,
    /// Where offers that are to come are confirmed, by source and token.
    confirmations: Mutex<Confirmations>,
}

impl Keeper {
    /// Takes one offer, waiting for as long as `wait` says, and confirms it to whoever made it; whether there was one. What is
    /// no offer is closed, and counts as none.
    ///
    /// # Errors
    /// As [`Receiver::receive_within`], and [`Error::QueueFull`] when too much is held: then that offer is closed.
    pub fn keep_next(&self, wait: impl Into<Wait>) -> Result<bool> {
        let deadline = wait.into().begin();
        // A member of the domain that sends something else all the time does not keep the caller.
        for _ in 0..MOST_OTHERS {
            let Some(parcel) = self.receiver.receive_within(deadline.rest())? else { return Ok(false) };
            if let Some(token) = parcel.bytes().strip_prefix(&CONFIRM_MAGIC).and_then(|token| token.try_into().ok()) {
                let mut confirmations = self.lock();
                confirmations.truncate(MOST_CONFIRMATIONS - 1);
                confirmations.push_front((parcel.source(), token, parcel.into_parts().0));
            } else if let Some(kept) = Kept::from_bytes(parcel.bytes()) {
                let confirmation = {
                    let mut confirmations = self.lock();
                    let is_its = |(source, token, _): &(_, _, _)| (*source, *token) == (parcel.source(), kept.token);
                    let at = confirmations.iter().position(is_its);
                    at.and_then(|at| confirmations.remove(at)).map(|(_, _, stream)| stream)
                };
                match self.endpoint.0.keep(parcel.socket(), &kept) {
                    Err(Error::UnknownDelivery) => continue,
                    held => held?,
                }
                confirmation.iter().for_each(Confirmation::give);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn lock(&self) -> MutexGuard<'_, Confirmations> {
        self.confirmations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(unix)]
impl std::os::fd::AsFd for Keeper {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.receiver.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_a_keeper_is_told_comes_back(token in any::<[u8; 16]>(), expires in 1_u64.., user in any::<Option<u32>>()) {
            let kept = Kept { token, expires, user };
            let bytes = kept.to_bytes();
            prop_assert_eq!(Kept::from_bytes(&bytes), Some(kept));
            prop_assert_eq!(Kept::from_bytes(&bytes[1..]), None);
            prop_assert_eq!(Kept::from_bytes(&bytes[..bytes.len() - 1]), None);
            prop_assert_eq!(Kept::from_bytes(&[&bytes[..], &[0]].concat()), None);
            prop_assert_eq!(Kept::from_bytes(&Kept { expires: 0, ..kept }.to_bytes()), None);
        }
    }
}
