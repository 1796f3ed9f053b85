//! Options of sockets.
#![allow(unsafe_code)]

use super::options_table::{Form, IP, IPV6, SOCKET, TCP, UDP, find};
use super::{create::describe, is_stream, socket};
use crate::code::{Code, Result};
use crate::layout::Linger;
use crate::memory::{In, Out};
use crate::sign::WithSign;
use crate::sock::Sock;
use sharesock::ProtocolInfo;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Options of `SOL_SOCKET` that are not what they are called on Linux.
const REUSEADDR: i32 = 0x0004;
const EXCLUSIVEADDRUSE: i32 = !REUSEADDR;
const LINGER: i32 = 0x0080;
const DONTLINGER: i32 = !LINGER;
const SNDTIMEO: i32 = 0x1005;
const RCVTIMEO: i32 = 0x1006;
const ERROR: i32 = 0x1007;
const TYPE: i32 = 0x1008;
const MAX_MSG_SIZE: i32 = 0x2003;
const PROTOCOL_INFOA: i32 = 0x2004;
const PROTOCOL_INFOW: i32 = 0x2005;
const CONDITIONAL_ACCEPT: i32 = 0x3002;
const UPDATE_ACCEPT_CONTEXT: i32 = 0x700b;
const UPDATE_CONNECT_CONTEXT: i32 = 0x7010;
const CONNECT_TIME: i32 = 0x700c;

/// The longest value that is passed on as it is.
const LONGEST: usize = 256;

/// What a socket answers.
enum Value {
    Number(u32),
    Linger(Linger),
    Bytes(Vec<u8>),
}

pub(crate) fn get(handle: usize, level: i32, name: i32, value: Out<u8>, length: Out<i32>) -> Result<()> {
    let sock = socket(handle)?;
    let room = usize::try_from(length.get()?).map_err(|_| Code::FAULT)?;
    if value.is_null() {
        return Err(Code::FAULT);
    }
    let bytes = match answer(&sock, level, name)? {
        Value::Number(number) if room >= 4 => number.to_ne_bytes().to_vec(),
        // A truth value fits into one byte.
        Value::Number(number) if room >= 1 && (number <= 1 || level == IP && number <= 255) => {
            vec![u8::try_from(number).unwrap_or(0)]
        }
        Value::Linger(Linger { on, seconds }) => [on, seconds].map(u16::to_ne_bytes).concat(),
        Value::Bytes(bytes) => bytes,
        Value::Number(_) => return Err(Code::FAULT),
    };
    if room < bytes.len() {
        return Err(Code::FAULT);
    }
    value.put_many(&bytes)?;
    length.put(i32::try_from(bytes.len()).unwrap_or(0))
}

fn answer(sock: &Sock, level: i32, name: i32) -> Result<Value> {
    let inner = sock.socket.as_socket();
    let number = |truth: bool| Ok(Value::Number(truth.into()));
    let milliseconds = |time: Option<Duration>| {
        Value::Number(time.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)))
    };
    if level == SOCKET {
        match name {
            REUSEADDR => return number(reuses(sock)?),
            EXCLUSIVEADDRUSE => return number(is_exclusive(sock)?),
            LINGER => {
                let time = inner.linger()?;
                let seconds = time.map_or(0, |time| u16::try_from(time.as_secs()).unwrap_or(u16::MAX));
                return Ok(Value::Linger(Linger { on: time.is_some().into(), seconds }));
            }
            DONTLINGER => return number(inner.linger()?.is_none()),
            SNDTIMEO => return Ok(milliseconds(inner.write_timeout()?)),
            RCVTIMEO => return Ok(milliseconds(inner.read_timeout()?)),
            ERROR => {
                let error = inner.take_error()?;
                let code = error.map_or(0, |error| Code::from(error).0);
                return Ok(Value::Number(u32::try_from(code).unwrap_or(0)));
            }
            TYPE => return Ok(Value::Number(describe(sock)?.socket_type)),
            MAX_MSG_SIZE => return Ok(Value::Number(describe(sock)?.message_size)),
            PROTOCOL_INFOA => return Ok(Value::Bytes(ProtocolInfo::from(describe(sock)?).to_narrow_bytes().to_vec())),
            PROTOCOL_INFOW => return Ok(Value::Bytes(ProtocolInfo::from(describe(sock)?).to_wide_bytes().to_vec())),
            CONDITIONAL_ACCEPT => return number(sock.conditional.load(Ordering::Relaxed)),
            // What the application is not told is that it was never connected.
            CONNECT_TIME => return Ok(Value::Number(if inner.peer_addr().is_ok() { 0 } else { u32::MAX })),
            _ => {}
        }
    }
    check_level(sock, level)?;
    let known = find(level, name).ok_or(Code::NOPROTOOPT)?;
    let asked = |length: usize| system_get(sock, known.system, length);
    Ok(match known.form {
        Form::Bytes => Value::Bytes(asked(LONGEST)?),
        Form::Source => return Err(Code::NOPROTOOPT),
        Form::Bool => Value::Number((number_of(&asked(4)?) != 0).into()),
        Form::Size => Value::Number(number_of(&asked(4)?) / 2),
        Form::DontFragment => Value::Number((number_of(&asked(4)?) == libc::IP_PMTUDISC_DO.without_sign()).into()),
        Form::Number | Form::Asked => Value::Number(number_of(&asked(4)?)),
    })
}

