//! Peers that do not keep to the rules, and what is left behind.

use super::counter::{Counter, Ticket};
use super::message::{Draft, Greeting, LENGTH, MOST};
use super::{InnerReceiver, InnerSender, QUOTA, pipe_name};
use crate::domain::Domain;
use crate::error::Error;
use crate::hand_off::{Parcel, ReceiverName};
use crate::process::Process;
use crate::provider::windows::sys::{
    Arrival, Descriptor, GENUINE, LACKING, Pipe, Port, Purpose, Running, duplicate_for, handle_count, odd_sections,
};
use crate::socket::Socket;
use crate::wait::Wait;
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::windows::io::AsRawHandle;
use std::time::Duration;

fn domain(name: &str) -> Domain {
    Domain::at(std::env::temp_dir().join(format!("sharesock-unit-{name}-{}", std::process::id()))).unwrap()
}

fn me() -> Process {
    Process::current().unwrap()
}

fn socket() -> Socket {
    Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap())
}

/// A connection to a receiver on which anything can be written.
fn raw(domain: &Domain) -> File {
    OpenOptions::new().read(true).write(true).open(pipe_name(domain, &me(), &ReceiverName::default())).unwrap()
}

/// A greeting as it should be, with its counter.
fn greeting() -> (Greeting, Counter) {
    let (counter, handle, mark) = Counter::new().unwrap();
    let target = Running::open(std::process::id(), Purpose::Giving).unwrap().unwrap();
    (Greeting { process: me(), ticket: Counter::give(&handle, mark, &target).unwrap() }, counter)
}

fn other_start(process: Process, change: i64) -> Process {
    let mut bytes = process.to_bytes();
    let start = u64::from_le_bytes(bytes[4..12].try_into().unwrap()).wrapping_add_signed(change);
    bytes[4..12].copy_from_slice(&start.to_le_bytes());
    Process::from_bytes(&bytes).unwrap()
}

/// Nothing comes of what was written, and the link is closed.
fn is_refused(receiver: &InnerReceiver, mut link: File, what: &str) {
    assert!(receiver.try_receive().unwrap().is_none(), "{what}");
    assert!(link.write_all(&[0; 16]).is_err(), "{what} is not refused");
}

fn received(receiver: &InnerReceiver) -> Parcel {
    receiver.receive(Wait::at_most(Duration::from_secs(60))).unwrap().expect("nothing came within a minute")
}

/// Who keeps to the rules is served still.
fn is_well(domain: &Domain, receiver: &InnerReceiver) {
    let sender = InnerSender::open(domain, me(), me(), &ReceiverName::default()).unwrap();
    sender.hand_off(Parcel::new(socket()).with_bytes(b"well".to_vec()), Wait::forever()).unwrap();
    assert_eq!(received(receiver).bytes, b"well");
    sender.flush(Wait::from(Duration::from_secs(60))).unwrap();
}

