//! What a source may ask of a duplicate: that it expires, that it can be revoked.

#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::Revoker;
use std::time::Duration;

/// Options of [`Endpoint::duplicate_with`](crate::Endpoint::duplicate_with).
///
/// ```
/// use std::time::Duration;
/// let options = sharesock::DuplicateOptions::new().expires_in(Duration::from_secs(30));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DuplicateOptions {
    expires_in: Option<Duration>,
}

impl DuplicateOptions {
    /// A duplicate that never expires.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// After so much time, redeeming fails with [`Error::Expired`]. Time asleep counts.
    ///
    /// The descriptor in the target's queue is closed when the target next looks for another, or ends.
    #[must_use]
    pub fn expires_in(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// When it expires, in nanoseconds since boot, of which `now` is the present; 0 is never.
    pub(crate) fn expiry(&self, now: impl FnOnce() -> u64) -> u64 {
        let Some(time) = self.expires_in else { return 0 };
        now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// The means to take a duplicate back before it is redeemed.
///
/// Dropping it gives that up. On Linux it works from any process that inherits it, and costs one descriptor.
#[derive(Debug)]
pub struct Revocation(pub(crate) Revoker);

impl Revocation {
    /// Whether the duplicate can still be redeemed, and so revoked; one that has expired counts as such.
    ///
    /// # Errors
    /// [`Error::System`] when the system refuses.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-open-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::{DuplicateOptions, Socket};
    /// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let (info, revocation) =
    ///     endpoint.duplicate_revocable(&socket, std::process::id(), &DuplicateOptions::new())?;
    /// assert!(revocation.is_open()?);
    /// endpoint.redeem(&info)?;
    /// assert!(!revocation.is_open()?);
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn is_open(&self) -> Result<bool> {
        self.0.is_open()
    }

    /// Revokes the duplicate. When this has returned `Ok`, no redemption succeeds any more.
    ///
    /// # Errors
    /// [`Error::AlreadyRedeemed`] when it was too late.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-revoke-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::{DuplicateOptions, Error, Socket};
    /// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let (info, revocation) =
    ///     endpoint.duplicate_revocable(&socket, std::process::id(), &DuplicateOptions::new())?;
    /// revocation.revoke()?;
    /// assert_eq!(endpoint.redeem(&info), Err(Error::Revoked));
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn revoke(self) -> Result<()> {
        self.0.revoke()
    }
}
