//! The one error type: what was wrong, what to do, the operating system's code and the Winsock code.

use crate::Domain;
use crate::provider::codes;
use std::borrow::Cow;
use std::path::PathBuf;

/// Result of a sharesock call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call failed.
///
/// [`os_code`](Error::os_code) is the operating system's code where a system call was refused;
/// [`winsock_code`](Error::winsock_code) is what `WSAGetLastError` returns for the same mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The descriptor is not a socket.
    #[error("the descriptor is not a socket: give one made by socket(), accept() or a redeemed protocol info")]
    NotASocket,
    /// The target process does not exist, or has ended.
    #[error("there is no process {pid}: ask the target for its own id, and ask again if it was restarted")]
    NoSuchProcess {
        /// The id that was given.
        pid: u32,
    },
    /// The text does not name a process.
    #[error("this does not name a process: give what a Process of that process prints, such as 4711:913374:4026531836")]
    NotAProcess,
    /// The process does not listen in this domain: it has no endpoint there, or no receiver for what is handed off.
    #[error("process {pid} does not receive in {domain}: let it open its endpoint, or its receiver, there first")]
    NoEndpoint {
        /// Id of the target.
        pid: u32,
        /// Where it was looked for.
        domain: PathBuf,
    },
    /// An endpoint carries the target's name, but the kernel says that another process listens there.
    #[error("the endpoint of process {pid} is answered by process {answered}: refused; remove the name if it is stale")]
    Impostor {
        /// Id of the process that was meant.
        pid: u32,
        /// The id the kernel gives for the listener.
        answered: u32,
    },
    /// The target's queue is full: it has not redeemed what it was given before.
    #[error("the queue of process {pid} is full: let it redeem what it was given, then try again")]
    QueueFull {
        /// Id of the target.
        pid: u32,
    },
    /// Too many descriptors are in flight for this user (`ETOOMANYREFS`).
    #[error(
        "too many descriptors of this user are in flight: let targets receive or redeem, or raise the limit of open files"
    )]
    TooManyInFlight,
    /// The bytes are not a protocol info that this library made.
    #[error("not a usable protocol info: {0}")]
    BadInfo(InfoError),
    /// The info is an entry of the catalog; it names no duplicate.
    #[error(
        "the protocol info names no duplicate: it describes a protocol, and duplicating a socket gives one that can be redeemed"
    )]
    NothingToRedeem,
    /// The info was made for another process.
    #[error("the protocol info is for process {meant_for}, and this is process {here}: redeem it there")]
    WrongProcess {
        /// Id of the process that may redeem it.
        meant_for: u32,
        /// Id of this process.
        here: u32,
    },
    /// The info was made in another domain.
    #[error("the protocol info was made in another domain than {here}: set SHARESOCK_DOMAIN alike in both processes")]
    WrongDomain {
        /// The domain of the endpoint that was asked.
        here: PathBuf,
    },
    /// The info was redeemed before.
    #[error("the protocol info was redeemed already: it is good for one redemption, duplicate once for each")]
    AlreadyRedeemed,
    /// Nothing under this info reached this process.
    #[error(
        "no duplicate waits under this protocol info: its target opened a new endpoint since, or it was redeemed long ago"
    )]
    UnknownDelivery,
    /// The info's time ran out before it was redeemed.
    #[error("the protocol info has expired: ask the source for a new one")]
    Expired,
    /// The source revoked the info.
    #[error("the protocol info was revoked by its source: ask it for a new one")]
    Revoked,
    /// The source held the duplicate for this process and ended before it was claimed.
    #[error("the source process ended while it held this duplicate: let a source call Endpoint::flush before it ends")]
    SourceGone,
    /// The source holds the duplicate, and does not answer.
    #[error("the source process {source_pid} does not answer: the same info can be redeemed when it does")]
    SourceSilent {
        /// Its id.
        source_pid: u32,
    },
    /// Duplicates are still held here after a flush.
    #[error("{count} duplicates are still held for their targets: let them redeem, and do not end before")]
    StillHeld {
        /// How many.
        count: usize,
    },
    /// There is no room now to hand off to the target.
    #[error("process {pid} has no room for more sockets now: let it receive, and try again")]
    HandOffFull {
        /// Id of the target.
        pid: u32,
    },
    /// The target of a hand-off has ended, or closed its receiver.
    #[error("process {pid} does not receive any more: reclaim what it did not take, and give it to another")]
    TargetGone {
        /// Id of the target.
        pid: u32,
    },
    /// The target of a hand-off closed the link, because it had no descriptor free. Windows only: on Linux what was handed
    /// off waits until one is free.
    #[error(
        "process {pid} has no free descriptor: raise its limit of open files, and give what it did not take to another"
    )]
    TargetOutOfDescriptors {
        /// Id of the target.
        pid: u32,
    },
    /// The target of a hand-off has too many senders of this process, or of this user, and refused one more.
    #[error(
        "process {pid} accepts no more senders from this process or user: drop senders, reclaim from this one, and open it again"
    )]
    TurnedAway {
        /// Id of the target.
        pid: u32,
    },
    /// Handed off and not taken by the target's program, after a flush.
    #[error("process {pid} has not taken {count} of the sockets handed off to it: wait longer, or reclaim them")]
    NotTaken {
        /// Id of the target.
        pid: u32,
        /// How many.
        count: usize,
    },
    /// More bytes than may go with a socket.
    #[error("{given} bytes are too many to go with a socket: {limit} is the most")]
    TooManyBytes {
        /// How many there are.
        given: usize,
        /// The bound.
        limit: usize,
    },
    /// The object belongs to the process that this one was forked from.
    #[error("this belongs to the process that forked this one: open it again here")]
    Forked,
    /// This process holds too many duplicates that nobody redeemed.
    #[error("{limit} duplicates wait here unredeemed: redeem or discard them first")]
    TooManyUnredeemed {
        /// The bound.
        limit: usize,
    },
    /// So many other processes have links to this one that no more are accepted.
    #[error("{limit} processes have links to this one: what others deliver waits until some of them have ended")]
    TooManyLinks {
        /// The bound.
        limit: usize,
    },
    /// The socket has an event registration, so it cannot be made blocking (`WSAEINVAL` of `FIONBIO`).
    #[error("the socket has an event registration: cancel it before making the socket blocking")]
    Registered,
    /// Events that this system cannot report.
    #[error("{events} cannot be watched on this system: ask the kernel over a netlink socket, and leave them out here")]
    UnsupportedEvents {
        /// Those of the events asked for that are refused.
        events: crate::NetworkEvents,
    },
    /// This system cannot tell or do it.
    #[error("this system cannot tell {what}: {instead}")]
    NotOnThisSystem {
        /// What it cannot tell or do.
        what: &'static str,
        /// What to do instead.
        instead: &'static str,
    },
    /// The socket is bound to a completion port already, which on Windows it can be once, by whichever descriptor in
    /// whichever process (`ERROR_INVALID_PARAMETER`, 87).
    #[error(
        "the socket is bound to a completion port already, through one of its descriptors: use it by readiness here (event objects, or a runtime that polls), or have its owner call dissociate before it is shared"
    )]
    BoundToPort,
    /// A socket shares its events in one domain.
    #[error("this socket shares its events in {there}: use event objects and message queues of that domain")]
    OtherDomain {
        /// The directory of that domain.
        there: PathBuf,
    },
    /// There is nothing to wait for, or one event object is to be waited for twice.
    #[error("wait for at least one event object, and for each once")]
    BadWait,
    /// The table of events has no room.
    #[error("the table of events is full: let {what} be dropped, or use a second domain")]
    TableFull {
        /// What there is too much of.
        what: &'static str,
    },
    /// The table of events cannot be used.
    #[error("the table of events of {path} cannot be used: {why}")]
    BadTable {
        /// The directory of the domain.
        path: PathBuf,
        /// The fault, and its remedy.
        why: &'static str,
    },
    /// The domain's directory cannot be trusted.
    #[error("the domain {path} is refused: {why}")]
    UntrustedDomain {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what to do.
        why: Cow<'static, str>,
    },
    /// Another user has taken a name that this process needs.
    #[error("{path} is held by user {uid}: let that user or root remove it, or use another domain (SHARESOCK_DOMAIN)")]
    NameTaken {
        /// The name or file that could not be made.
        path: PathBuf,
        /// The user that has it.
        uid: u32,
    },
    /// The system refused something about the domain's directory.
    #[error("{doing} {path} failed: {}", std::io::Error::from_raw_os_error(*os_code))]
    Directory {
        /// What was being done.
        doing: &'static str,
        /// The directory.
        path: PathBuf,
        /// Its code.
        os_code: i32,
    },
    /// A signal handler ran while the call waited, and the caller had asked to be told
    /// ([`Wait::interruptible`](crate::Wait::interruptible), `EINTR`).
    #[error("a signal interrupted the wait: make the same call again to go on waiting")]
    Interrupted,
    /// This process has an endpoint in the domain already.
    #[error(
        "this process has an endpoint in {domain} already: use that (clone it), and have all parts of the process share one copy of the library"
    )]
    EndpointOpen {
        /// The directory of the domain.
        domain: PathBuf,
    },
    /// This process has a receiver of that name in the domain already.
    #[error("this process has the receiver {name:?} in {domain} already: share that, or give this one another name")]
    ReceiverOpen {
        /// Its name; that of the unnamed receiver is empty.
        name: String,
        /// The directory of the domain.
        domain: PathBuf,
    },
    /// No receiver can have this name.
    #[error("{name:?} is no name for a receiver: give up to {limit} letters, digits, '.', '_' and '-'")]
    BadName {
        /// The name that was given.
        name: String,
        /// The most letters that it may have.
        limit: usize,
    },
    /// The operating system refused a call.
    #[error("{doing} failed: {}", std::io::Error::from_raw_os_error(*os_code))]
    System {
        /// What was being done.
        doing: &'static str,
        /// Its code.
        os_code: i32,
    },
}

