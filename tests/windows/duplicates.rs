//! Duplicates on Windows, with real processes: R1–R3, single use; turns, and children.

use crate::peer::{Peer, Place, is_open, pair, wait_for_end};
use sharesock::{Endpoint, Error, InfoError, Process, ProtocolInfo, Socket, SpawnExt};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::windows::io::AsRawSocket;
use std::time::Duration;

const ME: fn() -> u32 = std::process::id;

fn id(socket: &Socket) -> String {
    format!("ok {}", socket.id().unwrap().as_u64())
}

#[test]
fn r1_duplicate_names_one_target_process() {
    let place = Place::new("r1");
    let source = place.endpoint();
    let (mut target, mut third) = (Peer::start(&place), Peer::start(&place));
    let sockets = [
        Socket::from(TcpListener::bind("127.0.0.1:0").unwrap()),
        Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap()),
        Socket::from(UdpSocket::bind("[::1]:0").unwrap()),
        pair().1,
    ];
    for socket in &sockets {
        let info = source.duplicate(socket, target.pid()).unwrap();
        assert_eq!(info.delivery().unwrap().target_pid, target.pid());
        assert!(!info.delivery().unwrap().held);
        assert!(third.ask(&format!("redeem {info}")).contains(&format!("is for process {}", target.pid())));
        assert!(matches!(source.redeem(&info), Err(Error::WrongProcess { .. })));
        assert!(matches!(source.discard(&info), Err(Error::WrongProcess { .. })));
        assert_eq!(target.ask(&format!("redeem {info}")), id(socket));
    }
    assert_eq!(place.tickets(), Vec::<String>::new());
}

#[test]
fn r1_a_target_that_is_no_process_is_refused() {
    let place = Place::new("r1-nobody");
    let source = place.endpoint();
    let (_client, socket) = pair();
    let mut ended = Peer::start(&place);
    let (pid, process) = (ended.pid(), Process::from_pid(ended.pid()).unwrap());
    ended.kill();
    for pid in [0, u32::MAX, pid] {
        let error = source.duplicate(&socket, pid).unwrap_err();
        assert_eq!((&error, error.winsock_code()), (&Error::NoSuchProcess { pid }, 10022));
    }
    assert_eq!(source.duplicate(&socket, process), Err(Error::NoSuchProcess { pid }));
    // One that has this process's id and is another.
    let other: Process = format!("{}:1:0", ME()).parse().unwrap();
    assert_eq!(source.duplicate(&socket, other), Err(Error::NoSuchProcess { pid: ME() }));
    assert_eq!(place.tickets(), Vec::<String>::new());
}

#[test]
fn r2_the_info_travels_over_any_channel() {
    let place = Place::new("r2");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let (_client, socket) = pair();
    let info = || source.duplicate(&socket, target.pid()).unwrap();
    let (text, wide, narrow) = (info().to_string(), info().to_wide_bytes(), info().to_narrow_bytes());
    assert_eq!(target.ask(&format!("redeem {text}")), id(&socket));
    for bytes in [&wide[..], &narrow] {
        let file = place.path().with_extension("info");
        std::fs::write(&file, bytes).unwrap();
        assert_eq!(target.ask(&format!("redeem-file {}", file.display())), id(&socket));
        std::fs::remove_file(&file).unwrap();
    }
}

