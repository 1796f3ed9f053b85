//! Peers that do not keep to the protocol, speaking to the names of an endpoint directly; and altered infos.
//!
//! After each, honest processes share as before.

use crate::peer::{Peer, Place, pair, wait_for_end};
use crate::stranger::{
    SUFFIXES, TARGET_TAG, Victim, connect, deliver, frame, hello, is_closed, load, name_of, queue, receive, send,
    seqpacket, token, with,
};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::net::{RecvFlags, SocketAddrUnix, recv};
use sharesock::{DuplicateOptions, Error, Parcel, Process, ProtocolInfo, Socket};

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
    // Threads of the victim may be about to do it.
    let most = descriptors.parse::<u32>().unwrap() + 2;
    let started = std::time::Instant::now();
    while victim.peer.ask("descriptors").parse::<u32>().unwrap() > most {
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "more than {descriptors} and 2 stay");
        std::thread::yield_now();
    }
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
    let token = token(7, &socket);
    let (_other_client, other) = pair();
    let attempts: [(&str, [u8; 40], Vec<BorrowedFd<'_>>); 7] = [
        ("wrong cookie", frame(2, &[&token, &[1; 8], &[0; 8], &[0]]), vec![socket.as_fd()]),
        ("another socket", frame(2, &[&token, &cookie, &[0; 8], &[0]]), vec![other.as_fd()]),
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
fn a_token_that_comes_twice_ends_its_link() {
    let mut victim = Victim::new("token-twice");
    let (_client, socket) = pair();
    let link = victim.connect("");
    send(&link, &hello(&Process::current().unwrap()), &[]);
    for _ in 0..2 {
        send(&link, &deliver(token(7, &socket), &socket), &[socket.as_fd()]);
    }
    victim.is_well();
    assert!(is_closed(&link));
}

#[test]
fn claims_of_what_is_not_held_for_the_claimant_get_nothing() {
    let mut victim = Victim::new("claims");
    let me = Process::current().unwrap();
    // Held by the victim for a third; this process is not it.
    let third = Peer::start_without_endpoint(&victim.place);
    let text = victim.peer.ask(&format!("duplicate {}", third.pid()));
    let info: ProtocolInfo = text.strip_prefix("ok ").unwrap().parse().unwrap();
    // Held by this process for the third, and revoked: that is nobody else's business.
    let socket = pair().1;
    let options = DuplicateOptions::new();
    let (revoked, revocation) = victim.endpoint.duplicate_revocable(&socket, third.pid(), &options).unwrap();
    revocation.revoke().unwrap();
    let here = name_of(&victim.place, me.pid(), "-claims");
    let theirs = name_of(&victim.place, victim.peer.pid(), "-claims");
    for (path, token) in
        [(&theirs, info.delivery().unwrap().token), (&theirs, [9; 16]), (&here, revoked.delivery().unwrap().token)]
    {
        let link = connect(path);
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
    let listener = seqpacket();
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

#[test]
fn a_sender_that_meddles_with_its_queue_harms_itself() {
    let mut victim = Victim::new("meddling");
    let me = Process::current().unwrap();
    let (mut client, socket) = pair();
    let greet = |victim: &Victim| {
        let (one, two) = queue();
        send(&victim.connect("-hand-off"), &hello(&me), &[two.as_fd()]);
        (one, two)
    };
    // It takes out again what it put in.
    let (one, two) = greet(&victim);
    victim.is_well();
    for _ in 0..100 {
        send(&one, &load(1, &[0], 0), &[socket.as_fd()]);
        drop(receive(&two));
    }
    victim.is_well();
    // It has the victim get what it did not ask for with each message, one of which brings a descriptor.
    let more = greet(&victim);
    rustix::net::sockopt::set_socket_passcred(&more.1, true).unwrap();
    set_option(&more.1, 76, 1); // SO_PASSPIDFD, where the kernel has it
    let descriptors = victim.peer.ask("descriptors");
    let id = socket.id().unwrap().as_u64();
    for _ in 0..50 {
        send(&more.0, &load(1, &[0], 0), &[socket.as_fd()]);
        assert_eq!(victim.peer.ask("receive"), format!("ok {id}"));
        assert_eq!(victim.peer.ask("close"), "ok");
    }
    let after: u32 = victim.peer.ask("descriptors").parse().unwrap();
    assert!(after <= descriptors.parse::<u32>().unwrap() + 4, "{descriptors} before, {after} after");
    // Whoever looks at the queue sees nothing; it is shut down at either end; a message has no bytes.
    let hidden = greet(&victim);
    set_option(&hidden.1, libc::SO_PEEK_OFF, 1 << 20);
    send(&hidden.0, &load(2, &[0, 0], 0), &[socket.as_fd()]);
    let shut = greet(&victim);
    send(&shut.0, &[], &[socket.as_fd()]);
    rustix::net::shutdown(&shut.1, rustix::net::Shutdown::Both).unwrap();
    victim.is_well();
    drop((one, two, more, hidden, shut, socket));
    victim.is_well();
    wait_for_end(&mut client);
}

/// Sets an option of a socket.
#[allow(unsafe_code)]
fn set_option(socket: &rustix::fd::OwnedFd, name: libc::c_int, value: libc::c_int) {
    use std::os::fd::AsRawFd;
    // SAFETY: the kernel reads four bytes from `value`.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, name, (&raw const value).cast(), 4) };
}

#[test]
fn a_receiver_that_lies_about_what_it_wants_harms_itself() {
    let place = Place::new("liar");
    let endpoint = place.endpoint();
    // This process plays the liar: it listens by hand under its own name.
    let receiver = endpoint.receiver().unwrap();
    let name = name_of(&place, std::process::id(), "-hand-off");
    drop(receiver);
    let listener = seqpacket();
    rustix::net::bind(&listener, &SocketAddrUnix::new(&name).unwrap()).unwrap();
    rustix::net::listen(&listener, 8).unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let link = rustix::net::accept(&listener).unwrap();
    let queue = receive(&link).1.remove(0);
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
    // For a process that had the same id.
    let earlier = with(&info, TARGET_TAG, &[1; 4]);
    assert!(matches!(endpoint.redeem(&earlier), Err(Error::WrongProcess { .. })));
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
    let catalog = ProtocolInfo::from(info.catalog_entry());
    assert_eq!(endpoint.redeem(&catalog), Err(Error::NothingToRedeem));
    for wrong in [Error::AlreadyRedeemed, Error::NothingToRedeem, Error::UnknownDelivery, Error::Revoked] {
        assert_eq!(wrong.winsock_code(), 10022);
    }
}