/// What is wrong with the bytes or the text of a protocol info.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InfoError {
    /// Neither 628 (wide) nor 372 (narrow) bytes.
    #[error("it has {0} bytes: the wide form has 628, the narrow one 372; send all of them")]
    Length(usize),
    /// A member does not hold what it must.
    #[error("member {member} holds {found:#x}: the info was altered, or another library made it")]
    Member {
        /// Name of the member in `WSAPROTOCOL_INFO`.
        member: &'static str,
        /// What it holds.
        found: u32,
    },
    /// The text form is malformed.
    #[error("the text is no protocol info: {0}")]
    Text(&'static str),
}

impl Error {
    pub(crate) fn io(doing: &'static str) -> impl Fn(std::io::Error) -> Error {
        move |error| Error::System { doing, os_code: error.raw_os_error().unwrap_or(codes::IO) }
    }

    pub(crate) fn no_endpoint(pid: u32, domain: &Domain) -> Error {
        Error::NoEndpoint { pid, domain: domain.path().to_owned() }
    }

    /// The operating system's code, where the operating system said no.
    #[must_use]
    pub fn os_code(&self) -> Option<i32> {
        let code = match self {
            Error::NotASocket => codes::NOT_A_SOCKET,
            Error::NoSuchProcess { .. } => codes::NO_PROCESS,
            Error::QueueFull { .. } | Error::HandOffFull { .. } => codes::WOULD_BLOCK,
            Error::TargetGone { .. } => codes::BROKEN,
            Error::TargetOutOfDescriptors { .. } => codes::NO_DESCRIPTORS,
            Error::TooManyBytes { .. } => codes::TOO_LONG,
            Error::TooManyInFlight => codes::TOO_MANY_IN_FLIGHT,
            Error::Interrupted => codes::INTERRUPTED,
            Error::System { os_code, .. } | Error::Directory { os_code, .. } => *os_code,
            _ => return None,
        };
        Some(code)
    }

