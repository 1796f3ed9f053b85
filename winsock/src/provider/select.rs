//! `select` and `WSAPoll`.

use super::{is_stream, socket};
use crate::code::{Code, Result};
use crate::layout::{TimeVal, WsaPollFd};
use crate::memory::{In, Out};
use crate::sock::Sock;
use crate::state;
use crate::waiting::{Wanted, wait_on};
use rustix::event::PollFlags;
use sharesock::Connection;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// More sockets than this are in no set: what says so is no set.
const MOST: u32 = 1 << 16;

/// A set of sockets: a count, and as many handles.
#[derive(Debug, Clone, Copy)]
struct Set {
    count: Out<u32>,
    handles: Out<usize>,
}

/// Where the handles of a set begin.
const HANDLES_AT: usize = 8;

impl Set {
    fn of(set: Out<u8>) -> Option<Self> {
        let handles = Out::from_raw(set.raw().wrapping_add(HANDLES_AT)).cast();
        (!set.is_null()).then(|| Set { count: set.cast(), handles })
    }

    fn get(self) -> Result<Vec<usize>> {
        let count = self.count.get()?;
        if count > MOST {
            return Err(Code::INVAL);
        }
        self.handles.as_in().many(usize::try_from(count).unwrap_or(0))
    }

    fn put(self, handles: &[usize]) -> Result<()> {
        self.handles.put_many(handles)?;
        self.count.put(u32::try_from(handles.len()).unwrap_or(0))
    }
}

/// What is asked of one socket in one of the three sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Read,
    Write,
    Except,
}

pub(crate) fn select(read: Out<u8>, write: Out<u8>, except: Out<u8>, timeout: In<TimeVal>) -> Result<u32> {
    state::check_started()?;
    let timeout = match timeout.get_if() {
        None => None,
        Some(TimeVal { seconds, microseconds }) => {
            let seconds = u64::try_from(seconds).map_err(|_| Code::INVAL)?;
            let microseconds = u64::try_from(microseconds).map_err(|_| Code::INVAL)?;
            Some(Duration::from_secs(seconds).saturating_add(Duration::from_micros(microseconds)))
        }
    };
    let sets = [(Asked::Read, read), (Asked::Write, write), (Asked::Except, except)];
    let sets = sets.map(|(asked, set)| (asked, Set::of(set)));
    let mut members = Vec::new();
    for (asked, set) in sets {
        for handle in set.map_or(Ok(Vec::new()), Set::get)? {
            members.push((asked, handle, socket(handle)?));
        }
    }
    if members.is_empty() {
        return Err(Code::INVAL);
    }
    let ready = wait(&members, timeout)?;
    let mut count = 0;
    for (asked, set) in sets {
        let Some(set) = set else { continue };
        let ours = members.iter().zip(&ready).filter(|((whose, ..), ready)| *whose == asked && **ready);
        let handles: Vec<usize> = ours.map(|((_, handle, _), _)| *handle).collect();
        set.put(&handles)?;
        count += u32::try_from(handles.len()).unwrap_or(0);
    }
    Ok(count)
}

/// Whether a set has a socket.
pub(crate) fn contains(set: Out<u8>, handle: usize) -> Result<bool> {
    Ok(Set::of(set).ok_or(Code::FAULT)?.get()?.contains(&handle))
}

/// Which of the members are ready, once one is or the time is over.
fn wait(members: &[(Asked, usize, Arc<Sock>)], timeout: Option<Duration>) -> Result<Vec<bool>> {
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let flags = |asked: Asked| match asked {
        Asked::Read => PollFlags::IN,
        Asked::Write => PollFlags::OUT,
        Asked::Except => PollFlags::PRI,
    };
    // What is reported of a socket and is not ready in Winsock's sense would be reported for ever: it is asked no more
    // until there is a reason to look again.
    let mut silent = vec![false; members.len()];
    let socks = unique(members.iter().map(|(.., sock)| sock));
    loop {
        let asked = || members.iter().zip(&silent).filter(|(_, silent)| !**silent);
        let wanted: Vec<Wanted<'_>> = asked().map(|((asked, _, sock), _)| (sock.as_fd(), flags(*asked))).collect();
        let Some(found) = wait_on(&socks, &wanted, until)? else { return Ok(vec![false; members.len()]) };
        if socks.iter().any(|sock| sock.memory().closed) {
            return Err(Code::NOTSOCK);
        }
        if found.iter().all(PollFlags::is_empty) {
            silent.fill(false);
            continue;
        }
        let mut found = found.into_iter();
        let mut ready = Vec::with_capacity(members.len());
        for ((asked, _, sock), silent) in members.iter().zip(&mut silent) {
            let bits = if *silent { PollFlags::empty() } else { found.next().unwrap_or(PollFlags::empty()) };
            let is_ready = is_ready(*asked, bits, sock);
            *silent |= !bits.is_empty() && !is_ready;
            ready.push(is_ready);
        }
        if ready.contains(&true) {
            return Ok(ready);
        }
    }
}

/// Each socket once: a thread waits for each with one waker.
fn unique<'a>(socks: impl Iterator<Item = &'a Arc<Sock>>) -> Vec<&'a Sock> {
    let mut all: Vec<&Sock> = socks.map(|sock| &**sock).collect();
    all.sort_by_key(|sock| std::ptr::from_ref(*sock).addr());
    all.dedup_by_key(|sock| std::ptr::from_ref(*sock).addr());
    all
}