#[test]
fn r3_redeeming_gives_one_more_descriptor_of_the_same_socket() {
    let place = Place::new("r3");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, target.pid()).unwrap();
    assert_eq!(target.ask(&format!("redeem {info}")), id(&socket));
    assert!(target.ask(&format!("redeem {info}")).contains("redeemed already"));
    assert_eq!(target.ask("say there"), "ok");
    (&socket).write_all(b"-here").unwrap();
    let mut heard = [0; 10];
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"there-here");
    client.write_all(b"one").unwrap();
    assert_eq!(target.ask("hear 3"), "one");
    // The own process is allowed, too.
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    let redeemed = endpoint.redeem(&info).unwrap();
    assert_eq!(redeemed, socket);
    assert_ne!(redeemed.as_raw_socket(), socket.as_raw_socket());
    assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
    assert_eq!(endpoint.discard(&info), Err(Error::AlreadyRedeemed));
    // R9: it lives until its last descriptor is closed.
    drop((socket, redeemed));
    assert!(is_open(&client));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn r3_connections_that_waited_in_a_backlog_are_accepted_by_the_target() {
    let place = Place::new("backlog");
    let source = place.endpoint();
    let mut target = Peer::start(&place);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(listener.local_addr().unwrap()).unwrap()).collect();
    let info = source.duplicate(&sharesock::Socket::from(listener), target.pid()).unwrap();
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    for client in &mut clients {
        assert_eq!(target.ask("accept-and-say x"), "ok");
        assert_eq!(client.read(&mut [0; 2]).unwrap(), 1);
    }
}

#[test]
fn of_two_threads_that_redeem_at_once_one_gets_it() {
    let place = Place::new("two-threads");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    for _ in 0..200 {
        let info = endpoint.duplicate(&socket, ME()).unwrap();
        let results = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..2).map(|_| scope.spawn(|| endpoint.redeem(&info).map(drop))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.contains(&Err(Error::AlreadyRedeemed)), "{results:?}");
    }
    assert_eq!(place.tickets(), Vec::<String>::new());
}

#[test]
fn an_info_is_good_for_one_redemption_whatever_endpoint_is_asked() {
    let place = Place::new("reopened");
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let used = endpoint.duplicate(&socket, ME()).unwrap();
    drop(endpoint.redeem(&used).unwrap());
    let unused = endpoint.duplicate(&socket, ME()).unwrap();
    drop((endpoint, socket));
    // What nobody redeemed is closed with the endpoint.
    wait_for_end(&mut client);
    assert_eq!(place.tickets(), Vec::<String>::new());
    let endpoint = place.endpoint();
    for info in [used, unused] {
        assert_eq!(endpoint.redeem(&info), Err(Error::UnknownDelivery));
    }
}

