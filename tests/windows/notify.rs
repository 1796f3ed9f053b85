//! Network events, event objects, message queues and awaiting them on Windows.
#![allow(unsafe_code)]

use sharesock::{Domain, Endpoint, Error, Event, Message, MessageQueue, NetworkEvents, Socket};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::windows::io::{AsHandle, AsRawSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

const NOT_AT_ALL: Option<Duration> = Some(Duration::ZERO);

fn domain() -> Domain {
    let folder = std::env::temp_dir().join(format!("sharesock-notify-{}", std::process::id()));
    Domain::at(folder).unwrap()
}

fn pair() -> (Socket, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (Socket::from(listener.accept().unwrap().0), other)
}

/// The events that come until all of `wanted` have.
fn gather(socket: &Socket, event: &Event, wanted: NetworkEvents) -> NetworkEvents {
    let mut all = NetworkEvents::empty();
    while !all.contains(wanted) {
        assert!(event.wait(None).unwrap());
        all |= socket.enum_network_events(Some(event)).unwrap().events();
    }
    all
}

fn network(message: Message) -> (u32, NetworkEvents, i32) {
    match message {
        Message::Network { id, event, code, .. } => (id, event, code),
        other => panic!("{other:?}"),
    }
}

fn nothing_but_this(queue: &MessageQueue) {
    // What was posted before in the same window has come when this has.
    queue.post(99, 0, 0).unwrap();
    assert_eq!(queue.get().unwrap(), Message::Posted { id: 99, first: 0, second: 0 });
}

#[test]
fn event_objects() {
    let manual = Event::manual(&domain()).unwrap();
    let automatic = Event::automatic(&domain()).unwrap();
    for event in [&manual, &automatic] {
        assert!(!event.is_set().unwrap() && !event.wait(NOT_AT_ALL).unwrap());
        event.set().unwrap();
        assert!(event.is_set().unwrap() && event.is_set().unwrap());
        assert!(event.wait(None).unwrap());
    }
    assert!(manual.is_set().unwrap() && !automatic.is_set().unwrap());
    manual.reset().unwrap();
    assert!(!manual.wait(Some(Duration::from_millis(3))).unwrap());
    assert!(matches!(manual.hear_losses(true), Err(Error::NotOnThisSystem { .. })));
    manual.hear_losses(false).unwrap();
    assert!(manual.losses().unwrap().is_empty());
    let _ = manual.as_handle();
}

#[test]
fn waiting_for_several_in_groups_and_without() {
    for count in [3, 64, 65, 150] {
        let all: Vec<Event> = (0..count)
            .map(|index| if index % 2 == 0 { Event::manual(&domain()) } else { Event::automatic(&domain()) }.unwrap())
            .collect();
        let mut events: Vec<&Event> = all.iter().collect();
        assert_eq!(Event::wait_any(&events, NOT_AT_ALL).unwrap(), None);
        assert!(!Event::wait_all(&events, NOT_AT_ALL).unwrap());
        all[count - 1].set().unwrap();
        all[1].set().unwrap();
        assert_eq!(Event::wait_any(&events, None).unwrap(), Some(1));
        assert_eq!(Event::wait_any(&events, None).unwrap(), Some(count - 1));
        all.iter().for_each(|event| event.set().unwrap());
        all[0].reset().unwrap();
        assert!(!Event::wait_all(&events, Some(Duration::from_millis(8))).unwrap());
        assert!(all[1].is_set().unwrap());
        let first = all[0].clone();
        let later = std::thread::spawn(move || first.set().unwrap());
        assert!(Event::wait_all(&events, None).unwrap());
        later.join().unwrap();
        assert!(all[0].is_set().unwrap() && !all[1].is_set().unwrap());
        events.push(&all[0]);
        assert!(matches!(Event::wait_all(&events, None), Err(Error::BadWait)));
        assert_eq!(Event::wait_any(&events, None).unwrap(), Some(0));
    }
    assert!(matches!(Event::wait_any(&[], None), Err(Error::BadWait)));
    assert!(matches!(Event::wait_all(&[], None), Err(Error::BadWait)));
}

#[test]
fn reading_writing_and_closing_set_an_event_object() {
    let event = Event::manual(&domain()).unwrap();
    let (socket, mut other) = pair();
    socket.event_select(&event, NetworkEvents::all()).unwrap();
    gather(&socket, &event, NetworkEvents::WRITE);
    other.write_all(b"abc").unwrap();
    gather(&socket, &event, NetworkEvents::READ);
    let mut bytes = [std::mem::MaybeUninit::uninit(); 8];
    assert_eq!(socket.as_socket().recv(&mut bytes).unwrap(), 3);
    assert!(matches!(socket.set_nonblocking(false), Err(Error::Registered)));
    socket.set_nonblocking(true).unwrap();
    drop(other);
    loop {
        event.wait(None).unwrap();
        let occurred = socket.enum_network_events(Some(&event)).unwrap();
        if occurred.contains(NetworkEvents::CLOSE) {
            assert_eq!(occurred.code(NetworkEvents::CLOSE), 0);
            break;
        }
    }
    socket.cancel_select().unwrap();
    socket.set_nonblocking(false).unwrap();
    assert!(matches!(socket.registration(), Err(Error::NotOnThisSystem { .. })));
}

#[test]
fn a_reset_has_its_code() {
    let event = Event::manual(&domain()).unwrap();
    let (socket, other) = pair();
    socket.event_select(&event, NetworkEvents::CLOSE).unwrap();
    socket2::SockRef::from(&other).set_linger(Some(Duration::ZERO)).unwrap();
    drop(other);
    event.wait(None).unwrap();
    let occurred = socket.enum_network_events(Some(&event)).unwrap();
    assert!(occurred.contains(NetworkEvents::CLOSE));
    // Wine ends connections in order whatever lingers: then nothing is left to be received, and that is no error.
    let reset = socket.as_socket().recv(&mut [std::mem::MaybeUninit::uninit(); 1]).is_err();
    assert_eq!(occurred.code(NetworkEvents::CLOSE), if reset { 10053 } else { 0 });
}

#[test]
fn connecting_succeeds_or_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().into();
    let mut listener = Some(listener);
    let tcp = || Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let event = Event::automatic(&domain()).unwrap();
    let queue = MessageQueue::new(&domain()).unwrap();
    for code in [0, 10061] {
        let (one, two) = (tcp(), tcp());
        one.event_select(&event, NetworkEvents::CONNECT).unwrap();
        two.async_select(&queue, 5, NetworkEvents::CONNECT).unwrap();
        for socket in [&one, &two] {
            assert_eq!(socket.as_socket().connect(&address).unwrap_err().raw_os_error(), Some(10035));
        }
        event.wait(None).unwrap();
        let occurred = one.enum_network_events(None).unwrap();
        assert!(occurred.contains(NetworkEvents::CONNECT));
        assert_eq!(occurred.code(NetworkEvents::CONNECT), code);
        assert_eq!(network(queue.get().unwrap()), (5, NetworkEvents::CONNECT, code));
        listener.take();
    }
}

