//! Making sockets: new ones, and descriptors of those that another process has duplicated.

use super::new_handle;
use crate::address::{INET, INET6, UNIX, UNSPECIFIED, family_to_system};
use crate::boundary::set_last_error;
use crate::code::{Code, Result};
use crate::sign::WithoutSign;
use crate::sock::Sock;
use crate::state;
use sharesock::{CatalogEntry, Process, ProtocolInfo, Socket};

const STREAM: i32 = 1;
const DGRAM: i32 = 2;
const RAW: i32 = 3;
const SEQPACKET: i32 = 5;
const TCP: i32 = 6;
const UDP: i32 = 17;

/// Flags of `WSASocket`: those that have a meaning, and those that need multipoint.
const FLAGS: u32 = 0x1df;
const MULTIPOINT: u32 = 0x1e;

/// What a program asks for: family, type and protocol by Winsock's numbers; 0 and, with a protocol info, -1 are open.
pub(crate) type Triple = (i32, i32, i32);

/// Makes a socket, or redeems `info`, which is the bytes of a WSAPROTOCOL_INFO of either form.
pub(crate) fn socket(asked: Triple, info: Option<&[u8]>, group: u32, flags: u32) -> Result<usize> {
    state::check_started()?;
    if flags & !FLAGS != 0 {
        return Err(Code::PROTOTYPE);
    }
    if group != 0 || flags & MULTIPOINT != 0 {
        return Err(Code::INVAL);
    }
    match info {
        Some(info) if names_duplicate(info) => redeem(info),
        Some(info) => create(filled_from(asked, info)?),
        None => create(asked),
    }
}

/// Word `at` of a WSAPROTOCOL_INFO.
fn word(info: &[u8], at: usize) -> u32 {
    info.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// Whether an info is more than an entry of the catalog: its reserved members and unused chain entries hold something.
fn names_duplicate(info: &[u8]) -> bool {
    [4, 8, 12, 112].into_iter().chain((44..72).step_by(4)).any(|at| word(info, at) != 0)
}

fn redeem(info: &[u8]) -> Result<usize> {
    let info = ProtocolInfo::from_bytes(info).map_err(|_| Code::INVAL)?;
    let socket = state::endpoint()?.redeem(&info)?;
    new_handle(Sock::new(socket))
}

/// What is open is taken from an entry of the catalog.
fn filled_from((family, kind, protocol): Triple, info: &[u8]) -> Result<Triple> {
    let fill = |asked: i32, at: usize| match asked {
        0 | -1 => word(info, at).with_sign(),
        _ => asked,
    };
    let all_open = [family, kind, protocol].iter().all(|asked| matches!(asked, 0 | -1));
    if all_open && word(info, 36) == 0 {
        // An info of zeroes is no entry.
        return Err(Code::INVAL);
    }
    let family = fill(family, 76);
    if !matches!(family, UNIX | INET | INET6) {
        return Err(Code::AFNOSUPPORT);
    }
    Ok((family, fill(kind, 88), fill(protocol, 92)))
}

/// What is meant, or why there is no such socket; in the order in which Windows finds the mistakes.
fn resolve((family, kind, protocol): Triple) -> Result<Triple> {
    let known_kind = matches!(kind, 0..=SEQPACKET);
    if family == UNSPECIFIED && protocol == 0 {
        return Err(Code::INVAL);
    }
    if !known_kind && (protocol != 0 || matches!(family, UNSPECIFIED | UNIX | INET | INET6)) {
        return Err(Code::SOCKTNOSUPPORT);
    }
    if !matches!(family, UNSPECIFIED | UNIX | INET | INET6) {
        return Err(Code::AFNOSUPPORT);
    }
    if family == UNIX {
        return match (kind, protocol) {
            (0 | STREAM, 0) => Ok((UNIX, STREAM, 0)),
            (DGRAM | SEQPACKET, 0) => Ok((UNIX, kind, 0)),
            (_, 0) => Err(Code::SOCKTNOSUPPORT),
            _ => Err(Code::PROTONOSUPPORT),
        };
    }
    let family = if family == UNSPECIFIED { INET } else { family };
    match (kind, protocol) {
        (0 | STREAM, 0 | TCP) => Ok((family, STREAM, TCP)),
        (0, UDP) | (DGRAM, 0 | UDP) => Ok((family, DGRAM, UDP)),
        (RAW, 0..=255) => Ok((family, RAW, protocol)),
        (0 | STREAM | DGRAM | RAW, _) => Err(Code::PROTONOSUPPORT),
        _ => Err(Code::SOCKTNOSUPPORT),
    }
}

fn create(asked: Triple) -> Result<usize> {
    let (family, kind, protocol) = resolve(asked)?;
    let system = family_to_system(family).ok_or(Code::AFNOSUPPORT)?;
    let protocol = (family != UNIX).then(|| socket2::Protocol::from(protocol));
    // The numbers of types are the same.
    let socket = Socket::new(socket2::Domain::from(system), socket2::Type::from(kind), protocol)?;
    // What Windows has by default, and Linux has not.
    if family == INET6 {
        socket.as_socket().set_only_v6(true)?;
    }
    if family != UNIX && kind == STREAM {
        // A port whose last connections linger in TIME_WAIT can be bound again; one that is in use cannot.
        socket.as_socket().set_reuse_address(true)?;
    }
    let handle = new_handle(Sock::new(socket))?;
    // Making a new socket is one of the few calls that forget the error before.
    set_last_error(0);
    Ok(handle)
}

/// Duplicates a socket for a process, if there is a place for the info. The socket is checked first, then the process,
/// then the place.
pub(crate) fn duplicate(handle: usize, pid: u32, place_is_there: bool) -> Result<ProtocolInfo> {
    let sock = state::socket(handle)?;
    if !place_is_there {
        Process::from_pid(pid)?;
        return Err(Code::FAULT);
    }
    Ok(state::endpoint()?.duplicate(&sock.socket, pid)?)
}

/// The entry of the catalog that describes a socket.
pub(crate) fn describe(sock: &Sock) -> Result<&'static CatalogEntry> {
    Ok(sock.socket.catalog_entry()?)
}