#[test]
fn an_endpoint_that_was_opened_late_redeems_what_came_before() {
    let place = Place::new("late");
    let source = place.endpoint();
    let mut target = Peer::start_without_endpoint(&place);
    let (mut client, socket) = pair();
    let info = source.duplicate(&socket, target.pid()).unwrap();
    drop(socket);
    source.flush(Duration::ZERO).unwrap();
    drop(source);
    assert_eq!(target.ask("open"), "ok");
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(target.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn a_process_has_one_endpoint_in_a_domain() {
    let (place, other) = (Place::new("one"), Place::new("one-other"));
    let endpoint = place.endpoint();
    let second = Endpoint::open(&place.domain()).unwrap_err();
    assert!(matches!(second, Error::EndpointOpen { .. }), "{second}");
    let _other = other.endpoint();
    let clone = endpoint.clone();
    drop(endpoint);
    assert!(Endpoint::open(&place.domain()).is_err());
    drop(clone);
    drop(place.endpoint());
    drop(place.endpoint());
}

#[test]
fn the_wrong_domain_is_told_and_its_names_are_one() {
    let (place, other) = (Place::new("domain"), Place::new("domain-other"));
    let (endpoint, elsewhere) = (place.endpoint(), other.endpoint());
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    assert_eq!(elsewhere.redeem(&info), Err(Error::WrongDomain { here: other.path().to_owned() }));
    // However it is named, it is the same.
    let name = place.path().file_name().unwrap();
    let roundabout =
        place.path().parent().unwrap().join("..").join(place.path().parent().unwrap().file_name().unwrap());
    let upper = roundabout.join(name.to_str().unwrap().to_uppercase());
    drop(endpoint);
    let endpoint = Endpoint::open(&sharesock::Domain::at(&upper).unwrap()).unwrap();
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    assert!(Endpoint::open(&place.domain()).is_err());
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
}

#[test]
fn altered_and_shortened_infos_are_refused() {
    let place = Place::new("altered");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    let bytes = info.to_wide_bytes();
    assert_eq!(ProtocolInfo::from_bytes(&bytes[..627]), Err(InfoError::Length(627)));
    for bit in 0..116 * 8 {
        let mut altered = bytes;
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(matches!(ProtocolInfo::from_bytes(&altered), Err(InfoError::Member { .. })), "bit {bit}");
    }
    assert_eq!(endpoint.redeem(&ProtocolInfo::from(info.catalog_entry())), Err(Error::NothingToRedeem));
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
}

#[test]
fn a_ticket_that_is_damaged_is_no_duplicate() {
    let place = Place::new("damaged");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    for damage in [&b""[..], b"shtick\0\x01", &[0; 700], &[0xff; 660]] {
        let info = endpoint.duplicate(&socket, ME()).unwrap();
        std::fs::write(place.path().join(&place.tickets()[0]), damage).unwrap();
        assert_eq!(endpoint.redeem(&info), Err(Error::UnknownDelivery));
        assert_eq!(place.tickets(), Vec::<String>::new());
    }
}

#[test]
fn what_winsock_refuses_now_can_be_redeemed_later() {
    let place = Place::new("refused");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, ME()).unwrap();
    let ticket = place.path().join(&place.tickets()[0]);
    let whole = std::fs::read(&ticket).unwrap();
    // Nothing that Winsock could make a socket of.
    let mut useless = whole.clone();
    let behind_the_head = useless.len() - 628;
    useless[behind_the_head..].fill(0);
    std::fs::write(&ticket, useless).unwrap();
    for _ in 0..3 {
        assert!(matches!(endpoint.redeem(&info), Err(Error::System { .. })));
    }
    std::fs::write(&ticket, whole).unwrap();
    assert_eq!(endpoint.redeem(&info).unwrap(), socket);
    assert_eq!(endpoint.redeem(&info), Err(Error::AlreadyRedeemed));
}

#[test]
fn turns_exclude_processes_and_are_given_up_by_the_killed() {
    let place = Place::new("turns");
    let endpoint = place.endpoint();
    let (mut one, mut two) = (Peer::start(&place), Peer::start(&place));
    let (_client, socket) = pair();
    for peer in [&mut one, &mut two] {
        let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
        assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
    }
    assert_eq!(one.ask("turn"), "taken");
    assert_eq!(two.ask("turn"), "refused");
    use sharesock::{Direction, Turn};
    assert!(Turn::try_take(&place.domain(), &socket, Direction::Receive).unwrap().is_none());
    let send = Turn::try_take(&place.domain(), &socket, Direction::Send).unwrap().unwrap();
    assert!(Turn::try_take(&place.domain(), &socket, Direction::Send).unwrap().is_none(), "a thread is no exception");
    drop(send);
    // It waits for the turn until the holder is killed.
    let waiting = std::thread::scope(|scope| {
        let domain = place.domain();
        let socket = &socket;
        let thread = scope.spawn(move || Turn::take(&domain, socket, Direction::Receive).map(drop));
        one.kill();
        thread.join().unwrap()
    });
    waiting.unwrap();
    assert_eq!(two.ask("turn"), "taken");
}

#[test]
fn a_child_can_be_duplicated_for_from_birth() {
    let place = Place::new("spawn");
    let endpoint = place.endpoint();
    let mut command = std::process::Command::new("cmd");
    command.args(["/c", "pause"]).stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.spawn_with_endpoint(&endpoint).unwrap();
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, &child).unwrap();
    assert!(!info.delivery().unwrap().held);
    drop(socket);
    assert!(is_open(&client));
    child.kill().unwrap();
    child.wait().unwrap();
    wait_for_end(&mut client);
}
