//! What network events cost.

use super::Bench;
use super::baselines::{self, Watch};
use super::measure::each;
use super::roles::{Actor, Role};
use super::rows::Row;
use anyhow::{Context, Result};
use sharesock::{Domain, Endpoint, Event, NetworkEvents, ProtocolInfo, Socket};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Bytes that an event loop makes room for when it receives.
pub(super) const ROOM: usize = 4096;

/// A connection over TCP.
fn connection() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    client.set_nodelay(true)?;
    Ok((client, listener.accept()?.0))
}

/// Receiving through a shared socket in a domain whose table of events is in use, for other sockets.
pub(super) fn unregistered(bench: &Bench, work: &'static str, endpoint: &Endpoint) -> Result<Row> {
    let count = bench.count(300_000);
    let domain = Domain::at(bench.domain())?;
    let event = Event::manual(&domain)?;
    let other = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
    other.event_select(&event, NetworkEvents::READ)?;
    let (one, two) = baselines::pair()?;
    let info = endpoint.duplicate(&Socket::from(two.try_clone()?), std::process::id())?;
    let shared = endpoint.redeem(&info)?;
    let exchange = |receiver: &mut dyn Read| {
        let started = Instant::now();
        for _ in 0..count {
            (&one).write_all(b"x")?;
            receiver.read_exact(&mut [0; 1])?;
        }
        Ok(each(started.elapsed(), count))
    };
    bench.row(work, "send, recv", (1.03, 1.01), &|| exchange(&mut &two), &|| exchange(&mut &shared))
}

/// One turn of an event loop after the other, each receiving a byte into so much room.
pub(super) fn harvest(bench: &Bench, work: &'static str, room: usize, bound: (f64, f64)) -> Result<Row> {
    let count = bench.count(100_000);
    let (mut client, server) = connection()?;
    server.set_nonblocking(true)?;
    let bare = server.try_clone()?;
    let epoll = Watch::new()?;
    let event = Event::manual(&Domain::at(bench.domain())?)?;
    let socket = Socket::from(server);
    let sender = std::cell::RefCell::new(&mut client);
    let buffer = std::cell::RefCell::new(vec![0; room]);
    let floor = || {
        epoll.add(&bare)?;
        let started = Instant::now();
        for _ in 0..count {
            sender.borrow_mut().write_all(b"x")?;
            epoll.wait()?;
            anyhow::ensure!((&bare).read(&mut buffer.borrow_mut()[..])? == 1, "another count of bytes came");
        }
        let took = started.elapsed();
        epoll.remove(&bare)?;
        Ok(each(took, count))
    };
    let ours = || {
        socket.event_select(&event, NetworkEvents::READ)?;
        let started = Instant::now();
        for _ in 0..count {
            sender.borrow_mut().write_all(b"x")?;
            receive_one(&event, &socket, &mut buffer.borrow_mut()[..])?;
        }
        let took = started.elapsed();
        socket.cancel_select()?;
        Ok(each(took, count))
    };
    bench.row(work, "send, epoll_wait, recv over TCP", bound, &floor, &ours)
}

/// One turn of an old-style event loop.
fn receive_one(event: &Event, socket: &Socket, buffer: &mut [u8]) -> Result<()> {
    event.wait(None)?;
    let occurred = socket.enum_network_events(Some(event))?;
    anyhow::ensure!(occurred.contains(NetworkEvents::READ), "nothing was recorded");
    anyhow::ensure!(socket.recv(buffer)? == 1, "another count of bytes came");
    Ok(())
}

pub(super) fn many(bench: &Bench, work: &'static str) -> Result<Row> {
    const SOCKETS: u32 = 10_000;
    let count = bench.count(100_000);
    let sender = UdpSocket::bind("127.0.0.1:0")?;
    let sockets = (0..SOCKETS / bench.divisor).map(|_| UdpSocket::bind("127.0.0.1:0"));
    let sockets: Vec<UdpSocket> = sockets.collect::<std::io::Result<_>>().context("the limit of open files is low")?;
    let addresses = sockets.iter().map(UdpSocket::local_addr).collect::<std::io::Result<Vec<_>>>()?;
    let sockets: Vec<Socket> = sockets.into_iter().map(Socket::from).collect();
    let buffer = std::cell::RefCell::new([0; ROOM]);
    // One after another in an order that no cache foresees.
    let place = |turn: u32| (u64::from(turn) * 7919 % addresses.len() as u64) as usize;
    let floor = || {
        let epoll = Watch::new()?;
        for socket in &sockets {
            epoll.add(socket)?;
        }
        let started = Instant::now();
        for turn in 0..count {
            let at = place(turn);
            sender.send_to(b"x", addresses[at])?;
            epoll.wait()?;
            let received = sockets[at].as_socket().read(&mut buffer.borrow_mut()[..])?;
            anyhow::ensure!(received == 1, "another count of bytes came");
        }
        Ok(each(started.elapsed(), count))
    };
    let ours = || {
        let event = Event::manual(&Domain::at(bench.domain())?)?;
        for socket in &sockets {
            socket.event_select(&event, NetworkEvents::READ)?;
        }
        let started = Instant::now();
        for turn in 0..count {
            let at = place(turn);
            sender.send_to(b"x", addresses[at])?;
            receive_one(&event, &sockets[at], &mut buffer.borrow_mut()[..])?;
        }
        let took = started.elapsed();
        sockets.iter().try_for_each(Socket::cancel_select)?;
        Ok(each(took, count))
    };
    bench.row(work, "send, epoll_wait on 10,000 sockets, recv over UDP", (1.25, 1.10), &floor, &ours)
}

