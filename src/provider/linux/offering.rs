//! Offers: duplicates for whoever claims them first.

use super::Revoker;
use super::endpoint::{InnerEndpoint, Live};
use super::redeeming::wait_for;
use crate::error::{Error, Result};
use crate::offer::{Kept, OfferOptions};
use crate::process::Process;
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::provider::linux::mail::{Heir, Mail, Token};
use crate::provider::linux::sys::new_gate;
use crate::socket::{Socket, SocketRef};
use crate::wait::Wait;
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

impl InnerEndpoint {
    pub(crate) fn offer(&self, socket: &SocketRef<'_>, options: &OfferOptions) -> Result<ProtocolInfo> {
        let cookie = socket.id()?;
        self.with_live(|live| {
            let mail = live.mail(cookie, options.duplicate())?;
            live.hold(socket, Heir::First(options.user()), mail, None)?;
            live.info_of_offer(socket, mail.token, live.me)
        })
    }

    pub(crate) fn offer_revocable(
        &self,
        socket: &SocketRef<'_>,
        options: &OfferOptions,
    ) -> Result<(ProtocolInfo, Revoker)> {
        let cookie = socket.id()?;
        let gate = new_gate(1).map_err(Error::system("making an offer revocable"))?;
        self.with_live(|live| {
            let mail = live.mail(cookie, options.duplicate())?;
            let held = live.hold(socket, Heir::First(options.user()), mail, Some(gate.as_fd()))?;
            Ok((live.info_of_offer(socket, mail.token, live.me)?, (Arc::downgrade(&held), mail.token)))
        })
        .map(|(info, held)| (info, Revoker { gate, held: Some(held) }))
    }

    /// What is to be told to a keeper, and the info that then names the offer.
    pub(crate) fn offer_by(
        &self,
        socket: &SocketRef<'_>,
        keeper: Process,
        options: &OfferOptions,
    ) -> Result<(Kept, ProtocolInfo)> {
        let cookie = socket.id()?;
        self.with_live(|live| {
            let mail = live.mail(cookie, options.duplicate())?;
            let kept = Kept { token: mail.token.to_bytes(), expires: mail.expires, user: options.user() };
            Ok((kept, live.info_of_offer(socket, mail.token, keeper)?))
        })
    }

    /// Offers what another process has given to this one to keep.
    pub(crate) fn keep(&self, socket: &Socket, kept: &Kept) -> Result<()> {
        let cookie = socket.id()?.as_u64();
        let token = Token::from_bytes(kept.token);
        if token.cookie() != cookie {
            // Whoever has the info would be given another socket than it says.
            return Err(Error::UnknownDelivery);
        }
        let mail = Mail { token, cookie, expires: kept.expires };
        self.with_live(|live| live.hold(&socket.into(), Heir::First(kept.user), mail, None)).map(drop)
    }
}

/// Where the word of a keeper is awaited that it holds an offer: the queue tells only that it has taken it.
#[derive(Debug)]
pub(crate) struct Confirmation(OwnedFd);

impl Confirmation {
    /// With the stream on which the keeper is to say so.
    pub(crate) fn new() -> Result<(Self, Socket)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)
            .map_err(Error::system("making a stream for a keeper's word"))?;
        Ok((Confirmation(ours), Socket::try_from(theirs)?))
    }

    /// Whether the keeper has it; nothing when it has said neither in time.
    pub(crate) fn wait(&self, at_most: Duration) -> Result<Option<bool>> {
        let deadline = Wait::at_most(at_most).begin();
        loop {
            match recv(&self.0, &mut [0_u8; 1], RecvFlags::DONTWAIT) {
                Ok((_, length)) => return Ok(Some(length > 0)),
                Err(Errno::AGAIN) if deadline.is_over() => return Ok(None),
                Err(Errno::AGAIN | Errno::INTR) => wait_for(&self.0, deadline.left(), &deadline)?,
                // The keeper ended with it unread.
                Err(_) => return Ok(Some(false)),
            }
        }
    }

    /// Says on the stream of another process that its offer is held.
    pub(crate) fn give(stream: &Socket) {
        // One that takes no byte is no keeper's concern.
        let _ = send(stream, b"k", SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}

impl Live {
    fn info_of_offer(&self, socket: &SocketRef<'_>, token: Token, holder: Process) -> Result<ProtocolInfo> {
        let entry = socket.catalog_entry()?;
        socket.share_in(&self.domain);
        Ok(ProtocolInfo::new(entry, self.delivery(token, Delivery::ANYBODY, holder.who(), true)))
    }
}
