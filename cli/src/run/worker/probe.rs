//! Trying whether a worker is ready, by connections.

use super::event::Event;
use super::generation::Plan;
use crate::procfs::connections::Fate;
use crate::run::options::{Pass, Ready};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{sleep, timeout};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(25);
/// As many connections are tried at a time, at least and at most: others accept there, too.
const ATTEMPTS: (usize, usize) = (4, 8);
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

/// Ends when somebody listens there.
pub(crate) async fn until_listening(address: &str) {
    while !matches!(timeout(PATIENCE, TcpStream::connect(address)).await, Ok(Ok(_))) {
        sleep(PAUSE).await;
    }
}

/// Connects, as often as it takes, and tells who has accepted; goes on until it is stopped.
///
/// One does so for all workers: whoever accepts is ready, whichever was meant.
pub(crate) async fn find_ready(address: SocketAddr, workers: usize, events: UnboundedSender<Event>) {
    let mut attempts: Vec<TcpStream> = Vec::new();
    let mut unseen = 0;
    loop {
        while attempts.len() < workers.clamp(ATTEMPTS.0, ATTEMPTS.1) {
            match timeout(PATIENCE, TcpStream::connect(address)).await {
                Ok(Ok(attempt)) => attempts.push(attempt),
                _ => break,
            }
        }
        let ends: Vec<_> = attempts.iter().map(ends).collect();
        // On a busy machine this takes a while; not more than a fifth of the time goes into it.
        let begun = Instant::now();
        let fates = tokio::task::spawn_blocking(move || Fate::of(&ends)).await.unwrap_or_default();
        let pause = PAUSE.max(begun.elapsed() * 4);
        for (at, fate) in fates.into_iter().enumerate().rev() {
            match fate {
                Fate::Waiting => continue,
                Fate::Taken(by) => _ = events.send(Event::Accepts(Some(by))),
                Fate::Over => unseen += 1,
            }
            // Its end lets a server go on that serves one after the other.
            attempts.swap_remove(at);
        }
        if unseen >= UNSEEN {
            let _ = events.send(Event::Accepts(None));
            unseen = 0;
        }
        sleep(pause).await;
    }
}

/// The ends of a connection, as the other side sees them.
fn ends(stream: &TcpStream) -> Option<(SocketAddr, SocketAddr)> {
    Some((stream.peer_addr().ok()?, stream.local_addr().ok()?))
}
