//! Children that have their endpoint from birth.

use crate::endpoint::Endpoint;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::provider;
use std::process::{Child, Command};

/// Spawning a child process with an endpoint.
pub trait SpawnExt {
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
    fn spawn_with_endpoint(&mut self, endpoint: &Endpoint) -> Result<Child>;
}

impl SpawnExt for Command {
    fn spawn_with_endpoint(&mut self, endpoint: &Endpoint) -> Result<Child> {
        provider::spawn_with_endpoint(self, &endpoint.0)
    }
}
