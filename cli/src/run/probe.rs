//! Trying whether a worker is ready.

use super::generation::Plan;
use super::options::Ready;
use super::statistics;
use super::supervisor::Event;
use rustix::process::Pid;
use socket2::SockAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// A connection that nobody accepts for so long was not accepted.
const PATIENCE: Duration = Duration::from_millis(500);

/// Ends when it is found to be ready; never, if that is learnt in another way.
pub(crate) async fn until_ready(plan: Rc<Plan>, pid: Option<Pid>, events: UnboundedSender<Event>) {
    let Some(pid) = pid else { return };
    match &plan.options.ready {
        Ready::Auto | Ready::Notify | Ready::Time(_) => std::future::pending().await,
        Ready::Connect(address) => {
            while !matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) {
                sleep(PAUSE).await;
            }
        }
        Ready::Accept => {
            // Whoever it is, is ready; this worker may be found so by the attempt of another.
            loop {
                let accepted = accepted(&plan, pid).await;
                let itself = accepted.contains(&pid.as_raw_pid());
                let _ = events.send(Event::Accepts(accepted));
                if itself {
                    return;
                }
                sleep(PAUSE).await;
            }
        }
    }
}

/// Who accepts a connection made now to the first listener: this worker, or another one; or what one of them started.
async fn accepted(plan: &Plan, pid: Pid) -> Vec<i32> {
    let itself = || vec![pid.as_raw_pid()];
    let Some(listener) = plan.listeners.iter().find(|listener| listener.accepts()) else { return itself() };
    let address = listener.socket.as_socket().local_addr().ok();
    let Some(probe) = address.as_ref().and_then(to_try) else { return itself() };
    // It must stay until it was seen.
    let Ok(Some(connection)) = timeout(PATIENCE, connect(probe)).await else { return Vec::new() };
    timeout(PATIENCE, connection.until_held(pid)).await.unwrap_or_default()
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
    /// Looks who holds the other end of this connection, until somebody does.
    async fn until_held(&self, pid: Pid) -> Vec<i32> {
        loop {
            let held = match self {
                Connection::Tcp(stream) => match (stream.local_addr(), stream.peer_addr()) {
                    // Seen from the other end.
                    (Ok(remote), Ok(local)) => statistics::holders(local, remote),
                    _ => Vec::new(),
                },
                // The system does not tell who has the other end: somebody has accepted, or will.
                Connection::Unix(_) => vec![pid.as_raw_pid()],
            };
            if !held.is_empty() {
                return held;
            }
            sleep(PAUSE / 5).await;
        }
    }
}