#[test]
fn messages_come_in_order_and_those_of_a_former_registration_do_not() {
    let queue = MessageQueue::new(&domain()).unwrap();
    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let socket = Socket::from(receiver);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    sender.send_to(b"x", address).unwrap();
    socket.as_socket().peek(&mut [std::mem::MaybeUninit::uninit(); 1]).unwrap();
    socket.async_select(&queue, 7, NetworkEvents::READ).unwrap();
    queue.post(1, 2, usize::MAX).unwrap();
    let first = queue.get().unwrap();
    let Message::Network { id, socket: of, descriptor, event, code } = first else { panic!("{first:?}") };
    assert_eq!((id, of, descriptor), (7, socket.id().unwrap(), socket.as_raw_socket()));
    assert_eq!((event, code), (NetworkEvents::READ, 0));
    assert_eq!(queue.get().unwrap(), Message::Posted { id: 1, first: 2, second: usize::MAX });
    assert_eq!(queue.try_get().unwrap(), None);

    // Told again by a new registration, and once only.
    socket.async_select(&queue, 8, NetworkEvents::READ).unwrap();
    socket.async_select(&queue, 9, NetworkEvents::READ).unwrap();
    assert_eq!(network(queue.get().unwrap()).0, 9);
    nothing_but_this(&queue);
    // Neither after cancelling, nor after another kind, nor after a clone did.
    socket.async_select(&queue, 10, NetworkEvents::READ).unwrap();
    socket.cancel_select().unwrap();
    nothing_but_this(&queue);
    socket.async_select(&queue, 11, NetworkEvents::READ).unwrap();
    let event = Event::manual(&domain()).unwrap();
    socket.try_clone().unwrap().event_select(&event, NetworkEvents::READ).unwrap();
    nothing_but_this(&queue);
    socket.async_select(&queue, 12, NetworkEvents::READ).unwrap();
    drop(socket);
    nothing_but_this(&queue);
    assert!(matches!(queue.hear_losses(true), Err(Error::NotOnThisSystem { .. })));
}

