//! Peers that do not keep to the protocol, speaking to the names of an endpoint directly; and altered infos.
//!
//! After each, honest processes share as before.
#![cfg(target_os = "linux")]

mod peer;

use peer::{Peer, Place, pair, wait_for_end};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketType, recv,
    sendmsg, socket,
};
use sharesock::{Endpoint, Error, Parcel, Process, ProtocolInfo, Socket};
use std::mem::MaybeUninit;

const SUFFIXES: [&str; 3] = ["", "-claims", "-hand-off"];

/// A process to be attacked, and what an honest process needs to share with it.
struct Victim {
    place: Place,
    endpoint: Endpoint,
    peer: Peer,
}

impl Victim {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let endpoint = place.endpoint();
        let mut peer = Peer::start(&place);
        assert_eq!((peer.ask("receiver"), peer.ask("socket")), ("ok".to_owned(), "ok".to_owned()));
        // It holds something for somebody, so that it listens for claims.
        let mut nobody = Peer::start_without_endpoint(&place);
        assert!(peer.ask(&format!("duplicate {}", nobody.pid())).starts_with("ok"));
        nobody.kill();
        Victim { place, endpoint, peer }
    }

    /// A link to one of its names.
    fn connect(&self, suffix: &str) -> OwnedFd {
        let entries = std::fs::read_dir(self.place.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let start = format!("{}-", self.peer.pid());
        let is_it = |name: &String| name.starts_with(&start) && name[start.len()..].get(8..) == Some(suffix);
        let name = names.filter(|name| name.len() >= start.len() + 8).find(is_it).unwrap();
        let link = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
        rustix::net::connect(&link, &SocketAddrUnix::new(self.place.path().join(name)).unwrap()).unwrap();
        link
    }

    /// It still works for honest processes.
    fn is_well(&mut self) {
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

/// An info that differs from `info` in its token, so that nothing waits under it. Its checksum is no secret.
fn forged(info: &ProtocolInfo) -> ProtocolInfo {
    let mut bytes = info.to_wide_bytes();
    bytes[44] ^= 1;
    let word = |at: usize| bytes[at..at + 4].to_vec();
    let summed = [bytes[44..60].to_vec(), word(4), word(36), word(112), word(60), word(64), word(68), word(8)];
    let fold = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let checksum = summed.concat().iter().fold(0x811C_9DC5, fold);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    ProtocolInfo::from_bytes(&bytes).unwrap()
}

/// Sends a message, however wrong; that the victim closed the link is no failure.
fn send(link: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.is_empty() || control.push(SendAncillaryMessage::ScmRights(descriptors)));
    let _ = sendmsg(link, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
}

/// Whether the victim has closed a link.
fn is_closed(link: &OwnedFd) -> bool {
    matches!(recv(link, &mut [0_u8; 64], RecvFlags::empty()), Ok((_, 0)) | Err(rustix::io::Errno::CONNRESET))
}

fn frame(kind: u8, body: &[&[u8]]) -> [u8; 40] {
    let mut frame = [0; 40];
    let bytes = [&[b'S', b'S', 1, kind], &body.concat()[..]].concat();
    frame[..bytes.len()].copy_from_slice(&bytes);
    frame
}

fn hello(process: &Process) -> [u8; 40] {
    let text = process.to_string();
    let numbers: Vec<u64> = text.split(':').map(|number| number.parse().unwrap()).collect();
    let pid = u32::try_from(numbers[0]).unwrap();
    frame(1, &[&pid.to_le_bytes(), &numbers[1].to_le_bytes(), &numbers[2].to_le_bytes()])
}

#[test]
fn noise_closes_the_link_and_nothing_else() {
    let mut victim = Victim::new("noise");
    let descriptors = victim.peer.ask("descriptors");
    let (_client, socket) = pair();
    let me = Process::current().unwrap();
    for suffix in SUFFIXES {
        for length in [0, 1, 4, 39, 40, 41, 1000, 60_000] {
            for count in [0, 1, 2, 3, 253] {
                let link = victim.connect(suffix);
                if length % 2 == 0 && suffix != "-hand-off" {
                    send(&link, &hello(&me), &[]);
                }
                send(&link, &vec![0x5A; length], &vec![socket.as_fd(); count]);
                drop(link);
            }
        }
        victim.is_well();
    }
    // Everything that came with the noise was closed again: only the links of an honest source are left.
    let after: u32 = victim.peer.ask("descriptors").parse().unwrap();
    assert!(after <= descriptors.parse::<u32>().unwrap() + 2, "{descriptors} before, {after} after");
}

#[test]
fn who_claims_to_be_another_is_not_believed() {
    let mut victim = Victim::new("disguise");
    let other = Process::from_pid(std::os::unix::process::parent_id()).unwrap();
    for suffix in ["", "-claims"] {
        let link = victim.connect(suffix);
        send(&link, &hello(&other), &[]);
        victim.is_well();
        assert!(is_closed(&link), "{suffix}");
    }
}

#[test]
fn a_delivery_must_hold_what_it_promises() {
    let mut victim = Victim::new("promises");
    let me = Process::current().unwrap();
    let (mut client, socket) = pair();
    let cookie = socket.id().unwrap().as_u64().to_le_bytes();
    let file = std::fs::File::open("/dev/null").unwrap();
    let token = [7; 16];
    let attempts: [(&str, [u8; 40], Vec<BorrowedFd<'_>>); 6] = [
        ("wrong cookie", frame(2, &[&token, &[1; 8], &[0; 8], &[0]]), vec![socket.as_fd()]),
        ("no socket", frame(2, &[&token, &cookie, &[0; 8], &[0]]), vec![file.as_fd()]),
        ("no descriptor", frame(2, &[&token, &cookie, &[0; 8], &[0]]), vec![]),
        ("no gate", frame(2, &[&token, &cookie, &[0; 8], &[1]]), vec![socket.as_fd()]),
        ("a gate too many", frame(2, &[&token, &cookie, &[0; 8], &[0]]), vec![socket.as_fd(), file.as_fd()]),
        ("a second greeting", hello(&me), vec![]),
    ];
    for (what, bytes, descriptors) in attempts {
        let link = victim.connect("");
        send(&link, &hello(&me), &[]);
        send(&link, &bytes, &descriptors);
        victim.is_well();
        assert!(is_closed(&link), "{what}");
    }
    // Nothing of it was kept.
    drop(socket);
    wait_for_end(&mut client);
}

#[test]
fn claims_of_what_is_not_held_for_the_claimant_get_nothing() {
    let mut victim = Victim::new("claims");
    let me = Process::current().unwrap();
    // Held by the victim for a third; this process is not it.
    let third = Peer::start_without_endpoint(&victim.place);
    let text = victim.peer.ask(&format!("duplicate {}", third.pid()));
    let info: ProtocolInfo = text.strip_prefix("ok ").unwrap().parse().unwrap();
    for token in [info.delivery().unwrap().token, [9; 16]] {
        let link = victim.connect("-claims");
        send(&link, &hello(&me), &[]);
        send(&link, &frame(3, &[&token]), &[]);
        let mut answer = [0; 40];
        let (_, length) = recv(&link, &mut answer, RecvFlags::empty()).unwrap();
        assert_eq!((length, answer), (40, frame(4, &[&token, &[1]])), "refused: not held");
    }
    victim.is_well();
}

#[test]
fn a_greeting_must_bring_the_end_of_a_queue() {
    let mut victim = Victim::new("greetings");
    let me = Process::current().unwrap();
    let file = std::fs::File::open("/dev/null").unwrap();
    let (_client, stream) = pair();
    let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(victim.place.path().join("x")).unwrap()).unwrap();
    rustix::net::listen(&listener, 1).unwrap();
    let (one, two) = queue();
    let wrong: [(&str, Vec<BorrowedFd<'_>>); 5] = [
        ("nothing", vec![]),
        ("a file", vec![file.as_fd()]),
        ("a stream", vec![stream.as_fd()]),
        ("what listens", vec![listener.as_fd()]),
        ("two", vec![one.as_fd(), two.as_fd()]),
    ];
    for (what, descriptors) in wrong {
        let link = victim.connect("-hand-off");
        send(&link, &hello(&me), &descriptors);
        victim.is_well();
        assert!(is_closed(&link), "{what}");
    }
}

#[test]
fn loads_that_do_not_add_up_are_refused_with_all_they_carry() {
    let mut victim = Victim::new("loads");
    let me = Process::current().unwrap();
    let (mut client, socket) = pair();
    let load = |count: u32, lengths: &[u32], bytes: usize| {
        let lengths: Vec<u8> = lengths.iter().flat_map(|length| length.to_le_bytes()).collect();
        [&b"SSL\x01"[..], &count.to_le_bytes(), &lengths, &vec![1; bytes]].concat()
    };
    let loads = [
        (load(2, &[0, 0], 0), 1),
        (load(1, &[0], 0), 2),
        (load(1, &[5], 4), 1),
        (load(1, &[5], 6), 1),
        (load(u32::MAX, &[0], 0), 1),
        (load(1, &[u32::MAX], 0), 1),
        (load(0, &[], 0), 0),
        (load(1, &[0], 70_000), 1),
        // Two, and something that is no gate; and more than this receiver said that its program takes.
        (load(2, &[0, 0], 0), 3),
        (load(3, &[0, 0, 0], 0), 4),
    ];
    for (bytes, count) in loads {
        let (one, two) = queue();
        send(&victim.connect("-hand-off"), &hello(&me), &[two.as_fd()]);
        drop(two);
        send(&one, &bytes, &vec![socket.as_fd(); count]);
        victim.is_well();
        assert!(is_closed(&one));
    }
    drop(socket);
    wait_for_end(&mut client);
}

/// Both ends of a queue for parcels.
fn queue() -> (OwnedFd, OwnedFd) {
    let flags = rustix::net::SocketFlags::CLOEXEC;
    rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap()
}

#[test]
fn a_receiver_that_lies_about_what_it_wants_harms_itself() {
    let place = Place::new("liar");
    let endpoint = place.endpoint();
    // This process plays the liar: it listens by hand under its own name.
    let receiver = endpoint.receiver().unwrap();
    let name = std::fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with("-hand-off"))
        .unwrap();
    drop(receiver);
    let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET, None).unwrap();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&name).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let link = rustix::net::accept(&listener).unwrap();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = rustix::net::RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 64];
    let parts = &mut [rustix::io::IoSliceMut::new(&mut bytes)];
    rustix::net::recvmsg(&link, parts, &mut control, RecvFlags::empty()).unwrap();
    let queue = control
        .drain()
        .find_map(|part| match part {
            rustix::net::RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })
        .unwrap();
    let (mut client, socket) = pair();
    // What it says is noise, or more than anybody could take; and it sends descriptors back.
    for (bytes, count) in [(&[0x5A; 40][..], 0), (&frame(5, &[&u32::MAX.to_le_bytes()]), 0), (&[1; 3], 2)] {
        send(&queue, bytes, &vec![socket.as_fd(); count]);
    }
    let parcels = |count: u8| (0..count).map(|n| Parcel::new(socket.try_clone().unwrap()).with_bytes(vec![n]));
    sender.hand_off_many(&mut parcels(100).collect()).unwrap();
    assert_eq!(sender.outstanding(), 100);
    // It looks at them, and takes one message away.
    recv(&queue, &mut [0_u8; 8], RecvFlags::PEEK).unwrap();
    recv(&queue, &mut [0_u8; 8], RecvFlags::empty()).unwrap();
    let left = sender.outstanding();
    assert!(left < 100);
    let back = sender.reclaim();
    assert_eq!(back.len(), left);
    assert!(back.iter().all(|parcel| parcel.socket() == &socket && parcel.bytes().len() == 1));
    drop((back, socket, queue, link));
    wait_for_end(&mut client);
}

