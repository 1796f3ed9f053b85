//! Trying whether a worker is ready.

use super::generation::Plan;
use super::options::Ready;
use super::statistics;
use rustix::process::Pid;
use socket2::SockAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// A connection that nobody accepts for so long was not accepted.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ends when it is found to be ready; never, if that is learnt in another way.
pub(crate) async fn until_ready(plan: Rc<Plan>, pid: Option<Pid>) {
    let Some(pid) = pid else { return };
    match &plan.options.ready {
        Ready::Auto | Ready::Notify | Ready::Time(_) => std::future::pending().await,
        Ready::Connect(address) => {
            while !matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) {
                sleep(PAUSE).await;
            }
        }
        Ready::Accept => {
            while !accepted(&plan, pid).await {
                sleep(PAUSE).await;
            }
        }
    }
}

/// Whether a connection made now to the first listener is accepted by this worker, or by what it started.
async fn accepted(plan: &Plan, pid: Pid) -> bool {
    let Some(listener) = plan.listeners.iter().find(|listener| listener.accepts()) else { return true };
    let address = listener.socket.as_socket().local_addr().ok();
    let Some(probe) = address.as_ref().and_then(to_try) else { return true };
    // It must stay until it was seen.
    let Ok(Some(connection)) = timeout(PATIENCE, connect(probe)).await else { return false };
    let Ok(()) = timeout(PATIENCE, connection.until_held_by(pid)).await else { return false };
    true
}

enum Probe {
    Ip(SocketAddr),
    Unix(PathBuf),
}

enum Connection {
    Tcp(TcpStream),
    /// Kept open while it is looked for.
    Unix(#[allow(dead_code)] UnixStream),
}

fn to_try(address: &SockAddr) -> Option<Probe> {
    if let Some(path) = address.as_pathname() {
        return Some(Probe::Unix(path.into()));
    }
    let mut address = address.as_socket()?;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv6() {
            std::net::Ipv6Addr::LOCALHOST.into()
        } else {
            std::net::Ipv4Addr::LOCALHOST.into()
        });
    }
    Some(Probe::Ip(address))
}

async fn connect(probe: Probe) -> Option<Connection> {
    match probe {
        Probe::Ip(address) => TcpStream::connect(address).await.ok().map(Connection::Tcp),
        Probe::Unix(path) => UnixStream::connect(path).await.ok().map(Connection::Unix),
    }
}

impl Connection {
    /// Looks at what the worker holds until the other end of this connection is there.
    async fn until_held_by(&self, pid: Pid) {
        loop {
            let held = match self {
                Connection::Tcp(stream) => {
                    let ends = (stream.local_addr(), stream.peer_addr());
                    // Seen from the other end.
                    matches!(ends, (Ok(remote), Ok(local)) if statistics::holds_connection(pid, local, remote))
                }
                // The system does not tell who has the other end: somebody has accepted, or will.
                Connection::Unix(_) => true,
            };
            if held {
                return;
            }
            sleep(PAUSE / 5).await;
        }
    }
}
