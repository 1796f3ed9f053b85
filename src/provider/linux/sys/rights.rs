//! Descriptors in messages (`SCM_RIGHTS`).
//!
//! Whoever sends may have set options on a socket that we receive from, so that other control messages come along, one of
//! which also carries a descriptor (`SCM_PIDFD`). So what came is read here, byte by byte, and every descriptor gets an
//! owner.
#![allow(unsafe_code)]

use rustix::io::{Errno, IoSlice};
use rustix::net::sockopt;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// The most descriptors that the kernel takes in one message.
pub(crate) const MOST_RIGHTS: usize = 253;
/// Bytes before the descriptors of a control message: its length, level and type.
const HEAD: usize = size_of::<libc::cmsghdr>();
/// Room for control messages that nobody asked for: credentials, a label, a descriptor of a process.
const UNASKED: usize = 512;
const SMALL: usize = space(2);
const LARGE: usize = space(MOST_RIGHTS);
const SCM_PIDFD: libc::c_int = 4;

/// Bytes of a control message with so many descriptors.
const fn space(count: usize) -> usize {
    (HEAD + count * size_of::<RawFd>()).next_multiple_of(size_of::<usize>())
}

/// Control messages, aligned as the kernel wants them.
#[repr(C, align(8))]
struct Control<T, const N: usize>([T; N]);

type Unwritten<const N: usize> = Control<MaybeUninit<u8>, N>;

/// Whether a message stays in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Peek,
    Take,
}

/// One message that was looked at or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    /// Bytes of the message; more than the buffer has when it was longer.
    pub(crate) length: usize,
    /// Whether it has descriptors that found no place in this process's table.
    pub(crate) lacking: bool,
}

