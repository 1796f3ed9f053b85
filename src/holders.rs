//! Who holds a descriptor of an underlying socket, from `/proc`, and who is registered for its events.

use crate::error::{Error, Result};
use crate::notify::Registration;
use crate::socket::Socket;
use std::fs;

/// One descriptor of an underlying socket, in some process.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// Id of the process.
    pub pid: u32,
    /// Its command, as `/proc/<pid>/comm` has it: at most 15 bytes.
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
    /// Who is registered for its network events, as [`Socket::registration`] says.
    pub registration: Option<Registration>,
    /// How many processes did not let this one look, because they belong to other users.
    pub hidden: usize,
}

impl Socket {
    /// Every descriptor of this socket in every process that this one may look at.
    ///
    /// A duplicate that waits to be redeemed is in no process's table and so is not listed. What is returned was true
    /// at some moment of the call: processes go on meanwhile.
    ///
    /// # Errors
    /// [`Error::System`] when `/proc` cannot be read; [`Error::BadTable`].
    ///
    /// ```
    /// let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let copy = socket.try_clone()?;
    /// let holders = socket.holders()?;
    /// assert_eq!(holders.seen.iter().filter(|holder| holder.pid == std::process::id()).count(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn holders(&self) -> Result<Holders> {
        let stat = rustix::fs::fstat(self).map_err(Error::system("looking at a socket"))?;
        let wanted = format!("socket:[{}]", stat.st_ino);
        let mut holders = Holders { registration: self.registration()?, ..Holders::default() };
        for process in fs::read_dir("/proc").map_err(Error::io("reading /proc"))?.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let descriptors = match fs::read_dir(process.path().join("fd")) {
                Ok(descriptors) => descriptors,
                Err(error) => {
                    holders.hidden += usize::from(error.kind() == std::io::ErrorKind::PermissionDenied);
                    continue;
                }
            };
            for entry in descriptors.flatten() {
                if fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()) {
                    let command = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
                    let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
                    let Some(descriptor) = number else { continue };
                    holders.seen.push(Holder { pid, command: command.trim_end().to_owned(), descriptor });
                }
            }
        }
        holders.seen.sort_by_key(|holder| (holder.pid, holder.descriptor));
        Ok(holders)
    }
}
