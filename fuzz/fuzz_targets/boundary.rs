//! The C library's functions with any handles, numbers and lengths: what a program may do wrong, short of pointers that
//! point to less than they say.
#![no_main]
#![allow(non_snake_case)]

use std::ptr::null_mut;
use std::sync::Once;

extern crate sharesock_winsock as _;

type Bytes = *mut u8;

unsafe extern "C" {
    fn WSAStartup(wanted: u16, data: Bytes) -> i32;
    fn WSACleanup() -> i32;
    fn WSASocketW(family: i32, kind: i32, protocol: i32, info: Bytes, group: u32, flags: u32) -> usize;
    fn WSADuplicateSocketW(s: usize, process: u32, info: Bytes) -> i32;
    fn WSAEventSelect(s: usize, event: usize, mask: i32) -> i32;
    fn WSAEnumNetworkEvents(s: usize, event: usize, found: Bytes) -> i32;
    fn WSAAsyncSelect(s: usize, window: usize, message: u32, mask: i32) -> i32;
    fn WSACreateEvent() -> usize;
    fn WSACloseEvent(event: usize) -> i32;
    fn WSASetEvent(event: usize) -> i32;
    fn WSAWaitForMultipleEvents(count: u32, events: *const usize, all: i32, time: u32, alertable: i32) -> u32;
    fn WSAPoll(sockets: Bytes, count: u32, time: i32) -> i32;
    fn WSAEnumProtocolsW(wanted: *const i32, place: Bytes, length: *mut u32) -> i32;
    fn WSAAddressToStringA(address: Bytes, length: u32, info: Bytes, text: Bytes, room: *mut u32) -> i32;
    fn WSAStringToAddressA(text: Bytes, family: i32, info: Bytes, address: Bytes, room: *mut i32) -> i32;
    fn WSAIoctl(
        s: usize,
        code: u32,
        input: Bytes,
        n: u32,
        output: Bytes,
        m: u32,
        returned: *mut u32,
        o: usize,
        c: usize,
    ) -> i32;
    fn sharesock_socket(family: i32, kind: i32, protocol: i32) -> usize;
    fn sharesock_closesocket(s: usize) -> i32;
    fn sharesock_bind(s: usize, name: Bytes, length: i32) -> i32;
    fn sharesock_connect(s: usize, name: Bytes, length: i32) -> i32;
    fn sharesock_listen(s: usize, backlog: i32) -> i32;
    fn sharesock_accept(s: usize, name: Bytes, length: *mut i32) -> usize;
    fn sharesock_shutdown(s: usize, how: i32) -> i32;
    fn sharesock_send(s: usize, bytes: Bytes, length: i32, flags: i32) -> i32;
    fn sharesock_sendto(s: usize, bytes: Bytes, length: i32, flags: i32, to: Bytes, to_length: i32) -> i32;
    fn sharesock_recv(s: usize, bytes: Bytes, length: i32, flags: i32) -> i32;
    fn sharesock_recvfrom(s: usize, b: Bytes, length: i32, flags: i32, from: Bytes, from_length: *mut i32) -> i32;
    fn sharesock_getsockopt(s: usize, level: i32, name: i32, value: Bytes, length: *mut i32) -> i32;
    fn sharesock_setsockopt(s: usize, level: i32, name: i32, value: Bytes, length: i32) -> i32;
    fn sharesock_getsockname(s: usize, name: Bytes, length: *mut i32) -> i32;
    fn sharesock_ioctlsocket(s: usize, command: i32, argument: *mut u32) -> i32;
    fn sharesock_CloseHandle(handle: usize) -> i32;
    fn sharesock_PeekMessageA(place: Bytes, window: usize, first: u32, last: u32, how: u32) -> i32;
    fn sharesock_DestroyWindow(window: usize) -> i32;
    fn sharesock_PostMessageA(window: usize, message: u32, w: usize, l: isize) -> i32;
}

/// Room for anything that is written, and the length that is told.
const ROOM: usize = 8192;

