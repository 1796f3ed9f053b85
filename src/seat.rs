//! Seats for children that are started by other means than this library, and programs that are executed with an endpoint.

use crate::domain::Domain;
use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::process::Target;
use crate::provider;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::process::Command;

/// A place at which a child that is yet to be started receives duplicates of this process from its birth.
///
/// For programs that start children by other means than [`Command`], which has
/// [`spawn_with_endpoint`](crate::SpawnExt::spawn_with_endpoint): let the child inherit the descriptor (`AsFd`) under some number,
/// put the [variable](Seat::variable) for that number into its environment, start it, and [tell](Seat::tell) its process id. What
/// this process duplicates for the child from then on lies with the child, and stays when this process ends. What others
/// duplicate for it is held at them until it opens its endpoint, and so is what is handed off: start the child by
/// `sharesock exec` if that is to reach it from birth, too.
#[derive(Debug)]
pub struct Seat(provider::Seat);

impl Endpoint {
    /// A seat for one child.
    ///
    /// # Errors
    /// [`Error::System`] when no descriptor is free; in a forked child, those of [`Endpoint::open`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::open()?)?;
    /// # fn start_with_descriptor_3(_: std::os::fd::BorrowedFd<'_>, _: &str, _: &str) -> u32 { 0 }
    /// use std::os::fd::AsFd;
    /// let seat = endpoint.seat()?;
    /// let (name, value) = seat.variable(3)?;
    /// let pid = start_with_descriptor_3(seat.as_fd(), name, &value); // by whatever starts children
    /// seat.tell(pid)?;
    /// let info = endpoint.duplicate(&std::net::UdpSocket::bind("127.0.0.1:0")?, pid)?;
    /// assert!(!info.delivery().unwrap().held); // it lies with the child already
    /// # Ok(())
    /// # }
    /// ```
    pub fn seat(&self) -> Result<Seat> {
        self.0.seat().map(Seat)
    }
}

impl Seat {
    /// Name and value of the variable that the child needs in its environment, if it has the descriptor under `number`, which is
    /// 3 or more.
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses.
    pub fn variable(&self, number: RawFd) -> Result<(&'static str, String)> {
        self.0.variable(number)
    }

    /// Tells which process has the seat: the child, as soon as it was started.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`] when it has ended, or was executed in a PID namespace of its own; [`Error::Forked`];
    /// [`Error::System`].
    pub fn tell(self, child: impl Target) -> Result<()> {
        self.0.tell(&child)
    }
}

impl AsFd for Seat {
    /// What the child is to inherit; close-on-exec here.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Executing a program with an endpoint.
pub trait ExecExt {
    /// Makes an endpoint in `domain` for the program that this process becomes next by `exec` of
    /// [`CommandExt`](std::os::unix::process::CommandExt): from now on duplicates and hand-offs for this process wait for that
    /// program, as with [`spawn_with_endpoint`](crate::SpawnExt::spawn_with_endpoint).
    ///
    /// It stays until what is returned is dropped, which a program that could be executed does not do. Threads of this process
    /// must not start programs meanwhile: they would inherit it.
    ///
    /// # Errors
    /// [`Error::EndpointOpen`] when this process has one there; [`Error::NameTaken`]; [`Error::System`].
    ///
    /// ```no_run
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use sharesock::ExecExt;
    /// use std::os::unix::process::CommandExt;
    /// let mut command = std::process::Command::new("my-server");
    /// let _endpoint = command.inherit_endpoint(&sharesock::Domain::open()?)?;
    /// return Err(command.exec().into()); // it returns only if that failed
    /// # }
    /// ```
    fn inherit_endpoint(&mut self, domain: &Domain) -> Result<InheritedEndpoint>;
}

/// An endpoint for the program that this process becomes ([`ExecExt::inherit_endpoint`]).
#[derive(Debug)]
#[must_use = "the endpoint is there until this is dropped"]
pub struct InheritedEndpoint(#[allow(dead_code)] provider::Legacy);

impl ExecExt for Command {
    fn inherit_endpoint(&mut self, domain: &Domain) -> Result<InheritedEndpoint> {
        provider::Legacy::leave(self, domain).map(InheritedEndpoint)
    }
}
