//! Speaks the protocol by hand, to the names of an endpoint directly, and need not keep to it.
#![allow(dead_code)] // Each test program uses its part.

use crate::peer::{Peer, Place, pair, wait_for_end};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, recv, recvmsg, sendmsg, socket_with, socketpair,
};
use sharesock::{Endpoint, Process, ProtocolInfo, Socket};
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) const SUFFIXES: [&str; 3] = ["", "-claims", "-hand-off"];

/// A process to be attacked, and what an honest process needs to share with it.
pub(crate) struct Victim {
    pub(crate) place: Place,
    pub(crate) endpoint: Endpoint,
    pub(crate) peer: Peer,
}

impl Victim {
    pub(crate) fn new(name: &str) -> Self {
        Self::start(name, Peer::start)
    }

    /// One that may open only so many descriptors.
    pub(crate) fn with_few_descriptors(name: &str, limit: u32) -> Self {
        let limit = format!("--nofile={limit}");
        Self::start(name, |place| {
            Peer::from_command(&mut Peer::command_by(place, "prlimit", &[&limit]), std::process::Command::spawn)
        })
    }

    fn start(name: &str, start: impl FnOnce(&Place) -> Peer) -> Self {
        let place = Place::new(name);
        let endpoint = place.endpoint();
        let mut peer = start(&place);
        assert_eq!((peer.ask("receiver"), peer.ask("socket")), ("ok".to_owned(), "ok".to_owned()));
        // It holds something for somebody, so that it listens for claims.
        let mut nobody = Peer::start_without_endpoint(&place);
        let answer = peer.ask(&format!("duplicate {}", nobody.pid()));
        assert!(answer.starts_with("ok"), "{answer}");
        nobody.kill();
        Victim { place, endpoint, peer }
    }

    /// A link to one of its names.
    pub(crate) fn connect(&self, suffix: &str) -> OwnedFd {
        connect(&name_of(&self.place, self.peer.pid(), suffix))
    }

    /// It still works for honest processes.
    pub(crate) fn is_well(&mut self) {
        let (mut client, socket) = pair();
        let id = socket.id().unwrap().as_u64();
        let info = self.endpoint.duplicate(&socket, self.peer.pid()).unwrap();
        assert_eq!(self.peer.ask(&format!("redeem {info}")), format!("ok {id}"));
        self.endpoint.sender(self.peer.pid()).unwrap().hand_off(socket).unwrap();
        assert_eq!(self.peer.ask("receive"), format!("ok {id}"));
        assert_eq!(self.peer.ask("close"), "ok");
        wait_for_end(&mut client);
        // Looking for what does not exist, it reads every link of this process.
        assert!(self.peer.ask(&format!("redeem {}", forged(&info))).contains("no duplicate waits"));
    }
}

/// The path under which process `pid` listens.
pub(crate) fn name_of(place: &Place, pid: u32, suffix: &str) -> PathBuf {
    let start = format!("{pid}-");
    let entries = std::fs::read_dir(place.path()).unwrap();
    let mut names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_it = |name: &String| name.strip_prefix(&start).is_some_and(|tag| tag.get(8..) == Some(suffix));
    place.path().join(names.find(is_it).unwrap())
}

/// It closes on exec: what starts beside it has its descriptors counted.
pub(crate) fn seqpacket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

pub(crate) fn connect(path: &std::path::Path) -> OwnedFd {
    let link = seqpacket();
    rustix::net::connect(&link, &SocketAddrUnix::new(path).unwrap()).unwrap();
    link
}

/// An info that differs from `info` in its token, so that nothing waits under it.
pub(crate) fn forged(info: &ProtocolInfo) -> ProtocolInfo {
    let mut token = info.delivery().unwrap().token;
    token[0] ^= 1;
    with(info, TOKEN, &token)
}

/// Where an info has its token, and what tells its target from others that had the same id.
pub(crate) const TOKEN: usize = 44;
pub(crate) const TARGET_TAG: usize = 60;

/// The same info with something else in this place. Its checksum is no secret.
pub(crate) fn with(info: &ProtocolInfo, place: usize, part: &[u8]) -> ProtocolInfo {
    let mut bytes = info.to_wide_bytes();
    bytes[place..place + part.len()].copy_from_slice(part);
    let word = |sum: u32, at: usize| {
        let word = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        (sum ^ word).wrapping_mul(PRIME).rotate_left(15)
    };
    let checksum = [44, 48, 52, 56, 4, 36, 112, 60, 64, 68, 8].into_iter().fold(0x811C_9DC5, word);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    ProtocolInfo::from_bytes(&bytes).unwrap()
}

const PRIME: u32 = 0x0100_0193;