pub(crate) fn set(handle: usize, level: i32, name: i32, value: In<u8>, length: i32) -> Result<()> {
    let sock = socket(handle)?;
    let length = usize::try_from(length).map_err(|_| Code::FAULT)?.min(LONGEST);
    if value.is_null() {
        // Only telling an accepted socket of its listener can do without.
        let optional = level == SOCKET && matches!(name, UPDATE_CONNECT_CONTEXT);
        return if optional { Ok(()) } else { Err(Code::FAULT) };
    }
    let bytes = value.many(length)?;
    let truth = || match bytes.len() {
        0 => Err(Code::FAULT),
        1..4 => Ok(bytes.first().is_some_and(|byte| *byte != 0)),
        _ => Ok(number_of(&bytes) != 0),
    };
    let number = || match bytes.first() {
        // Programs give a TTL in a char.
        Some(byte) if level == IP && bytes.len() < 4 => Ok(u32::from(*byte)),
        _ if bytes.len() < 4 => Err(Code::FAULT),
        _ => Ok(number_of(&bytes)),
    };
    let time = || number().map(|number| (number > 0).then(|| Duration::from_millis(number.into())));
    let inner = sock.socket.as_socket();
    if level == SOCKET {
        match name {
            REUSEADDR => return set_reuse(&sock, truth()?),
            EXCLUSIVEADDRUSE => return set_exclusive(&sock, truth()?),
            LINGER => {
                let [on, seconds] = match bytes.first_chunk::<4>() {
                    Some([a, b, c, d]) => [u16::from_ne_bytes([*a, *b]), u16::from_ne_bytes([*c, *d])],
                    None => return Err(Code::FAULT),
                };
                return Ok(inner.set_linger((on != 0).then(|| Duration::from_secs(seconds.into())))?);
            }
            DONTLINGER => {
                let lingers = !truth()?;
                return Ok(inner.set_linger(lingers.then_some(Duration::ZERO))?);
            }
            SNDTIMEO => return Ok(inner.set_write_timeout(time()?)?),
            RCVTIMEO => return Ok(inner.set_read_timeout(time()?)?),
            CONDITIONAL_ACCEPT => {
                sock.conditional.store(truth()?, Ordering::Relaxed);
                return Ok(());
            }
            UPDATE_ACCEPT_CONTEXT | UPDATE_CONNECT_CONTEXT => return Ok(()),
            TYPE if !is_stream(&sock) => return Err(Code::INVAL),
            _ => {}
        }
    }
    check_level(&sock, level)?;
    let known = find(level, name).ok_or(Code::NOPROTOOPT)?;
    let passed = match known.form {
        Form::Asked => return Err(Code::NOPROTOOPT),
        Form::Bytes => bytes,
        Form::Source => {
            // Group, source, interface; the system has group, interface, source.
            let part = |at: usize| bytes.get(at..at + 4).ok_or(Code::FAULT);
            [part(0)?, part(8)?, part(4)?].concat()
        }
        Form::Bool => u32::from(truth()?).to_ne_bytes().to_vec(),
        Form::DontFragment => {
            let mode = if truth()? { libc::IP_PMTUDISC_DO } else { libc::IP_PMTUDISC_DONT };
            mode.to_ne_bytes().to_vec()
        }
        Form::Number | Form::Size => number()?.to_ne_bytes().to_vec(),
    };
    system_set(&sock, known.system, &passed)
}

