//! `ioctlsocket` and `WSAIoctl`.
#![allow(unsafe_code)]

use super::socket;
use crate::code::{Code, Result};
use crate::memory::{In, Out};
use crate::sock::Sock;
use rustix::event::PollFlags;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Commands by Winsock's numbers.
const FIONBIO: u32 = 0x8004_667e;
const FIONREAD: u32 = 0x4004_667f;
const FIOASYNC: u32 = 0x8004_667d;
const SIOCATMARK: u32 = 0x4004_7307;
const ADDRESS_LIST_CHANGE: u32 = 0x2800_0017;
const KEEPALIVE_VALS: u32 = 0x9800_0004;
const UDP_CONNRESET: u32 = 0x9800_000c;

/// `SIOCATMARK` of the system.
const AT_MARK: libc::Ioctl = 0x8905;

/// What a command takes and gives: the caller's buffers, and where it wants to be told how much was written.
#[derive(Debug)]
pub(crate) struct Buffers {
    pub(crate) input: In<u8>,
    pub(crate) input_length: u32,
    pub(crate) output: Out<u8>,
    pub(crate) output_length: u32,
    pub(crate) returned: Out<u32>,
}

pub(crate) fn ioctlsocket(handle: usize, command: u32, argument: Out<u32>) -> Result<()> {
    let sock = socket(handle)?;
    match command {
        FIONBIO => set_nonblocking(&sock, argument.get()?),
        FIONREAD | SIOCATMARK => {
            if argument.is_null() {
                return Err(Code::FAULT);
            }
            argument.put(ask(&sock, command)?)
        }
        FIOASYNC => Err(Code::OPNOTSUPP),
        _ => Err(Code::INVAL),
    }
}

pub(crate) fn wsa_ioctl(handle: usize, command: u32, buffers: &Buffers) -> Result<()> {
    let sock = socket(handle)?;
    if buffers.returned.is_null() {
        return Err(Code::FAULT);
    }
    let input = |least: u32| match buffers.input_length >= least {
        true => buffers.input.many(usize::try_from(least).unwrap_or(0)),
        false => Err(Code::FAULT),
    };
    let word = |bytes: &[u8], at: usize| {
        bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_ne_bytes(*bytes))
    };
    let mut written = 0;
    match command {
        FIONBIO => set_nonblocking(&sock, word(&input(4)?, 0))?,
        FIONREAD | SIOCATMARK => {
            if buffers.output.is_null() || buffers.output_length < 4 {
                return Err(Code::FAULT);
            }
            buffers.output.put_many(&ask(&sock, command)?.to_ne_bytes())?;
            written = 4;
        }
        ADDRESS_LIST_CHANGE => await_address_change(&sock)?,
        KEEPALIVE_VALS => {
            let wanted = input(12)?;
            keep_alive(&sock, word(&wanted, 0) != 0, word(&wanted, 4), word(&wanted, 8))?;
        }
        // A datagram that reaches nobody is never told to a socket that is not connected.
        UDP_CONNRESET => drop(input(1)?),
        _ => return Err(Code::OPNOTSUPP),
    }
    buffers.returned.put(written)
}

fn set_nonblocking(sock: &Sock, on: u32) -> Result<()> {
    Ok(sock.socket.set_nonblocking(on != 0)?)
}

fn ask(sock: &Sock, command: u32) -> Result<u32> {
    if command == FIONREAD {
        return Ok(u32::try_from(rustix::io::ioctl_fionread(&sock.socket)?).unwrap_or(u32::MAX));
    }
    // Winsock asks the other way round: whether no urgent data is to be read.
    Ok((number(sock, AT_MARK)? == 0).into())
}

/// How many bytes that were sent are not acknowledged.
pub(crate) fn unsent(sock: &Sock) -> Option<u32> {
    number(sock, libc::TIOCOUTQ).ok().and_then(|bytes| u32::try_from(bytes).ok())
}

fn number(sock: &Sock, request: libc::Ioctl) -> Result<i32> {
    let mut number = 0;
    // SAFETY: these requests write one int, which `number` is.
    match unsafe { libc::ioctl(sock.socket.as_raw_fd(), request, &raw mut number) } {
        -1 => Err(std::io::Error::last_os_error().into()),
        _ => Ok(number),
    }
}

/// Times are in milliseconds.
fn keep_alive(sock: &Sock, on: bool, time: u32, interval: u32) -> Result<()> {
    let inner = sock.socket.as_socket();
    inner.set_keepalive(on)?;
    if on {
        // The system counts in seconds, of which there is at least one.
        let seconds = |time: u32| Duration::from_secs(u64::from(time).div_ceil(1000).clamp(1, 32_767));
        let times = socket2::TcpKeepalive::new().with_time(seconds(time)).with_interval(seconds(interval));
        inner.set_tcp_keepalive(&times)?;
    }
    Ok(())
}

/// Waits until an address of this host comes or goes. There is no event for it: a socket that does not block cannot
/// ask.
fn await_address_change(sock: &Sock) -> Result<()> {
    use rustix::net::netlink::SocketAddrNetlink;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
    /// `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.
    const GROUPS: u32 = 0x10 | 0x100;
    if !sock.is_blocking() {
        return Err(Code::OPNOTSUPP);
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let changes = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&changes, &SocketAddrNetlink::new(0, GROUPS))?;
    sock.wait_for(changes.as_fd(), PollFlags::IN, None)
}
