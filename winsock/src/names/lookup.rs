//! `getaddrinfo` and `getnameinfo`, in both widths of text.
#![allow(unsafe_code)]

use crate::address::{family_from_system, family_to_system, from_bytes, to_bytes};
use crate::code::{Code, Result};
use crate::layout::AddrInfo;
use crate::memory::{In, Out};
use socket2::{SockAddr, SockAddrStorage};
use std::ffi::{CStr, CString};
use std::mem::MaybeUninit;
use std::ptr;

/// Flags by Winsock's numbers, and the system's.
const FLAGS: [(i32, i32); 7] = [
    (0x1, libc::AI_PASSIVE),
    (0x2, libc::AI_CANONNAME),
    (0x4, libc::AI_NUMERICHOST),
    (0x8, libc::AI_NUMERICSERV),
    (0x100, libc::AI_ALL),
    (0x400, libc::AI_ADDRCONFIG),
    (0x800, libc::AI_V4MAPPED),
];
/// The same for `getnameinfo`.
const NAME_FLAGS: [(i32, i32); 5] = [
    (0x1, libc::NI_NOFQDN),
    (0x2, libc::NI_NUMERICHOST),
    (0x4, libc::NI_NAMEREQD),
    (0x8, libc::NI_NUMERICSERV),
    (0x10, libc::NI_DGRAM),
];

fn flags_to_system(flags: i32, known: &[(i32, i32)]) -> i32 {
    known.iter().filter(|(ours, _)| flags & ours != 0).fold(0, |all, (_, theirs)| all | theirs)
}

/// The code of what the resolver answers.
fn refused(answer: i32) -> Code {
    match answer {
        libc::EAI_BADFLAGS => Code::INVAL,
        libc::EAI_AGAIN => Code::TRY_AGAIN,
        libc::EAI_FAMILY => Code::AFNOSUPPORT,
        libc::EAI_MEMORY => Code::NOT_ENOUGH_MEMORY,
        libc::EAI_NONAME | libc::EAI_NODATA => Code::HOST_NOT_FOUND,
        libc::EAI_SERVICE => Code::TYPE_NOT_FOUND,
        libc::EAI_SOCKTYPE => Code::SOCKTNOSUPPORT,
        libc::EAI_SYSTEM => std::io::Error::last_os_error().into(),
        _ => Code::NO_RECOVERY,
    }
}

/// One answer.
#[derive(Debug)]
pub(crate) struct Answer {
    flags: i32,
    family: i32,
    kind: i32,
    protocol: i32,
    pub(crate) address: SockAddr,
    pub(crate) name: Option<String>,
}

/// What is asked beside names: flags, family, type and protocol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hints {
    pub(crate) flags: i32,
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
}

/// Asks the system's resolver.
pub(crate) fn look_up(host: Option<String>, service: Option<String>, hints: Hints) -> Result<Vec<Answer>> {
    if host.is_none() && service.is_none() {
        return Err(Code::HOST_NOT_FOUND);
    }
    // No name is this host's own.
    let own = || rustix::system::uname().nodename().to_string_lossy().into_owned();
    let host = host.map(|host| if host.is_empty() { own() } else { host });
    let text = |text: Option<String>| text.map(CString::new).transpose().map_err(|_| Code::HOST_NOT_FOUND);
    let (host, service) = (text(host)?, text(service)?);
    // SAFETY: an addrinfo of zeroes asks for nothing in particular.
    let mut asked: libc::addrinfo = unsafe { MaybeUninit::zeroed().assume_init() };
    asked.ai_flags = flags_to_system(hints.flags, &FLAGS);
    asked.ai_family = family_to_system(hints.family).ok_or(Code::AFNOSUPPORT)?;
    (asked.ai_socktype, asked.ai_protocol) = (hints.kind, hints.protocol);
    let as_pointer = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    let mut found = ptr::null_mut();
    // SAFETY: the texts end with a null and live until after the call, as do `asked` and `found`.
    let answer =
        unsafe { libc::getaddrinfo(as_pointer(&host), as_pointer(&service), &raw const asked, &raw mut found) };
    if answer != 0 {
        return Err(refused(answer));
    }
    let mut answers = Vec::new();
    let mut next = found;
    // SAFETY: the system's list, which is whole until it is freed below.
    while let Some(entry) = unsafe { next.as_ref() } {
        let mut storage = SockAddrStorage::zeroed();
        let length = usize::try_from(entry.ai_addrlen).unwrap_or(0).min(size_of::<libc::sockaddr_storage>());
        // SAFETY: the entry has an address of that length, for which the storage has room.
        let address = unsafe {
            (&raw mut storage).cast::<u8>().copy_from_nonoverlapping(entry.ai_addr.cast(), length);
            SockAddr::new(storage, entry.ai_addrlen)
        };
        // SAFETY: a name that is there ends with a null.
        let name = (!entry.ai_canonname.is_null()).then(|| unsafe { CStr::from_ptr(entry.ai_canonname) });
        answers.push(Answer {
            flags: hints.flags,
            family: family_from_system(entry.ai_family),
            kind: entry.ai_socktype,
            protocol: entry.ai_protocol,
            address,
            name: name.map(|name| name.to_string_lossy().into_owned()),
        });
        next = entry.ai_next;
    }
    // SAFETY: the list came from the call above, and nothing of it is used any more.
    unsafe { libc::freeaddrinfo(found) };
    Ok(answers)
}

