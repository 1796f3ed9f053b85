//! Receiving in a tokio program.

use super::{Parcel, Receiver};
use crate::error::{Error, Result};
use crate::provider::Polled;
use futures_core::Stream;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A [`Receiver`] as a stream of parcels, which ends only with the program. On Windows a thread of its own waits
/// for them, and it needs no runtime.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("sharesock-doc-stream-{}", std::process::id()));
/// # let domain = sharesock::Domain::at(&folder)?;
/// # let endpoint = sharesock::Endpoint::open(&domain)?;
/// # tokio::runtime::Builder::new_current_thread().enable_io().build()?.block_on(async {
/// let mut stream = endpoint.receiver()?.into_stream()?;
/// endpoint.sender(std::process::id())?.hand_off(sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?))?;
/// let parcel = stream.receive().await?;
/// assert_eq!(parcel.source(), Some(endpoint.process()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # drop(endpoint);
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ReceiverStream(Polled<Receiver>);

impl Receiver {
    /// This receiver as a stream of the tokio runtime in which this is called.
    ///
    /// # Errors
    /// [`Error::System`] when the runtime's poll loop does not take it.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled, as everything in tokio does.
    pub fn into_stream(self) -> Result<ReceiverStream> {
        Polled::new(self).map(ReceiverStream).map_err(Error::io("registering a receiver with tokio"))
    }
}

impl ReceiverStream {
    /// The next parcel. Dropping the future loses nothing.
    ///
    /// # Errors
    /// As [`Receiver::receive`].
    pub async fn receive(&mut self) -> Result<Parcel> {
        std::future::poll_fn(|context| self.poll_receive(context)).await
    }

    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Result<Parcel>> {
        self.0.poll(context, Receiver::try_receive)
    }
}

impl Stream for ReceiverStream {
    type Item = Result<Parcel>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_receive(context).map(Some)
    }
}
