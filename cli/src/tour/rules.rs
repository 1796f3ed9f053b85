//! The rules, each with what shows it.

use super::Stage;
use super::actor::Actor;
use anyhow::{Context, Result, bail, ensure};
use sharesock::{Direction, Domain, Error, Parcel, Socket, Turn};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};

/// Shows one rule: what was seen, or how it does not hold.
type Show = fn(&Stage) -> Result<String>;

/// All rules that can be shown.
pub(super) const ALL: [(&str, &str, Show); 12] = [
    ("R1", "a socket is duplicated for one target process", r1),
    ("R2", "the protocol info travels over any channel", r2),
    ("R3", "redeeming gives one more descriptor of the same socket, once", r3),
    ("R4", "a descriptor is valid in all threads", r4),
    ("R5", "descriptors do I/O independently of each other", r5),
    ("R6", "nobody is forced to take turns, and who wants to can", r6),
    ("R7", "connections are established here and served there", r7),
    ("R8", "all state is held in common", r8),
    ("R9", "the socket lives until its last descriptor is closed", r9),
    ("R10", "a socket has one event registration, the last, whoever makes it", r10),
    ("R11", "no process is told FD_READ while another is told FD_WRITE", r11),
    ("R12", "tight coordination belongs into threads of one process", r12),
];

/// A connection over TCP: the client, and the descriptor to share.
fn connection() -> Result<(TcpStream, Socket)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("listening on loopback")?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((client, Socket::from(listener.accept()?.0)))
}

/// The socket's number, as processes of the tour report it.
fn id(socket: &Socket) -> Result<String> {
    Ok(socket.id()?.as_u64().to_string())
}

fn read(mut from: impl Read, length: usize) -> Result<String> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn r1(stage: &Stage) -> Result<String> {
    let target = Actor::start(stage.domain())?;
    let mut third = Actor::start(stage.domain())?;
    let info = stage.endpoint.duplicate(&connection()?.1, target.pid())?;
    let bytes = info.to_wide_bytes().len();
    let Err(refusal) = third.try_ask(&format!("redeem {info}"))? else { bail!("another process redeemed it") };
    for nobody in [0, u32::MAX] {
        let refused = stage.endpoint.duplicate(&connection()?.1, nobody);
        ensure!(refused == Err(Error::NoSuchProcess { pid: nobody }), "process id {nobody} was accepted");
    }
    Ok(format!("{bytes} bytes for process {}; process {} was told: {refusal}", target.pid(), third.pid()))
}

fn r2(stage: &Stage) -> Result<String> {
    let (_client, socket) = connection()?;
    let expected = id(&socket)?;
    let mut target = Actor::start(stage.domain())?;
    let give = |pid| stage.endpoint.duplicate(&socket, pid);
    // Its standard input is a pipe: that is the first channel.
    let by_pipe = target.ask(&format!("redeem {}", give(target.pid())?))?;
    let file = stage.domain().with_file_name("info");
    std::fs::write(&file, give(target.pid())?.to_narrow_bytes())?;
    let by_file = target.ask(&format!("redeem-file {}", file.display()))?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let bytes = give(target.pid())?.to_wide_bytes();
    let sending = std::thread::spawn(move || listener.accept().and_then(|(mut stream, _)| stream.write_all(&bytes)));
    let by_tcp = target.ask(&format!("redeem-tcp {address}"))?;
    sending.join().map_err(|_| anyhow::anyhow!("sending failed"))??;
    for redeemed in [by_pipe, by_file, by_tcp] {
        ensure!(redeemed == expected, "socket {redeemed} arrived instead of {expected}");
    }
    Ok("through a pipe, a file and a TCP connection, wide, narrow and as text".to_owned())
}

