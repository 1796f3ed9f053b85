//! Starting and ending the use of Winsock, and the code of the last error.
#![allow(unsafe_code)]

use crate::boundary::{last_error, returned, set_last_error, winsock};
use crate::code::Code;
use crate::layout::WsaData;
use crate::memory::Out;
use crate::state;

/// Version 2.2, as Winsock writes it: the lower byte is the major one.
pub(super) const HIGHEST: u16 = 0x0202;
const DESCRIPTION: &[u8] = b"sharesock, Winsock 2.2 for Linux";
const STATUS: &[u8] = b"Running";

/// The version that both can speak.
pub(super) fn negotiate(wanted: u16) -> Result<u16, Code> {
    let (major, minor) = (wanted & 0xff, wanted >> 8);
    match (major, minor) {
        (0, _) => Err(Code::VERNOTSUPPORTED),
        (1, 0 | 1) | (2, 0..=2) => Ok(wanted),
        (1, _) => Ok(0x0101),
        _ => Ok(HIGHEST),
    }
}

/// `WSAStartup`: returns its code, and keeps none.
///
/// # Safety
/// As for every function of the interface: what the arguments point to is as long as they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSAStartup(wanted: u16, data: Out<WsaData>) -> i32 {
    returned(|| {
        let version = negotiate(wanted);
        if data.is_null() {
            return Err(version.err().unwrap_or(Code::FAULT));
        }
        let mut told = WsaData {
            version: version.unwrap_or(HIGHEST),
            high_version: HIGHEST,
            max_sockets: if wanted & 0xff == 1 { 32_767 } else { 0 },
            max_datagram: if wanted & 0xff == 1 { 65_467 } else { 0 },
            vendor_info: 0,
            description: [0; 257],
            status: [0; 129],
        };
        told.description.iter_mut().zip(DESCRIPTION).for_each(|(place, byte)| *place = *byte);
        told.status.iter_mut().zip(STATUS).for_each(|(place, byte)| *place = *byte);
        data.put(told)?;
        version?;
        state::start();
        Ok(())
    })
}

/// `WSAGetLastError`, and `GetLastError`.
#[unsafe(no_mangle)]
pub extern "C" fn WSAGetLastError() -> i32 {
    last_error()
}

/// `WSASetLastError`, and `SetLastError`.
#[unsafe(no_mangle)]
pub extern "C" fn WSASetLastError(code: i32) {
    set_last_error(code);
}

winsock! {
    /// `WSACleanup`.
    "WSACleanup" fn wsa_cleanup() -> i32, else -1; {
        state::clean_up()?;
        Ok(0)
    }

    /// `WSAIsBlocking`: no call blocks in the way of Winsock 1.1.
    "WSAIsBlocking" fn wsa_is_blocking() -> i32, else 0; {
        state::check_started()?;
        Ok(0)
    }

    /// `WSACancelBlockingCall`: there is none that could be cancelled.
    "WSACancelBlockingCall" fn wsa_cancel_blocking_call() -> i32, else -1; {
        state::check_started()?;
        Err(Code::INVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_negotiated() {
        for (wanted, found) in
            [(0x0001, 0x0001), (0x0101, 0x0101), (0x0201, 0x0101), (0x0202, 0x0202), (0x0302, 0x0202)]
        {
            assert_eq!(negotiate(wanted), Ok(found), "{wanted:#x}");
        }
        assert_eq!(negotiate(0x0003), Ok(0x0202));
        assert_eq!(negotiate(0x0100), Err(Code::VERNOTSUPPORTED));
    }
}
