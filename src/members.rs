//! Who is in a domain, and what waits there for whom.

use crate::domain::Domain;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::process::Process;
use crate::provider;

/// A process that has a name in a domain: it receives there, or answers there, or did when it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Its id, as it sees itself.
    pub pid: u32,
    /// Tells it from others that had the same id ([`Process::tag`]).
    pub tag: u32,
    /// The process, if it is seen to live from here; not one in another PID namespace.
    pub process: Option<Process>,
    /// It has an endpoint: duplicates are delivered to it.
    pub endpoint: bool,
    /// It answers claims: it has had to hold a duplicate for a target, and may hold some now. How many, only it knows.
    pub answers_claims: bool,
    /// It has a receiver: sockets can be handed off to it.
    pub receiver: bool,
    /// So many descriptors lie in the queue of its endpoint: each duplicate is one, a revocable one is two. Not known of
    /// processes that this one may not look at; on older kernels those on links that it has not accepted yet are missing.
    pub unredeemed: Option<u32>,
    /// The same of its receiver: what was handed off and did not reach it yet.
    pub unreceived: Option<u32>,
    /// Nobody listens under a name of it: it was killed, and whoever opens an endpoint here next removes the name.
    pub stale: bool,
}

impl Domain {
    /// Every process that has a name in this domain, by id, and what waits for it.
    ///
    /// It is meant for people who look at a running system: it reads `/proc`, and what is returned was true at some
    /// moment of the call. Names of processes that are not seen to live are tried by connecting to them.
    /// A process that has endpoints in several domains is seen with what waits for it in all of them.
    ///
    /// # Errors
    /// [`Error::NotOnThisSystem`] on Windows, where what waits lies in the tables of handles.
    ///
    /// ```
    /// # let folder = std::env::temp_dir().join(format!("sharesock-doc-members-{}", std::process::id()));
    /// # let domain = sharesock::Domain::at(&folder)?;
    /// # let endpoint = sharesock::Endpoint::open(&domain)?;
    /// # let socket = sharesock::Socket::from(std::net::UdpSocket::bind("127.0.0.1:0")?);
    /// let _info = endpoint.duplicate(&socket, std::process::id())?;
    /// match domain.members() {
    ///     Ok(members) => {
    ///         assert!(members.iter().any(|member| member.pid == std::process::id() && member.endpoint));
    ///     }
    ///     Err(error) => assert!(matches!(error, sharesock::Error::NotOnThisSystem { .. })),
    /// }
    /// # drop(endpoint);
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn members(&self) -> Result<Vec<Member>> {
        provider::members(self)
    }
}