/// Closes a handle; with a linger time on a non-blocking socket that would have to wait, it stays.
pub(crate) fn close(handle: usize) -> Result<()> {
    let sock = state::socket(handle)?;
    let lingers = sock.socket.as_socket().linger().ok().flatten().is_some_and(|time| !time.is_zero());
    if lingers && !sock.is_blocking() && has_unsent(&sock) {
        return Err(Code::WOULDBLOCK);
    }
    state::close_socket(handle)
}

/// Whether something that was sent is not acknowledged yet.
fn has_unsent(sock: &Sock) -> bool {
    super::ioctl::unsent(sock).is_some_and(|bytes| bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_types_and_protocols_that_do_not_fit_are_told_apart() {
        let refused = [
            ((99, STREAM, 0), Code::AFNOSUPPORT),
            ((-1, STREAM, 0xdead), Code::AFNOSUPPORT),
            ((99, 0xdead, TCP), Code::SOCKTNOSUPPORT),
            ((INET, 0xdead, 0), Code::SOCKTNOSUPPORT),
            ((INET, STREAM, 0xdead), Code::PROTONOSUPPORT),
            ((INET, STREAM, UDP), Code::PROTONOSUPPORT),
            ((INET, DGRAM, TCP), Code::PROTONOSUPPORT),
            ((INET, 0, 0xdead), Code::PROTONOSUPPORT),
            ((UNSPECIFIED, STREAM, 0xdead), Code::PROTONOSUPPORT),
            ((UNSPECIFIED, STREAM, 0), Code::INVAL),
            ((UNSPECIFIED, 0, 0), Code::INVAL),
            ((UNSPECIFIED, 0xdead, UDP), Code::SOCKTNOSUPPORT),
        ];
        for (asked, code) in refused {
            assert_eq!(resolve(asked), Err(code), "{asked:?}");
        }
        for asked in
            [(INET, STREAM, 0), (INET, 0, TCP), (INET, 0, 0), (UNSPECIFIED, STREAM, TCP), (UNSPECIFIED, 0, TCP)]
        {
            assert_eq!(resolve(asked), Ok((INET, STREAM, TCP)), "{asked:?}");
        }
        for asked in [(INET, DGRAM, 0), (INET, 0, UDP), (UNSPECIFIED, 0, UDP)] {
            assert_eq!(resolve(asked), Ok((INET, DGRAM, UDP)), "{asked:?}");
        }
    }

    #[test]
    fn what_is_open_is_taken_from_an_entry_and_what_is_not_wins() {
        let udp = ProtocolInfo::from(&CatalogEntry::all()[1]).to_wide_bytes();
        assert!(!names_duplicate(&udp));
        assert_eq!(filled_from((0, 0, 0), &udp), Ok((INET, DGRAM, UDP)));
        assert_eq!(filled_from((-1, -1, -1), &udp), Ok((INET, DGRAM, UDP)));
        assert_eq!(filled_from((INET, STREAM, TCP), &udp), Ok((INET, STREAM, TCP)));
        assert_eq!(filled_from((0, 0, UDP), &[0; 628]), Err(Code::AFNOSUPPORT));
        assert_eq!(filled_from((-1, -1, -1), &[0; 628]), Err(Code::INVAL));
    }
}