fn is_ready(asked: Asked, bits: PollFlags, sock: &Sock) -> bool {
    let over = bits.intersects(PollFlags::HUP | PollFlags::ERR);
    // A stream that was never connected is never ready; one whose attempt has failed is excepted.
    let never = over && is_stream(sock) && !was_connected(sock, bits);
    match asked {
        Asked::Read => !never && (over || bits.contains(PollFlags::IN)),
        Asked::Write => !never && (over || bits.contains(PollFlags::OUT)),
        Asked::Except => never && bits.contains(PollFlags::ERR) || bits.contains(PollFlags::PRI),
    }
}

fn was_connected(sock: &Sock, bits: PollFlags) -> bool {
    match sock.socket.connection() {
        Some(connection) => connection != Connection::Never,
        None => bits.contains(PollFlags::IN) || sock.socket.as_socket().peer_addr().is_ok(),
    }
}

/// Bits of `WSAPoll`, by Winsock's numbers.
const POLLERR: i16 = 0x1;
const POLLHUP: i16 = 0x2;
const POLLNVAL: i16 = 0x4;
const POLLWRNORM: i16 = 0x10;
const POLLWRBAND: i16 = 0x20;
const POLLRDNORM: i16 = 0x100;
const POLLRDBAND: i16 = 0x200;
const POLLPRI: i16 = 0x400;

pub(crate) fn poll(sockets: Out<WsaPollFd>, count: u32, timeout: i32) -> Result<u32> {
    state::check_started()?;
    if sockets.is_null() || count == 0 || count > MOST {
        return Err(if sockets.is_null() && count > 0 { Code::FAULT } else { Code::INVAL });
    }
    let mut asked = sockets.as_in().many(usize::try_from(count).unwrap_or(0))?;
    const MAY_BE_ASKED: i16 = POLLRDNORM | POLLRDBAND | POLLWRNORM | POLLWRBAND;
    if asked.iter().any(|one| one.events & !MAY_BE_ASKED != 0) {
        return Err(Code::INVAL);
    }
    let members: Vec<Option<Arc<Sock>>> = asked.iter().map(|one| socket(one.socket).ok()).collect();
    let invalid = members.iter().any(Option::is_none);
    let until = match u64::try_from(timeout) {
        _ if invalid => Some(Instant::now()),
        Ok(milliseconds) => Instant::now().checked_add(Duration::from_millis(milliseconds)),
        Err(_) => None,
    };
    let flags = |events: i16| {
        let mut flags = PollFlags::RDHUP;
        flags.set(PollFlags::IN, events & POLLRDNORM != 0);
        flags.set(PollFlags::PRI, events & POLLRDBAND != 0);
        flags.set(PollFlags::OUT, events & (POLLWRNORM | POLLWRBAND) != 0);
        flags
    };
    let known = || members.iter().zip(&asked).filter_map(|(sock, one)| Some((sock.as_deref()?, one.events)));
    let wanted: Vec<Wanted<'_>> = known().map(|(sock, events)| (sock.as_fd(), flags(events))).collect();
    let socks = unique(members.iter().flatten());
    let found = loop {
        let found = wait_on(&socks, &wanted, until)?;
        let closed = socks.iter().any(|sock| sock.memory().closed);
        match found {
            Some(found) if !closed && !invalid && found.iter().all(PollFlags::is_empty) => {}
            found => break found.unwrap_or_default(),
        }
    };
    let mut found = found.into_iter();
    let mut ready = 0;
    let mut answers = Vec::new();
    for (sock, one) in members.iter().zip(&asked) {
        let answer = match sock {
            None => POLLNVAL,
            Some(sock) if sock.memory().closed => POLLNVAL,
            Some(sock) => reported(sock, one.events, found.next().unwrap_or(PollFlags::empty())),
        };
        ready += u32::from(answer != 0);
        answers.push(answer);
    }
    for (one, returned) in asked.iter_mut().zip(answers) {
        one.returned = returned;
    }
    sockets.put_many(&asked)?;
    Ok(ready)
}

fn reported(sock: &Sock, events: i16, bits: PollFlags) -> i16 {
    let mut answer = 0;
    let mut also = |bit: i16, is: bool| {
        if is {
            answer |= bit
        }
    };
    let ended = bits.intersects(PollFlags::HUP | PollFlags::RDHUP);
    // The end of a stream is told as that, and what is unread before it as well.
    let unread = || rustix::io::ioctl_fionread(&sock.socket).is_ok_and(|bytes| bytes > 0);
    also(POLLRDNORM, events & POLLRDNORM != 0 && bits.contains(PollFlags::IN) && (!ended || unread()));
    also(POLLRDBAND, events & POLLRDBAND != 0 && bits.contains(PollFlags::PRI));
    let writable = events & POLLWRNORM != 0 && bits.contains(PollFlags::OUT) && !bits.contains(PollFlags::HUP);
    also(POLLWRNORM, writable);
    also(POLLHUP, ended);
    also(POLLERR, bits.contains(PollFlags::ERR));
    answer & !POLLPRI
}
