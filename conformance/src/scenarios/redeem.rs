//! Redeeming: of what kind a socket may be, by which way the bytes may come, and how often they are good.

use super::{Scenario, scenario};
use crate::observe::see;
use crate::stage::{LONG, Peer, Stage, connection, done, listener, loopback, take, unconnected};
use anyhow::Result;
use sharesock::{DuplicateOptions, Error, ProtocolInfo};
use std::io::Write;
use std::net::{TcpListener, UdpSocket};
use std::sync::Barrier;
use std::time::Duration;

pub(super) const ALL: &[Scenario] = &[
    scenario("channels", "the bytes travel over any channel", "R2", channels),
    scenario("redeem-connection", "a TCP connection is redeemed", "R3, 2.4", of_connection),
    scenario("redeem-listener", "a listener is redeemed", "R3, 2.4", of_listener),
    scenario("redeem-udp-v4", "a UDP socket is redeemed", "R3, 2.4", udp_v4),
    scenario("redeem-udp-v6", "a UDP socket over IPv6 is redeemed", "R3, 2.4", udp_v6),
    scenario("redeem-tcp-v6", "a TCP connection over IPv6 is redeemed", "R3, 2.4", tcp_v6),
    scenario(
        "redeem-unconnected",
        "a socket that is nothing yet is redeemed, and connected by its target",
        "R3",
        nothing_yet,
    ),
    scenario("redeem-twice", "an info is good for one redemption", "R3, 1.5", twice),
    scenario("redeem-twice-closed", "the same after the first descriptor was closed", "R3, 1.5", twice_closed),
    scenario("redeem-race", "of threads that redeem one info at once, one succeeds", "R3, 1.5", race),
    scenario("redeem-elsewhere", "only the target can redeem", "R1, 1.6", elsewhere),
    scenario("redeem-other-domain", "an info is good in its domain alone", "1.6", other_domain),
    scenario("expired", "a duplicate that has expired is refused, and closed", "1.4", expired),
    scenario("revoked", "a duplicate that was revoked is refused, and closed", "1.4", revoked),
    scenario("discarded", "a target discards a duplicate that it does not want", "R9, 1.4", discarded),
    scenario("revoked-too-late", "what was redeemed cannot be revoked", "1.4", too_late),
];

fn channels(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let pid = target.pid();
    let give = || stage.endpoint.duplicate(&socket, pid);
    // Its standard input is a pipe: that is the first channel.
    see("as text through a pipe", target.ask(&format!("redeem a {}", give()?))?);
    for (form, bytes) in [("wide", give()?.to_wide_bytes().to_vec()), ("narrow", give()?.to_narrow_bytes().to_vec())] {
        let file = stage.path(form);
        std::fs::write(&file, bytes)?;
        see(&format!("the {form} form in a file"), target.ask(&format!("redeem-file b {}", file.display()))?);
    }
    let listener = TcpListener::bind(loopback())?;
    target.tell(&format!("redeem-tcp c {}", listener.local_addr()?))?;
    listener.accept()?.0.write_all(&give()?.to_wide_bytes())?;
    see("the wide form over a TCP connection", target.answer()?);
    let asked = UdpSocket::bind(loopback())?;
    target.tell(&format!("redeem-udp d {}", asked.local_addr()?))?;
    let (_, address) = asked.recv_from(&mut [0; 10])?;
    asked.send_to(&give()?.to_narrow_bytes(), address)?;
    see("the narrow form in a datagram", target.answer()?);
    Ok(())
}

fn of_connection(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.holder(&socket)?;
    see("it is the same socket", target.ask("id s")? == socket.id()?.as_u64().to_string());
    target.ask("send s from the target")?;
    see("the peer hears from the target", peer.hear(15)?);
    socket.send(b"from the source")?;
    see("the peer hears from the source", peer.hear(15)?);
    peer.send("to the target")?;
    see("the target receives", target.ask("receive s 13")?);
    peer.send("to the source")?;
    see("the source receives", take(&socket, 13));
    Ok(())
}

fn of_listener(stage: &Stage) -> Result<()> {
    let (listener, address) = listener()?;
    let mut target = stage.holder(&listener)?;
    see("it is the same socket", target.ask("id s")? == listener.id()?.as_u64().to_string());
    let mut peer = Peer::connect(address)?;
    see("the target accepts", target.ask("accept s c")?);
    target.ask("send c hello")?;
    see("the peer hears", peer.hear(5)?);
    Ok(())
}

fn udp_v4(stage: &Stage) -> Result<()> {
    datagrams(stage, UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?)
}

fn udp_v6(stage: &Stage) -> Result<()> {
    datagrams(stage, UdpSocket::bind("[::1]:0")?, UdpSocket::bind("[::1]:0")?)
}

fn datagrams(stage: &Stage, socket: UdpSocket, other: UdpSocket) -> Result<()> {
    socket.connect(other.local_addr()?)?;
    other.connect(socket.local_addr()?)?;
    other.set_read_timeout(Some(LONG))?;
    let socket = sharesock::Socket::from(socket);
    let mut target = stage.holder(&socket)?;
    see("it is the same socket", target.ask("id s")? == socket.id()?.as_u64().to_string());
    drop(socket);
    target.ask("send s hello")?;
    let mut bytes = [0; 10];
    let length = other.recv(&mut bytes)?;
    see("from the target comes", String::from_utf8_lossy(bytes.get(..length).unwrap_or_default()).into_owned());
    other.send(b"answer")?;
    see("the target receives", target.ask("receive s 100")?);
    Ok(())
}

