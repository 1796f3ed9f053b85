//! The provider's floor: `WSPStartup` and the table of its procedures, each of which has its code in `lpErrno`.
#![allow(unsafe_code)]

use super::startup::{HIGHEST, negotiate};
use super::texts::{read_address, write_address};
use super::transfer::{receive_scattered, send_gathered};
use crate::boundary::{returned, spi};
use crate::code::{Code, Result};
use crate::layout::{Condition, TimeVal, WsaBuf, WsaNetworkEvents, WspData};
use crate::memory::{In, Out};
use crate::provider::{accept, connect, create, events, ioctl, options, refuse_overlapped, select, socket};
use crate::sign::WithoutSign;
use crate::state;

/// `WSPUPCALLTABLE`: what a layered provider would call; this one is a base provider, and its sockets are handles.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Upcalls([usize; 15]);

/// `WSPPROC_TABLE`: 30 procedures, in the order of their names.
type Table = [*const (); 30];

/// `WSPStartup`: fills the table. Counted with `WSAStartup`.
///
/// # Safety
/// As for every function of the interface: what the arguments point to is as long as they say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn WSPStartup(
    wanted: u16,
    data: Out<WspData>,
    _info: In<[u8; 628]>,
    _upcalls: Upcalls,
    table: Out<Table>,
) -> i32 {
    returned(|| {
        if data.is_null() || table.is_null() {
            return Err(Code::FAULT);
        }
        let version = negotiate(wanted)?;
        // The interface of providers began with version 2.
        if version & 0xff < 2 {
            return Err(Code::VERNOTSUPPORTED);
        }
        let mut description = [0; 256];
        description.iter_mut().zip("sharesock".encode_utf16()).for_each(|(place, unit)| *place = unit);
        data.put(WspData { version, high_version: HIGHEST, description })?;
        table.put(procedures())?;
        state::start();
        Ok(())
    })
}

/// Defines the procedures of the table.
macro_rules! procedures {
    ($(fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty, else $failed:expr; $body:block)+) => {
        $(
            unsafe extern "C" fn $name($($argument: $type,)* errno: Out<i32>) -> $result {
                spi(errno, $failed, || -> Result<$result> { $body })
            }
        )+

        fn procedures() -> Table {
            [$($name as *const ()),+]
        }
    };
}

/// `INVALID_SOCKET`.
const NONE: usize = usize::MAX;

