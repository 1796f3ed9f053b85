//! Identity of a process that survives the reuse of its id.

use crate::digest::digest32;
use crate::error::{Error, Result};
use crate::provider;
use std::fmt;
use std::str::FromStr;

/// Id and tag of a process.
pub(crate) type Who = (u32, u32);

/// A process: its id, when it started, and the PID namespace in which it has that id (0 on Windows).
///
/// It is how a process names itself to others across PID namespaces, where a bare id means nothing: its text form,
/// such as `4711:913374:4026531836`, comes back by [`FromStr`].
///
/// ```
/// let me = sharesock::Process::current()?;
/// assert_eq!(me.to_string().parse(), Ok(me));
/// # Ok::<(), sharesock::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Process {
    pid: u32,
    start: u64,
    pub(crate) namespace: u64,
}

impl Process {
    /// This process.
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses: on Linux when `/proc` is not mounted.
    pub fn current() -> Result<Self> {
        provider::process::current()
    }

    /// The process that has the id `pid`; on Linux, in this PID namespace.
    ///
    /// A process in a PID namespace below this one is found under the id it has here, and returned under the name
    /// that it gives itself.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`] for id 0, for all ones, for an id nobody has, and for a process that has ended;
    /// [`Error::System`] when the system refuses, such as with `EMFILE` when no descriptor is free to read `/proc`.
    pub fn from_pid(pid: u32) -> Result<Self> {
        provider::process::find(pid)
    }

    pub(crate) fn from_parts(pid: u32, start: u64, namespace: u64) -> Self {
        Process { pid, start, namespace }
    }

    /// Its id, as it sees itself.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells this process from any other that had the same id: what [`Delivery`](crate::Delivery) gives with an id.
    ///
    /// ```
    /// let me = sharesock::Process::current()?;
    /// assert_eq!(me.tag(), sharesock::Process::from_pid(std::process::id())?.tag());
    /// # Ok::<(), sharesock::Error>(())
    /// ```
    #[must_use]
    pub fn tag(&self) -> u32 {
        digest32(&[&self.start.to_le_bytes(), &self.namespace.to_le_bytes()])
    }

    /// Its id and tag, as names and protocol infos give them.
    pub(crate) fn who(&self) -> Who {
        (self.pid, self.tag())
    }

    pub(crate) fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        let parts = [&self.pid.to_le_bytes()[..], &self.start.to_le_bytes(), &self.namespace.to_le_bytes()].concat();
        bytes.copy_from_slice(&parts);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; 20]) -> Option<Self> {
        let (pid, rest) = bytes.split_first_chunk()?;
        let (start, rest) = rest.split_first_chunk()?;
        let namespace = rest.first_chunk()?;
        let [start, namespace] = [start, namespace].map(|word| u64::from_le_bytes(*word));
        Some(Process { pid: u32::from_le_bytes(*pid), start, namespace })
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.pid, self.start, self.namespace)
    }
}

/// Reads what a `Process` prints. A bare process id is looked up, as by [`Process::from_pid`].
impl FromStr for Process {
    type Err = Error;

    /// # Errors
    /// [`Error::NotAProcess`]; for a bare id those of [`Process::from_pid`].
    fn from_str(text: &str) -> Result<Self> {
        if let Ok(pid) = text.trim().parse() {
            return Process::from_pid(pid);
        }
        let mut numbers = text.trim().splitn(3, ':').map(str::parse::<u64>);
        let mut number = || numbers.next().and_then(std::result::Result::ok).ok_or(Error::NotAProcess);
        let (pid, start, namespace) = (number()?, number()?, number()?);
        Ok(Process { pid: u32::try_from(pid).map_err(|_| Error::NotAProcess)?, start, namespace })
    }
}

/// What may be named as the target of a duplicate.
///
/// A process id is looked up when the call is made; a [`Process`] that was told by the target itself also works
/// where the two are in different PID namespaces.
pub trait Target {
    /// The process that is meant.
    ///
    /// # Errors
    /// [`Error::NoSuchProcess`] when there is none.
    fn process(&self) -> Result<Process>;

    /// Its id, if that is all that is known: an endpoint remembers who has the ids of its last targets, which saves looking
    /// them up again.
    fn bare_pid(&self) -> Option<u32> {
        None
    }
}

impl Target for u32 {
    fn process(&self) -> Result<Process> {
        Process::from_pid(*self)
    }

    fn bare_pid(&self) -> Option<u32> {
        Some(*self)
    }
}

impl Target for Process {
    fn process(&self) -> Result<Process> {
        Ok(*self)
    }
}

impl Target for std::process::Child {
    fn process(&self) -> Result<Process> {
        Process::from_pid(self.id())
    }

    fn bare_pid(&self) -> Option<u32> {
        Some(self.id())
    }
}

impl<T: Target + ?Sized> Target for &T {
    fn process(&self) -> Result<Process> {
        (**self).process()
    }

    fn bare_pid(&self) -> Option<u32> {
        (**self).bare_pid()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_not_a_process() {
        for pid in [0, u32::MAX] {
            assert_eq!(Process::from_pid(pid), Err(Error::NoSuchProcess { pid }));
        }
        assert_eq!(Process::from_pid(std::process::id()), Process::current());
        assert_eq!(std::process::id().to_string().parse(), Process::current());
        assert_eq!("0".parse::<Process>(), Err(Error::NoSuchProcess { pid: 0 }));
        for text in ["", "x", "-1", "4294967296", "1:2", "1:2:x", "99999999999:2:3", "1:2:3:4", "-1:2:3"] {
            assert_eq!(text.parse::<Process>(), Err(Error::NotAProcess), "{text}");
        }
    }
}