fn tcp_v6(stage: &Stage) -> Result<()> {
    let listener = TcpListener::bind("[::1]:0")?;
    let mut peer = Peer::connect(listener.local_addr()?)?;
    let socket = sharesock::Socket::from(listener.accept()?.0);
    let mut target = stage.holder(&socket)?;
    drop(socket);
    target.ask("send s hello")?;
    see("the peer hears from the target", peer.hear(5)?);
    peer.send("answer")?;
    see("the target receives", target.ask("receive s 6")?);
    Ok(())
}

fn nothing_yet(stage: &Stage) -> Result<()> {
    let socket = unconnected()?;
    let mut target = stage.holder(&socket)?;
    let listener = TcpListener::bind(loopback())?;
    see("the target connects", target.ask(&format!("connect s {}", listener.local_addr()?))?);
    let (mut stream, _) = listener.accept()?;
    target.ask("send s hello")?;
    let mut bytes = [0; 5];
    std::io::Read::read_exact(&mut stream, &mut bytes)?;
    see("from the target comes", String::from_utf8_lossy(&bytes).into_owned());
    Ok(())
}

fn twice(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("the first redemption", target.ask(&format!("redeem s {info}"))?);
    see("the second", target.ask(&format!("redeem t {info}"))?);
    target.ask("send s hello")?;
    see("the peer hears from the first descriptor", peer.hear(5)?);
    done(&target.ask("close s")?)?;
    see("it is closed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn twice_closed(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    see("the first redemption", target.ask(&format!("redeem s {info}"))?);
    done(&target.ask("close s")?)?;
    see("the second, the first descriptor closed", target.ask(&format!("redeem s {info}"))?);
    Ok(())
}

fn race(stage: &Stage) -> Result<()> {
    const THREADS: usize = 8;
    let (_peer, socket) = connection()?;
    let (mut redeemed, mut refused) = (0, 0);
    for _ in 0..20 {
        let info = stage.endpoint.duplicate(&socket, std::process::id())?;
        let barrier = Barrier::new(THREADS);
        std::thread::scope(|scope| {
            let redeem = || {
                barrier.wait();
                stage.endpoint.redeem(&info)
            };
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(redeem)).collect();
            for thread in threads {
                match thread.join() {
                    Ok(Ok(_)) => redeemed += 1,
                    Ok(Err(Error::AlreadyRedeemed)) => refused += 1,
                    _ => {}
                }
            }
        });
    }
    see("of 8 threads and 20 infos succeeded", redeemed);
    see("were told that it was redeemed already", refused);
    Ok(())
}

fn elsewhere(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let (mut target, mut third) = (stage.actor()?, stage.actor()?);
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    see("a third process", third.ask(&format!("redeem s {info}"))?);
    see("the source", stage.endpoint.redeem(&info));
    see("the target", target.ask(&format!("redeem s {info}"))?);
    Ok(())
}

fn other_domain(stage: &Stage) -> Result<()> {
    let (_peer, socket) = connection()?;
    let other = sharesock::Endpoint::open(&sharesock::Domain::at(stage.path("other"))?)?;
    let info = stage.endpoint.duplicate(&socket, std::process::id())?;
    see("in another domain", other.redeem(&info));
    see("in its own", stage.endpoint.redeem(&info));
    Ok(())
}

fn expired(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let with = |time| stage.endpoint.duplicate_with(&socket, target.pid(), &DuplicateOptions::new().expires_in(time));
    let (short, long) = (with(Duration::from_millis(1))?, with(Duration::from_secs(3600))?);
    std::thread::sleep(Duration::from_millis(50));
    see("after its time", target.ask(&format!("redeem s {short}"))?);
    see("before its time", target.ask(&format!("redeem s {long}"))?);
    drop(socket);
    done(&target.ask("close s")?)?;
    see("all are closed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn revoked(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let options = DuplicateOptions::new();
    let (info, revocation) = stage.endpoint.duplicate_revocable(&socket, target.pid(), &options)?;
    let (kept, not_revoked) = stage.endpoint.duplicate_revocable(&socket, target.pid(), &options)?;
    see("revoking it", revocation.revoke());
    drop(not_revoked);
    see("redeeming what was revoked", target.ask(&format!("redeem s {info}"))?);
    see("again", target.ask(&format!("redeem s {info}"))?);
    see("redeeming what was not", target.ask(&format!("redeem s {kept}"))?);
    drop(socket);
    done(&target.ask("close s")?)?;
    see("all are closed, the peer hears", peer.hear(1)?);
    Ok(())
}

fn discarded(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let info = stage.endpoint.duplicate(&socket, target.pid())?;
    drop(socket);
    see("the source has closed, the peer hears", peer.listen()?);
    see("discarding it here", stage.endpoint.discard(&info));
    see("discarding it there", target.ask(&format!("discard {info}"))?);
    see("the peer hears", peer.hear(1)?);
    see("redeeming it", target.ask(&format!("redeem s {info}"))?);
    see("discarding it again", target.ask(&format!("discard {info}"))?);
    Ok(())
}

fn too_late(stage: &Stage) -> Result<()> {
    let (mut peer, socket) = connection()?;
    let mut target = stage.actor()?;
    let (info, revocation): (ProtocolInfo, _) =
        stage.endpoint.duplicate_revocable(&socket, target.pid(), &DuplicateOptions::new())?;
    done(&target.ask(&format!("redeem s {info}"))?)?;
    see("revoking what was redeemed", revocation.revoke());
    target.ask("send s hello")?;
    see("the peer hears from the target", peer.hear(5)?);
    Ok(())
}