/// A level that the socket's protocol does not have is refused.
fn check_level(sock: &Sock, level: i32) -> Result<()> {
    let entry = describe(sock)?;
    let fits = match level {
        SOCKET => true,
        IP => entry.address_family == 2,
        IPV6 => entry.address_family == 23,
        TCP => entry.protocol == 6,
        UDP => entry.protocol == 17,
        _ => return Err(Code::INVAL),
    };
    if fits { Ok(()) } else { Err(Code::NOPROTOOPT) }
}

fn is_inet(sock: &Sock) -> bool {
    describe(sock).is_ok_and(|entry| matches!(entry.address_family, 2 | 23))
}

/// `SO_REUSEADDR` of Winsock lets several sockets have one address, which is `SO_REUSEPORT` on Linux.
fn reuses(sock: &Sock) -> Result<bool> {
    if !is_inet(sock) {
        return Ok(sock.socket.as_socket().reuse_address()?);
    }
    Ok(number_of(&system_get(sock, (libc::SOL_SOCKET, libc::SO_REUSEPORT), 4)?) != 0)
}

fn set_reuse(sock: &Sock, on: bool) -> Result<()> {
    let inner = sock.socket.as_socket();
    if !is_inet(sock) {
        return Ok(inner.set_reuse_address(on)?);
    }
    if on && is_exclusive(sock)? {
        return Err(Code::INVAL);
    }
    if !is_stream(sock) {
        // What lets datagrams to a group reach all that have its port.
        inner.set_reuse_address(on)?;
    }
    system_set(sock, (libc::SOL_SOCKET, libc::SO_REUSEPORT), &u32::from(on).to_ne_bytes())
}

fn is_exclusive(sock: &Sock) -> Result<bool> {
    match is_stream(sock) && is_inet(sock) {
        true => Ok(!sock.socket.as_socket().reuse_address()?),
        // That is how sockets for datagrams are, unless they say that they reuse.
        false => Ok(sock.exclusive.load(Ordering::Relaxed)),
    }
}

/// `SO_EXCLUSIVEADDRUSE` keeps even connections in TIME_WAIT from being passed over.
fn set_exclusive(sock: &Sock, on: bool) -> Result<()> {
    if on && reuses(sock)? {
        return Err(Code::INVAL);
    }
    if is_stream(sock) && is_inet(sock) {
        sock.socket.as_socket().set_reuse_address(!on)?;
    }
    sock.exclusive.store(on, Ordering::Relaxed);
    Ok(())
}

fn number_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

fn system_get(sock: &Sock, (level, name): (i32, i32), length: usize) -> Result<Vec<u8>> {
    let mut value = [MaybeUninit::<u8>::zeroed(); LONGEST];
    let mut used = libc::socklen_t::try_from(length.min(LONGEST)).unwrap_or(0);
    let socket = sock.socket.as_raw_fd();
    // SAFETY: the kernel writes at most `used` bytes, which `value` has.
    let result = unsafe { libc::getsockopt(socket, level, name, value.as_mut_ptr().cast(), &raw mut used) };
    if result != 0 {
        return Err(std::io::Error::last_os_error().into());
    }
    let used = usize::try_from(used).unwrap_or(0);
    // SAFETY: all bytes were zeroes before the kernel wrote some.
    Ok(value.iter().take(used).map(|byte| unsafe { byte.assume_init() }).collect())
}

fn system_set(sock: &Sock, (level, name): (i32, i32), value: &[u8]) -> Result<()> {
    let length = libc::socklen_t::try_from(value.len()).unwrap_or(0);
    // SAFETY: the kernel reads `length` bytes, which `value` has.
    let result = unsafe { libc::setsockopt(sock.socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error().into()) }
}
