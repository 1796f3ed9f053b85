//! The old functions that answer in memory of the thread: `gethostbyname`, `getservbyname` and their kin.
#![allow(unsafe_code)]

use super::lookup::{Hints, look_up};
use super::text::host_of;
use crate::address::{INET, INET6};
use crate::code::{Code, Result};
use crate::sign::WithoutSign;
use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::net::IpAddr;
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `struct hostent`.
#[repr(C)]
#[derive(Debug)]
pub struct HostEnt {
    name: *const c_char,
    aliases: *const *const c_char,
    family: i16,
    length: i16,
    addresses: *const *const u8,
}

/// `struct servent` on a 64-bit system.
#[repr(C)]
#[derive(Debug)]
pub struct ServEnt {
    name: *const c_char,
    aliases: *const *const c_char,
    protocol: *const c_char,
    port: i16,
}

/// `struct protoent`.
#[repr(C)]
#[derive(Debug)]
pub struct ProtoEnt {
    name: *const c_char,
    aliases: *const *const c_char,
    number: i16,
}

/// What the last answers of a thread lie in.
#[derive(Debug, Default)]
struct Answers {
    host: Option<Box<Held<HostEnt>>>,
    service: Option<Box<Held<ServEnt>>>,
    protocol: Option<Box<Held<ProtoEnt>>>,
    text: Option<CString>,
    wide: Vec<u16>,
}

/// A structure, and what its pointers point to.
#[derive(Debug)]
struct Held<T> {
    answer: T,
    _names: Vec<CString>,
    _bytes: Vec<Box<[u8]>>,
    _lists: (Vec<*const c_char>, Vec<*const u8>),
}

thread_local! {
    static ANSWERS: RefCell<Answers> = RefCell::new(Answers::default());
}

/// Has a thread keep an answer. One that is ending keeps none.
fn keep<T>(act: impl FnOnce(&mut Answers) -> T) -> Result<T> {
    ANSWERS.try_with(|answers| act(&mut answers.borrow_mut())).map_err(|_| Code::SYSCALLFAILURE)
}

/// The host with this name.
pub(crate) fn host_by_name(name: &str) -> Result<*const HostEnt> {
    let hints = Hints { flags: 0x2, family: INET, kind: 1, protocol: 0 };
    let answers = look_up(Some(name.to_owned()), None, hints)?;
    let canonical = answers.first().and_then(|answer| answer.name.clone()).unwrap_or_else(|| name.to_owned());
    let addresses: Vec<Box<[u8]>> = answers
        .iter()
        .filter_map(|answer| match host_of(&answer.address)? {
            IpAddr::V4(address) => Some(address.octets().to_vec().into_boxed_slice()),
            IpAddr::V6(_) => None,
        })
        .collect();
    if addresses.is_empty() {
        return Err(Code::NO_DATA);
    }
    keep_host(&canonical, INET, 4, addresses)
}

/// The host with this address.
pub(crate) fn host_by_address(bytes: &[u8], family: i32) -> Result<*const HostEnt> {
    let length = super::text::length_of(family)?;
    let bytes = bytes.get(..length).ok_or(Code::FAULT)?;
    let text = super::text::from_bytes(bytes)?;
    let address: IpAddr = text.parse().map_err(|_| Code::INVAL)?;
    let address = crate::address::to_bytes(&std::net::SocketAddr::new(address, 0).into());
    let length = i32::try_from(address.len()).map_err(|_| Code::FAULT)?;
    let (host, _) = super::lookup::name(crate::memory::In::from_raw(address.as_ptr()), length, true, false, 0x4)?;
    let size = if family == INET6 { 16 } else { 4 };
    keep_host(&host.ok_or(Code::HOST_NOT_FOUND)?, family, size, vec![bytes.to_vec().into_boxed_slice()])
}

fn keep_host(name: &str, family: i32, length: i16, bytes: Vec<Box<[u8]>>) -> Result<*const HostEnt> {
    let names = vec![CString::new(name).map_err(|_| Code::NO_RECOVERY)?];
    let aliases = vec![ptr::null()];
    let addresses: Vec<*const u8> = bytes.iter().map(|bytes| bytes.as_ptr()).chain([ptr::null()]).collect();
    let answer = HostEnt {
        name: names.first().map_or(ptr::null(), |name| name.as_ptr()),
        aliases: aliases.as_ptr(),
        family: i16::try_from(family).unwrap_or(0),
        length,
        addresses: addresses.as_ptr(),
    };
    let held = Box::new(Held { answer, _names: names, _bytes: bytes, _lists: (aliases, addresses) });
    keep(|answers| &raw const answers.host.insert(held).answer)
}

