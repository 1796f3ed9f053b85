//! Floods of links, frames and silence from strangers: what is looked for is found, before all of that is read.

use crate::peer::{Peer, Place, pair, wait_for_end};
use crate::stranger::{self, Victim, claim, connect, deliver, during, forged, hello, name_of, send, token};
use rustix::fd::{AsFd, BorrowedFd};
use sharesock::{Process, ProtocolInfo};

fn me() -> Process {
    Process::current().unwrap()
}

/// Connects and closes; `false` when so many such links wait already as there may.
fn connect_and_close(path: &std::path::Path) -> bool {
    let link = stranger::seqpacket();
    rustix::io::ioctl_fionbio(&link, true).unwrap();
    rustix::net::connect(&link, &rustix::net::SocketAddrUnix::new(path).unwrap()).is_ok()
}

#[test]
fn a_flood_of_links_does_not_keep_a_search_from_ending() {
    let mut victim = Victim::new("flood-links");
    let (_client, socket) = pair();
    let info = victim.endpoint.duplicate(&socket, victim.peer.pid()).unwrap();
    let path = name_of(&victim.place, victim.peer.pid(), "");
    while connect_and_close(&path) {}
    during(
        || _ = connect_and_close(&path),
        || {
            // What there is is found, and what there is not is not looked for without end.
            assert!(victim.peer.ask(&format!("redeem {}", forged(&info))).contains("no duplicate waits"));
            assert!(victim.peer.ask(&format!("redeem {info}")).starts_with("ok"));
            assert!(victim.peer.ask(&format!("redeem {info}")).contains("redeemed already"));
        },
    );
    victim.is_well();
}

#[test]
fn what_a_source_holds_is_asked_for_before_all_that_waits_is_read() {
    let mut victim = Victim::new("flood-held");
    let path = name_of(&victim.place, victim.peer.pid(), "");
    let fill = || std::iter::repeat_with(|| connect_and_close(&path)).take_while(|connected| *connected).count();
    let waiting = fill();
    let (_client, socket) = pair();
    let info = victim.endpoint.duplicate(&socket, victim.peer.pid()).unwrap();
    assert!(info.delivery().unwrap().held);
    assert!(victim.peer.ask(&format!("redeem {info}")).starts_with("ok"));
    // Its target has read as much as is fair, and not all.
    let accepted = fill();
    assert!(accepted > 0 && accepted <= waiting / 4, "{accepted} of {waiting}");
    victim.is_well();
}

/// A duplicate that its source held, and has delivered since, behind a thousand links of others.
struct Behind {
    place: Place,
    source: Peer,
    target: Peer,
    client: std::net::TcpStream,
    info: String,
    /// Path at which the source was asked while it held something.
    claims: std::path::PathBuf,
}

fn behind(name: &str) -> Behind {
    let place = Place::new(name);
    let (mut source, mut target) = (Peer::start(&place), Peer::start_without_endpoint(&place));
    let (client, socket) = pair();
    let inward = place.endpoint().duplicate(&socket, source.pid()).unwrap();
    drop(socket);
    assert!(source.ask(&format!("redeem {inward}")).starts_with("ok"));
    let info = source.ask(&format!("duplicate {}", target.pid()))[3..].to_owned();
    assert!(info.parse::<ProtocolInfo>().unwrap().delivery().unwrap().held);
    let claims = name_of(&place, source.pid(), "-claims");
    assert_eq!(target.ask("open"), "ok");
    let path = name_of(&place, target.pid(), "");
    assert!((0..1000).all(|_| connect_and_close(&path)));
    assert_eq!(source.ask("flush 60"), "ok");
    Behind { place, source, target, client, info, claims }
}

