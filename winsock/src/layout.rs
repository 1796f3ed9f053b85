//! The structures of the interface, as they lie in a C program's memory. The headers assert the same sizes and offsets.

use crate::memory::{In, Out};

/// `WSADATA` on a 64-bit system.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WsaData {
    pub(crate) version: u16,
    pub(crate) high_version: u16,
    pub(crate) max_sockets: u16,
    pub(crate) max_datagram: u16,
    pub(crate) vendor_info: usize,
    pub(crate) description: [u8; 257],
    pub(crate) status: [u8; 129],
}

/// `WSPDATA`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WspData {
    pub(crate) version: u16,
    pub(crate) high_version: u16,
    pub(crate) description: [u16; 256],
}

/// `WSAPROTOCOL_INFOW` and `WSAPROTOCOL_INFOA`, which are bytes here.
pub(crate) type WideInfo = [u8; 628];
pub(crate) type NarrowInfo = [u8; 372];

/// `WSABUF`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WsaBuf {
    pub(crate) length: u32,
    pub(crate) bytes: usize,
}

/// `WSANETWORKEVENTS`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WsaNetworkEvents {
    pub(crate) events: i32,
    pub(crate) codes: [i32; 10],
}

/// `struct linger`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Linger {
    pub(crate) on: u16,
    pub(crate) seconds: u16,
}

/// `WSAPOLLFD`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WsaPollFd {
    pub(crate) socket: usize,
    pub(crate) events: i16,
    pub(crate) returned: i16,
}

/// `struct timeval`, as the C library has it.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct TimeVal {
    pub(crate) seconds: i64,
    pub(crate) microseconds: i64,
}

/// `struct addrinfo` in either width of text.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct AddrInfo<T> {
    pub(crate) flags: i32,
    pub(crate) family: i32,
    pub(crate) kind: i32,
    pub(crate) protocol: i32,
    pub(crate) address_length: usize,
    pub(crate) canonical_name: *mut T,
    pub(crate) address: *mut u8,
    pub(crate) next: *mut AddrInfo<T>,
}

/// `MSG`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub struct Msg {
    pub(crate) window: usize,
    pub(crate) message: u32,
    pub(crate) w: usize,
    pub(crate) l: isize,
    pub(crate) time: u32,
    pub(crate) point: [i32; 2],
    pub(crate) private: u32,
}

/// A window procedure.
pub type WndProc = unsafe extern "C" fn(usize, u32, usize, isize) -> isize;

/// `WNDCLASSA` and `WNDCLASSW`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WndClass<T> {
    pub(crate) style: u32,
    pub(crate) procedure: Option<WndProc>,
    pub(crate) class_extra: i32,
    pub(crate) window_extra: i32,
    pub(crate) others: [usize; 4],
    pub(crate) menu: *const T,
    pub(crate) name: *const T,
}

/// `WNDCLASSEXA` and `WNDCLASSEXW`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct WndClassEx<T> {
    pub(crate) size: u32,
    pub(crate) style: u32,
    pub(crate) procedure: Option<WndProc>,
    pub(crate) class_extra: i32,
    pub(crate) window_extra: i32,
    pub(crate) others: [usize; 4],
    pub(crate) menu: *const T,
    pub(crate) name: *const T,
    pub(crate) small_icon: usize,
}

/// `CREATESTRUCTA` and `CREATESTRUCTW`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CreateStruct {
    pub(crate) parameter: usize,
    pub(crate) instance: usize,
    pub(crate) menu: usize,
    pub(crate) parent: usize,
    pub(crate) place: [i32; 4],
    pub(crate) style: i32,
    pub(crate) name: usize,
    pub(crate) class: usize,
    pub(crate) extended_style: u32,
}

/// The condition of `WSAAccept`.
pub type Condition = unsafe extern "C" fn(
    caller: In<WsaBuf>,
    caller_data: In<WsaBuf>,
    quality: usize,
    group_quality: usize,
    callee: In<WsaBuf>,
    callee_data: Out<WsaBuf>,
    group: Out<u32>,
    data: usize,
) -> i32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_64_bit_windows() {
        assert_eq!([size_of::<WsaData>(), size_of::<WsaBuf>(), size_of::<WsaNetworkEvents>()], [408, 16, 44]);
        assert_eq!([size_of::<WsaPollFd>(), size_of::<AddrInfo<u8>>(), size_of::<Msg>()], [16, 48, 48]);
        assert_eq!([size_of::<WndClass<u8>>(), size_of::<WndClassEx<u8>>(), size_of::<CreateStruct>()], [72, 80, 80]);
    }
}