/// The system's own answers lie in memory that all threads share.
static ASKING: Mutex<()> = Mutex::new(());

/// One thread asks the system at a time.
pub(crate) fn asking() -> MutexGuard<'static, ()> {
    ASKING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Copies a text of the system's, and its list of others.
fn texts(first: *const c_char, more: *const *mut c_char) -> Vec<CString> {
    let mut found = Vec::new();
    // SAFETY: the system's texts end with a null, and its list with a null pointer; nobody changes them meanwhile.
    unsafe {
        found.push(CStr::from_ptr(first).to_owned());
        let mut at = more;
        while !at.is_null() && !(*at).is_null() {
            found.push(CStr::from_ptr(*at).to_owned());
            at = at.add(1);
        }
    }
    found
}

/// Pointers to the texts from the second on, with a null at the end.
fn list(names: &[CString]) -> Vec<*const c_char> {
    names.iter().skip(1).map(|name| name.as_ptr()).chain([ptr::null()]).collect()
}

/// A service by its name or by its port, which is in the order of the network.
pub(crate) fn service(name: Option<String>, port: i32, protocol: Option<String>) -> Result<*const ServEnt> {
    let protocol = protocol.map(CString::new).transpose().map_err(|_| Code::NO_DATA)?;
    let wanted = protocol.as_ref().map_or(ptr::null(), |protocol| protocol.as_ptr());
    let name = name.map(CString::new).transpose().map_err(|_| Code::NO_DATA)?;
    let asking = asking();
    // SAFETY: the texts end with a null, and live until after the call.
    let found = unsafe {
        match &name {
            Some(name) => libc::getservbyname(name.as_ptr(), wanted).as_ref(),
            None => libc::getservbyport(port, wanted).as_ref(),
        }
    };
    let found = found.ok_or(Code::NO_DATA)?;
    let mut names = texts(found.s_name, found.s_aliases);
    let others = texts(found.s_proto, ptr::null());
    let aliases = list(&names);
    let protocol = others.first().map_or(ptr::null(), |protocol| protocol.as_ptr());
    let port = u16::try_from(found.s_port & 0xffff).unwrap_or(0).with_sign();
    drop(asking);
    let answer = ServEnt {
        name: names.first().map_or(ptr::null(), |name| name.as_ptr()),
        aliases: aliases.as_ptr(),
        protocol,
        port,
    };
    names.extend(others);
    let held = Box::new(Held { answer, _names: names, _bytes: Vec::new(), _lists: (aliases, Vec::new()) });
    keep(|answers| &raw const answers.service.insert(held).answer)
}

/// A protocol by its name or number.
pub(crate) fn protocol(name: Option<String>, number: i32) -> Result<*const ProtoEnt> {
    let name = name.map(CString::new).transpose().map_err(|_| Code::NO_DATA)?;
    let asking = asking();
    // SAFETY: the text ends with a null, and lives until after the call.
    let found = unsafe {
        match &name {
            Some(name) => libc::getprotobyname(name.as_ptr()).as_ref(),
            None => libc::getprotobynumber(number).as_ref(),
        }
    };
    let found = found.ok_or(Code::NO_DATA)?;
    let names = texts(found.p_name, found.p_aliases);
    let number = i16::try_from(found.p_proto).unwrap_or(0);
    drop(asking);
    let aliases = list(&names);
    let answer =
        ProtoEnt { name: names.first().map_or(ptr::null(), |name| name.as_ptr()), aliases: aliases.as_ptr(), number };
    let held = Box::new(Held { answer, _names: names, _bytes: Vec::new(), _lists: (aliases, Vec::new()) });
    keep(|answers| &raw const answers.protocol.insert(held).answer)
}

/// A text that lasts until the thread's next (`inet_ntoa`, `gai_strerror`).
pub(crate) fn keep_text(text: &str) -> *const c_char {
    let text = CString::new(text).unwrap_or_default();
    keep(|answers| answers.text.insert(text).as_ptr()).unwrap_or(ptr::null())
}

/// The same in wide letters.
pub(crate) fn keep_wide(text: &str) -> *const u16 {
    let kept = keep(|answers| {
        answers.wide = text.encode_utf16().chain([0]).collect();
        answers.wide.as_ptr()
    });
    kept.unwrap_or(ptr::null())
}