#[test]
fn accepting_passes_the_registration_on_with_an_event_object() {
    let event = Event::manual(&domain()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = Socket::from(listener);
    let events = NetworkEvents::ACCEPT | NetworkEvents::READ | NetworkEvents::WRITE | NetworkEvents::CLOSE;
    socket.event_select(&event, events).unwrap();
    let mut one = TcpStream::connect(address).unwrap();
    gather(&socket, &event, NetworkEvents::ACCEPT);
    one.write_all(b"x").unwrap();
    let (accepted, _) = socket.accept().unwrap();
    gather(&accepted, &event, NetworkEvents::READ | NetworkEvents::WRITE);
    assert!(matches!(accepted.set_nonblocking(false), Err(Error::Registered)));

    let mut two = TcpStream::connect(address).unwrap();
    gather(&socket, &event, NetworkEvents::ACCEPT);
    let (apart, _) = socket.accept_apart().unwrap();
    two.write_all(b"x").unwrap();
    apart.set_nonblocking(false).unwrap();
    apart.as_socket().peek(&mut [std::mem::MaybeUninit::uninit(); 1]).unwrap();
    assert!(apart.enum_network_events(None).unwrap().is_empty());
    socket.pass_registration(&apart).unwrap();
    gather(&apart, &event, NetworkEvents::READ);
}

#[test]
fn accepting_passes_the_registration_on_with_a_queue() {
    let queue = MessageQueue::new(&domain()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = Socket::from(listener);
    let events = NetworkEvents::ACCEPT | NetworkEvents::READ | NetworkEvents::WRITE | NetworkEvents::CLOSE;
    socket.async_select(&queue, 3, events).unwrap();
    for round in 0..50 {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        let message = queue.get().unwrap();
        let Message::Network { socket: of, event, .. } = message else { panic!("{message:?}") };
        assert_eq!((of, event), (socket.id().unwrap(), NetworkEvents::ACCEPT), "round {round}");
        let (accepted, _) = socket.accept().unwrap();
        let mut all = NetworkEvents::empty();
        while !all.contains(NetworkEvents::READ | NetworkEvents::WRITE) {
            let message = queue.get().unwrap();
            let Message::Network { id: 3, socket: of, descriptor, event, code: 0 } = message else {
                panic!("{message:?}")
            };
            assert_eq!((of, descriptor), (accepted.id().unwrap(), accepted.as_raw_socket()), "round {round}");
            assert!(!all.intersects(event));
            all |= event;
        }
        // Wine tells of the end only when all was received.
        accepted.as_socket().recv(&mut [std::mem::MaybeUninit::uninit(); 4]).unwrap();
        drop(client);
        assert_eq!(network(queue.get().unwrap()), (3, NetworkEvents::CLOSE, 0));
    }
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(b"x").unwrap();
    assert_eq!(network(queue.get().unwrap()).1, NetworkEvents::ACCEPT);
    let (apart, _) = socket.accept_apart().unwrap();
    apart.set_nonblocking(false).unwrap();
    apart.as_socket().peek(&mut [std::mem::MaybeUninit::uninit(); 1]).unwrap();
    nothing_but_this(&queue);
    socket.pass_registration(&apart).unwrap();
    let two = [queue.get().unwrap(), queue.get().unwrap()].map(|message| network(message).1);
    assert_eq!(two[0] | two[1], NetworkEvents::READ | NetworkEvents::WRITE);
}

#[test]
fn an_unregistered_listener_passes_its_mode_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = Socket::from(listener);
    let (accepted, _) = socket.accept().unwrap();
    assert!(accepted.enum_network_events(None).unwrap().is_empty());
}

#[test]
fn threads_post_and_one_gets() {
    let queue = MessageQueue::new(&domain()).unwrap();
    std::thread::scope(|scope| {
        for id in 0..4 {
            let queue = &queue;
            scope.spawn(move || (0..2000).for_each(|first| queue.post(id, first, 0).unwrap()));
        }
        let mut next = [0; 4];
        while next != [2000; 4] {
            let Message::Posted { id, first, .. } = queue.get().unwrap() else { panic!() };
            assert_eq!(first, next[id as usize]);
            next[id as usize] += 1;
        }
    });
    assert_eq!(queue.get_within(Duration::from_millis(2)).unwrap(), None);
}

#[test]
fn queues_leave_nothing_behind() {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, GetProcessHandleCount};
    let handles = || {
        let mut count = 0;
        // SAFETY: the count is written before the call returns.
        assert_ne!(unsafe { GetProcessHandleCount(GetCurrentProcess(), &raw mut count) }, 0);
        count
    };
    // Other tests have handles, too.
    in_a_process_of_its_own!();
    let make = || {
        let queue = MessageQueue::new(&domain()).unwrap();
        let socket = Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.async_select(&queue, 1, NetworkEvents::WRITE).unwrap();
        drop(queue);
    };
    (0..20).for_each(|_| make());
    let before = handles();
    (0..500).for_each(|_| make());
    assert!(handles() <= before + 5, "{before} {}", handles());
}