fn r3(stage: &Stage) -> Result<String> {
    let mut target = Actor::start(stage.domain())?;
    let mut sockets = vec![
        ("TCP", connection()?.1),
        ("a listener", TcpListener::bind("127.0.0.1:0")?.into()),
        ("UDP", UdpSocket::bind("127.0.0.1:0")?.into()),
    ];
    sockets.extend(crate::system::other_kinds_of_sockets()?);
    for (kind, socket) in &sockets {
        let info = stage.endpoint.duplicate(socket, target.pid())?;
        ensure!(target.ask(&format!("redeem {info}"))? == id(socket)?, "another socket arrived ({kind})");
        let again = target.try_ask(&format!("redeem {info}"))?;
        ensure!(again.is_err(), "the same info was redeemed twice ({kind})");
    }
    let kinds: Vec<_> = sockets.iter().map(|(kind, _)| *kind).collect();
    Ok(kinds.join(", ") + "; a second time it was refused")
}

fn r4(_: &Stage) -> Result<String> {
    let (mut client, socket) = connection()?;
    std::thread::scope(|scope| {
        (0..4).map(|_| scope.spawn(|| (&socket).write_all(b"x"))).collect::<Vec<_>>().into_iter().try_for_each(
            |thread| thread.join().map_err(|_| anyhow::anyhow!("a thread failed"))?.context("sending from a thread"),
        )
    })?;
    ensure!(read(&mut client, 4)? == "xxxx", "not every thread was heard");
    Ok("four threads sent through one descriptor".to_owned())
}

