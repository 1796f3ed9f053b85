//! Numbers in the order of the network, and addresses as text.
#![allow(unsafe_code)]

use crate::address::{from_caller, to_caller};
use crate::boundary::winsock;
use crate::code::{Code, Result};
use crate::memory::{In, Out};
use crate::names::hosts::keep_text;
use crate::names::lookup::{Letter, put_text};
use crate::names::text::{format, from_bytes, length_of, old_form, parse, to_bytes};
use crate::state;
use std::ffi::c_char;
use std::ptr;

/// `INADDR_NONE`.
const NONE: u32 = u32::MAX;

macro_rules! orders {
    ($($export:literal fn $name:ident($type:ty) by $act:ident;)+) => {$(
        /// A number in the other order of bytes, if this machine's is not the network's.
        #[unsafe(export_name = $export)]
        pub extern "C" fn $name(number: $type) -> $type {
            <$type>::$act(number)
        }
    )+};
}

orders! {
    "sharesock_htonl" fn htonl(u32) by to_be;
    "sharesock_htons" fn htons(u16) by to_be;
    "sharesock_ntohl" fn ntohl(u32) by from_be;
    "sharesock_ntohs" fn ntohs(u16) by from_be;
}

/// Writes an address as text, and how many letters that takes with the null.
pub(super) fn write_address<T: Letter>(
    address: In<u8>,
    address_length: u32,
    text: Out<T>,
    length: Out<u32>,
) -> Result<i32> {
    state::check_started()?;
    let room = length.get()?;
    let address = from_caller(address, i32::try_from(address_length).map_err(|_| Code::FAULT)?)?;
    let written = format(&address)?;
    let needed = u32::try_from(T::spell(&written).len() + 1).unwrap_or(u32::MAX);
    length.put(needed)?;
    put_text(&written, text, usize::try_from(room).unwrap_or(0))?;
    Ok(0)
}

pub(super) fn read_address(text: Result<String>, family: i32, address: Out<u8>, length: Out<i32>) -> Result<i32> {
    state::check_started()?;
    let room = length.get()?;
    let found = parse(family, &text?)?;
    let needed = i32::try_from(found.len()).unwrap_or(i32::MAX);
    if room < needed {
        length.put(needed)?;
        return Err(Code::FAULT);
    }
    to_caller(&found, address, length)?;
    Ok(0)
}

fn number_to_text<T: Letter>(family: i32, address: In<u8>, text: Out<T>, room: usize) -> Result<Out<T>> {
    let written = from_bytes(&address.many(length_of(family)?)?)?;
    put_text(&written, text, room).map_err(|_| Code::INVALID_PARAMETER)?;
    Ok(text)
}

fn text_to_number(family: i32, text: Result<String>, address: Out<u8>) -> Result<i32> {
    let Some(bytes) = to_bytes(family, &text?)? else { return Ok(0) };
    address.put_many(&bytes)?;
    Ok(1)
}

winsock! {
    /// `WSAHtonl`.
    "WSAHtonl" fn wsa_htonl(s: usize, number: u32, place: Out<u32>) -> i32, else -1; {
        crate::provider::socket(s)?;
        place.put(number.to_be())?;
        Ok(0)
    }

    /// `WSAHtons`.
    "WSAHtons" fn wsa_htons(s: usize, number: u16, place: Out<u16>) -> i32, else -1; {
        crate::provider::socket(s)?;
        place.put(number.to_be())?;
        Ok(0)
    }

    /// `WSANtohl`.
    "WSANtohl" fn wsa_ntohl(s: usize, number: u32, place: Out<u32>) -> i32, else -1; {
        crate::provider::socket(s)?;
        place.put(u32::from_be(number))?;
        Ok(0)
    }

    /// `WSANtohs`.
    "WSANtohs" fn wsa_ntohs(s: usize, number: u16, place: Out<u16>) -> i32, else -1; {
        crate::provider::socket(s)?;
        place.put(u16::from_be(number))?;
        Ok(0)
    }

    /// `inet_addr`.
    "sharesock_inet_addr" fn inet_addr(text: In<i8>) -> u32, else NONE; {
        Ok(old_form(&text.text()?).map_or(NONE, |address| u32::from(address).to_be()))
    }

    /// `inet_ntoa`: the text lasts until the thread's next call.
    "sharesock_inet_ntoa" fn inet_ntoa(address: u32) -> *const c_char, else ptr::null(); {
        Ok(keep_text(&std::net::Ipv4Addr::from(u32::from_be(address)).to_string()))
    }

    /// `inet_pton`: 1, or 0 when the text is no address.
    "sharesock_inet_pton" fn inet_pton(family: i32, text: In<i8>, address: Out<u8>) -> i32, else -1; {
        text_to_number(family, text.text(), address)
    }

    /// `InetPtonW`.
    "sharesock_InetPtonW" fn inet_pton_w(family: i32, text: In<u16>, address: Out<u8>) -> i32, else -1; {
        text_to_number(family, text.text(), address)
    }

    /// `inet_ntop`.
    "sharesock_inet_ntop" fn inet_ntop(
        family: i32, address: In<u8>, text: Out<u8>, room: usize,
    ) -> Out<u8>, else Out::from_raw(ptr::null_mut()); {
        number_to_text(family, address, text, room)
    }

    /// `InetNtopW`.
    "sharesock_InetNtopW" fn inet_ntop_w(
        family: i32, address: In<u8>, text: Out<u16>, room: usize,
    ) -> Out<u16>, else Out::from_raw(ptr::null_mut()); {
        number_to_text(family, address, text, room)
    }

    /// `WSAStringToAddressA`.
    "WSAStringToAddressA" fn wsa_string_to_address_a(
        text: In<i8>, family: i32, _info: In<u8>, address: Out<u8>, length: Out<i32>,
    ) -> i32, else -1; {
        read_address(text.text(), family, address, length)
    }

    /// `WSAStringToAddressW`.
    "WSAStringToAddressW" fn wsa_string_to_address_w(
        text: In<u16>, family: i32, _info: In<u8>, address: Out<u8>, length: Out<i32>,
    ) -> i32, else -1; {
        read_address(text.text(), family, address, length)
    }

    /// `WSAAddressToStringA`.
    "WSAAddressToStringA" fn wsa_address_to_string_a(
        address: In<u8>, address_length: u32, _info: In<u8>, text: Out<u8>, length: Out<u32>,
    ) -> i32, else -1; {
        write_address(address, address_length, text, length)
    }

    /// `WSAAddressToStringW`.
    "WSAAddressToStringW" fn wsa_address_to_string_w(
        address: In<u8>, address_length: u32, _info: In<u8>, text: Out<u16>, length: Out<u32>,
    ) -> i32, else -1; {
        write_address(address, address_length, text, length)
    }
}
