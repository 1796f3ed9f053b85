//! Winsock's error codes.

use std::io;

/// An error code as `WSAGetLastError` and `GetLastError` give it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) i32);

/// Result of a call, with the code that the C program gets.
pub(crate) type Result<T> = std::result::Result<T, Code>;

macro_rules! codes {
    ($($name:ident = $code:literal),+ $(,)?) => {
        impl Code { $(pub(crate) const $name: Code = Code($code);)+ }
    };
}

codes! {
    // Of the system.
    ACCESS_DENIED = 5,
    INVALID_HANDLE = 6,
    NOT_ENOUGH_MEMORY = 8,
    NOT_SUPPORTED = 50,
    INVALID_PARAMETER = 87,
    CLASS_ALREADY_EXISTS = 1410,
    INVALID_WINDOW_HANDLE = 1400,
    CANNOT_FIND_WND_CLASS = 1407,
    CLASS_HAS_WINDOWS = 1412,
    INVALID_THREAD_ID = 1444,
    // Of Winsock.
    INTR = 10004,
    FAULT = 10014,
    INVAL = 10022,
    MFILE = 10024,
    WOULDBLOCK = 10035,
    NOTSOCK = 10038,
    DESTADDRREQ = 10039,
    MSGSIZE = 10040,
    PROTOTYPE = 10041,
    NOPROTOOPT = 10042,
    PROTONOSUPPORT = 10043,
    SOCKTNOSUPPORT = 10044,
    OPNOTSUPP = 10045,
    AFNOSUPPORT = 10047,
    ADDRNOTAVAIL = 10049,
    CONNRESET = 10054,
    NOBUFS = 10055,
    ISCONN = 10056,
    NOTCONN = 10057,
    SHUTDOWN = 10058,
    TIMEDOUT = 10060,
    CONNREFUSED = 10061,
    VERNOTSUPPORTED = 10092,
    NOTINITIALISED = 10093,
    TYPE_NOT_FOUND = 10109,
    SYSCALLFAILURE = 10107,
    HOST_NOT_FOUND = 11001,
    TRY_AGAIN = 11002,
    NO_RECOVERY = 11003,
    NO_DATA = 11004,
}

impl From<sharesock::Error> for Code {
    fn from(error: sharesock::Error) -> Self {
        Code(error.winsock_code())
    }
}

impl From<io::Error> for Code {
    fn from(error: io::Error) -> Self {
        if let Some(os_code) = error.raw_os_error() {
            return Code(sharesock::winsock_code(os_code));
        }
        let ours = error.get_ref().and_then(|error| error.downcast_ref::<sharesock::Error>());
        ours.map_or(Code::SYSCALLFAILURE, |error| Code(error.winsock_code()))
    }
}

impl From<rustix::io::Errno> for Code {
    fn from(errno: rustix::io::Errno) -> Self {
        Code(sharesock::winsock_code(errno.raw_os_error()))
    }
}