#[test]
fn thousands_of_idle_links_are_endured() {
    let mut victim = Victim::new("idle");
    let links: Vec<_> =
        SUFFIXES.iter().flat_map(|suffix| (0..1500).map(|_| victim.connect(suffix)).collect::<Vec<_>>()).collect();
    victim.is_well();
    drop(links);
    victim.is_well();
}

#[test]
fn altered_truncated_foreign_and_replayed_infos_are_told_apart() {
    let place = Place::new("infos");
    let endpoint = place.endpoint();
    let socket = Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
    let bytes = info.to_wide_bytes();
    for length in 0..bytes.len() {
        let Err(error) = ProtocolInfo::from_bytes(&bytes[..length]) else {
            assert_eq!(length, 372, "a prefix of that length is the narrow form");
            continue;
        };
        assert_eq!(Error::from(error).winsock_code(), 10022);
    }
    for bit in 0..116 * 8 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(ProtocolInfo::from_bytes(&altered).is_err());
    }
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
    let catalog = ProtocolInfo::from(info.catalog_entry());
    assert_eq!(endpoint.redeem(&catalog), Err(Error::NothingToRedeem));
    for wrong in [Error::AlreadyRedeemed, Error::NothingToRedeem, Error::UnknownDelivery, Error::Revoked] {
        assert_eq!(wrong.winsock_code(), 10022);
    }
}
