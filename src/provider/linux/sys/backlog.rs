//! What the kernel tells of a socket beyond readiness.
#![allow(unsafe_code)]

use crate::connection::Connection;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};

/// States of a TCP connection, by the kernel's numbers, in which the other side has not ended it.
const OPEN: [u8; 3] = [1, 4, 5]; // ESTABLISHED, FIN_WAIT1, FIN_WAIT2
const CLOSED: u8 = 7;
/// SYN_SENT and SYN_RECV.
const CONNECTING: [u8; 2] = [2, 3];

/// How the TCP connection of a socket stands; nothing for a socket of another protocol.
pub(crate) fn tcp_connection(socket: BorrowedFd<'_>) -> Option<Connection> {
    let mut info = [0_u8; 136];
    option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    Some(match info[0] {
        state if OPEN.contains(&state) => Connection::Open,
        state if CONNECTING.contains(&state) => Connection::Connecting,
        // `tcpi_rtt` was measured when the connection was made; in `tcpi_bytes_acked` and `tcpi_bytes_received` a SYN
        // that was answered and a FIN count, too.
        CLOSED if info[68..72].iter().chain(&info[120..136]).all(|byte| *byte == 0) => Connection::Never,
        CLOSED => Connection::Over,
        _ => Connection::Ended,
    })
}

/// How many connections wait at a TCP listener.
pub(crate) fn waiting_connections(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut info = [0_u8; 28];
    option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    info.last_chunk().map(|count| u32::from_ne_bytes(*count))
}

/// How much memory the queue of a socket that receives takes, in bytes; nothing where the sender is charged.
pub(crate) fn queue_memory(socket: BorrowedFd<'_>) -> Option<u32> {
    let mut memory = [0_u8; 4];
    option(socket, libc::SOL_SOCKET, SO_MEMINFO, &mut memory)?;
    Some(u32::from_ne_bytes(memory))
}

const SO_MEMINFO: libc::c_int = 55;

/// Fills `value` with the beginning of an option's; nothing when the kernel gives less, or none.
fn option<const N: usize>(
    socket: BorrowedFd<'_>,
    level: libc::c_int,
    name: libc::c_int,
    value: &mut [u8; N],
) -> Option<()> {
    let mut length = libc::socklen_t::try_from(N).ok()?;
    let mut filled = MaybeUninit::new(*value);
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `filled`.
    let result =
        unsafe { libc::getsockopt(socket.as_raw_fd(), level, name, filled.as_mut_ptr().cast(), &raw mut length) };
    // SAFETY: it was initialised before, and any bytes are a value.
    *value = unsafe { filled.assume_init() };
    (result == 0 && usize::try_from(length) == Ok(N)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn the_kernel_tells() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(waiting_connections(listener.as_fd()), Some(0));
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(waiting_connections(listener.as_fd()), Some(1));
        let (mut server, _) = listener.accept().unwrap();
        assert_eq!(tcp_connection(client.as_fd()), Some(Connection::Open));
        client.shutdown(std::net::Shutdown::Read).unwrap();
        assert_eq!(tcp_connection(client.as_fd()), Some(Connection::Open));
        server.write_all(b"x").unwrap();
        drop(server);
        let _ = client.write_all(b"x");
        assert_ne!(tcp_connection(client.as_fd()), Some(Connection::Open));

        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(tcp_connection(udp.as_fd()), None);
        let empty = queue_memory(udp.as_fd()).unwrap();
        udp.send_to(b"x", udp.local_addr().unwrap()).unwrap();
        assert!(queue_memory(udp.as_fd()).unwrap() > empty);
    }
}