    /// The code that `WSAGetLastError` gives for this on Windows.
    #[must_use]
    pub fn winsock_code(&self) -> i32 {
        match self {
            Error::NotASocket => 10038,
            Error::QueueFull { .. }
            | Error::TooManyInFlight
            | Error::TooManyUnredeemed { .. }
            | Error::TooManyLinks { .. }
            | Error::TurnedAway { .. }
            | Error::TableFull { .. } => 10055,
            Error::UnsupportedEvents { .. } | Error::NotOnThisSystem { .. } => 10045,
            Error::BadWait | Error::BoundToPort => 87,
            Error::HandOffFull { .. } | Error::StillHeld { .. } | Error::NotTaken { .. } => 10035,
            Error::TargetGone { .. } => 10054,
            Error::TargetOutOfDescriptors { .. } => 10024,
            Error::TooManyBytes { .. } => 10040,
            Error::SourceSilent { .. } => 10060,
            Error::Interrupted => 10004,
            Error::EndpointOpen { .. } | Error::ReceiverOpen { .. } => 10048,
            Error::NoEndpoint { .. } | Error::UntrustedDomain { .. } | Error::BadTable { .. } => 10050,
            Error::Impostor { .. } | Error::NameTaken { .. } => 10013,
            Error::System { os_code, .. } | Error::Directory { os_code, .. } => winsock_code(*os_code),
            _ => 10022,
        }
    }
}

/// The code that Winsock has for the system's error `os_code`, such as 10061 for `ECONNREFUSED`.
///
/// On Linux `os_code` is an `errno`. Two of them mean something else in two places: a non-blocking connect that goes on
/// is `WSAEWOULDBLOCK` in Winsock, and `EINPROGRESS` here; a send after this side has ended its sending is
/// `WSAESHUTDOWN` there, and `EPIPE` here. This is the code without the circumstances. On Windows it is what
/// `GetLastError` or `WSAGetLastError` gave: Winsock's own codes stay as they are. What Winsock has no code for is
/// 10107 (`WSASYSCALLFAILURE`).
///
/// ```
/// let busy = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let refused = std::net::TcpListener::bind(busy.local_addr()?).unwrap_err();
/// assert_eq!(sharesock::winsock_code(refused.raw_os_error().unwrap_or(0)), 10048);
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn winsock_code(os_code: i32) -> i32 {
    codes::winsock_code(os_code)
}

/// The message has that of the other in it, which therefore is no source: a chain of errors would tell it twice.
impl From<InfoError> for Error {
    fn from(error: InfoError) -> Self {
        Error::BadInfo(error)
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        use std::io::ErrorKind;
        let kind = match (error.os_code(), &error) {
            (Some(code), _) => std::io::Error::from_raw_os_error(code).kind(),
            (None, Error::SourceSilent { .. } | Error::StillHeld { .. } | Error::NotTaken { .. }) => {
                ErrorKind::TimedOut
            }
            (None, Error::EndpointOpen { .. } | Error::ReceiverOpen { .. }) => ErrorKind::AlreadyExists,
            (None, Error::BadInfo(_)) => ErrorKind::InvalidData,
            (None, Error::Impostor { .. } | Error::UntrustedDomain { .. } | Error::NameTaken { .. }) => {
                ErrorKind::PermissionDenied
            }
            (None, _) => ErrorKind::InvalidInput,
        };
        std::io::Error::new(kind, error)
    }
}
