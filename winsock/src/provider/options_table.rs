//! Options by Winsock's numbers, and what they are on Linux.

/// `SOL_SOCKET`, and the levels of protocols, whose numbers are the same everywhere.
pub(crate) const SOCKET: i32 = 0xffff;
pub(crate) const IP: i32 = 0;
pub(crate) const TCP: i32 = 6;
pub(crate) const UDP: i32 = 17;
pub(crate) const IPV6: i32 = 41;

/// How an option is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Zero or not, in 1 byte or more.
    Bool,
    /// A number in 4 bytes.
    Number,
    /// A number in 4 bytes that can only be asked for.
    Asked,
    /// A buffer's size, of which the system keeps twice as much for itself.
    Size,
    /// Bytes, which are the same on both sides.
    Bytes,
    /// Addresses of a source, a group and an interface, in another order.
    Source,
    /// Whether datagrams may be fragmented, in another way.
    DontFragment,
}

/// One option: its level and number, and those of the system with its form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    level: i32,
    name: i32,
    pub(crate) system: (i32, i32),
    pub(crate) form: Form,
}

const fn known(level: i32, name: i32, system: (i32, i32), form: Form) -> Known {
    Known { level, name, system, form }
}

const SO: i32 = libc::SOL_SOCKET;
const ON_IP: i32 = libc::IPPROTO_IP;
const ON_TCP: i32 = libc::IPPROTO_TCP;
const ON_IPV6: i32 = libc::IPPROTO_IPV6;

static KNOWN: &[Known] = &[
    known(SOCKET, 0x0001, (SO, libc::SO_DEBUG), Form::Bool),
    known(SOCKET, 0x0002, (SO, libc::SO_ACCEPTCONN), Form::Asked),
    known(SOCKET, 0x0008, (SO, libc::SO_KEEPALIVE), Form::Bool),
    known(SOCKET, 0x0010, (SO, libc::SO_DONTROUTE), Form::Bool),
    known(SOCKET, 0x0020, (SO, libc::SO_BROADCAST), Form::Bool),
    known(SOCKET, 0x0100, (SO, libc::SO_OOBINLINE), Form::Bool),
    known(SOCKET, 0x1001, (SO, libc::SO_SNDBUF), Form::Size),
    known(SOCKET, 0x1002, (SO, libc::SO_RCVBUF), Form::Size),
    known(SOCKET, 0x1004, (SO, libc::SO_RCVLOWAT), Form::Number),
    known(TCP, 1, (ON_TCP, libc::TCP_NODELAY), Form::Bool),
    known(TCP, 3, (ON_TCP, libc::TCP_KEEPIDLE), Form::Number),
    known(TCP, 4, (ON_TCP, libc::TCP_MAXSEG), Form::Number),
    known(TCP, 15, (ON_TCP, libc::TCP_FASTOPEN), Form::Number),
    known(TCP, 16, (ON_TCP, libc::TCP_KEEPCNT), Form::Number),
    known(TCP, 17, (ON_TCP, libc::TCP_KEEPINTVL), Form::Number),
    known(IP, 1, (ON_IP, libc::IP_OPTIONS), Form::Bytes),
    known(IP, 2, (ON_IP, libc::IP_HDRINCL), Form::Bool),
    known(IP, 3, (ON_IP, libc::IP_TOS), Form::Number),
    known(IP, 4, (ON_IP, libc::IP_TTL), Form::Number),
    known(IP, 9, (ON_IP, libc::IP_MULTICAST_IF), Form::Bytes),
    known(IP, 10, (ON_IP, libc::IP_MULTICAST_TTL), Form::Number),
    known(IP, 11, (ON_IP, libc::IP_MULTICAST_LOOP), Form::Bool),
    known(IP, 12, (ON_IP, libc::IP_ADD_MEMBERSHIP), Form::Bytes),
    known(IP, 13, (ON_IP, libc::IP_DROP_MEMBERSHIP), Form::Bytes),
    known(IP, 14, (ON_IP, libc::IP_MTU_DISCOVER), Form::DontFragment),
    known(IP, 15, (ON_IP, libc::IP_ADD_SOURCE_MEMBERSHIP), Form::Source),
    known(IP, 16, (ON_IP, libc::IP_DROP_SOURCE_MEMBERSHIP), Form::Source),
    known(IP, 17, (ON_IP, libc::IP_BLOCK_SOURCE), Form::Source),
    known(IP, 18, (ON_IP, libc::IP_UNBLOCK_SOURCE), Form::Source),
    known(IPV6, 4, (ON_IPV6, libc::IPV6_UNICAST_HOPS), Form::Number),
    known(IPV6, 9, (ON_IPV6, libc::IPV6_MULTICAST_IF), Form::Number),
    known(IPV6, 10, (ON_IPV6, libc::IPV6_MULTICAST_HOPS), Form::Number),
    known(IPV6, 11, (ON_IPV6, libc::IPV6_MULTICAST_LOOP), Form::Bool),
    known(IPV6, 12, (ON_IPV6, libc::IPV6_ADD_MEMBERSHIP), Form::Bytes),
    known(IPV6, 13, (ON_IPV6, libc::IPV6_DROP_MEMBERSHIP), Form::Bytes),
    known(IPV6, 14, (ON_IPV6, libc::IPV6_MTU_DISCOVER), Form::DontFragment),
    known(IPV6, 27, (ON_IPV6, libc::IPV6_V6ONLY), Form::Bool),
];

/// The option, if it is known.
pub(crate) fn find(level: i32, name: i32) -> Option<&'static Known> {
    KNOWN.iter().find(|known| (known.level, known.name) == (level, name))
}