#[test]
fn a_registration_moves_to_another_process() {
    if let Some(folder) = std::env::var_os("SHARESOCK_CHILD") {
        let endpoint = Endpoint::open(&Domain::at(folder).unwrap()).unwrap();
        let mut line = String::new();
        let mut input = BufReader::new(std::io::stdin());
        input.read_line(&mut line).unwrap();
        let redeemed = endpoint.redeem(&line.parse().unwrap()).unwrap();
        let event = Event::manual(&domain()).unwrap();
        // Not its own yet: what it accepts is registered with nobody.
        let (accepted, _) = redeemed.accept().unwrap();
        accepted.set_nonblocking(false).unwrap();
        redeemed.event_select(&event, NetworkEvents::ACCEPT).unwrap();
        println!("took");
        gather(&redeemed, &event, NetworkEvents::ACCEPT);
        println!("told");
        input.read_line(&mut line).unwrap();
        return;
    }
    let queue = MessageQueue::new(&domain()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = Socket::from(listener);
    socket.async_select(&queue, 3, NetworkEvents::ACCEPT | NetworkEvents::WRITE).unwrap();
    let _one = TcpStream::connect(address).unwrap();
    assert_eq!(network(queue.get().unwrap()).1, NetworkEvents::ACCEPT);

    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "notify::a_registration_moves_to_another_process", "--nocapture"])
        .env("SHARESOCK_CHILD", domain().path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let endpoint = Endpoint::open(&domain()).unwrap();
    let text = endpoint.duplicate(&socket, child.id()).unwrap().to_string();
    let mut input = child.stdin.take().unwrap();
    writeln!(input, "{text}").unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(output.any(|line| line.ends_with("took")));
    let _two = TcpStream::connect(address).unwrap();
    assert!(output.any(|line| line.ends_with("told")));
    nothing_but_this(&queue);
    // And back.
    socket.async_select(&queue, 4, NetworkEvents::ACCEPT).unwrap();
    assert_eq!(network(queue.get().unwrap()).0, 4);
    writeln!(input).unwrap();
    assert!(child.wait().unwrap().success());
}

