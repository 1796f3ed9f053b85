//! Children that have their endpoint from birth.

use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider;
use std::process::{Child, Command};

/// Spawning a child process with an endpoint.
///
/// It is there for the `Command` of the standard library, and for that of tokio with the feature `tokio`.
pub trait SpawnExt {
    /// What spawning gives.
    type Child;

    /// As [`Command::spawn`], and gives the child its endpoint in the domain of `endpoint`.
    ///
    /// From the moment this returns, duplicates for the child are delivered, and stay when this process ends. The
    /// child takes the endpoint over when it calls [`Endpoint::open`] for the same domain. On Linux sockets can be handed
    /// off to the child from the same moment: [`Endpoint::receiver`] takes over what waits for it. What no receiver has
    /// taken when the child closes its endpoint, or ends, is its sender's again.
    ///
    /// # Errors
    /// [`Error::System`] when the endpoint cannot be made or the child cannot be spawned; [`Error::NameTaken`] when another
    /// user has taken the child's name: then the child is killed.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-spawn-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::{Socket, SpawnExt};
    /// # let program = if cfg!(windows) { "cmd" } else { "cat" };
    /// # let mut command = std::process::Command::new(program);
    /// # command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    /// let mut child = command.spawn_with_endpoint(&endpoint)?;
    /// let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let info = endpoint.duplicate(&socket, child.id())?;
    /// assert!(!info.delivery().unwrap().held); // it lies with the child already
    /// # child.kill()?;
    /// # child.wait()?;
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn spawn_with_endpoint(&mut self, endpoint: &Endpoint) -> Result<Self::Child>;
}

impl SpawnExt for Command {
    type Child = Child;

    fn spawn_with_endpoint(&mut self, endpoint: &Endpoint) -> Result<Child> {
        provider::spawn_with_endpoint(self, &endpoint.0)
    }
}

#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
impl SpawnExt for tokio::process::Command {
    type Child = tokio::process::Child;

    fn spawn_with_endpoint(&mut self, endpoint: &Endpoint) -> Result<tokio::process::Child> {
        provider::spawn_with_endpoint(self, &endpoint.0)
    }
}

/// A command that the provider prepares and spawns, and its child.
pub(crate) trait Spawn {
    type Child: Spawned;

    #[cfg_attr(windows, allow(dead_code))]
    fn command(&mut self) -> &mut Command;

    fn start(&mut self) -> std::io::Result<Self::Child>;
}

#[cfg_attr(windows, allow(dead_code))]
pub(crate) trait Spawned {
    /// Its id; nothing when it has been waited for.
    fn pid(&self) -> Option<u32>;

    /// Ends a child that nobody could reach.
    fn end(&mut self);
}

impl Spawn for Command {
    type Child = Child;

    fn command(&mut self) -> &mut Command {
        self
    }

    fn start(&mut self) -> std::io::Result<Child> {
        self.spawn()
    }
}

impl Spawned for Child {
    fn pid(&self) -> Option<u32> {
        Some(self.id())
    }

    fn end(&mut self) {
        let _ = self.kill();
        let _ = self.wait();
    }
}

#[cfg(feature = "tokio")]
impl Spawn for tokio::process::Command {
    type Child = tokio::process::Child;

    fn command(&mut self) -> &mut Command {
        self.as_std_mut()
    }

    fn start(&mut self) -> std::io::Result<tokio::process::Child> {
        self.spawn()
    }
}

#[cfg(feature = "tokio")]
impl Spawned for tokio::process::Child {
    fn pid(&self) -> Option<u32> {
        self.id()
    }

    fn end(&mut self) {
        // The runtime waits for it.
        let _ = self.start_kill();
    }
}