/// The rest of the input, taken piece by piece.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut taken = [0; N];
        let (first, rest) = self.0.split_at(N.min(self.0.len()));
        taken[..first.len()].copy_from_slice(first);
        self.0 = rest;
        taken
    }

    fn number(&mut self) -> i32 {
        i32::from_le_bytes(self.take())
    }

    /// A length that the buffers have, or one that is no length.
    fn length(&mut self) -> i32 {
        match self.number() {
            length @ ..=0 => length,
            length => length % (ROOM as i32 + 1),
        }
    }

    /// A handle that was given out, or any number.
    fn handle(&mut self, known: &[usize]) -> usize {
        let [which] = self.take();
        match known.get(usize::from(which)) {
            Some(handle) => *handle,
            None => usize::from_le_bytes(self.take()),
        }
    }
}

fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = std::env::temp_dir().join(format!("sharesock-fuzz-{}", std::process::id()));
        // SAFETY: no other thread runs yet.
        unsafe { std::env::set_var("SHARESOCK_DOMAIN", folder) };
    });
    let mut data = [0; 408];
    // SAFETY: a WSADATA has 408 bytes.
    assert_eq!(unsafe { WSAStartup(0x0202, data.as_mut_ptr()) }, 0);
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    start();
    let mut input = Input(bytes);
    let mut known: Vec<usize> = Vec::new();
    let keep = |handle: usize, known: &mut Vec<usize>| {
        if handle != usize::MAX && handle != 0 && known.len() < 100 {
            known.push(handle);
        }
    };
    let mut place = vec![0_u8; ROOM];
    let mut other = vec![0_u8; ROOM];
    while !input.0.is_empty() {
        let (one, two) = (place.as_mut_ptr(), other.as_mut_ptr());
        let [act] = input.take();
        // SAFETY: every pointer points to as much as is said, or is null; nothing waits.
        unsafe {
            match act % 34 {
                0 => {
                    let s = sharesock_socket(input.number(), input.number(), input.number());
                    sharesock_ioctlsocket(s, 0x8004_667e_u32 as i32, &mut 1);
                    keep(s, &mut known);
                }
                1 => {
                    // What a target would send to itself, or anything.
                    let info: [u8; 116] = input.take();
                    place[..116].copy_from_slice(&info);
                    let s = WSASocketW(input.number(), input.number(), input.number(), one, 0, input.number() as u32);
                    sharesock_ioctlsocket(s, 0x8004_667e_u32 as i32, &mut 1);
                    keep(s, &mut known);
                }
                2 => {
                    let s = input.handle(&known);
                    if WSADuplicateSocketW(s, std::process::id(), one) == 0 {
                        let [at, with]: [u8; 2] = input.take();
                        place[usize::from(at) % 116] ^= with;
                        keep(WSASocketW(-1, -1, -1, one, 0, 1), &mut known);
                    }
                }
                3 => drop(sharesock_closesocket(input.handle(&known))),
                4 => {
                    let (s, name) = (input.handle(&known), input.take::<28>());
                    place[..28].copy_from_slice(&name);
                    // Nothing beyond this machine: bound and connected to the loopback alone.
                    place[4..8].copy_from_slice(&[127, 0, 0, 1]);
                    place[0] = 2;
                    if input.take::<1>()[0] & 1 == 0 {
                        sharesock_bind(s, one, input.length());
                    } else {
                        place[2..4].copy_from_slice(&[0, 9]);
                        sharesock_connect(s, one, input.length());
                    }
                }
                5 => drop(sharesock_listen(input.handle(&known), input.number())),
                6 => {
                    let mut length = input.length();
                    keep(sharesock_accept(input.handle(&known), one, &mut length), &mut known);
                }
                7 => drop(sharesock_shutdown(input.handle(&known), input.number())),
                8 => drop(sharesock_send(input.handle(&known), one, input.length(), input.number())),
                9 => {
                    let s = input.handle(&known);
                    other[..16].copy_from_slice(&[2, 0, 0, 9, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
                    sharesock_sendto(s, one, input.length(), input.number(), two, input.length());
                }
                10 => drop(sharesock_recv(input.handle(&known), one, input.length(), input.number())),
                11 => {
                    let mut length = input.length();
                    sharesock_recvfrom(input.handle(&known), one, input.length(), input.number(), two, &mut length);
                }
                12 => {
                    let mut length = input.length();
                    sharesock_getsockopt(input.handle(&known), input.number(), input.number(), one, &mut length);
                }
                13 => {
                    let (s, level, name) = (input.handle(&known), input.number(), input.number());
                    // A receive that waits would keep the fuzzer.
                    sharesock_setsockopt(s, level, name, one, input.length());
                }
                14 => {
                    let mut length = input.length();
                    sharesock_getsockname(input.handle(&known), one, &mut length);
                }
                15 => {
                    let (s, command) = (input.handle(&known), input.number());
                    // Sockets do not block here.
                    if command as u32 != 0x8004_667e {
                        sharesock_ioctlsocket(s, command, &mut 0);
                    }
                }
                16 => {
                    let (s, code) = (input.handle(&known), input.number() as u32);
                    if code != 0x8004_667e {
                        let (n, m) = (input.length().max(0) as u32, input.length().max(0) as u32);
                        WSAIoctl(s, code, one, n, two, m, &mut 0, 0, 0);
                    }
                }
                17 => keep(WSACreateEvent(), &mut known),
                18 => drop(WSACloseEvent(input.handle(&known))),
                19 => drop(WSASetEvent(input.handle(&known))),
                20 => drop(WSAEventSelect(input.handle(&known), input.handle(&known), input.number())),
                21 => drop(WSAEnumNetworkEvents(input.handle(&known), input.handle(&known), one)),
                22 => drop(WSAAsyncSelect(input.handle(&known), input.handle(&known), 0x400, input.number())),
                23 => {
                    let handles: Vec<usize> = (0..input.take::<1>()[0]).map(|_| input.handle(&known)).collect();
                    WSAWaitForMultipleEvents(handles.len() as u32, handles.as_ptr(), input.number() & 1, 0, 0);
                }
                24 => {
                    let count = input.take::<1>()[0];
                    for at in 0..usize::from(count) {
                        let handle = input.handle(&known);
                        place[at * 16..at * 16 + 8].copy_from_slice(&handle.to_le_bytes());
                        place[at * 16 + 8..at * 16 + 10].copy_from_slice(&input.take::<2>());
                    }
                    WSAPoll(one, count.into(), 0);
                }
                25 => {
                    let mut length = input.length() as u32 % (ROOM as u32 + 1);
                    WSAEnumProtocolsW(null_mut(), one, &mut length);
                }
                26 => {
                    place[..28].copy_from_slice(&input.take::<28>());
                    let mut room = input.length().max(0) as u32;
                    WSAAddressToStringA(one, input.length().max(0) as u32, null_mut(), two, &mut room);
                }
                27 => {
                    place[..64].copy_from_slice(&input.take::<64>());
                    place[64] = 0;
                    let mut room = input.length();
                    WSAStringToAddressA(one, input.number(), null_mut(), two, &mut room);
                }
                28 => drop(sharesock_CloseHandle(input.handle(&known))),
                29 => drop(sharesock_PeekMessageA(one, input.handle(&known), 0, 0, 1)),
                30 => drop(sharesock_DestroyWindow(input.handle(&known))),
                31 => drop(sharesock_PostMessageA(input.handle(&known), input.number() as u32, 0, 0)),
                32 => drop(sharesock_getsockname(input.handle(&known), null_mut(), null_mut())),
                _ => drop(sharesock_recv(input.handle(&known), null_mut(), input.length(), 0)),
            }
        }
    }
    for handle in known {
        // SAFETY: handles alone.
        unsafe {
            sharesock_closesocket(handle);
            WSACloseEvent(handle);
        }
    }
    // SAFETY: started above.
    unsafe { WSACleanup() };
});
