//! Making, naming, connecting and closing sockets; their options.
#![allow(unsafe_code)]

use crate::boundary::winsock;
use crate::code::Code;
use crate::layout::{Condition, TimeVal, WsaPollFd};
use crate::memory::{In, Out};
use crate::provider::{accept, connect, create, ioctl, options, select};
use crate::sign::{WithSign, WithoutSign};
use crate::sock::Sock;
use crate::state;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// `INVALID_SOCKET`.
const NONE: usize = usize::MAX;

winsock! {
    /// `socket`.
    "sharesock_socket" fn socket(family: i32, kind: i32, protocol: i32) -> usize, else NONE; {
        create::socket((family, kind, protocol), None, 0, 0x1)
    }

    /// `WSASocketW`: a new socket, or one more descriptor of one that was duplicated for this process.
    "WSASocketW" fn wsa_socket_w(
        family: i32, kind: i32, protocol: i32, info: In<[u8; 628]>, group: u32, flags: u32,
    ) -> usize, else NONE; {
        state::check_started()?;
        let info = if info.address() == 0 { None } else { Some(info.get()?) };
        create::socket((family, kind, protocol), info.as_ref().map(|info| &info[..]), group, flags)
    }

    /// `WSASocketA`.
    "WSASocketA" fn wsa_socket_a(
        family: i32, kind: i32, protocol: i32, info: In<[u8; 372]>, group: u32, flags: u32,
    ) -> usize, else NONE; {
        state::check_started()?;
        let info = if info.address() == 0 { None } else { Some(info.get()?) };
        create::socket((family, kind, protocol), info.as_ref().map(|info| &info[..]), group, flags)
    }

    /// `closesocket`.
    "sharesock_closesocket" fn closesocket(s: usize) -> i32, else -1; {
        create::close(s)?;
        Ok(0)
    }

    /// `bind`.
    "sharesock_bind" fn bind(s: usize, name: In<u8>, length: i32) -> i32, else -1; {
        connect::bind(s, name, length)?;
        Ok(0)
    }

    /// `listen`.
    "sharesock_listen" fn listen(s: usize, backlog: i32) -> i32, else -1; {
        connect::listen(s, backlog)?;
        Ok(0)
    }

    /// `accept`.
    "sharesock_accept" fn accept(s: usize, name: Out<u8>, length: Out<i32>) -> usize, else NONE; {
        accept::accept(s, name, length, None, 0)
    }

    /// `WSAAccept`.
    "WSAAccept" fn wsa_accept(
        s: usize, name: Out<u8>, length: Out<i32>, condition: Option<Condition>, data: usize,
    ) -> usize, else NONE; {
        accept::accept(s, name, length, condition, data)
    }

    /// `connect`.
    "sharesock_connect" fn connect(s: usize, name: In<u8>, length: i32) -> i32, else -1; {
        connect::connect(s, name, length)?;
        Ok(0)
    }

    /// `WSAConnect`: data and quality of service are not sent, as Windows does for TCP.
    "WSAConnect" fn wsa_connect(
        s: usize, name: In<u8>, length: i32, _caller: In<u8>, _callee: Out<u8>, _quality: In<u8>, _group: In<u8>,
    ) -> i32, else -1; {
        connect::connect(s, name, length)?;
        Ok(0)
    }

    /// `shutdown`.
    "sharesock_shutdown" fn shutdown(s: usize, how: i32) -> i32, else -1; {
        connect::shutdown(s, how)?;
        Ok(0)
    }

    /// `getsockname`.
    "sharesock_getsockname" fn getsockname(s: usize, name: Out<u8>, length: Out<i32>) -> i32, else -1; {
        connect::local_name(s, name, length)?;
        Ok(0)
    }

    /// `getpeername`.
    "sharesock_getpeername" fn getpeername(s: usize, name: Out<u8>, length: Out<i32>) -> i32, else -1; {
        connect::peer_name(s, name, length)?;
        Ok(0)
    }

    /// `getsockopt`.
    "sharesock_getsockopt" fn getsockopt(
        s: usize, level: i32, name: i32, value: Out<u8>, length: Out<i32>,
    ) -> i32, else -1; {
        options::get(s, level, name, value, length)?;
        Ok(0)
    }

    /// `setsockopt`.
    "sharesock_setsockopt" fn setsockopt(s: usize, level: i32, name: i32, value: In<u8>, length: i32) -> i32, else -1; {
        options::set(s, level, name, value, length)?;
        Ok(0)
    }

    /// `ioctlsocket`.
    "sharesock_ioctlsocket" fn ioctlsocket(s: usize, command: i32, argument: Out<u32>) -> i32, else -1; {
        ioctl::ioctlsocket(s, command.without_sign(), argument)?;
        Ok(0)
    }

    /// `WSAIoctl`.
    "WSAIoctl" fn wsa_ioctl(
        s: usize, command: u32, input: In<u8>, input_length: u32, output: Out<u8>, output_length: u32,
        returned: Out<u32>, overlapped: usize, completion: usize,
    ) -> i32, else -1; {
        crate::provider::socket(s)?;
        crate::provider::refuse_overlapped(overlapped, completion)?;
        ioctl::wsa_ioctl(s, command, &ioctl::Buffers { input, input_length, output, output_length, returned })?;
        Ok(0)
    }

    /// `select`.
    "sharesock_select" fn select(
        _count: i32, read: Out<u8>, write: Out<u8>, except: Out<u8>, timeout: In<TimeVal>,
    ) -> i32, else -1; {
        Ok(select::select(read, write, except, timeout)?.with_sign())
    }

    /// `WSAPoll`.
    "WSAPoll" fn wsa_poll(sockets: Out<WsaPollFd>, count: u32, timeout: i32) -> i32, else -1; {
        Ok(select::poll(sockets, count, timeout)?.with_sign())
    }

    /// `__WSAFDIsSet`, behind `FD_ISSET`.
    "sharesock___WSAFDIsSet" fn is_set(s: usize, set: Out<u8>) -> i32, else 0; {
        Ok(select::contains(set, s)?.into())
    }

    /// `sharesock_adopt`: takes a descriptor of the C library over, which the handle owns from now on.
    "sharesock_adopt" fn adopt(descriptor: i32) -> usize, else NONE; {
        state::check_started()?;
        if descriptor < 0 || rustix::io::fcntl_getfd(borrow(descriptor)).is_err() {
            return Err(Code::NOTSOCK);
        }
        rustix::net::sockopt::socket_type(borrow(descriptor))?;
        rustix::io::fcntl_setfd(borrow(descriptor), rustix::io::FdFlags::CLOEXEC)?;
        // SAFETY: it is open, and the program gives it away.
        let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
        crate::provider::new_handle(Sock::new(sharesock::Socket::try_from(owned)?))
    }

    /// `sharesock_descriptor`: the descriptor behind a handle, which still owns it.
    "sharesock_descriptor" fn descriptor(s: usize) -> i32, else -1; {
        Ok(crate::provider::socket(s)?.socket.as_raw_fd())
    }
}

fn borrow(descriptor: i32) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: used for calls alone by which the kernel says whether it is open.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(descriptor) }
}