#[test]
fn who_greets_wrongly_is_refused() {
    let domain = domain("greeting");
    let receiver = InnerReceiver::open(&domain, me(), &ReceiverName::default()).unwrap();
    let (good, _counter) = greeting();
    let ticket = good.ticket;
    let nobody = Process::from_bytes(&[&4_u32.to_le_bytes()[..], &me().to_bytes()[4..]].concat().try_into().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let handle = std::os::windows::io::AsRawSocket::as_raw_socket(&listener);
    let wrong = [
        ("another process", Greeting { process: nobody.unwrap(), ticket }),
        ("a later start", Greeting { process: other_start(me(), 1), ticket }),
        ("no handle", Greeting { process: me(), ticket: Ticket { number: 0, ..ticket } }),
        ("a pseudo-handle", Greeting { process: me(), ticket: Ticket { number: u64::MAX, ..ticket } }),
        ("a handle of ours", Greeting { process: me(), ticket: Ticket { number: handle, ..ticket } }),
        ("another mark", Greeting { process: me(), ticket: Ticket { mark: [0, 1], ..ticket } }),
    ];
    for (what, greeting) in wrong {
        let mut link = raw(&domain);
        link.write_all(&greeting.to_bytes()).unwrap();
        is_refused(&receiver, link, what);
    }
    // What is not understood is not closed.
    assert!(listener.local_addr().is_ok());
    for length in [1_usize, 48, 49, 5000] {
        let mut link = raw(&domain);
        link.write_all(&vec![0xA5; length]).unwrap();
        match length < 48 {
            true => {
                assert!(receiver.try_receive().unwrap().is_none());
                drop(link);
                assert!(receiver.try_receive().unwrap().is_none());
            }
            false => is_refused(&receiver, link, "noise"),
        }
    }
    // Sections in which it would be dangerous, or impossible, to count.
    for (what, number) in odd_sections() {
        let mut link = raw(&domain);
        let ticket = Ticket { number, mark: [0, 0] };
        link.write_all(&Greeting { process: me(), ticket }.to_bytes()).unwrap();
        is_refused(&receiver, link, what);
    }
    // It may be that of a process that had the same id before: what it left arrives.
    let mut link = raw(&domain);
    link.write_all(&Greeting { process: other_start(me(), -1), ticket }.to_bytes()).unwrap();
    assert!(receiver.try_receive().unwrap().is_none());
    link.write_all(&[0; 1]).unwrap();
    is_well(&domain, &receiver);
}

#[test]
fn who_sends_what_is_no_load_is_refused() {
    let domain = domain("load");
    let receiver = InnerReceiver::open(&domain, me(), &ReceiverName::default()).unwrap();
    let mut draft = Draft::default();
    let genuine = duplicate_for(socket().as_socket(), std::process::id()).unwrap();
    draft.push(7, &genuine, b"bytes");
    let good = draft.finish().to_vec();
    let changed = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    draft.clear();
    draft.push(7, &[0; GENUINE], b"made up");
    let made_up = draft.finish().to_vec();
    let length = |length: usize| u32::try_from(length).unwrap().to_le_bytes().to_vec();
    let wrong = [
        ("a length of nothing", length(0)),
        ("too long", length(MOST + 1)),
        ("as long as can be", vec![0xFF; 4]),
        ("another magic", changed(LENGTH, b'X')),
        ("no parcels", changed(LENGTH + 4, 0)),
        ("two parcels", changed(LENGTH + 4, 2)),
        ("many parcels", changed(LENGTH + 7, 0xFF)),
        ("a part that is too long", changed(LENGTH + 8, 0xFF)),
        ("a part that is too short", changed(LENGTH + 9, 0)),
        ("bytes of Winsock that it never wrote", made_up),
    ];
    for (what, bytes) in wrong {
        let (greeting, counter) = greeting();
        let mut link = raw(&domain);
        link.write_all(&greeting.to_bytes()).unwrap();
        assert!(receiver.try_receive().unwrap().is_none());
        link.write_all(&bytes).unwrap();
        is_refused(&receiver, link, what);
        assert!(counter.is_left() && counter.taken() == 0, "{what}");
    }
    // One that ends in the middle of a load, at any place.
    for cut in [1, 3, 4, 5, 100, good.len() - 1] {
        let (greeting, counter) = greeting();
        let mut link = raw(&domain);
        link.write_all(&greeting.to_bytes()).unwrap();
        link.write_all(&good[..cut]).unwrap();
        assert!(receiver.try_receive().unwrap().is_none());
        drop(link);
        assert!(receiver.try_receive().unwrap().is_none());
        assert!(counter.is_left() && counter.taken() == 0);
    }
    // The same, byte by byte, is understood.
    let (greeting, counter) = greeting();
    let mut link = raw(&domain);
    for byte in [greeting.to_bytes(), good].concat() {
        assert!(receiver.try_receive().unwrap().is_none());
        link.write_all(&[byte]).unwrap();
    }
    let parcel = received(&receiver);
    assert_eq!((parcel.bytes, counter.taken()), (b"bytes".to_vec(), 1));
    is_well(&domain, &receiver);
}

#[test]
fn a_target_that_lies_about_what_it_read_is_left() {
    let domain = domain("liar");
    let (port, security) = (Port::new().unwrap(), Descriptor::of_this_user().unwrap());
    let mut liar =
        Pipe::serve(&pipe_name(&domain, &me(), &ReceiverName::default()), true, &security, (&port, 1), (QUOTA, 64))
            .unwrap();
    liar.await_call().unwrap();
    let sender = InnerSender::open(&domain, me(), me(), &ReceiverName::default()).unwrap();
    while liar.was_called() == Arrival::Pending {
        std::thread::yield_now();
    }
    liar.expect(super::message::GREETING);
    while liar.arrival() == Arrival::Pending {
        std::thread::yield_now();
    }
    let greeting = Greeting::from_bytes(liar.arrived().unwrap()).unwrap();
    let counter = Counter::adopt(greeting.ticket).unwrap();
    counter.count_read(usize::MAX / 2);
    let socket = socket();
    let mut parcels: VecDeque<_> =
        (0..4000).map(|_| Parcel::new(socket.try_clone().unwrap()).with_bytes(vec![0; 2000])).collect();
    while sender.try_hand_off_many(&mut parcels).is_ok() {}
    assert!(sender.is_closed());
    assert!(matches!(sender.flush(Wait::from(Duration::ZERO)), Err(Error::TargetGone { .. })));
    let kept = sender.outstanding();
    assert!(kept > 0 && parcels.len() + kept == 4000);
    // That it took more than it was sent is its own affair.
    (0..5000).for_each(|_| assert!(counter.take()));
    assert_eq!(sender.outstanding(), 0);
    assert!(sender.reclaim().is_empty());
}

#[test]
fn who_serves_the_pipe_of_another_is_an_impostor() {
    let domain = domain("impostor");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .env("SHARESOCK_UNIT_WAIT", "1")
        .args(["--exact", "provider::windows::hand_off::tests::wait"])
        .spawn()
        .unwrap();
    let target = Process::from_pid(child.id()).unwrap();
    let (port, security) = (Port::new().unwrap(), Descriptor::of_this_user().unwrap());
    let refused = InnerSender::open(&domain, me(), target, &ReceiverName::default()).unwrap_err();
    assert!(matches!(refused, Error::NoEndpoint { .. }));
    let _pipe =
        Pipe::serve(&pipe_name(&domain, &target, &ReceiverName::default()), true, &security, (&port, 1), (QUOTA, 64))
            .unwrap();
    let refused = InnerSender::open(&domain, me(), target, &ReceiverName::default()).unwrap_err();
    assert_eq!(refused, Error::Impostor { pid: child.id(), answered: std::process::id() });
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(
        InnerSender::open(&domain, me(), target, &ReceiverName::default()),
        Err(Error::NoSuchProcess { .. })
    ));
    let earlier = other_start(me(), -1);
    assert!(matches!(
        InnerSender::open(&domain, me(), earlier, &ReceiverName::default()),
        Err(Error::NoSuchProcess { .. })
    ));
}

