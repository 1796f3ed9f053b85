//! Who holds a descriptor of an underlying socket, and who is registered for its events.

use crate::error::{Error, Result};
use crate::notify::Registration;
use crate::provider;
use crate::socket::Socket;

/// One descriptor of an underlying socket, in some process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Id of the process.
    pub pid: u32,
    /// Its command: on Linux as `/proc/<pid>/comm` has it, at most 15 bytes; on Windows the name of its program's file.
    pub command: String,
    /// The number of the descriptor in that process.
    pub descriptor: u32,
}

/// What [`Socket::holders`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Holders {
    /// All descriptors that could be seen, by process id and number.
    pub seen: Vec<Holder>,
    /// Who is registered for its network events, as [`Socket::registration`] says; nobody where the system cannot tell.
    pub registration: Option<Registration>,
    /// How many processes did not let this one look, because they belong to other users.
    pub hidden: usize,
}

impl Socket {
    /// Every descriptor of this socket in every process that this one may look at.
    ///
    /// On Linux a duplicate that waits to be redeemed is in no process's table and so is not listed; on Windows it is
    /// in its target's. What is returned was true at some moment of the call: processes go on meanwhile.
    ///
    /// # Errors
    /// [`Error::System`] when `/proc` cannot be read; [`Error::BadTable`]; [`Error::NotOnThisSystem`] on Windows where
    /// it hides from ordinary users which handles are of one object.
    ///
    /// ```
    /// let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let copy = socket.try_clone()?;
    /// let holders = socket.holders()?;
    /// assert_eq!(holders.seen.iter().filter(|holder| holder.pid == std::process::id()).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holders(&self) -> Result<Holders> {
        let (seen, hidden) = provider::descriptors(self)?;
        let registration = match self.registration() {
            Err(Error::NotOnThisSystem { .. }) => None,
            registration => registration?,
        };
        Ok(Holders { seen, registration, hidden })
    }
}
