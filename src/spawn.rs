//! Children that have their endpoint from birth.

use crate::domain::endpoint_name;
use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::mail::{BIRTH_VARIABLE, Listener, MOST_LINKS, Purpose};
use crate::process::Process;
use crate::sys::{beyond_standard, spawn_listening};
use std::process::{Child, Command};

/// Spawning a child process with an endpoint.
pub trait SpawnExt {
    /// As [`Command::spawn`], and gives the child its endpoint in the domain of `endpoint`.
    ///
    /// From the moment this returns, duplicates for the child are delivered, and stay when this process ends. The
    /// child takes the endpoint over when it calls [`Endpoint::open`] for the same domain.
    ///
    /// # Errors
    /// [`Error::System`] when the endpoint cannot be made or the child cannot be spawned.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-spawn-{}", std::process::id()));
    /// # let endpoint = sharesock::Endpoint::open(&sharesock::Domain::at(&folder)?)?;
    /// use sharesock::{Socket, SpawnExt};
    /// let mut child = std::process::Command::new("sleep").arg("10").spawn_with_endpoint(&endpoint)?;
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
        let refused = Error::system("making a child's endpoint");
        let (domain, me) = endpoint.with_live(|live| Ok((live.domain.clone(), live.me)))?;
        let unborn = Listener::unborn(&domain, &me)?;
        let socket = beyond_standard(unborn.descriptor()).map_err(&refused)?;
        let cookie = rustix::net::sockopt::socket_cookie(&socket).map_err(&refused)?;
        let number = std::os::fd::AsRawFd::as_raw_fd(&socket);
        self.env(BIRTH_VARIABLE, format!("{number}:{cookie}:{}:{}", domain.digest(), unborn.name()));
        let backlog = i32::try_from(MOST_LINKS).unwrap_or(i32::MAX);
        let spawned = spawn_listening(self, &socket, backlog).map_err(Error::io("spawning a child"));
        self.env_remove(BIRTH_VARIABLE);
        let child = spawned?;
        // One that ended already needs no name, and one that was faster has it.
        if let Ok(process) = Process::from_pid(child.id()) {
            unborn.pass_on(&endpoint_name(process.who(), Purpose::Mail.suffix()));
        }
        Ok(child)
    }
}
