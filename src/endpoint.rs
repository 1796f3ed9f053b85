//! The place in a domain where one process duplicates for others and redeems what others duplicated for it.

use crate::domain::{Domain, endpoint_name};
use crate::error::{Error, Result};
use crate::mail::{Inbox, Links, Token};
use crate::process::{Process, Target};
use crate::protocol_info::{Delivery, ProtocolInfo};
use crate::socket::{Socket, SocketId};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A process's endpoint in a domain.
///
/// A process has one in a domain: open it early, keep it, and clone it for other parts of the program. It starts no
/// thread. When the last clone is dropped its name is removed and duplicates that nobody redeemed are closed.
///
/// After `fork` the child must not receive what is meant for its parent: the first use in the child opens an
/// endpoint of the child's own.
#[derive(Debug, Clone)]
pub struct Endpoint(Arc<Generation>);

/// The endpoint of one process, and those of the processes forked from it while they held it.
#[derive(Debug)]
struct Generation {
    live: Live,
    forked: OnceLock<Arc<Generation>>,
}

#[derive(Debug)]
struct Live {
    domain: Domain,
    me: Process,
    inbox: Mutex<Inbox>,
    links: Links,
}

impl Endpoint {
    /// Opens the endpoint of this process in `domain`.
    ///
    /// # Errors
    /// [`Error::System`] with `EEXIST` when this process has one there already, and with the system's own code when
    /// the name cannot be made.
    pub fn open(domain: &Domain) -> Result<Self> {
        Ok(Endpoint(Arc::new(Generation { live: Live::open(domain)?, forked: OnceLock::new() })))
    }

    /// The process that this endpoint belongs to: what a source in another PID namespace is told as its target.
    ///
    /// # Errors
    /// As [`Endpoint::open`], at the first use after `fork`.
    pub fn process(&self) -> Result<Process> {
        self.with_live(|live| Ok(live.me))
    }

    /// Duplicates `socket` for the process `target` (`WSADuplicateSocket`, R1).
    ///
    /// Returns the 628 bytes' worth of [`ProtocolInfo`] to send to it. The descriptor lies in the target's own
    /// receive queue when this returns: the source may close its socket, or exit. The target may be this process.
    /// If the target ends without redeeming it, the kernel closes it.
    ///
    /// # Errors
    /// In this order: [`Error::NoSuchProcess`]; [`Error::NoEndpoint`] when the target has not opened its endpoint in
    /// this domain; [`Error::Impostor`]; [`Error::QueueFull`], [`Error::TooManyInFlight`] when targets redeem too
    /// little; [`Error::System`].
    pub fn duplicate(&self, socket: &Socket, target: impl Target) -> Result<ProtocolInfo> {
        let id = socket.id()?;
        self.with_live(|live| live.duplicate(socket, id, target.process()?))
    }

    /// Redeems `info` for one more descriptor of the underlying socket, close-on-exec (`WSASocket`, R3).
    ///
    /// # Errors
    /// [`Error::NothingToRedeem`], [`Error::WrongDomain`], [`Error::WrongProcess`], [`Error::AlreadyRedeemed`],
    /// [`Error::UnknownDelivery`]; [`Error::TooManyUnredeemed`] and [`Error::System`] with `EMFILE`, after both of
    /// which the same info can be redeemed once there is room.
    pub fn redeem(&self, info: &ProtocolInfo) -> Result<Socket> {
        let delivery = info.delivery().ok_or(Error::NothingToRedeem)?;
        self.with_live(|live| live.redeem(delivery))
    }

    /// Calls `act` with the endpoint of the process that runs, which a child makes at its first use after `fork`.
    fn with_live<T>(&self, act: impl FnOnce(&Live) -> Result<T>) -> Result<T> {
        let here = std::process::id();
        let mut generation = &self.0;
        while generation.live.me.pid() != here {
            if let Some(forked) = generation.forked.get() {
                generation = forked;
                continue;
            }
            match Live::open(&self.0.live.domain) {
                Ok(live) => drop(generation.forked.set(Arc::new(Generation { live, forked: OnceLock::new() }))),
                // Another thread was faster.
                Err(_) if generation.forked.get().is_some() => {}
                Err(error) => return Err(error),
            }
        }
        act(&generation.live)
    }
}

impl Live {
    fn open(domain: &Domain) -> Result<Self> {
        let me = Process::current()?;
        let inbox = Mutex::new(Inbox::open(domain, &me)?);
        Ok(Live { domain: domain.clone(), me, inbox, links: Links::default() })
    }

    fn duplicate(&self, socket: &Socket, id: SocketId, target: Process) -> Result<ProtocolInfo> {
        let token = random_token()?;
        self.links.deliver(&self.domain, &self.me, &target, (token, id.as_u64()), socket.as_fd())?;
        let delivery = Delivery {
            token,
            target_pid: target.pid(),
            target_tag: target.tag(),
            source_pid: self.me.pid(),
            source_tag: self.me.tag(),
            domain: self.domain.digest(),
        };
        Ok(ProtocolInfo::new(socket.catalog_entry()?, delivery))
    }

    fn redeem(&self, delivery: &Delivery) -> Result<Socket> {
        if (delivery.target_pid, delivery.target_tag) != (self.me.pid(), self.me.tag()) {
            return Err(Error::WrongProcess { meant_for: delivery.target_pid, here: self.me.pid() });
        }
        if delivery.domain != self.domain.digest() {
            return Err(Error::WrongDomain { here: self.domain.path().to_owned() });
        }
        let source = (delivery.source_pid, delivery.source_tag);
        let mut inbox = self.inbox.lock().unwrap_or_else(PoisonError::into_inner);
        Socket::try_from(inbox.take(&self.me, source, delivery.token)?)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        // In a forked child the name still belongs to the parent.
        if self.me.pid() == std::process::id() {
            self.domain.remove(&endpoint_name(self.me.pid(), self.me.tag()));
        }
    }
}

fn random_token() -> Result<Token> {
    let mut token = [0; 16];
    match rustix::rand::getrandom(&mut token, rustix::rand::GetRandomFlags::empty()) {
        Ok(16) => Ok(token),
        Ok(_) => Err(Error::system("asking for random bytes")(rustix::io::Errno::IO)),
        Err(errno) => Err(Error::system("asking for random bytes")(errno)),
    }
}
