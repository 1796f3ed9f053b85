//! For programs on tokio: its types, and what can be awaited.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::process::{Process, Target};
use crate::socket::Socket;

macro_rules! conversions {
    ($($tokio:ty, $std:ty);+ $(;)?) => {$(
        /// Takes the socket out of the runtime; it stays non-blocking, for all its descriptors.
        impl TryFrom<$tokio> for Socket {
            type Error = Error;

            fn try_from(socket: $tokio) -> Result<Self> {
                socket.into_std().map(Socket::from).map_err(Error::io("taking a socket out of tokio"))
            }
        }

        /// Makes the socket non-blocking, for all its descriptors (R8), and gives it to the tokio runtime in which this is called.
        ///
        /// # Panics
        /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
        impl TryFrom<Socket> for $tokio {
            type Error = Error;

            fn try_from(socket: Socket) -> Result<Self> {
                socket.set_nonblocking(true)?;
                <$tokio>::from_std(<$std>::from(socket)).map_err(Error::io("giving a socket to tokio"))
            }
        }
    )+};
}

conversions!(
    tokio::net::TcpStream, std::net::TcpStream;
    tokio::net::TcpListener, std::net::TcpListener;
    tokio::net::UdpSocket, std::net::UdpSocket;
);
#[cfg(unix)]
conversions!(
    tokio::net::UnixStream, std::os::unix::net::UnixStream;
    tokio::net::UnixListener, std::os::unix::net::UnixListener;
    tokio::net::UnixDatagram, std::os::unix::net::UnixDatagram;
);

/// A child that has been waited for has no id any more.
impl Target for tokio::process::Child {
    fn process(&self) -> Result<Process> {
        Process::from_pid(self.id().unwrap_or(0))
    }

    fn bare_pid(&self) -> Option<u32> {
        self.id()
    }
}

#[cfg(unix)]
pub use unix::AsyncSender;

#[cfg(windows)]
impl Endpoint {
    /// As [`redeem`](Endpoint::redeem), which never waits on Windows.
    ///
    /// # Errors
    /// As [`redeem`](Endpoint::redeem).
    #[allow(clippy::unused_async)]
    pub async fn redeem_async(&self, info: &crate::ProtocolInfo) -> Result<Socket> {
        self.redeem(info)
    }

    /// As [`flush`](Endpoint::flush), which never waits on Windows.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::unused_async)]
    pub async fn flush_async(&self) -> Result<()> {
        self.flush(None)
    }
}

#[cfg(unix)]
mod unix {
    use super::*;
    use crate::hand_off::{Parcel, Progress, Refused, Sender};
    use crate::pending::{PendingFlush, PendingRedeem, Redeeming};
    use crate::protocol_info::ProtocolInfo;
    use crate::wait::Wait;
    use std::os::fd::AsRawFd;
    use std::time::Duration;
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// A hand-off for which too many descriptors are in flight has nothing to wait for: it is tried again after this.
    const PAUSE: Duration = Duration::from_millis(10);
    const REFUSED: &str = "registering with tokio";

    fn watch<T: AsRawFd>(inner: T) -> Result<AsyncFd<T>> {
        // The objection to it is that a descriptor might change under tokio: those of ours do not.
        #[allow(deprecated)]
        AsyncFd::with_interest(inner, Interest::READABLE).map_err(Error::io(REFUSED))
    }

    impl Endpoint {
        /// As [`redeem`](Endpoint::redeem), for tokio: other tasks go on while the source of a duplicate that is held is asked.
        ///
        /// Dropping the future gives up waiting; the same info can be redeemed later.
        ///
        /// # Errors
        /// As [`redeem`](Endpoint::redeem); [`Error::System`] when the runtime's poll loop does not take it.
        ///
        /// # Panics
        /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
        ///
        /// ```
        /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-redeem-async-{}", std::process::id()));
        /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
        /// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
        /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        /// let info = endpoint.duplicate(&listener, std::process::id())?;
        /// let same = tokio::net::TcpListener::try_from(endpoint.redeem_async(&info).await?)?;
        /// assert_eq!(same.local_addr()?, listener.local_addr()?);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// # })?;
        /// # drop(endpoint);
        /// # std::fs::remove_dir_all(&folder)?;
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        pub async fn redeem_async(&self, info: &ProtocolInfo) -> Result<Socket> {
            let mut pending = match self.start_redeem(info)? {
                Redeeming::Done(socket) => return Ok(socket),
                Redeeming::Pending(pending) => watch::<PendingRedeem>(pending)?,
            };
            loop {
                let mut ready = pending.readable_mut().await.map_err(Error::io(REFUSED))?;
                ready.clear_ready();
                if let Some(socket) = ready.get_inner_mut().try_finish()? {
                    return Ok(socket);
                }
            }
        }

