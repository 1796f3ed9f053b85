//! The system's codes, and Winsock's for them.

use crate::error::Error;
use rustix::io::Errno;

pub(crate) const NOT_A_SOCKET: i32 = libc::ENOTSOCK;
pub(crate) const NO_PROCESS: i32 = libc::ESRCH;
pub(crate) const WOULD_BLOCK: i32 = libc::EAGAIN;
pub(crate) const BROKEN: i32 = libc::EPIPE;
pub(crate) const NO_DESCRIPTORS: i32 = libc::EMFILE;
pub(crate) const TOO_LONG: i32 = libc::EMSGSIZE;
pub(crate) const TOO_MANY_IN_FLIGHT: i32 = libc::ETOOMANYREFS;
pub(crate) const INTERRUPTED: i32 = libc::EINTR;
pub(crate) const IO: i32 = libc::EIO;

impl Error {
    pub(crate) fn system(doing: &'static str) -> impl Fn(Errno) -> Error {
        move |errno| Error::System { doing, os_code: errno.raw_os_error() }
    }

    /// Whether the system was short of something, so that the same may succeed later.
    pub(crate) fn is_lack(&self) -> bool {
        let lacks = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::NOBUFS].map(Errno::raw_os_error);
        matches!(self, Error::System { os_code, .. } if lacks.contains(os_code))
    }
}

pub(crate) fn winsock_code(os_code: i32) -> i32 {
    // Other numbers are no errors of the kernel, and cannot be made one.
    if (1..4096).contains(&os_code) { winsock_code_of(Errno::from_raw_os_error(os_code)) } else { UNKNOWN }
}

const UNKNOWN: i32 = 10107;

/// The Winsock code of a system call's error.
pub(crate) fn winsock_code_of(errno: Errno) -> i32 {
    match errno {
        Errno::INTR => 10004,
        Errno::BADF | Errno::NOTSOCK => 10038,
        Errno::ACCESS | Errno::PERM | Errno::ROFS => 10013,
        Errno::FAULT => 10014,
        Errno::INVAL | Errno::DOM => 10022,
        Errno::MFILE | Errno::NFILE => 10024,
        Errno::AGAIN => 10035,
        Errno::INPROGRESS => 10036,
        Errno::ALREADY => 10037,
        Errno::DESTADDRREQ => 10039,
        Errno::MSGSIZE => 10040,
        Errno::PROTOTYPE => 10041,
        Errno::NOPROTOOPT => 10042,
        Errno::PROTONOSUPPORT => 10043,
        Errno::SOCKTNOSUPPORT => 10044,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY => 10045,
        Errno::PFNOSUPPORT => 10046,
        Errno::AFNOSUPPORT => 10047,
        Errno::ADDRINUSE | Errno::EXIST => 10048,
        Errno::ADDRNOTAVAIL | Errno::NODEV | Errno::NXIO => 10049,
        Errno::NETDOWN => 10050,
        Errno::NETUNREACH => 10051,
        Errno::NETRESET => 10052,
        Errno::CONNABORTED => 10053,
        Errno::CONNRESET | Errno::PIPE => 10054,
        Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => 10055,
        Errno::ISCONN => 10056,
        Errno::NOTCONN => 10057,
        Errno::SHUTDOWN => 10058,
        Errno::TOOMANYREFS => 10059,
        Errno::TIMEDOUT => 10060,
        // A path at which nobody listens.
        Errno::CONNREFUSED | Errno::NOENT | Errno::NOTDIR => 10061,
        Errno::LOOP => 10062,
        Errno::NAMETOOLONG => 10063,
        Errno::HOSTDOWN => 10064,
        Errno::HOSTUNREACH => 10065,
        Errno::NOTEMPTY => 10066,
        Errno::USERS => 10068,
        Errno::DQUOT => 10069,
        Errno::STALE => 10070,
        Errno::REMOTE => 10071,
        _ => UNKNOWN,
    }
}