pub(super) fn registering(bench: &Bench, work: &'static str) -> Result<Row> {
    let count = bench.count(50_000);
    let domain = Domain::at(bench.domain())?;
    let floor = || {
        let epoll = Watch::new()?;
        let started = Instant::now();
        for _ in 0..count {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.set_nonblocking(true)?;
            epoll.add(&socket)?;
        }
        Ok(each(started.elapsed(), count))
    };
    let ours = || {
        let event = Event::manual(&domain)?;
        let started = Instant::now();
        for _ in 0..count {
            let socket = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
            socket.event_select(&event, NetworkEvents::READ)?;
        }
        Ok(each(started.elapsed(), count))
    };
    unbounded(bench.row(work, "bind, non-blocking, epoll_ctl, close", (0.0, 0.0), &floor, &ours)?)
}

fn unbounded(row: Row) -> Result<Row> {
    Ok(Row { bound: None, ..row })
}

/// How long the call takes by which another process loses its registration: when it returns, that one is told nothing.
pub(super) fn taking_over(bench: &Bench, work: &'static str, endpoint: &Endpoint) -> Result<Row> {
    let count = bench.count(10_000);
    let event = Event::manual(&Domain::at(bench.domain())?)?;
    let socket = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
    let measure = |from_other: bool| {
        let mut other = Actor::start(Role::Registers, count, bench.domain(), Stdio::piped(), None)?;
        let mut pipe = other.input()?;
        pipe.write_all(&endpoint.duplicate(&socket, other.pid())?.to_wide_bytes())?;
        let mut took = Duration::ZERO;
        for _ in 0..count {
            pipe.write_all(b"x")?;
            other.expect("registered")?;
            if !from_other {
                socket.event_select(&event, NetworkEvents::READ)?;
            }
            let started = Instant::now();
            socket.event_select(&event, NetworkEvents::READ)?;
            took += started.elapsed();
        }
        Ok(each(took, count))
    };
    let floor_is = "the same call when this process has it already";
    unbounded(bench.row(work, floor_is, (0.0, 0.0), &|| measure(false), &|| measure(true))?)
}

/// From a receive in this process to the word of the owner, another process, that it was told.
pub(super) fn waking(bench: &Bench, work: &'static str, endpoint: &Endpoint) -> Result<Row> {
    let count = bench.count(20_000);
    let floor = || {
        let mut other = Actor::start(Role::FloorTold, count, bench.domain(), Stdio::piped(), None)?;
        let mut pipe = other.input()?;
        let started = Instant::now();
        for _ in 0..count {
            pipe.write_all(b"x")?;
            other.expect("told")?;
        }
        Ok(each(started.elapsed(), count))
    };
    let ours = || {
        let (mut client, server) = connection()?;
        let socket = Socket::from(server);
        client.write_all(&vec![0; count as usize + 1])?;
        let mut other = Actor::start(Role::Told, count, bench.domain(), Stdio::piped(), None)?;
        let mut pipe = other.input()?;
        pipe.write_all(&endpoint.duplicate(&socket, other.pid())?.to_wide_bytes())?;
        other.expect("told")?;
        let started = Instant::now();
        for _ in 0..count {
            socket.recv(&mut [0; 1])?;
            other.expect("told")?;
        }
        Ok(each(started.elapsed(), count))
    };
    unbounded(bench.row(work, "a byte through a pipe, a line back", (0.0, 0.0), &floor, &ours)?)
}

/// The roles of other processes in these.
pub(super) fn play(role: Role, count: u32, folder: &Path) -> Result<()> {
    let say = |word: &str| writeln!(std::io::stdout(), "{word}").context("reporting");
    let domain = Domain::at(folder)?;
    let (endpoint, event) = (Endpoint::open(&domain)?, Event::manual(&domain)?);
    let mut pipe = std::io::stdin().lock();
    say("ready")?;
    let mut info = [0; 628];
    pipe.read_exact(&mut info)?;
    let socket = endpoint.redeem(&ProtocolInfo::from_bytes(&info)?)?;
    if role == Role::Registers {
        for _ in 0..count {
            pipe.read_exact(&mut [0])?;
            socket.event_select(&event, NetworkEvents::READ)?;
            say("registered")?;
        }
        return Ok(());
    }
    socket.event_select(&event, NetworkEvents::READ)?;
    for _ in 0..=count {
        event.wait(None)?;
        socket.enum_network_events(Some(&event))?;
        say("told")?;
    }
    // Until the benchmark closes the pipe.
    let _ = pipe.read(&mut info)?;
    Ok(())
}