/// Sends one message of many parts with up to 253 descriptors, without waiting and without a signal.
pub(crate) fn send_rights(
    link: impl AsFd,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> rustix::io::Result<()> {
    match descriptors.len() {
        0..=2 => send(link.as_fd(), parts, descriptors, &mut Control([0; SMALL]).0),
        3..=MOST_RIGHTS => send(link.as_fd(), parts, descriptors, &mut Control([0; LARGE]).0),
        _ => Err(Errno::INVAL),
    }
}

fn send(
    link: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    control: &mut [u8],
) -> rustix::io::Result<()> {
    let length = HEAD + size_of_val(descriptors);
    let (head, places) = control.split_at_mut(HEAD);
    // A `cmsghdr`: the length as a `size_t`, then level and type.
    let (whole, rest) = head.split_at_mut(size_of::<usize>());
    let (level, kind) = rest.split_at_mut(size_of::<libc::c_int>());
    whole.copy_from_slice(&length.to_ne_bytes());
    level.copy_from_slice(&libc::SOL_SOCKET.to_ne_bytes());
    kind.copy_from_slice(&libc::SCM_RIGHTS.to_ne_bytes());
    for (place, descriptor) in places.chunks_exact_mut(size_of::<RawFd>()).zip(descriptors) {
        place.copy_from_slice(&descriptor.as_raw_fd().to_ne_bytes());
    }
    let mut message = empty_message();
    // `IoSlice` is laid out as `iovec`.
    message.msg_iov = parts.as_ptr().cast_mut().cast();
    message.msg_iovlen = parts.len() as _;
    if !descriptors.is_empty() {
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = length.next_multiple_of(size_of::<usize>()) as _;
    }
    loop {
        // SAFETY: `link` is open while it is borrowed; the parts and the control message outlive the call, which only reads
        // them; the descriptors in it are open while they are borrowed.
        let sent =
            unsafe { libc::sendmsg(link.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
        match sent {
            0.. => return Ok(()),
            _ => match last_error() {
                Errno::INTR => {}
                errno => return Err(errno),
            },
        }
    }
}

/// Looks at or takes one message, without waiting, and gives the descriptors that came with it to `each`, in order,
/// close-on-exec. `None` is the end of the link.
///
/// A message that is only looked at stays, and its descriptors are further ones of the same sockets.
pub(crate) fn receive_rights(
    link: impl AsFd,
    buffer: &mut [u8],
    each: impl FnMut(OwnedFd),
    look: Look,
) -> rustix::io::Result<Option<Message>> {
    let mut control: Unwritten<{ LARGE + UNASKED }> = Control([MaybeUninit::uninit(); LARGE + UNASKED]);
    receive(link.as_fd(), buffer, &mut control.0, each, look)
}

/// The same for a message that has no more than two descriptors.
pub(crate) fn receive_few(
    link: impl AsFd,
    buffer: &mut [u8],
    each: impl FnMut(OwnedFd),
    look: Look,
) -> rustix::io::Result<Option<Message>> {
    let mut control: Unwritten<{ SMALL + UNASKED }> = Control([MaybeUninit::uninit(); SMALL + UNASKED]);
    receive(link.as_fd(), buffer, &mut control.0, each, look)
}

/// Looks at or takes the bytes of one message alone: descriptors that it has are not received, and go with it when it is
/// taken. `None` is the end of the link.
pub(crate) fn receive_bytes(link: impl AsFd, buffer: &mut [u8], look: Look) -> rustix::io::Result<Option<usize>> {
    let message = receive(link.as_fd(), buffer, &mut [], drop, look)?;
    Ok(message.map(|message| message.length))
}

/// The first descriptor of the first message, which stays; nothing when there is none, or no place for it.
pub(crate) fn peek_first(link: impl AsFd) -> Option<OwnedFd> {
    let mut control: Unwritten<{ space(1) }> = Control([MaybeUninit::uninit(); space(1)]);
    // Without what aligns it, which would be room for a second.
    let control = control.0.get_mut(..HEAD + size_of::<RawFd>())?;
    let mut first = None;
    receive(link.as_fd(), &mut [0; 1], control, |descriptor| first = Some(descriptor), Look::Peek).ok()?;
    first
}

/// Whether nothing is in the queue of a link whose receiving was shut down; `false` when the kernel does not tell.
///
/// It is told by credentials, which the kernel adds to every message, also to one without bytes, and which find no room.
pub(crate) fn is_empty(link: impl AsFd) -> bool {
    let link = link.as_fd();
    if sockopt::set_socket_passcred(link, true).is_err() {
        return false;
    }
    let mut message = empty_message();
    // SAFETY: `link` is open while it is borrowed; the message has room for nothing, and outlives the call.
    let length = unsafe { libc::recvmsg(link.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT | libc::MSG_PEEK) };
    length == 0 && message.msg_flags & libc::MSG_CTRUNC == 0
}

fn receive(
    link: BorrowedFd<'_>,
    buffer: &mut [u8],
    control: &mut [MaybeUninit<u8>],
    each: impl FnMut(OwnedFd),
    look: Look,
) -> rustix::io::Result<Option<Message>> {
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut message = empty_message();
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    let peek = if look == Look::Peek { libc::MSG_PEEK } else { 0 };
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC | libc::MSG_TRUNC | peek;
    let length = loop {
        if !control.is_empty() {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = control.len() as _;
        }
        // SAFETY: `link` is open while it is borrowed; the kernel writes at most `buffer.len()` bytes into the buffer and
        // `control.len()` into the control messages, both of which outlive the call.
        match unsafe { libc::recvmsg(link.as_raw_fd(), &raw mut message, flags) } {
            -1 => match last_error() {
                Errno::INTR => {}
                errno => return Err(errno),
            },
            length => break usize::try_from(length).unwrap_or(0),
        }
    };
    // Another type with musl.
    #[allow(clippy::useless_conversion)]
    let written = usize::try_from(message.msg_controllen).unwrap_or(0).min(control.len());
    // SAFETY: the kernel has written so many bytes, which are not more than there are.
    let control = unsafe { std::slice::from_raw_parts(control.as_ptr().cast::<u8>(), written) };
    take_descriptors(control, each);
    // A socket whose peer has closed gives nothing; a message of no bytes is none of ours.
    Ok((length > 0).then_some(Message { length, lacking: message.msg_flags & libc::MSG_CTRUNC != 0 }))
}

/// Owns every descriptor in these control messages; those of `SCM_RIGHTS` are given to `each`.
fn take_descriptors(mut control: &[u8], mut each: impl FnMut(OwnedFd)) {
    loop {
        let Some((length, rest)) = control.split_first_chunk() else { return };
        let Some((level, rest)) = rest.split_first_chunk() else { return };
        let Some((kind, _)) = rest.split_first_chunk() else { return };
        let length = usize::from_ne_bytes(*length);
        let [level, kind] = [level, kind].map(|word| libc::c_int::from_ne_bytes(*word));
        let Some(body) = control.get(HEAD..length) else { return };
        if level == libc::SOL_SOCKET && matches!(kind, libc::SCM_RIGHTS | SCM_PIDFD) {
            for number in body.chunks_exact(size_of::<RawFd>()) {
                let number = number.try_into().map_or(-1, RawFd::from_ne_bytes);
                if number < 0 {
                    continue;
                }
                // SAFETY: the kernel put this descriptor into our table for this message a moment ago, and nobody else
                // knows of it.
                let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
                if kind == libc::SCM_RIGHTS {
                    each(descriptor);
                }
            }
        }
        let Some(next) = control.get(length.next_multiple_of(size_of::<usize>())..) else { return };
        control = next;
    }
}

fn empty_message() -> libc::msghdr {
    // SAFETY: `msghdr` is pointers and numbers, for which all zeroes is a value: an empty message.
    unsafe { std::mem::zeroed() }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, shutdown, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    #[test]
    fn what_is_sent_arrives_and_what_is_looked_at_stays() {
        let (one, two) = pair();
        let sockets: Vec<_> = (0..MOST_RIGHTS).map(|_| std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
        send_rights(&one, &[IoSlice::new(b"he"), IoSlice::new(b"llo")], &borrowed).unwrap();
        assert_eq!(send_rights(&one, &[IoSlice::new(b"x")], &[one.as_fd(); 254]), Err(Errno::INVAL));
        let mut buffer = [0; 9];
        assert_eq!(receive_bytes(&two, &mut buffer, Look::Peek), Ok(Some(5)));
        for look in [Look::Peek, Look::Take] {
            let mut came = Vec::new();
            let message = receive_rights(&two, &mut buffer, |socket| came.push(socket), look).unwrap();
            assert_eq!(message, Some(Message { length: 5, lacking: false }));
            assert_eq!(&buffer[..5], b"hello");
            let cookies = |sockets: &[BorrowedFd<'_>]| -> Vec<u64> {
                sockets.iter().map(|socket| sockopt::socket_cookie(socket).unwrap()).collect()
            };
            assert_eq!(cookies(&came.iter().map(AsFd::as_fd).collect::<Vec<_>>()), cookies(&borrowed));
        }
        assert_eq!(receive_few(&two, &mut buffer, drop, Look::Take), Err(Errno::AGAIN));
        drop(one);
        assert_eq!(receive_few(&two, &mut buffer, drop, Look::Take), Ok(None));
    }

    #[test]
    fn other_control_messages_leave_nothing_open() {
        let (one, two) = pair();
        sockopt::set_socket_passcred(&two, true).unwrap();
        // SO_PASSPIDFD, where the kernel has it (6.5).
        let on: libc::c_int = 1;
        // SAFETY: the kernel reads four bytes from `on`.
        unsafe { libc::setsockopt(two.as_raw_fd(), libc::SOL_SOCKET, 76, (&raw const on).cast(), 4) };
        send_rights(&one, &[IoSlice::new(b"x")], &[one.as_fd()]).unwrap();
        let mut came = Vec::new();
        let message = receive_few(&two, &mut [0; 4], |socket| came.push(socket), Look::Peek).unwrap().unwrap();
        assert_eq!((message, came.len()), (Message { length: 1, lacking: false }, 1));
        let targets = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
        let pidfds = targets.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("[pidfd]")));
        assert_eq!(pidfds.count(), 0);
    }

    #[test]
    fn the_first_of_many_descriptors_is_looked_at_alone() {
        let (one, two) = pair();
        send_rights(&one, &[IoSlice::new(b"x")], &[one.as_fd(), two.as_fd(), two.as_fd()]).unwrap();
        let first = peek_first(&two).unwrap();
        assert_eq!(sockopt::socket_cookie(first), sockopt::socket_cookie(&one));
    }

    #[test]
    fn an_empty_link_is_told_from_one_with_messages_of_no_bytes() {
        let empty = |messages: &[(&[u8], bool)], open: bool| {
            let (one, two) = pair();
            for (bytes, with) in messages {
                let descriptors: &[BorrowedFd<'_>] = if *with { &[one.as_fd()] } else { &[] };
                send_rights(&one, &[IoSlice::new(bytes)], descriptors).unwrap();
            }
            let one = open.then_some(one);
            shutdown(&two, Shutdown::Both).unwrap();
            drop(one);
            is_empty(&two)
        };
        for open in [true, false] {
            assert!(empty(&[], open));
            for first in [(&b""[..], false), (b"", true), (b"x", false), (b"x", true)] {
                assert!(!empty(&[first], open), "{first:?}");
                assert!(!empty(&[first, (b"", true)], open), "{first:?}");
            }
        }
        let (one, two) = pair();
        assert!(!is_empty(&one), "more may come");
        drop(two);
        assert!(!is_empty(std::net::TcpListener::bind("127.0.0.1:0").unwrap()));
    }

    #[test]
    fn control_messages_that_do_not_add_up_are_left() {
        for bytes in [vec![], vec![1; 7], vec![0; 64], vec![0xff; 64]] {
            take_descriptors(&bytes, |_| panic!("nothing was given"));
        }
    }
}
