//! Hosts and services by name.
#![allow(unsafe_code)]

use crate::boundary::{returned, set_last_error, winsock};
use crate::code::{Code, Result};
use crate::layout::AddrInfo;
use crate::memory::{In, Out};
use crate::names::hosts::{self, HostEnt, ProtoEnt, ServEnt};
use crate::names::lookup::{Letter, free, give, hints, look_up, name, put_text};
use crate::state;
use std::ffi::c_char;
use std::ptr;

/// These return their code, and keep it for the thread as well.
fn kept(act: impl FnOnce() -> Result<()>) -> i32 {
    let code = returned(act);
    set_last_error(code);
    code
}

fn names_of<T: Letter>(
    address: In<u8>,
    address_length: i32,
    (host, host_room): (Out<T>, u32),
    (service, service_room): (Out<T>, u32),
    flags: i32,
) -> Result<()> {
    state::check_started()?;
    let wants = |place: Out<T>, room: u32| !place.is_null() && room > 0;
    let found = name(address, address_length, wants(host, host_room), wants(service, service_room), flags)?;
    let put = |text: Option<String>, place: Out<T>, room: u32| match text {
        Some(text) => put_text(&text, place, usize::try_from(room).unwrap_or(0)),
        None => Ok(()),
    };
    put(found.0, host, host_room)?;
    put(found.1, service, service_room)
}

macro_rules! resolving {
    ($($look:literal $free:literal $names:literal: $letter:ty, $text:ty, fn $get:ident, fn $release:ident, fn $ask:ident;)+) => {$(
        /// `getaddrinfo`, in one width of text.
        ///
        /// # Safety
        /// As for every function of the interface: texts end with a null, and pointers point to what they say.
        #[unsafe(export_name = $look)]
        pub unsafe extern "C" fn $get(
            host: In<$text>,
            service: In<$text>,
            asked: In<AddrInfo<$letter>>,
            found: Out<*mut AddrInfo<$letter>>,
        ) -> i32 {
            kept(|| {
                state::check_started()?;
                if found.is_null() {
                    return Err(Code::FAULT);
                }
                found.put(ptr::null_mut())?;
                give(look_up(host.text_if(), service.text_if(), hints(asked))?, found)
            })
        }

        /// `freeaddrinfo`, in one width of text.
        ///
        /// # Safety
        /// The list came from the function above, and is given back once.
        #[unsafe(export_name = $free)]
        pub unsafe extern "C" fn $release(list: *mut AddrInfo<$letter>) {
            free(list);
        }

        /// `getnameinfo`, in one width of text.
        ///
        /// # Safety
        /// As for every function of the interface: the places are as long as is said.
        #[unsafe(export_name = $names)]
        pub unsafe extern "C" fn $ask(
            address: In<u8>,
            address_length: i32,
            host: Out<$letter>,
            host_room: u32,
            service: Out<$letter>,
            service_room: u32,
            flags: i32,
        ) -> i32 {
            kept(|| names_of(address, address_length, (host, host_room), (service, service_room), flags))
        }
    )+};
}

resolving! {
    "sharesock_getaddrinfo" "sharesock_freeaddrinfo" "sharesock_getnameinfo":
        u8, i8, fn getaddrinfo, fn freeaddrinfo, fn getnameinfo;
    "sharesock_GetAddrInfoW" "sharesock_FreeAddrInfoW" "sharesock_GetNameInfoW":
        u16, u16, fn get_addr_info_w, fn free_addr_info_w, fn get_name_info_w;
}

winsock! {
    /// `gethostname`.
    "sharesock_gethostname" fn gethostname(place: Out<u8>, room: i32) -> i32, else -1; {
        state::check_started()?;
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        put_text(&name, place, usize::try_from(room).map_err(|_| Code::FAULT)?)?;
        Ok(0)
    }

    /// `gethostbyname`: of version 4; the answer lasts until the thread's next.
    "sharesock_gethostbyname" fn gethostbyname(name: In<i8>) -> *const HostEnt, else ptr::null(); {
        state::check_started()?;
        hosts::host_by_name(&name.text_if().unwrap_or_default())
    }

    /// `gethostbyaddr`.
    "sharesock_gethostbyaddr" fn gethostbyaddr(
        address: In<u8>, length: i32, family: i32,
    ) -> *const HostEnt, else ptr::null(); {
        state::check_started()?;
        let length = usize::try_from(length).map_err(|_| Code::FAULT)?.min(16);
        hosts::host_by_address(&address.many(length)?, family)
    }

    /// `getservbyname`.
    "sharesock_getservbyname" fn getservbyname(name: In<i8>, protocol: In<i8>) -> *const ServEnt, else ptr::null(); {
        state::check_started()?;
        hosts::service(Some(name.text()?), 0, protocol.text_if())
    }

    /// `getservbyport`.
    "sharesock_getservbyport" fn getservbyport(port: i32, protocol: In<i8>) -> *const ServEnt, else ptr::null(); {
        state::check_started()?;
        hosts::service(None, port, protocol.text_if())
    }

    /// `getprotobyname`.
    "sharesock_getprotobyname" fn getprotobyname(name: In<i8>) -> *const ProtoEnt, else ptr::null(); {
        state::check_started()?;
        hosts::protocol(Some(name.text()?), 0)
    }

    /// `getprotobynumber`.
    "sharesock_getprotobynumber" fn getprotobynumber(number: i32) -> *const ProtoEnt, else ptr::null(); {
        state::check_started()?;
        hosts::protocol(None, number)
    }

    /// `gai_strerrorA`: the text lasts until the thread's next.
    "sharesock_gai_strerrorA" fn gai_strerror(code: i32) -> *const c_char, else ptr::null(); {
        Ok(hosts::keep_text(crate::names::explain(code)))
    }

    /// `gai_strerrorW`.
    "sharesock_gai_strerrorW" fn gai_strerror_w(code: i32) -> *const u16, else ptr::null(); {
        Ok(hosts::keep_wide(crate::names::explain(code)))
    }
}