        /// As [`flush`](Endpoint::flush), for tokio and without an end: give it one by `tokio::time::timeout`.
        ///
        /// # Errors
        /// As [`start_flush`](Endpoint::start_flush); [`Error::System`] when the runtime's poll loop does not take it.
        ///
        /// # Panics
        /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
        pub async fn flush_async(&self) -> Result<()> {
            let mut flush = self.start_flush()?;
            if flush.left() == 0 {
                return Ok(());
            }
            let mut flush = watch::<PendingFlush>(flush)?;
            loop {
                let mut ready = flush.readable_mut().await.map_err(Error::io(REFUSED))?;
                ready.clear_ready();
                if ready.get_inner_mut().left() == 0 {
                    return Ok(());
                }
            }
        }
    }

    /// A [`Sender`] that can be awaited: other tasks go on while its target has no room; of Linux.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-async-sender-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// # let receiver = endpoint.receiver()?;
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let sender = sharesock::AsyncSender::new(endpoint.sender(std::process::id())?)?;
    /// sender.hand_off(std::net::UdpSocket::bind("127.0.0.1:0")?).await?;
    /// # drop(receiver.receive()?);
    /// sender.flush().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # drop((endpoint, receiver));
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[derive(Debug)]
    pub struct AsyncSender {
        sender: Sender,
        progress: AsyncFd<Progress>,
    }

    impl AsyncSender {
        /// The sender in the tokio runtime in which this is called.
        ///
        /// # Errors
        /// [`Error::System`] when no descriptor is free, or the runtime's poll loop does not take it.
        ///
        /// # Panics
        /// Outside of a tokio runtime with I/O and time enabled, as everything in tokio does.
        pub fn new(sender: Sender) -> Result<Self> {
            let progress = watch(sender.progress()?)?;
            Ok(AsyncSender { sender, progress })
        }

        /// The sender: to reclaim, to ask what is outstanding, and for calls that do not wait.
        #[must_use]
        pub fn get_ref(&self) -> &Sender {
            &self.sender
        }

        /// The sender alone.
        #[must_use]
        pub fn into_inner(self) -> Sender {
            self.sender
        }

        /// As [`Sender::hand_off`]. Dropping the future before it is ready closes the parcel's socket.
        ///
        /// # Errors
        /// As [`Sender::hand_off`].
        pub async fn hand_off(&self, parcel: impl Into<Parcel>) -> Result<(), Box<Refused>> {
            let mut parcel = parcel.into();
            loop {
                match self.sender.hand_off_within(parcel, Wait::none()) {
                    Err(refused) if matches!(refused.error, Error::HandOffFull { .. }) => parcel = refused.parcel,
                    done => return done,
                }
                if let Err(error) = self.progress().await {
                    return Err(Box::new(Refused { error, parcel }));
                }
            }
        }

        /// As [`Sender::flush`], without an end: give it one by `tokio::time::timeout`.
        ///
        /// # Errors
        /// As [`Sender::flush`], without [`Error::NotTaken`].
        pub async fn flush(&self) -> Result<()> {
            loop {
                match self.sender.flush(Wait::none()) {
                    Err(Error::NotTaken { .. }) => self.progress().await?,
                    done => return done,
                }
            }
        }

        /// Waits until the target has taken something or is gone, or for a moment: not all that makes room is told.
        async fn progress(&self) -> Result<()> {
            match tokio::time::timeout(PAUSE, self.progress.readable()).await {
                Ok(ready) => {
                    let mut ready = ready.map_err(Error::io(REFUSED))?;
                    ready.get_inner().clear();
                    ready.clear_ready();
                    Ok(())
                }
                Err(_) => Ok(()),
            }
        }
    }
}