procedures! {
    fn accept_(
        s: usize, name: Out<u8>, length: Out<i32>, condition: Option<Condition>, data: usize,
    ) -> usize, else NONE; {
        accept::accept(s, name, length, condition, data)
    }
    fn address_to_string(
        address: In<u8>, address_length: u32, _info: In<u8>, text: Out<u16>, length: Out<u32>,
    ) -> i32, else -1; {
        write_address(address, address_length, text, length)
    }
    fn async_select(s: usize, window: usize, message: u32, mask: i32) -> i32, else -1; {
        events::async_select(s, window, message, mask)?;
        Ok(0)
    }
    fn bind(s: usize, name: In<u8>, length: i32) -> i32, else -1; {
        connect::bind(s, name, length)?;
        Ok(0)
    }
    fn cancel_blocking_call() -> i32, else -1; {
        Err(Code::INVAL)
    }
    fn cleanup() -> i32, else -1; {
        state::clean_up()?;
        Ok(0)
    }
    fn close_socket(s: usize) -> i32, else -1; {
        create::close(s)?;
        Ok(0)
    }
    fn connect_(
        s: usize, name: In<u8>, length: i32, _caller: In<u8>, _callee: Out<u8>, _quality: In<u8>, _group: In<u8>,
    ) -> i32, else -1; {
        connect::connect(s, name, length)?;
        Ok(0)
    }
    fn duplicate_socket(s: usize, process: u32, info: Out<[u8; 628]>) -> i32, else -1; {
        info.put(create::duplicate(s, process, !info.is_null())?.to_wide_bytes())?;
        Ok(0)
    }
    fn enum_network_events(s: usize, event: usize, found: Out<WsaNetworkEvents>) -> i32, else -1; {
        events::enum_events(s, event, found)?;
        Ok(0)
    }
    fn event_select(s: usize, event: usize, mask: i32) -> i32, else -1; {
        events::event_select(s, event, mask)?;
        Ok(0)
    }
    fn get_overlapped_result(
        s: usize, _overlapped: usize, _transferred: Out<u32>, _wait: i32, _flags: Out<u32>,
    ) -> i32, else 0; {
        socket(s)?;
        Err(Code::OPNOTSUPP)
    }
    fn get_peer_name(s: usize, name: Out<u8>, length: Out<i32>) -> i32, else -1; {
        connect::peer_name(s, name, length)?;
        Ok(0)
    }
    fn get_sock_name(s: usize, name: Out<u8>, length: Out<i32>) -> i32, else -1; {
        connect::local_name(s, name, length)?;
        Ok(0)
    }
    fn get_sock_opt(s: usize, level: i32, name: i32, value: Out<u8>, length: Out<i32>) -> i32, else -1; {
        options::get(s, level, name, value, length)?;
        Ok(0)
    }
    fn get_qos_by_name(s: usize, _name: In<WsaBuf>, _quality: Out<u8>) -> i32, else 0; {
        socket(s)?;
        Err(Code::OPNOTSUPP)
    }
    fn ioctl_(
        s: usize, command: u32, input: In<u8>, input_length: u32, output: Out<u8>, output_length: u32,
        returned: Out<u32>, overlapped: usize, completion: usize, _thread: usize,
    ) -> i32, else -1; {
        socket(s)?;
        refuse_overlapped(overlapped, completion)?;
        ioctl::wsa_ioctl(s, command, &ioctl::Buffers { input, input_length, output, output_length, returned })?;
        Ok(0)
    }
    fn join_leaf(
        s: usize, _name: In<u8>, _length: i32, _caller: In<u8>, _callee: Out<u8>, _quality: In<u8>, _group: In<u8>,
        _flags: u32,
    ) -> usize, else NONE; {
        socket(s)?;
        Err(Code::OPNOTSUPP)
    }
    fn listen(s: usize, backlog: i32) -> i32, else -1; {
        connect::listen(s, backlog)?;
        Ok(0)
    }
    fn recv(
        s: usize, buffers: In<WsaBuf>, count: u32, received: Out<u32>, flags: Out<u32>, overlapped: usize,
        completion: usize, _thread: usize,
    ) -> i32, else -1; {
        receive_scattered(s, buffers, count, received, flags, None, overlapped, completion)
    }
    fn recv_disconnect(s: usize, _data: Out<WsaBuf>) -> i32, else -1; {
        connect::shutdown(s, 0)?;
        Ok(0)
    }
    fn recv_from(
        s: usize, buffers: In<WsaBuf>, count: u32, received: Out<u32>, flags: Out<u32>, from: Out<u8>,
        from_length: Out<i32>, overlapped: usize, completion: usize, _thread: usize,
    ) -> i32, else -1; {
        let from = Some((from, from_length)).filter(|(from, _)| !from.is_null());
        receive_scattered(s, buffers, count, received, flags, from, overlapped, completion)
    }
    fn select_(
        _count: i32, read: Out<u8>, write: Out<u8>, except: Out<u8>, timeout: In<TimeVal>,
    ) -> i32, else -1; {
        Ok(select::select(read, write, except, timeout)?.with_sign())
    }
    fn send(
        s: usize, buffers: In<WsaBuf>, count: u32, sent: Out<u32>, flags: u32, overlapped: usize, completion: usize,
        _thread: usize,
    ) -> i32, else -1; {
        send_gathered(s, buffers, count, sent, flags, None, overlapped, completion)
    }
    fn send_disconnect(s: usize, _data: In<WsaBuf>) -> i32, else -1; {
        connect::shutdown(s, 1)?;
        Ok(0)
    }
    fn send_to(
        s: usize, buffers: In<WsaBuf>, count: u32, sent: Out<u32>, flags: u32, to: In<u8>, to_length: i32,
        overlapped: usize, completion: usize, _thread: usize,
    ) -> i32, else -1; {
        send_gathered(s, buffers, count, sent, flags, Some((to, to_length)), overlapped, completion)
    }
    fn set_sock_opt(s: usize, level: i32, name: i32, value: In<u8>, length: i32) -> i32, else -1; {
        options::set(s, level, name, value, length)?;
        Ok(0)
    }
    fn shutdown(s: usize, how: i32) -> i32, else -1; {
        connect::shutdown(s, how)?;
        Ok(0)
    }
    fn socket_(
        family: i32, kind: i32, protocol: i32, info: In<[u8; 628]>, group: u32, flags: u32,
    ) -> usize, else NONE; {
        let info = if info.address() == 0 { None } else { Some(info.get()?) };
        create::socket((family, kind, protocol), info.as_ref().map(|info| &info[..]), group, flags)
    }
    fn string_to_address(
        text: In<u16>, family: i32, _info: In<u8>, address: Out<u8>, length: Out<i32>,
    ) -> i32, else -1; {
        read_address(text.text(), family, address, length)
    }
}
