//! Turns: locks on one direction of an underlying socket, for programs that choose to coordinate (R6).
//!
//! A turn is a byte-range lock of an open file, in a file of the domain, at a place made from the socket's identity.
//! There is no state to repair: the kernel lets go when the holder ends.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::provider::LockFile;
use crate::socket::Socket;
use std::time::{Duration, Instant};

/// The longest pause between two attempts while waiting with a timeout.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// A direction of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Receiving, and accepting connections.
    Receive,
    /// Sending.
    Send,
}

/// A turn that is held; dropping it gives it up, and so does the end of the process.
#[derive(Debug)]
#[must_use = "a turn is given up when it is dropped"]
pub struct Turn {
    file: LockFile,
    place: u64,
}

impl Turn {
    /// Waits for the turn on one direction of `socket` among all processes and threads of `domain`.
    ///
    /// Nobody is forced to take turns: they bind those who take them. A turn goes by the [identity](Socket::id) of the
    /// socket: on Windows by that which its duplicates and parcels carry, so a descriptor that got into a process in
    /// another way is another socket there.
    ///
    /// # Errors
    /// [`Error::System`]: with `EDEADLK` never, for turns of one process are independent of each other; with
    /// `EINTR` when a signal handler ran; with the code of the system otherwise.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-turn-{}", std::process::id()));
    /// # let domain = sharesock::Domain::at(&folder)?;
    /// use sharesock::{Direction, Turn};
    /// let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let turn = Turn::take(&domain, &socket, Direction::Receive)?;
    /// assert!(Turn::try_take(&domain, &socket, Direction::Receive)?.is_none());
    /// drop(turn);
    /// assert!(Turn::try_take(&domain, &socket, Direction::Receive)?.is_some());
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take(domain: &Domain, socket: &Socket, direction: Direction) -> Result<Turn> {
        let turn = Self::at(domain, socket, direction)?;
        turn.file.lock(turn.place).map_err(Error::io("waiting for a turn"))?;
        Ok(turn)
    }

    /// Takes the turn if nobody has it; nothing otherwise.
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses.
    pub fn try_take(domain: &Domain, socket: &Socket, direction: Direction) -> Result<Option<Turn>> {
        let turn = Self::at(domain, socket, direction)?;
        Ok(turn.attempt()?.then_some(turn))
    }

    /// Waits for the turn for at most `timeout`; nothing when somebody else had it all the while.
    ///
    /// It asks again at growing intervals of up to 5 ms, because the kernel's own wait knows no timeout.
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses.
    pub fn take_within(
        domain: &Domain,
        socket: &Socket,
        direction: Direction,
        timeout: Duration,
    ) -> Result<Option<Turn>> {
        let turn = Self::at(domain, socket, direction)?;
        let started = Instant::now();
        let mut pause = Duration::from_micros(50);
        while !turn.attempt()? {
            let left = timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(pause.min(left));
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Ok(Some(turn))
    }

    fn at(domain: &Domain, socket: &Socket, direction: Direction) -> Result<Turn> {
        let place = socket.id()?.as_u64() << 1 | u64::from(direction == Direction::Send);
        // A lock belongs to the open file: each turn has its own, so that threads exclude each other, too.
        Ok(Turn { file: LockFile::open(domain, "turns")?, place: place & (u64::MAX >> 1) })
    }

    fn attempt(&self) -> Result<bool> {
        self.file.try_lock(self.place).map_err(Error::io("asking for a turn"))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A forked child may hold the same open file: closing ours would not let go.
        let _ = self.file.unlock(self.place);
    }
}