fn r5(stage: &Stage) -> Result<String> {
    let mut target = Actor::start(stage.domain())?;
    let (mut client, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    target.ask(&format!("redeem {info}"))?;
    for _ in 0..3 {
        target.ask("send t")?;
        ensure!(read(&mut client, 1)? == "t");
        (&socket).write_all(b"s")?;
        ensure!(read(&mut client, 1)? == "s");
        client.write_all(b"ab")?;
        ensure!(read(&socket, 1)? == "a" && target.ask("receive 1")? == "b");
    }
    Ok("both processes sent and received, in any order".to_owned())
}

fn r6(stage: &Stage) -> Result<String> {
    let domain = Domain::at(stage.domain())?;
    let mut target = Actor::start(stage.domain())?;
    let (mut client, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    target.ask(&format!("redeem {info}"))?;
    let turn = Turn::take(&domain, &socket, Direction::Send)?;
    ensure!(Turn::try_take(&domain, &socket, Direction::Send)?.is_none(), "a turn was given twice");
    target.ask("send unforced")?;
    ensure!(read(&mut client, 8)? == "unforced");
    drop(turn);
    ensure!(Turn::try_take(&domain, &socket, Direction::Send)?.is_some(), "a turn was not given back");
    Ok("a process sent out of turn, as it may; turns exclude those who take them".to_owned())
}

fn r7(stage: &Stage) -> Result<String> {
    let mut worker = Actor::start(stage.domain())?;
    worker.ask("open-receiver")?;
    let sender = stage.endpoint.sender(worker.pid())?;
    let (mut client, socket) = connection()?;
    client.write_all(b"question")?;
    sender.hand_off(Parcel::new(socket).with_bytes(b"session 7".to_vec()))?;
    let session = worker.ask("take")?;
    ensure!(session == "session 7", "the session's bytes did not arrive: {session}");
    ensure!(worker.ask("receive 8")? == "question", "the client's bytes did not arrive");
    worker.ask("send answer")?;
    ensure!(read(&mut client, 6)? == "answer", "the client got no answer");
    Ok(format!("accepted by process {}, served by process {}", std::process::id(), worker.pid()))
}

fn r8(stage: &Stage) -> Result<String> {
    let mut target = Actor::start(stage.domain())?;
    let (_client, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    target.ask(&format!("redeem {info}"))?;
    for on in [true, false] {
        socket.as_socket().set_keepalive(on)?;
        ensure!(target.ask("keepalive")? == on.to_string(), "an option set here was not seen there");
        target.ask(&format!("set-keepalive {}", !on))?;
        ensure!(socket.as_socket().keepalive()? != on, "an option set there was not seen here");
    }
    Ok("SO_KEEPALIVE set on either side was seen on the other".to_owned())
}

fn r9(stage: &Stage) -> Result<String> {
    let mut target = Actor::start(stage.domain())?;
    let (mut client, socket) = connection()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket); // before it is redeemed
    target.ask(&format!("redeem {info}"))?;
    target.ask("send alive")?;
    ensure!(read(&mut client, 5)? == "alive");
    client.set_nonblocking(true)?;
    ensure!(client.read(&mut [0; 1]).is_err(), "the connection ended too early");
    client.set_nonblocking(false)?;
    target.ask("close")?;
    ensure!(client.read(&mut [0; 1])? == 0, "the connection did not end");

    let (mut client, socket) = connection()?;
    stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    target.kill()?;
    ensure!(client.read(&mut [0; 1])? == 0, "a killed target left its duplicate open");
    Ok("the client saw the end at the last close, and at the target's death".to_owned())
}

/// Two other processes that hold a connection, with its client.
fn shared(stage: &Stage) -> Result<(Actor, Actor, TcpStream)> {
    let (client, socket) = connection()?;
    let mut targets = [Actor::start(stage.domain())?, Actor::start(stage.domain())?];
    for target in &mut targets {
        let info = stage.endpoint.duplicate(&socket, target.pid())?;
        target.ask(&format!("redeem {info}"))?;
    }
    let [a, b] = targets;
    Ok((a, b, client))
}

fn r10(stage: &Stage) -> Result<String> {
    let (mut a, mut b, mut client) = shared(stage)?;
    for (select, told) in [("event-select READ", "READ"), ("async-select READ", "message READ")] {
        for a_is_last in [true, false] {
            let (first, last) = if a_is_last { (&mut b, &mut a) } else { (&mut a, &mut b) };
            first.ask("event-select READ")?;
            last.ask(select)?;
            client.write_all(b"x")?;
            let seen = last.ask("told 5000")?;
            ensure!(seen == told, "the last to register was told {seen}");
            let seen = first.ask("told 50")?;
            ensure!(seen == "nothing", "the first to register was told {seen}");
            last.ask("receive 1")?;
        }
    }
    Ok(format!(
        "processes {} and {}, by event object and by message: the last was told, the other nothing",
        a.pid(),
        b.pid()
    ))
}

fn r11(stage: &Stage) -> Result<String> {
    let (mut a, mut b, mut client) = shared(stage)?;
    a.ask("event-select READ")?;
    b.ask("event-select WRITE")?;
    let seen = b.ask("told 5000")?;
    ensure!(seen == "WRITE", "the second process was told {seen}");
    client.write_all(b"x")?;
    let seen = a.ask("told 50")?;
    ensure!(seen == "nothing", "the first process was told {seen}");
    b.ask("event-select READ WRITE")?;
    let seen = b.ask("told 5000")?;
    ensure!(seen == "READ", "who asked for both was told {seen}");
    Ok("asking for FD_WRITE there ended FD_READ here; who wants both asks for both".to_owned())
}

fn r12(_: &Stage) -> Result<String> {
    let (mut client, socket) = connection()?;
    // Request and answer must not mix: a lock among threads does it.
    let exchange = std::sync::Mutex::new(());
    client.write_all(&b"q".repeat(100))?;
    std::thread::scope(|scope| {
        let answer = || -> Result<()> {
            for _ in 0..25 {
                let _turn = exchange.lock().map_err(|_| anyhow::anyhow!("a thread failed"))?;
                read(&socket, 1)?;
                (&socket).write_all(b"<a>")?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(answer)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a thread failed"))?)
    })?;
    ensure!(read(&mut client, 300)? == "<a>".repeat(100), "answers were mixed up");
    Ok("four threads answered a hundred requests on one descriptor, none mixed up".to_owned())
}