#[test]
fn wait() {
    if std::env::var_os("SHARESOCK_UNIT_WAIT").is_some() {
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

#[test]
fn what_a_thread_began_goes_on_when_it_has_ended() {
    let domain = domain("thread");
    let receiver = std::thread::scope(|scope| {
        scope.spawn(|| InnerReceiver::open(&domain, me(), &ReceiverName::default()).unwrap()).join().unwrap()
    });
    let sender = std::thread::scope(|scope| {
        scope.spawn(|| InnerSender::open(&domain, me(), me(), &ReceiverName::default()).unwrap()).join().unwrap()
    });
    for n in 0..50_u8 {
        let (first, second) = std::thread::scope(|scope| {
            let take = || receiver.try_receive().unwrap().is_none();
            let first = scope.spawn(take).join().unwrap();
            let look = scope.spawn(|| sender.is_closed()).join().unwrap();
            (first, look)
        });
        assert!(first && !second);
        sender.hand_off(Parcel::new(socket()).with_bytes(vec![n]), Wait::forever()).unwrap();
        assert_eq!(received(&receiver).bytes, [n]);
        sender.flush(Wait::from(Duration::from_secs(60))).unwrap();
    }
}

#[test]
fn a_target_that_can_make_no_socket_says_so_and_loses_nothing() {
    let domain = domain("lack");
    let receiver = InnerReceiver::open(&domain, me(), &ReceiverName::default()).unwrap();
    let sender = InnerSender::open(&domain, me(), me(), &ReceiverName::default()).unwrap();
    let parcels = || (0..3).map(|n| Parcel::new(socket()).with_bytes(vec![n])).collect::<VecDeque<_>>();
    sender.hand_off_many(&mut parcels()).unwrap();
    sender.hand_off_many(&mut parcels()).unwrap();
    assert_eq!(received(&receiver).bytes, [0]);
    LACKING.set(true);
    let error = receiver.receive(Wait::forever()).unwrap_err();
    LACKING.set(false);
    assert!(matches!(error, Error::System { os_code: 10024, .. }), "{error}");
    assert!(receiver.try_receive().unwrap().is_none());
    assert!(sender.is_closed());
    let gone = Error::TargetOutOfDescriptors { pid: std::process::id() };
    assert_eq!(sender.flush(Wait::from(Duration::from_secs(60))).unwrap_err(), gone);
    assert_eq!(sender.hand_off(Parcel::new(socket()), Wait::forever()).unwrap_err().error, gone);
    let back = sender.reclaim();
    assert_eq!(back.iter().map(|parcel| parcel.bytes[0]).collect::<Vec<_>>(), [1, 2, 0, 1, 2]);
    is_well(&domain, &receiver);
}

#[test]
fn nothing_is_left_behind() {
    let domain = domain("left");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = Socket::from(TcpStream::connect(listener.local_addr().unwrap()).unwrap());
    let mut handles = Vec::new();
    for round in 0..2000_u32 {
        let receiver = InnerReceiver::open(&domain, me(), &ReceiverName::default()).unwrap();
        let sender = InnerSender::open(&domain, me(), me(), &ReceiverName::default()).unwrap();
        let idle = InnerSender::open(&domain, me(), me(), &ReceiverName::default()).unwrap();
        let mut half = raw(&domain);
        let parcels = || (0..5).map(|_| Parcel::new(socket.try_clone().unwrap())).collect::<VecDeque<_>>();
        sender.hand_off_many(&mut parcels()).unwrap();
        if round % 2 == 0 {
            drop(received(&receiver));
            half.write_all(&greeting().0.to_bytes()).unwrap();
            assert!(receiver.receive_many(2).unwrap().len() <= 2);
            half.write_all(&[1, 1]).unwrap();
        }
        sender.hand_off_many(&mut parcels()).unwrap();
        match round % 3 {
            0 => drop((receiver, sender, idle, half)),
            1 => drop((sender, half, idle, receiver)),
            _ => {
                drop(sender.reclaim());
                drop((idle, receiver, half));
            }
        }
        // Wine does not count them; there the next handle has a higher number when some are left open.
        let count = usize::try_from(handle_count()).unwrap();
        handles.push(if count > 0 { count } else { File::open("NUL").unwrap().as_raw_handle() as usize });
    }
    let (first, last) = (handles[100..200].iter().max().unwrap(), handles[1900..].iter().max().unwrap());
    assert!(last <= first, "{first} {last}");
}