#[test]
fn what_was_held_and_delivered_behind_others_outlives_its_source() {
    let Behind { place: _place, mut source, mut target, mut client, info, .. } = behind("held-behind");
    source.kill();
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn what_was_held_and_delivered_behind_others_is_had_though_its_source_cannot_be_asked() {
    let Behind { place: _place, source: _source, mut target, info, claims, .. } = behind("held-squatted");
    // It holds nothing any more, and somebody takes the name under which it was asked.
    while claims.exists() {
        std::thread::yield_now();
    }
    let squatter = stranger::seqpacket();
    rustix::net::bind(&squatter, &rustix::net::SocketAddrUnix::new(&claims).unwrap()).unwrap();
    rustix::net::listen(&squatter, 8).unwrap();
    let answer = target.ask(&format!("redeem {info}"));
    assert!(answer.starts_with("ok"), "{answer}");
}

#[test]
fn links_that_say_nothing_do_not_keep_a_claim_from_its_answer() {
    let place = Place::new("silent-claim");
    let (source, mut target) = (place.endpoint(), Peer::start_without_endpoint(&place));
    let (_client, socket) = pair();
    let infos = [0; 2].map(|_| source.duplicate(&socket, target.pid()).unwrap());
    assert_eq!(target.ask("open"), "ok");
    let path = name_of(&place, target.pid(), "");
    let _silent: Vec<_> = (0..300).map(|_| connect(&path)).collect();
    for info in infos {
        let answer = target.ask(&format!("redeem {info}"));
        assert!(answer.starts_with("ok"), "{answer}");
    }
}

#[test]
fn a_flood_of_links_hides_no_parcel_from_who_is_told_of_changes_alone() {
    use rustix::event::epoll;
    let place = Place::new("flood-edge");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let changes = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
    epoll::add(&changes, &receiver, epoll::EventData::new_u64(0), flags).unwrap();
    let path = name_of(&place, std::process::id(), "-hand-off");
    assert!((0..3000).all(|_| connect_and_close(&path)));
    let mut sender = Peer::start(&place);
    let (_client, socket) = pair();
    let inward = endpoint.duplicate(&socket, sender.pid()).unwrap();
    assert!(sender.ask(&format!("redeem {inward}")).starts_with("ok"));
    assert_eq!(sender.ask(&format!("hand-off {} x", std::process::id())), "ok");
    sender.finish();
    let timeout = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    loop {
        let mut events = [const { std::mem::MaybeUninit::uninit() }; 4];
        let (told, _) = epoll::wait(&changes, &mut events[..], Some(&timeout)).unwrap();
        assert!(!told.is_empty(), "nothing was told, and a parcel waits");
        if let Some(parcel) = std::iter::from_fn(|| receiver.try_receive().unwrap()).last() {
            assert_eq!(parcel.source().map(|source| source.pid()), Some(sender.pid()));
            return;
        }
    }
}

#[test]
fn a_flood_of_links_does_not_keep_a_receiver_from_receiving() {
    let mut victim = Victim::new("flood-receiver");
    let sender = victim.endpoint.sender(victim.peer.pid()).unwrap();
    sender.hand_off(pair().1).unwrap();
    assert!(victim.peer.ask("receive").starts_with("ok"));
    let path = name_of(&victim.place, victim.peer.pid(), "-hand-off");
    while connect_and_close(&path) {}
    during(
        || _ = connect_and_close(&path),
        || {
            for _ in 0..20 {
                let (mut client, socket) = pair();
                sender.hand_off(socket).unwrap();
                assert!(victim.peer.ask("receive").starts_with("ok"));
                assert_eq!(victim.peer.ask("close"), "ok");
                wait_for_end(&mut client);
            }
        },
    );
}

#[test]
fn a_flood_of_one_token_and_of_claims_holds_up_nobody() {
    let mut victim = Victim::new("flood-frames");
    let (_client, socket) = pair();
    let same = deliver(token(7, &socket), &socket);
    let paths = ["", "-claims"].map(|suffix| name_of(&victim.place, victim.peer.pid(), suffix));
    let flood = |path: &std::path::Path, bytes: [u8; 40], with: &[BorrowedFd<'_>]| {
        let link = stranger::seqpacket();
        rustix::io::ioctl_fionbio(&link, true).unwrap();
        if rustix::net::connect(&link, &rustix::net::SocketAddrUnix::new(path).unwrap()).is_ok() {
            send(&link, &hello(&me()), &[]);
            (0..100).for_each(|_| send(&link, &bytes, with));
        }
    };
    // Another source than the one that floods.
    let mut source = Peer::start(&victim.place);
    assert_eq!(source.ask("socket"), "ok");
    let infos: Vec<_> = (0..20).map(|_| source.ask(&format!("duplicate {}", victim.peer.pid()))).collect();
    during(
        || flood(&paths[0], same, &[socket.as_fd()]),
        || {
            for info in &infos {
                assert!(victim.peer.ask(&format!("redeem {}", &info[3..])).starts_with("ok"));
            }
        },
    );
    during(
        || flood(&paths[1], claim([9; 16]), &[]),
        || {
            for _ in 0..20 {
                let nobody = Peer::start_without_endpoint(&victim.place);
                assert!(victim.peer.ask(&format!("duplicate {}", nobody.pid())).starts_with("ok"));
            }
        },
    );
    victim.is_well();
}
