//! Addresses: Winsock's numbers of families on one side, the system's on the other. Their layout is the same.
#![allow(unsafe_code)]

use crate::code::{Code, Result};
use crate::memory::{In, Out};
use socket2::{SockAddr, SockAddrStorage};

/// Families, by Winsock's numbers.
pub(crate) const UNSPECIFIED: i32 = 0;
pub(crate) const UNIX: i32 = 1;
pub(crate) const INET: i32 = 2;
pub(crate) const INET6: i32 = 23;

/// The bytes of an address that the system does not fill.
const LONGEST: usize = size_of::<libc::sockaddr_storage>();

/// The system's number of a family.
pub(crate) fn family_to_system(family: i32) -> Option<i32> {
    match family {
        UNSPECIFIED => Some(libc::AF_UNSPEC),
        UNIX => Some(libc::AF_UNIX),
        INET => Some(libc::AF_INET),
        INET6 => Some(libc::AF_INET6),
        _ => None,
    }
}

/// Winsock's number of a family.
pub(crate) fn family_from_system(family: i32) -> i32 {
    match family {
        libc::AF_INET6 => INET6,
        other => other,
    }
}

/// An address that a C program gives: `WSAEFAULT` when it is too short for its family.
pub(crate) fn from_caller(address: In<u8>, length: i32) -> Result<SockAddr> {
    let length = usize::try_from(length).ok().filter(|length| *length >= 2).ok_or(Code::FAULT)?.min(LONGEST);
    from_bytes(&address.many(length)?)
}

/// The same from bytes that were read.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<SockAddr> {
    let Some(family) = bytes.first_chunk().map(|bytes| i32::from(u16::from_ne_bytes(*bytes))) else {
        return Err(Code::FAULT);
    };
    let least = match family {
        INET => size_of::<libc::sockaddr_in>(),
        INET6 => size_of::<libc::sockaddr_in6>(),
        _ => 2,
    };
    let family = family_to_system(family).ok_or(Code::AFNOSUPPORT)?;
    let length = if least > 2 { least } else { bytes.len().min(LONGEST) };
    let bytes = bytes.get(..length).ok_or(Code::FAULT)?;
    let mut storage = SockAddrStorage::zeroed();
    let used = libc::socklen_t::try_from(length).map_err(|_| Code::FAULT)?;
    // SAFETY: `storage` has room for LONGEST bytes, of which `length` are written; zeroes and bytes are valid in it.
    unsafe {
        let start = (&raw mut storage).cast::<u8>();
        start.copy_from_nonoverlapping(bytes.as_ptr(), length);
        start.cast::<libc::sa_family_t>().write_unaligned(libc::sa_family_t::try_from(family).unwrap_or(0));
        Ok(SockAddr::new(storage, used))
    }
}

/// The bytes of an address as a C program sees it.
pub(crate) fn to_bytes(address: &SockAddr) -> Vec<u8> {
    let length = usize::try_from(address.len()).unwrap_or(0).min(LONGEST);
    // SAFETY: a SockAddr has LONGEST bytes, all of them written once.
    let bytes = unsafe { std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), length) };
    let mut bytes = bytes.to_vec();
    let family = u16::try_from(family_from_system(address.family().into())).unwrap_or(0);
    if let Some(place) = bytes.first_chunk_mut() {
        *place = family.to_ne_bytes();
    }
    bytes
}

/// Gives an address to a C program: nothing when it does not ask for one, `WSAEFAULT` when it has not enough room.
pub(crate) fn to_caller(address: &SockAddr, place: Out<u8>, length: Out<i32>) -> Result<()> {
    check_room(address, place, length)?;
    if place.is_null() || length.is_null() {
        return Ok(());
    }
    let bytes = to_bytes(address);
    place.put_many(&bytes)?;
    length.put(i32::try_from(bytes.len()).unwrap_or(0))
}

/// Whether an address would fit.
pub(crate) fn check_room(address: &SockAddr, place: Out<u8>, length: Out<i32>) -> Result<()> {
    // Whoever does not ask for both asks for none.
    if place.is_null() || length.is_null() {
        return Ok(());
    }
    let room = usize::try_from(length.get()?).map_err(|_| Code::FAULT)?;
    if room < usize::try_from(address.len()).unwrap_or(0) { Err(Code::FAULT) } else { Ok(()) }
}

/// The address in which a socket of this family has nothing.
pub(crate) fn is_unnamed(address: &SockAddr) -> bool {
    match address.as_socket() {
        Some(address) => address.port() == 0,
        None => address.len() <= 2,
    }
}

/// Whether it is the address of no host in particular, which Linux takes for this host's when it is connected to.
pub(crate) fn is_nowhere(address: &SockAddr) -> bool {
    address.as_socket().is_some_and(|address| address.ip().is_unspecified() || address.port() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    #[test]
    fn addresses_come_back_the_same_under_winsocks_family() {
        for text in ["127.0.0.1:80", "[::1]:443", "[fe80::1%3]:9"] {
            let address = SockAddr::from(text.parse::<SocketAddr>().unwrap());
            let bytes = to_bytes(&address);
            let family = if text.starts_with('[') { 23 } else { 2 };
            assert_eq!(u16::from_ne_bytes([bytes[0], bytes[1]]), family);
            assert_eq!(from_bytes(&bytes).unwrap().as_socket(), address.as_socket());
        }
        let path = SockAddr::unix("/tmp/somewhere").unwrap();
        assert_eq!(from_bytes(&to_bytes(&path)).unwrap(), path);
    }

    #[test]
    fn short_and_foreign_addresses_are_refused() {
        assert_eq!(from_bytes(&[2, 0, 0, 80]).unwrap_err(), Code::FAULT);
        assert_eq!(from_bytes(&[23; 1]).unwrap_err(), Code::FAULT);
        assert_eq!(from_bytes(&[99, 0, 0, 0]).unwrap_err(), Code::AFNOSUPPORT);
    }
}
