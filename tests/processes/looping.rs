//! What callers with an event loop need: calls that do not wait, descriptors to wait on, waits that a signal ends.

use crate::peer::{Peer, Place, pair};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use sharesock::{Endpoint, Error, Parcel, ProtocolInfo, Redeeming, Socket, Wait};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::thread::JoinHandleExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Hangs are bounded by this; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

fn becomes_readable(descriptor: impl AsFd, time: Duration) -> bool {
    let time = Timespec::try_from(time).unwrap();
    poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&time)).unwrap() > 0
}

fn signal(peer: &Peer, signal: Signal) {
    kill_process(Pid::from_raw(peer.pid().try_into().unwrap()).unwrap(), signal).unwrap();
}

/// A source that was stopped while it holds a duplicate for this process.
fn stopped_source(place: &Place) -> (Peer, Endpoint, ProtocolInfo, Socket) {
    let mut source = Peer::start(place);
    let (_client, socket) = pair();
    let inward = place.endpoint().duplicate(&socket, source.pid()).unwrap();
    assert!(source.ask(&format!("redeem {inward}")).starts_with("ok"));
    let text = source.ask(&format!("duplicate {}", std::process::id()));
    let info: ProtocolInfo = text.strip_prefix("ok ").unwrap().parse().unwrap();
    assert!(info.delivery().unwrap().held, "nobody listens for it in this process");
    signal(&source, Signal::STOP);
    let stopped = waitpid(Pid::from_raw(source.pid().try_into().unwrap()), WaitOptions::UNTRACED).unwrap();
    assert!(stopped.is_some_and(|(_, status)| status.stopped()));
    (source, place.endpoint(), info, socket)
}

#[test]
fn a_redemption_that_must_wait_does_not_stop_an_event_loop() {
    let place = Place::new("loop-redeem");
    let (source, endpoint, info, socket) = stopped_source(&place);
    for _ in 0..3 {
        assert_eq!(endpoint.try_redeem(&info), Ok(None));
    }
    let Redeeming::Pending(mut pending) = endpoint.start_redeem(&info).unwrap() else {
        panic!("its source is stopped")
    };
    assert_eq!(
        endpoint.redeem_within(&info, Duration::from_millis(1)),
        Err(Error::SourceSilent { source_pid: source.pid() })
    );
    signal(&source, Signal::CONT);
    let started = Instant::now();
    let redeemed = loop {
        assert!(becomes_readable(&pending, LONG), "waiting for the answer of the source");
        if let Some(redeemed) = pending.try_finish().unwrap() {
            break redeemed;
        }
        assert!(started.elapsed() < LONG, "waiting for the duplicate");
    };
    assert_eq!(redeemed, socket);
    assert_eq!(endpoint.try_redeem(&info), Err(Error::AlreadyRedeemed));
}

#[test]
fn a_source_that_never_answers_is_given_up_by_an_event_loop_too() {
    let place = Place::new("loop-silent");
    let (source, endpoint, info, _socket) = stopped_source(&place);
    let Redeeming::Pending(mut pending) = endpoint.start_redeem(&info).unwrap() else {
        panic!("its source is stopped")
    };
    let silent = loop {
        assert!(becomes_readable(&pending, LONG), "waiting to be told that the source is silent");
        match pending.try_finish() {
            Ok(none) => assert!(none.is_none()),
            Err(error) => break error,
        }
    };
    assert_eq!(silent, Error::SourceSilent { source_pid: source.pid() });
    signal(&source, Signal::CONT);
}

extern "C" fn nothing(_: libc::c_int) {}

/// Runs `act` in a thread that a signal handler interrupts again and again until it returns.
#[allow(unsafe_code)]
fn interrupted<T: Send + 'static>(what: &str, act: impl FnOnce() -> T + Send + 'static) -> T {
    static RETURNED: AtomicBool = AtomicBool::new(false);
    // SAFETY: the handler does nothing, and the structure is whole: all zeroes but for the handler.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    RETURNED.store(false, Ordering::SeqCst);
    let thread = std::thread::spawn(move || {
        let done = act();
        RETURNED.store(true, Ordering::SeqCst);
        done
    });
    let started = Instant::now();
    while !RETURNED.load(Ordering::SeqCst) && !thread.is_finished() {
        assert!(started.elapsed() < LONG, "waiting for a signal to end {what}");
        // SAFETY: the thread has not been joined.
        unsafe { libc::pthread_kill(thread.as_pthread_t() as _, libc::SIGUSR2) };
        std::thread::sleep(Duration::from_millis(1));
    }
    thread.join().unwrap()
}

