//! Protocol infos: duplicating, and the catalog.
#![allow(unsafe_code)]

use crate::boundary::winsock;
use crate::code::{Code, Result};
use crate::layout::{NarrowInfo, WideInfo};
use crate::memory::{In, Out};
use crate::provider::create::duplicate;
use crate::sign::WithSign;
use crate::state;
use sharesock::{CatalogEntry, ProtocolInfo};

/// Entries from here on are of sockets that Winsock does not have.
const FIRST_OWN: u32 = 1100;

/// The entries of the catalog for these protocols, or all; in a form of `size` bytes each.
fn list<const N: usize>(
    wanted: In<i32>,
    place: Out<[u8; N]>,
    length: Out<u32>,
    form: fn(&ProtocolInfo) -> [u8; N],
) -> Result<i32> {
    state::check_started()?;
    let room = length.get()?;
    let mut numbers = Vec::new();
    if !wanted.is_null() {
        // A list that ends with 0.
        while let Ok(number @ 1..) = wanted.at(numbers.len()) {
            numbers.push(number.without_sign());
        }
    }
    let is_wanted =
        |entry: &&CatalogEntry| entry.id < FIRST_OWN && (wanted.is_null() || numbers.contains(&entry.protocol));
    let entries: Vec<_> = CatalogEntry::all().iter().filter(is_wanted).collect();
    let needed = u32::try_from(entries.len() * N).unwrap_or(u32::MAX);
    if place.is_null() || room < needed {
        length.put(needed)?;
        return Err(Code::NOBUFS);
    }
    for (at, entry) in entries.iter().enumerate() {
        place.put_at(at, form(&ProtocolInfo::from(*entry)))?;
    }
    Ok(i32::try_from(entries.len()).unwrap_or(0))
}

winsock! {
    /// `WSADuplicateSocketW`.
    "WSADuplicateSocketW" fn wsa_duplicate_socket_w(s: usize, process: u32, info: Out<WideInfo>) -> i32, else -1; {
        let made = duplicate(s, process, !info.is_null())?;
        info.put(made.to_wide_bytes())?;
        Ok(0)
    }

    /// `WSADuplicateSocketA`.
    "WSADuplicateSocketA" fn wsa_duplicate_socket_a(s: usize, process: u32, info: Out<NarrowInfo>) -> i32, else -1; {
        let made = duplicate(s, process, !info.is_null())?;
        info.put(made.to_narrow_bytes())?;
        Ok(0)
    }

    /// `WSAEnumProtocolsW`.
    "WSAEnumProtocolsW" fn wsa_enum_protocols_w(wanted: In<i32>, place: Out<WideInfo>, length: Out<u32>) -> i32, else -1; {
        list(wanted, place, length, ProtocolInfo::to_wide_bytes)
    }

    /// `WSAEnumProtocolsA`.
    "WSAEnumProtocolsA" fn wsa_enum_protocols_a(
        wanted: In<i32>, place: Out<NarrowInfo>, length: Out<u32>,
    ) -> i32, else -1; {
        list(wanted, place, length, ProtocolInfo::to_narrow_bytes)
    }
}
