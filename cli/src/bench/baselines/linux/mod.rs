//! The work of the benchmark with bare system calls: what nothing built on them can be faster than.

mod served;

pub(crate) use served::{accepting, asking, handing};

use crate::bench::measure::each;
use crate::bench::roles::Actor;
use crate::bench::{Bench, Role};
use crate::procfs::machine::own_usage;
use anyhow::{Result, bail};
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair, sockopt,
};
use sharesock::Socket;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::Stdio;
use std::time::Instant;

/// Every measurement does all of its work here.
pub(crate) const LESS: u32 = 1;
/// Whether there are baselines here.
pub(crate) const MEASURED: bool = true;

/// The most descriptors in one message.
const MOST: usize = 253;
/// So many go into one message, as the library sends them.
const MANY: usize = 252;

/// Two ends of a SEQPACKET link with the buffer that the library asks for.
fn link() -> Result<(OwnedFd, OwnedFd)> {
    let (one, two) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_send_buffer_size(&one, 4 << 20)?;
    Ok((one, two))
}

/// Sends one message with descriptors, waiting while the queue is full.
fn send(link: &OwnedFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(descriptors));
    loop {
        match sendmsg(link, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return sent.map(drop).map_err(Into::into),
        }
    }
}

/// Takes one message and closes the descriptors that came with it; how many these were. 0 is the end.
fn receive(link: &OwnedFd, bytes: &mut [u8]) -> Result<usize> {
    receive_each(link, bytes, drop)
}

/// Takes one message, asks the socket that came with it for its identity, and closes it.
fn identify(link: &OwnedFd) -> Result<()> {
    let mut identity = Ok(0);
    receive_each(link, &mut [0; 64], |socket| identity = sockopt::socket_cookie(socket))?;
    identity.map(drop).map_err(Into::into)
}

/// Takes one message and writes one byte to the socket that came with it.
fn answer(link: &OwnedFd) -> Result<()> {
    let mut written = Ok(1);
    receive_each(link, &mut [0; 64], |socket| written = rustix::io::write(socket, b"x"))?;
    written.map(drop).map_err(Into::into)
}

fn receive_each(link: &OwnedFd, bytes: &mut [u8], each: impl FnMut(OwnedFd)) -> Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(link, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|part| match part {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    match rights.flatten().map(each).count() {
        0 if message.bytes > 0 => bail!("a message came without its descriptors"),
        count => Ok(count),
    }
}

/// The descriptors of `sockets`, borrowed.
fn borrowed(sockets: &[Socket]) -> Vec<BorrowedFd<'_>> {
    sockets.iter().map(AsFd::as_fd).collect()
}

/// One socket a message; microseconds each.
pub(crate) fn single(bench: &Bench, count: u32, socket: &Socket) -> Result<f64> {
    let (one, two) = link()?;
    let mut sink = Actor::start(Role::FloorSink, count, bench.domain(), two, None)?;
    let started = Instant::now();
    for _ in 0..count {
        let copy = socket.try_clone()?;
        send(&one, &[0; 12], &[copy.as_fd()])?;
    }
    sink.expect("done")?;
    Ok(each(started.elapsed(), count))
}

/// As many sockets a message as go into one.
pub(crate) fn batch(bench: &Bench, messages: u32, socket: &Socket) -> Result<f64> {
    let (one, two) = link()?;
    let count = messages * u32::try_from(MANY)?;
    let mut sink = Actor::start(Role::FloorSink, count, bench.domain(), two, None)?;
    let started = Instant::now();
    for _ in 0..messages {
        let copies = (0..MANY).map(|_| socket.try_clone()).collect::<Result<Vec<_>, _>>()?;
        send(&one, &[0; 8 + 4 * MANY], &borrowed(&copies))?;
    }
    sink.expect("done")?;
    Ok(each(started.elapsed(), count))
}

/// A socket over a link, and 628 bytes over a pipe.
pub(crate) fn redeem(bench: &Bench, count: u32, socket: &Socket) -> Result<f64> {
    let (one, two) = link()?;
    let mut sink = Actor::start(Role::FloorRedeem, count, bench.domain(), Stdio::piped(), Some(two.into()))?;
    let mut pipe = sink.input()?;
    let started = Instant::now();
    for _ in 0..count {
        send(&one, &[0; 40], &[socket.as_fd()])?;
        pipe.write_all(&[0; 628])?;
    }
    sink.expect("done")?;
    Ok(each(started.elapsed(), count))
}

/// One socket after the other, each answered over it; when that began.
pub(crate) fn answered(bench: &Bench, count: u32, inside: &Socket, mut outside: impl Read) -> Result<Instant> {
    let (one, two) = link()?;
    let _actor = Actor::start(Role::FloorAnswer, count, bench.domain(), two, None)?;
    let started = Instant::now();
    for _ in 0..count {
        send(&one, &[0; 12], &[inside.as_fd()])?;
        outside.read_exact(&mut [0; 1])?;
    }
    Ok(started)
}

/// The other process of one of these.
pub(crate) fn play(role: Role, count: u32, say: impl Fn(&str) -> Result<()>) -> Result<()> {
    match role {
        Role::FloorSink => {
            let link = std::io::stdin().as_fd().try_clone_to_owned()?;
            say("ready")?;
            let mut left = count as usize;
            let mut bytes = [0; 2048];
            while left > 0 {
                left = left.saturating_sub(receive(&link, &mut bytes)?.max(1));
            }
        }
        Role::FloorRedeem => {
            let link = std::io::stderr().as_fd().try_clone_to_owned()?;
            let mut pipe = std::io::stdin().lock();
            say("ready")?;
            let mut info = [0; 628];
            for _ in 0..count {
                pipe.read_exact(&mut info)?;
                identify(&link)?;
            }
        }
        Role::FloorAnswer => {
            let link = std::io::stdin().as_fd().try_clone_to_owned()?;
            say("ready")?;
            for _ in 0..count {
                answer(&link)?;
            }
        }
        Role::FloorFront | Role::FloorServe | Role::FloorAccept => served::play(role, count, say)?,
        _ => bail!("this is no floor"),
    }
    Ok(())
}

/// An epoll instance that watches sockets as a plain event loop does.
#[derive(Debug)]
pub(crate) struct Watch(OwnedFd);

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Watch(epoll::create(CreateFlags::CLOEXEC)?))
    }

    pub(crate) fn add(&self, socket: impl AsFd) -> Result<()> {
        Ok(epoll::add(&self.0, socket, EventData::new_u64(0), EventFlags::IN)?)
    }

    pub(crate) fn remove(&self, socket: impl AsFd) -> Result<()> {
        Ok(epoll::delete(&self.0, socket)?)
    }

    pub(crate) fn wait(&self) -> Result<()> {
        let mut events = [const { MaybeUninit::uninit() }; 64];
        epoll::wait(&self.0, &mut events[..], None)?;
        Ok(())
    }
}

/// Nanoseconds of a clock that all processes of the machine share.
pub(crate) fn clock() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Two ends of a stream.
pub(crate) fn pair() -> Result<(socket2::Socket, socket2::Socket)> {
    Ok(socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None)?)
}

/// A socket that costs as little as one can.
pub(crate) fn plain_socket() -> Result<Socket> {
    Ok(Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?)
}

/// Descriptors, threads and bytes of memory of this process, where that can be told.
pub(crate) fn usage() -> Result<Option<[u64; 3]>> {
    own_usage().map(Some)
}