#[test]
fn a_signal_ends_the_waits_of_those_who_ask_for_it_and_no_others() {
    let place = Place::new("loop-signal");
    let (source, endpoint, info, _socket) = stopped_source(&place);
    let until_a_signal = Wait::forever().interruptible();
    let own = endpoint.clone();
    assert_eq!(interrupted("a redemption", move || own.redeem_within(&info, until_a_signal)), Err(Error::Interrupted));
    signal(&source, Signal::CONT);

    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let (receiver, received) = interrupted("a receive", move || {
        let received = receiver.receive_within(until_a_signal).map(|parcel| parcel.is_some());
        (receiver, received)
    });
    assert_eq!(received, Err(Error::Interrupted));
    sender.hand_off(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    let flushed = interrupted("a flush of a sender", move || sender.flush(until_a_signal));
    assert_eq!(flushed, Err(Error::Interrupted));
    // Those who do not ask go on.
    let (receiver, received) = interrupted("nothing", move || {
        receiver.receive().unwrap();
        let received = receiver.receive_within(Duration::from_millis(100)).map(|parcel| parcel.is_some());
        (receiver, received)
    });
    assert_eq!(received, Ok(false));
    drop(receiver);

    let target = Peer::start_without_endpoint(&place);
    endpoint.duplicate(&UdpSocket::bind("127.0.0.1:0").unwrap(), target.pid()).unwrap();
    let flushed = interrupted("a flush of an endpoint", move || endpoint.flush(until_a_signal));
    assert_eq!(flushed, Err(Error::Interrupted));
}

#[test]
fn a_flush_is_waited_for_in_an_event_loop() {
    let place = Place::new("loop-flush");
    let source = place.endpoint();
    let mut idle = source.start_flush().unwrap();
    assert!(becomes_readable(&idle, Duration::ZERO) && idle.left() == 0, "nothing was ever held");
    let mut target = Peer::start_without_endpoint(&place);
    let (_client, socket) = pair();
    source.duplicate(&socket, target.pid()).unwrap();
    let mut flush = source.start_flush().unwrap();
    assert_eq!((flush.left(), becomes_readable(&flush, Duration::ZERO)), (1, false));
    assert_eq!(target.ask("open"), "ok");
    assert!(becomes_readable(&flush, LONG), "waiting for the duplicate to be delivered");
    assert_eq!(flush.left(), 0);
    // What is held afterwards is flushed, too.
    let mut second = Peer::start_without_endpoint(&place);
    source.duplicate(&socket, second.pid()).unwrap();
    assert_eq!((flush.left(), becomes_readable(&flush, Duration::ZERO)), (1, false));
    second.kill();
    assert!(becomes_readable(&flush, LONG), "waiting for the end of the target to be noticed");
}

#[test]
fn progress_of_a_target_is_waited_for_in_an_event_loop() {
    let place = Place::new("loop-progress");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let progress = sender.progress().unwrap();
    let started = Instant::now();
    let full = loop {
        match sender.hand_off_copy(&socket, &[0; 1000], Wait::none()) {
            Ok(()) => assert!(started.elapsed() < LONG, "waiting for the queue to be full"),
            Err(error) => break error,
        }
    };
    assert_eq!(full, Error::HandOffFull { pid: std::process::id() });
    assert_eq!(sender.hand_off_copy(&socket, b"", Duration::from_millis(1)), Err(full.clone()));
    let refused = sender.hand_off_within(socket.try_clone().unwrap(), Duration::from_millis(1)).unwrap_err();
    assert_eq!(Error::from(refused), full);
    progress.clear();
    let sent = sender.outstanding();
    for _ in 0..sent {
        receiver.receive().unwrap();
    }
    assert!(becomes_readable(&progress, LONG), "waiting to be told that the target took something");
    progress.clear();
    assert_eq!(sender.hand_off_copy(&socket, b"", Wait::none()), Ok(()));
    drop(receiver);
    assert!(becomes_readable(&progress, LONG), "waiting to be told that the receiver was closed");
}

#[test]
fn a_time_beyond_all_clocks_is_for_ever() {
    let place = Place::new("loop-max");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    std::thread::scope(|scope| {
        for time in [Duration::MAX, Duration::from_secs(u64::MAX >> 1), Duration::from_secs(1 << 40)] {
            let receiver = &receiver;
            let waiting = scope.spawn(move || receiver.receive_within(time).unwrap().unwrap());
            sender.hand_off(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
            sender.flush(time).unwrap();
            endpoint.flush(time).unwrap();
            waiting.join().unwrap();
            let info = endpoint.duplicate(&UdpSocket::bind("127.0.0.1:0").unwrap(), std::process::id()).unwrap();
            endpoint.redeem_within(&info, time).unwrap();
        }
    });
}

#[test]
fn any_socket_is_lent_and_what_is_none_is_refused() {
    let place = Place::new("loop-lent");
    let endpoint = place.endpoint();
    let receiver = endpoint.receiver().unwrap();
    let sender = endpoint.sender(std::process::id()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let me = std::process::id();
    for info in [endpoint.duplicate(&listener, me), endpoint.duplicate(listener.as_fd(), me)] {
        assert_eq!(endpoint.redeem(&info.unwrap()).unwrap(), Socket::from(listener.try_clone().unwrap()));
    }
    sender.hand_off_copy(&listener, b"bytes", None).unwrap();
    let parcel = receiver.receive().unwrap();
    assert_eq!((parcel.bytes(), parcel.socket()), (&b"bytes"[..], &Socket::from(listener.try_clone().unwrap())));
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(endpoint.duplicate(file.as_fd(), me), Err(Error::NotASocket));
    assert_eq!(sender.hand_off_copy(file.as_fd(), b"", None), Err(Error::NotASocket));
    assert_eq!(sender.outstanding(), 0);
}

#[test]
fn receivers_with_names_do_not_collide() {
    let place = Place::new("loop-named");
    let endpoint = place.endpoint();
    let domain = place.domain();
    let (unnamed, one, two) = (
        endpoint.receiver().unwrap(),
        endpoint.receiver_named("one").unwrap(),
        endpoint.receiver_named("two").unwrap(),
    );
    let taken = |name: &str| Error::ReceiverOpen { name: name.into(), domain: domain.path().to_owned() };
    assert_eq!(endpoint.receiver().unwrap_err(), taken(""));
    assert_eq!(endpoint.receiver_named("one").unwrap_err(), taken("one"));
    assert_eq!(Endpoint::open(&domain).unwrap_err(), Error::EndpointOpen { domain: domain.path().to_owned() });
    assert!(matches!(endpoint.sender_named(std::process::id(), "three"), Err(Error::NoEndpoint { .. })));
    let me = std::process::id();
    let senders = [endpoint.sender(me), endpoint.sender_named(me, "one"), endpoint.sender_named(me, "two")];
    for (sender, bytes) in senders.iter().zip(["unnamed", "one", "two"]) {
        let parcel = Parcel::new(UdpSocket::bind("127.0.0.1:0").unwrap()).with_bytes(bytes);
        sender.as_ref().unwrap().hand_off(parcel).unwrap();
    }
    for (receiver, bytes) in [(&two, "two"), (&unnamed, "unnamed"), (&one, "one")] {
        assert_eq!(receiver.receive().unwrap().bytes(), bytes.as_bytes());
        assert!(receiver.try_receive().unwrap().is_none());
    }
    drop(one);
    endpoint.receiver_named("one").unwrap();
}

#[test]
fn a_process_that_was_looked_up_is_not_taken_for_one_that_has_ended() {
    let place = Place::new("loop-cached");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    let mut target = Peer::start(&place);
    let pid = target.pid();
    for _ in 0..3 {
        assert!(!endpoint.duplicate(&socket, pid).unwrap().delivery().unwrap().held);
    }
    target.kill();
    assert_eq!(endpoint.duplicate(&socket, pid), Err(Error::NoSuchProcess { pid }));
    assert_eq!(endpoint.sender(pid).unwrap_err(), Error::NoSuchProcess { pid });
}