/// A width of text.
pub(crate) trait Letter: Copy + Default + PartialEq {
    fn spell(text: &str) -> Vec<Self>;
}

impl Letter for u8 {
    fn spell(text: &str) -> Vec<u8> {
        text.bytes().filter(|byte| *byte != 0).collect()
    }
}

impl Letter for u16 {
    fn spell(text: &str) -> Vec<u16> {
        text.encode_utf16().filter(|unit| *unit != 0).collect()
    }
}

/// Gives the answers to a program, as a list that [`free`] takes back.
pub(crate) fn give<T: Letter>(answers: Vec<Answer>, place: Out<*mut AddrInfo<T>>) -> Result<()> {
    let mut list: *mut AddrInfo<T> = ptr::null_mut();
    for answer in answers.into_iter().rev() {
        let address = to_bytes(&answer.address).into_boxed_slice();
        let name = answer.name.map(|name| {
            let mut letters = T::spell(&name);
            letters.push(T::default());
            Box::into_raw(letters.into_boxed_slice()).cast::<T>()
        });
        list = Box::into_raw(Box::new(AddrInfo {
            flags: answer.flags,
            family: answer.family,
            kind: answer.kind,
            protocol: answer.protocol,
            address_length: address.len(),
            canonical_name: name.unwrap_or(ptr::null_mut()),
            address: Box::into_raw(address).cast(),
            next: list,
        }));
    }
    place.put(list)
}

/// Frees a list that [`give`] made.
pub(crate) fn free<T: Letter>(list: *mut AddrInfo<T>) {
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the program gives back what `give` made, unchanged, and once: each part came from a box.
        unsafe {
            let entry = Box::from_raw(next);
            drop(Box::from_raw(ptr::slice_from_raw_parts_mut(entry.address, entry.address_length)));
            if !entry.canonical_name.is_null() {
                let letters = (0..).take_while(|at| *entry.canonical_name.add(*at) != T::default()).count();
                drop(Box::from_raw(ptr::slice_from_raw_parts_mut(entry.canonical_name, letters + 1)));
            }
            next = entry.next;
        }
    }
}

/// The hints of a program.
pub(crate) fn hints<T: Copy>(hints: In<AddrInfo<T>>) -> Hints {
    hints.get_if().map_or(Hints::default(), |asked| Hints {
        flags: asked.flags,
        family: asked.family,
        kind: asked.kind,
        protocol: asked.protocol,
    })
}

/// The names of an address: of its host and of its service, if they are asked for.
pub(crate) fn name(
    address: In<u8>,
    length: i32,
    host: bool,
    service: bool,
    flags: i32,
) -> Result<(Option<String>, Option<String>)> {
    if !host && !service {
        return Err(Code::HOST_NOT_FOUND);
    }
    let length = usize::try_from(length).map_err(|_| Code::FAULT)?;
    let address = from_bytes(&address.many(length.min(size_of::<libc::sockaddr_storage>()))?)?;
    let (mut hosts, mut services) = ([0_u8; 1025], [0_u8; 64]);
    let room = |asked: bool, room: usize| libc::socklen_t::try_from(if asked { room } else { 0 }).unwrap_or(0);
    // SAFETY: the address and both places live until after the call, and are as long as is said.
    let answer = unsafe {
        libc::getnameinfo(
            address.as_ptr().cast(),
            address.len(),
            hosts.as_mut_ptr().cast(),
            room(host, hosts.len()),
            services.as_mut_ptr().cast(),
            room(service, services.len()),
            flags_to_system(flags, &NAME_FLAGS),
        )
    };
    if answer != 0 {
        return Err(refused(answer));
    }
    let text = |bytes: &[u8]| CStr::from_bytes_until_nul(bytes).map(|text| text.to_string_lossy().into_owned()).ok();
    Ok((text(&hosts).filter(|_| host), text(&services).filter(|_| service)))
}

/// Writes a text and its null to a place that has room for so many letters.
pub(crate) fn put_text<T: Letter>(text: &str, place: Out<T>, room: usize) -> Result<()> {
    let letters = T::spell(text);
    if letters.len() >= room {
        return Err(Code::FAULT);
    }
    place.put_many(&letters)?;
    place.put_at(letters.len(), T::default())
}
