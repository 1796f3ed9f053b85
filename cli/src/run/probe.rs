//! Trying whether a worker is ready, by connections.

use super::generation::Plan;
use super::options::{Pass, Ready};
use super::statistics::Fate;
use rustix::process::Pid;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);
/// Between two looks at what became of one.
const LOOK: Duration = Duration::from_millis(10);
/// A connection that is not made within this time is tried anew.
const PATIENCE: Duration = Duration::from_millis(500);
/// So many connections may be closed before it was seen who accepted them: then they are too short to be seen.
const UNSEEN: usize = 20;

/// Whether a worker is ready when it has accepted a connection that was made to try it, and where that is tried.
pub(crate) fn tried_at(plan: &Plan) -> Option<SocketAddr> {
    let options = &plan.options;
    if !matches!(options.ready, Ready::Auto | Ready::Accept) || options.pass != Pass::Listener {
        return None;
    }
    let mut listeners = plan.listeners.iter().filter(|listener| listener.accepts());
    let mut address = listeners.find_map(|listener| listener.socket.as_socket().local_addr().ok()?.as_socket())?;
    if address.ip().is_unspecified() {
        let here = if address.is_ipv6() { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        address.set_ip(here);
    }
    Some(address)
}

/// Ends when the worker is found to be ready; never, if that is learnt in another way.
pub(crate) async fn until_ready(plan: Rc<Plan>, pid: Option<Pid>) {
    match (&plan.options.ready, tried_at(&plan), pid) {
        (Ready::Connect(address), ..) => _ = connected(|| TcpStream::connect(address)).await,
        (_, Some(address), Some(pid)) => until_accepted(address, pid).await,
        _ => std::future::pending().await,
    }
}

async fn connected<F: Future<Output = std::io::Result<TcpStream>>>(connect: impl Fn() -> F) -> TcpStream {
    loop {
        if let Ok(Ok(stream)) = timeout(PATIENCE, connect()).await {
            return stream;
        }
        sleep(PAUSE).await;
    }
}

/// Connects until a connection is accepted by this process, or by one that it started; others may accept there, too.
async fn until_accepted(address: SocketAddr, pid: Pid) {
    let mut unseen = 0;
    while unseen < UNSEEN {
        let stream = connected(|| TcpStream::connect(address)).await;
        match fate(&stream, pid).await {
            Fate::Taken => return,
            Fate::Over => unseen += 1,
            Fate::TakenByAnother | Fate::Waiting => {}
        }
        drop(stream);
        sleep(PAUSE).await;
    }
}

/// What becomes of the connection, once something does.
async fn fate(stream: &TcpStream, pid: Pid) -> Fate {
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return Fate::Over };
    loop {
        // On a busy machine the table is long.
        let look = tokio::task::spawn_blocking(move || Fate::of(there, here, pid));
        match look.await {
            Ok(Fate::Waiting) => sleep(LOOK).await,
            Ok(fate) => return fate,
            Err(_) => return Fate::Over,
        }
    }
}
