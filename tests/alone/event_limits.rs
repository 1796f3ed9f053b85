//! Descriptors run out while network events are wanted. One test alone in its program, for it lowers the limit.

use crate::occurring::{expect, listener, nothing, stage, udp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sharesock::{Event, NetworkEvents, Socket};
use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::AsRawFd;

const READ: NetworkEvents = NetworkEvents::READ;
const ACCEPT: NetworkEvents = NetworkEvents::ACCEPT;

/// Runs `act` while only so many more descriptors can be opened.
fn with_free<T>(count: u64, act: impl FnOnce() -> T) -> T {
    let before = getrlimit(Resource::Nofile);
    let next = std::fs::File::open("/dev/null").unwrap().as_raw_fd();
    let current = Some(u64::try_from(next).unwrap() + count);
    setrlimit(Resource::Nofile, Rlimit { current, ..before }).unwrap();
    let result = act();
    setrlimit(Resource::Nofile, before).unwrap();
    result
}

#[test]
fn nothing_is_lost_when_descriptors_run_out() {
    in_a_process_of_its_own!();
    // A connection for which there is no descriptor waits, and is told of again; the last one is enough to register it.
    let (_place, _, event) = stage("el-accept");
    let (listener, address) = listener();
    listener.event_select(&event, ACCEPT | READ).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    expect(&listener, &event, ACCEPT);
    let refused = with_free(0, || listener.accept()).unwrap_err();
    assert!(refused.to_string().contains("Too many open files"), "{refused}");
    expect(&listener, &event, ACCEPT);
    let (accepted, _) = with_free(1, || listener.accept()).unwrap();
    client.write_all(b"x").unwrap();
    expect(&accepted, &event, READ);
    nothing(&listener, &event);

    // That the table could not be attached once does not keep it from being attached later.
    let (place, domain, event) = stage("el-attach");
    let (socket, address) = udp();
    let other = Socket::from(socket.as_socket().try_clone().unwrap());
    other.join(&place.domain()).unwrap();
    other.set_nonblocking(true).unwrap();
    drop(domain);
    with_free(0, || other.recv(&mut [0; 1])).unwrap_err();
    socket.event_select(&event, READ).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..2 {
        sender.send_to(b"x", address).unwrap();
    }
    expect(&socket, &event, READ);
    nothing(&socket, &event);
    other.recv(&mut [0; 1]).unwrap();
    expect(&socket, &event, READ);
    drop(Event::manual(&place.domain()).unwrap());
}
