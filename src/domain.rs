//! The directory in which processes meet.

#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider::Directory;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A domain: a directory in which the processes that share sockets meet.
///
/// Only who may enter the directory can share in it. By default it belongs to one user and is closed to all others.
/// On Linux processes of different users name one directory whose group admits them, set up by an administrator:
/// `mkdir -m 3770 DIR && chgrp GROUP DIR`. On Windows a domain is one user's: only who may put handles into a process
/// can share with it; and of one machine: what processes left that are unknown here is removed.
#[derive(Debug, Clone)]
pub struct Domain(pub(crate) Arc<Directory>);

impl Domain {
    /// The domain that is meant when none is named: `$SHARESOCK_DOMAIN` if set, else on Linux
    /// `/dev/shm/sharesock-<uid>`, or `/tmp/sharesock-<uid>` where there is no `/dev/shm`, and on Windows
    /// `%LOCALAPPDATA%\sharesock`. It is created, for this user alone, when it does not exist.
    ///
    /// # Errors
    /// As [`Domain::at`]; besides, the default directory must belong to this user and be closed to everybody else.
    pub fn open() -> Result<Self> {
        match std::env::var_os("SHARESOCK_DOMAIN").filter(|path| !path.is_empty()) {
            Some(path) => Self::at(path),
            None => Directory::open_default().map(Arc::new).map(Domain),
        }
    }

    /// The domain in the directory `path`, which is created, for this user alone, when it does not exist.
    ///
    /// # Errors
    /// [`Error::UntrustedDomain`] when it is not a real directory, is open to everybody, admits a group in part or
    /// without having the sticky bit, or belongs to another user and does not admit this process by its group;
    /// [`Error::System`] when it cannot be created or opened.
    pub fn at(path: impl Into<PathBuf>) -> Result<Self> {
        Directory::open(path.into()).map(Arc::new).map(Domain)
    }

    /// Its directory, as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Short digest of the directory itself: the same in every process, however it named the directory.
    ///
    /// It is what [`Delivery::domain`](crate::Delivery::domain) holds: where the two differ, an info was made elsewhere.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-digest-{}", std::process::id()));
    /// # let domain = sharesock::Domain::at(&folder)?;
    /// # let endpoint = sharesock::Endpoint::open(&domain)?;
    /// # let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let info = endpoint.duplicate(&socket, std::process::id())?;
    /// assert_eq!(info.delivery().map(|delivery| delivery.domain), Some(domain.digest()));
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn digest(&self) -> u32 {
        self.0.digest()
    }
}

/// Its directory, as it was named.
impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}
