//! Sending and receiving.
#![allow(unsafe_code)]

use crate::address::from_caller;
use crate::boundary::winsock;
use crate::code::{Code, Result};
use crate::layout::WsaBuf;
use crate::memory::{In, Out};
use crate::provider::{receive, refuse_overlapped, send};
use crate::sign::{WithSign, WithoutSign};
use crate::transfer::Buffers;

fn length(sent: u32) -> i32 {
    i32::try_from(sent).unwrap_or(i32::MAX)
}

/// The address to send to, if there is one.
fn address(to: In<u8>, length: i32) -> Result<Option<socket2::SockAddr>> {
    if to.address() == 0 { Ok(None) } else { from_caller(to, length).map(Some) }
}

/// What `WSASend` and `WSASendTo` have in common.
#[allow(clippy::too_many_arguments)] // They are the interface's.
pub(super) fn send_gathered(
    s: usize,
    buffers: In<WsaBuf>,
    count: u32,
    sent: Out<u32>,
    flags: u32,
    to: Option<(In<u8>, i32)>,
    overlapped: usize,
    completion: usize,
) -> Result<i32> {
    crate::provider::socket(s)?;
    refuse_overlapped(overlapped, completion)?;
    if sent.is_null() {
        return Err(Code::FAULT);
    }
    let to = to.map_or(Ok(None), |(to, length)| address(to, length))?;
    let done = send::send(s, &mut Buffers::of(buffers, count)?, flags.with_sign(), to.as_ref())?;
    sent.put(done)?;
    Ok(0)
}

/// What `WSARecv` and `WSARecvFrom` have in common.
#[allow(clippy::too_many_arguments)] // They are the interface's.
pub(super) fn receive_scattered(
    s: usize,
    buffers: In<WsaBuf>,
    count: u32,
    received: Out<u32>,
    flags: Out<u32>,
    from: Option<(Out<u8>, Out<i32>)>,
    overlapped: usize,
    completion: usize,
) -> Result<i32> {
    crate::provider::socket(s)?;
    refuse_overlapped(overlapped, completion)?;
    if received.is_null() || flags.is_null() {
        return Err(Code::FAULT);
    }
    let asked = flags.get()?.with_sign();
    let (length, came) = receive::receive(s, &mut Buffers::of(buffers, count)?, asked, from)?;
    received.put(length)?;
    flags.put(came.without_sign())?;
    Ok(0)
}

winsock! {
    /// `send`.
    "sharesock_send" fn send(s: usize, bytes: In<u8>, count: i32, flags: i32) -> i32, else -1; {
        crate::provider::socket(s)?;
        Ok(length(send::send(s, &mut Buffers::one(bytes.raw().cast_mut(), count)?, flags, None)?))
    }

    /// `sendto`.
    "sharesock_sendto" fn sendto(
        s: usize, bytes: In<u8>, count: i32, flags: i32, to: In<u8>, to_length: i32,
    ) -> i32, else -1; {
        crate::provider::socket(s)?;
        let to = address(to, to_length)?;
        Ok(length(send::send(s, &mut Buffers::one(bytes.raw().cast_mut(), count)?, flags, to.as_ref())?))
    }

    /// `recv`.
    "sharesock_recv" fn recv(s: usize, bytes: Out<u8>, count: i32, flags: i32) -> i32, else -1; {
        crate::provider::socket(s)?;
        Ok(length(receive::receive(s, &mut Buffers::one(bytes.raw(), count)?, flags, None)?.0))
    }

    /// `recvfrom`.
    "sharesock_recvfrom" fn recvfrom(
        s: usize, bytes: Out<u8>, count: i32, flags: i32, from: Out<u8>, from_length: Out<i32>,
    ) -> i32, else -1; {
        crate::provider::socket(s)?;
        let from = Some((from, from_length)).filter(|(from, _)| !from.is_null());
        Ok(length(receive::receive(s, &mut Buffers::one(bytes.raw(), count)?, flags, from)?.0))
    }

    /// `WSASend`.
    "WSASend" fn wsa_send(
        s: usize, buffers: In<WsaBuf>, count: u32, sent: Out<u32>, flags: u32, overlapped: usize, completion: usize,
    ) -> i32, else -1; {
        send_gathered(s, buffers, count, sent, flags, None, overlapped, completion)
    }

    /// `WSASendTo`.
    "WSASendTo" fn wsa_send_to(
        s: usize, buffers: In<WsaBuf>, count: u32, sent: Out<u32>, flags: u32, to: In<u8>, to_length: i32,
        overlapped: usize, completion: usize,
    ) -> i32, else -1; {
        send_gathered(s, buffers, count, sent, flags, Some((to, to_length)), overlapped, completion)
    }

    /// `WSARecv`.
    "WSARecv" fn wsa_recv(
        s: usize, buffers: In<WsaBuf>, count: u32, received: Out<u32>, flags: Out<u32>, overlapped: usize,
        completion: usize,
    ) -> i32, else -1; {
        receive_scattered(s, buffers, count, received, flags, None, overlapped, completion)
    }

    /// `WSARecvFrom`.
    "WSARecvFrom" fn wsa_recv_from(
        s: usize, buffers: In<WsaBuf>, count: u32, received: Out<u32>, flags: Out<u32>, from: Out<u8>,
        from_length: Out<i32>, overlapped: usize, completion: usize,
    ) -> i32, else -1; {
        let from = Some((from, from_length)).filter(|(from, _)| !from.is_null());
        receive_scattered(s, buffers, count, received, flags, from, overlapped, completion)
    }

    /// `WSASendDisconnect`: data with it is what no protocol here has.
    "WSASendDisconnect" fn wsa_send_disconnect(s: usize, _data: In<WsaBuf>) -> i32, else -1; {
        crate::provider::connect::shutdown(s, 1)?;
        Ok(0)
    }

    /// `WSARecvDisconnect`.
    "WSARecvDisconnect" fn wsa_recv_disconnect(s: usize, _data: Out<WsaBuf>) -> i32, else -1; {
        crate::provider::connect::shutdown(s, 0)?;
        Ok(0)
    }

    /// `WSAGetOverlappedResult`: there is no overlapped operation whose result it could be.
    "WSAGetOverlappedResult" fn wsa_get_overlapped_result(
        s: usize, _overlapped: usize, _transferred: Out<u32>, _wait: i32, _flags: Out<u32>,
    ) -> i32, else 0; {
        crate::provider::socket(s)?;
        Err(Code::OPNOTSUPP)
    }
}
