//! The kernel's connections of TCP, asked for by netlink: quick also where tens of thousands have just ended.

use super::tcp::{ESTABLISHED, LISTENING, Row, TIME_WAIT, unmapped};
use anyhow::{Context, Result, bail};
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with, sockopt};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

const BY_FAMILY: u16 = 20;
const REQUEST_ALL: u16 = 0x1 | 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const TCP: u8 = 6;
/// Of a Unix socket, asks for its queue, and for its other end; and what they come as.
const QUEUE: u32 = 0x10;
const QUEUE_ATTRIBUTE: u16 = 4;
const PEER: u32 = 0x04;
const PEER_ATTRIBUTE: u16 = 2;
/// Sizes of the header of a message, and of what follows it for one connection.
const HEADER: usize = 16;
const CONNECTION: usize = 72;
/// Time for the answer of the kernel, which answers at once.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// All connections but those that only wait for their time to pass.
pub(super) fn rows() -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let family = u8::try_from(family.as_raw())?;
        let (mut request, states) = ([0; HEADER + 56], !(1_u32 << TIME_WAIT));
        put(&mut request, &[(HEADER, &[family, TCP]), (HEADER + 4, &states.to_ne_bytes())]);
        take(&ask(&request)?, |body| rows.extend(row(body)))?;
    }
    Ok(rows)
}

fn put(request: &mut [u8], parts: &[(usize, &[u8])]) {
    for (at, part) in parts {
        request.iter_mut().skip(*at).zip(*part).for_each(|(byte, new)| *byte = *new);
    }
}

/// Asks for all sockets that a request describes, behind the place for its header.
fn ask(request: &[u8]) -> Result<OwnedFd> {
    let mut request = request.to_vec();
    let length = u32::try_from(request.len())?;
    put(&mut request, &[(0, &length.to_ne_bytes()), (4, &BY_FAMILY.to_ne_bytes()), (6, &REQUEST_ALL.to_ne_bytes())]);
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).context("asking")?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT)).context("asking")?;
    sendto(&socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).context("asking")?;
    Ok(socket)
}

/// Takes the whole answer.
fn take(socket: &OwnedFd, mut found: impl FnMut(&[u8])) -> Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let (length, _) = recv(socket.as_fd(), &mut buffer[..], RecvFlags::empty()).context("hearing the answer")?;
        let mut rest = buffer.get(..length).unwrap_or_default();
        while let Some((kind, body, next)) = message(rest) {
            match kind {
                DONE => return Ok(()),
                ERROR => bail!("the kernel refuses to list connections"),
                BY_FAMILY => found(body),
                _ => {}
            }
            rest = next;
        }
    }
}

/// The first message: its kind, what it holds, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = usize::try_from(u32::from_ne_bytes(*bytes.first_chunk()?)).ok()?;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    Some((kind, body, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn row(body: &[u8]) -> Option<Row> {
    let body: &[u8; CONNECTION] = body.first_chunk()?;
    let word = |at: usize| Some(u32::from_ne_bytes(*body.get(at..)?.first_chunk()?));
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(*body.get(port..)?.first_chunk()?);
        let address: [u8; 16] = *body.get(address..)?.first_chunk()?;
        let [family, ..] = *body;
        let ip = if u16::from(family) == AddressFamily::INET.as_raw() {
            IpAddr::from(Ipv4Addr::from(*address.first_chunk::<4>()?))
        } else {
            IpAddr::from(Ipv6Addr::from(address))
        };
        Some(unmapped(SocketAddr::new(ip, port)))
    };
    let [_, state, ..] = *body;
    let limit = Some(word(60)?.into()).filter(|_| state == LISTENING);
    let (waiting, inode) = (word(56)?.into(), word(68)?.into());
    Some(Row { local: end(4, 8)?, remote: end(6, 24)?, state, waiting, limit, inode })
}

/// The inode of the other end of a connected Unix socket: zero while nobody has it.
pub(super) fn unix_peer(inode: u64) -> Result<Option<u64>> {
    let mut peer = None;
    take(&ask_unix(ESTABLISHED, PEER)?, |body| {
        if word(body, 4).map(u64::from) == Some(inode) {
            peer = attribute(body, PEER_ATTRIBUTE).and_then(|value| word(value, 0)).map(u64::from);
        }
    })?;
    Ok(peer)
}

fn ask_unix(state: u8, show: u32) -> Result<OwnedFd> {
    let family = u8::try_from(AddressFamily::UNIX.as_raw())?;
    let (mut request, states) = ([0; HEADER + 24], 1_u32 << state);
    put(&mut request, &[(HEADER, &[family]), (HEADER + 4, &states.to_ne_bytes()), (HEADER + 12, &show.to_ne_bytes())]);
    ask(&request)
}

/// The Unix sockets that listen: the inode of each, how many connections wait there, and how many may.
pub(super) fn unix_listeners() -> Result<Vec<(u64, u64, u64)>> {
    let mut listeners = Vec::new();
    take(&ask_unix(LISTENING, QUEUE)?, |body| listeners.extend(unix_listener(body)))?;
    Ok(listeners)
}

fn unix_listener(body: &[u8]) -> Option<(u64, u64, u64)> {
    let queue = attribute(body, QUEUE_ATTRIBUTE)?;
    Some((word(body, 4)?.into(), word(queue, 0)?.into(), word(queue, 4)?.into()))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The attribute of a Unix socket that has this number.
fn attribute(body: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut rest = body.get(16..)?;
    loop {
        let [length, kind] = [0, 2].map(|at| Some(u16::from_ne_bytes(*rest.get(at..)?.first_chunk()?)));
        let length = usize::from(length?);
        if kind? == wanted {
            return rest.get(4..length);
        }
        rest = rest.get(length.max(4).next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kernel_tells_the_same_in_both_ways() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let other = std::net::TcpListener::bind("[::1]:0").unwrap();
        let address = listener.local_addr().unwrap();
        let client = std::net::TcpStream::connect(address).unwrap();
        let ours = |row: &Row| {
            let ports = [address.port(), other.local_addr().unwrap().port()];
            ports.contains(&row.local.port()) || ports.contains(&row.remote.port())
        };
        let sorted = |rows: Vec<Row>| {
            let mut rows: Vec<_> =
                rows.into_iter().filter(ours).map(|row| format!("{:?}", Row { limit: None, ..row })).collect();
            rows.sort();
            rows
        };
        assert!(rows().unwrap().iter().any(|row| row.local == address && row.limit == Some(128)), "as std asks for");
        let asked = sorted(rows().unwrap());
        assert_eq!(asked, sorted(super::super::tcp::printed()));
        assert_eq!(asked.len(), 4, "two listeners, and both ends of a connection: {asked:?}");
        drop(client);
    }

    #[test]
    fn the_queues_of_unix_listeners_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 7).unwrap();
        let _client = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino;
        assert!(unix_listeners().unwrap().contains(&(inode, 1, 7)));
    }

    proptest! {
        #[test]
        fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = noise.as_slice();
            while let Some((_, body, next)) = message(rest) {
                let _ = (row(body), unix_listener(body), attribute(body, PEER_ATTRIBUTE));
                prop_assert!(next.len() < rest.len());
                rest = next;
            }
        }
    }
}