fn fold(hash: u32, byte: &u8) -> u32 {
    (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
}

/// A process of another PID namespace that has the id and the tag of `process`: the tag has 32 bits, so that one is found by
/// meeting in the middle.
pub(crate) fn twin(process: &Process) -> Process {
    // The inverse of the prime, modulo 2^32.
    let inverse = (0..5).fold(1_u32, |x, _| x.wrapping_mul(2_u32.wrapping_sub(PRIME.wrapping_mul(x))));
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed >> 24
    };
    let forward: std::collections::HashMap<u32, u64> = (0..1 << 16)
        .map(|_| {
            let start = random();
            (start.to_le_bytes().iter().fold(0x811C_9DC5, fold), start)
        })
        .collect();
    loop {
        let namespace = random() | 1 << 41;
        let back = |hash: u32, byte: &u8| hash.wrapping_mul(inverse) ^ u32::from(*byte);
        let middle = namespace.to_le_bytes().iter().rev().fold(process.tag(), back);
        if let Some(start) = forward.get(&middle) {
            let twin: Process = format!("{}:{start}:{namespace}", process.pid()).parse().unwrap();
            assert_eq!((twin.pid(), twin.tag()), (process.pid(), process.tag()));
            return twin;
        }
    }
}

/// Sends a message, however wrong; that the victim closed the link is no failure.
pub(crate) fn send(link: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let _ = sendmsg(link, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

/// Receives one message: its bytes and its descriptors.
pub(crate) fn receive(link: &OwnedFd) -> (Vec<u8>, Vec<OwnedFd>) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; 1 << 17];
    let received = recvmsg(link, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    bytes.truncate(received.bytes);
    let descriptors = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    (bytes, descriptors.flatten().collect())
}

/// Whether the victim closes a link. Hangs are bounded by the minute that this waits.
pub(crate) fn is_closed(link: &OwnedFd) -> bool {
    poll(&mut [PollFd::new(link, PollFlags::IN)], Some(&Timespec { tv_sec: 60, tv_nsec: 0 })).unwrap();
    matches!(recv(link, &mut [0_u8; 64], RecvFlags::DONTWAIT), Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET))
}

pub(crate) fn frame(kind: u8, body: &[&[u8]]) -> [u8; 40] {
    let mut frame = [0; 40];
    let bytes = [&[b'S', b'S', 1, kind], &body.concat()[..]].concat();
    frame[..bytes.len()].copy_from_slice(&bytes);
    frame
}

pub(crate) fn hello(process: &Process) -> [u8; 40] {
    let text = process.to_string();
    let numbers: Vec<u64> = text.split(':').map(|number| number.parse().unwrap()).collect();
    let pid = u32::try_from(numbers[0]).unwrap();
    frame(1, &[&pid.to_le_bytes(), &numbers[1].to_le_bytes(), &numbers[2].to_le_bytes()])
}

/// A delivery under `token` that says of which socket it is.
pub(crate) fn deliver(token: [u8; 16], socket: &Socket) -> [u8; 40] {
    frame(2, &[&token, &socket.id().unwrap().as_u64().to_le_bytes(), &[0; 8], &[0]])
}

/// The token of a duplicate of `socket`, whose last half is the identity of the socket.
pub(crate) fn token(number: u64, socket: &Socket) -> [u8; 16] {
    let halves = [number.to_le_bytes(), socket.id().unwrap().as_u64().to_le_bytes()];
    halves.concat().try_into().unwrap()
}

pub(crate) fn claim(token: [u8; 16]) -> [u8; 40] {
    frame(3, &[&token])
}

/// A message of parcels: their count and lengths, and so many bytes.
pub(crate) fn load(count: u32, lengths: &[u32], bytes: usize) -> Vec<u8> {
    let lengths: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
    [&b"SSL\x01"[..], &count.to_le_bytes(), &lengths, &vec![1; bytes]].concat()
}

/// Both ends of a queue for parcels.
pub(crate) fn queue() -> (OwnedFd, OwnedFd) {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

/// A connection whose last close waits for a day, if its peer does not read.
pub(crate) fn sticky() -> (TcpStream, Socket) {
    let (client, socket) = pair();
    make_sticky(&socket);
    (client, socket)
}

/// Makes a connection such a one.
pub(crate) fn make_sticky(mut socket: &Socket) {
    socket.as_socket().set_linger(Some(Duration::from_secs(86_400))).unwrap();
    socket.as_socket().set_nonblocking(true).unwrap();
    while socket.write(&[1; 65_536]).is_ok() {}
}

/// Reads all that was sent over a [`sticky`] connection. It ends when the last descriptor was closed.
pub(crate) fn is_closed_in_order(client: &mut TcpStream) {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert!(!all.is_empty() && all.iter().all(|byte| *byte == 1));
}

/// Does `act` in a thread of its own. Hangs are bounded by the minutes that this waits.
pub(crate) fn without_waiting<T: Send + 'static>(act: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, is_done) = std::sync::mpsc::channel();
    std::thread::spawn(move || drop(done.send(act())));
    is_done.recv_timeout(Duration::from_secs(120)).unwrap()
}

/// Repeats `flood` in three threads for as long as `act` takes.
pub(crate) fn during<T>(flood: impl Fn() + Sync, act: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    flood();
                }
            });
        }
        let _end = OnDrop(&over);
        act()
    })
}

/// Ends a flood, also when a test fails.
struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