#[cfg(feature = "tokio")]
mod awaited {
    use super::*;
    use sharesock::{AsyncEvent, AsyncMessageQueue};
    use std::pin::{Pin, pin};
    use std::sync::{Arc, Mutex};
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::Thread;

    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(found) => return found,
                Poll::Pending => std::thread::park(),
            }
        }
    }

    fn poll_once<T>(future: impl Future<Output = T>) -> bool {
        pin!(future).poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn an_event_object() {
        for event in [Event::manual(&domain()).unwrap(), Event::automatic(&domain()).unwrap()] {
            let awaited = AsyncEvent::new(event.clone()).unwrap();
            for _ in 0..20 {
                // A future that is dropped takes nothing with it.
                assert!(!poll_once(awaited.wait()));
                let other = event.clone();
                let later = std::thread::spawn(move || other.set().unwrap());
                block_on(awaited.wait()).unwrap();
                later.join().unwrap();
                event.reset().unwrap();
            }
            assert!(!poll_once(awaited.wait()));
        }
    }

    #[test]
    fn a_waker_that_is_replaced_may_drop_another_wait() {
        struct Keeps(#[allow(dead_code)] Mutex<Pin<Box<dyn Future<Output = sharesock::Result<()>> + Send>>>);
        impl Wake for Keeps {
            fn wake(self: Arc<Self>) {}
        }
        let awaited = Arc::new(AsyncEvent::new(Event::manual(&domain()).unwrap()).unwrap());
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let same = Arc::clone(&awaited);
            let mut other: Pin<Box<dyn Future<Output = _> + Send>> = Box::pin(async move { same.wait().await });
            assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let waker = Waker::from(Arc::new(Keeps(Mutex::new(other))));
            let mut one = pin!(awaited.wait());
            assert!(one.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            assert!(one.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            tell.send(()).unwrap();
        });
        told.recv_timeout(Duration::from_secs(5)).unwrap();
    }

    #[test]
    fn every_set_of_an_automatic_one_ends_one_wait_of_two_tasks() {
        let event = Event::automatic(&domain()).unwrap();
        let awaited = AsyncEvent::new(event.clone()).unwrap();
        std::thread::scope(|scope| {
            let tasks = [0, 1].map(|_| scope.spawn(|| block_on(awaited.wait()).unwrap()));
            while !tasks.iter().any(|task| task.is_finished()) {
                if !event.is_set().unwrap() {
                    event.set().unwrap();
                }
                std::thread::yield_now();
            }
            while !tasks.iter().all(|task| task.is_finished()) {
                event.set().unwrap();
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn a_message_queue() {
        let queue = MessageQueue::new(&domain()).unwrap();
        let awaited = AsyncMessageQueue::new(queue.clone()).unwrap();
        assert!(!poll_once(awaited.get()));
        let poster = queue.clone();
        let later = std::thread::spawn(move || (0..500).for_each(|first| poster.post(1, first, 0).unwrap()));
        for first in 0..500 {
            assert_eq!(block_on(awaited.get()).unwrap(), Message::Posted { id: 1, first, second: 0 });
        }
        later.join().unwrap();
    }
}
