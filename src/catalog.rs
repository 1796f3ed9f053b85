//! The catalog of protocols, with the members that Winsock's own catalog gives them.

/// One entry of the catalog: what a `WSAPROTOCOL_INFO` says of a protocol.
///
/// The numbers are Winsock's: address families 2, 23 and 1 are IPv4, IPv6 and Unix.
#[derive(Debug, PartialEq, Eq)]
pub struct CatalogEntry {
    /// `dwCatalogEntryId`.
    pub id: u32,
    /// `dwServiceFlags1`, a set of `XP1_*`.
    pub service_flags: u32,
    /// `dwProviderFlags`, a set of `PFL_*`.
    pub provider_flags: u32,
    /// `ProviderId`, as it lies in memory.
    pub provider: [u8; 16],
    /// `iAddressFamily`.
    pub address_family: u32,
    /// `iSocketType`: 1 stream, 2 datagram, 3 raw, 5 seqpacket.
    pub socket_type: u32,
    /// `iProtocol`.
    pub protocol: u32,
    /// `iProtocolMaxOffset`.
    pub protocol_max_offset: u32,
    /// `iMaxSockAddr`, in bytes.
    pub max_address: u32,
    /// `iMinSockAddr`, in bytes.
    pub min_address: u32,
    /// `dwMessageSize`, in bytes: 0 for a stream.
    pub message_size: u32,
    /// `szProtocol`. Names vary between systems: never compare them.
    pub name: &'static str,
}

const IPV4: [u8; 16] = guid(0xE70F_1AA0, 0xAB8B, 0x11CF, [0x8C, 0xA3, 0x00, 0x80, 0x5F, 0x48, 0xA1, 0x92]);
const IPV6: [u8; 16] = guid(0xF9EA_B0C0, 0x26D4, 0x11D0, [0xBB, 0xBF, 0x00, 0xAA, 0x00, 0x6C, 0x34, 0xE4]);
const UNIX: [u8; 16] = guid(0xA009_43D9, 0x9C2E, 0x4633, [0x9B, 0x59, 0x00, 0x57, 0xA3, 0x16, 0x09, 0x94]);

/// IFS handles, graceful close, expedited data, guaranteed order and delivery.
const STREAM: u32 = 0x2_0066;
/// IFS handles, multipoint, broadcast, message oriented, connectionless.
const DATAGRAM: u32 = 0x2_0609;

macro_rules! entry {
    ($id:literal, $provider:expr, $flags:expr, $pfl:literal, $af:literal/$ty:literal/$proto:literal + $offset:literal, $max:literal..$min:literal, $size:literal, $name:literal) => {
        CatalogEntry {
            id: $id,
            service_flags: $flags,
            provider_flags: $pfl,
            provider: $provider,
            address_family: $af,
            socket_type: $ty,
            protocol: $proto,
            protocol_max_offset: $offset,
            max_address: $max,
            min_address: $min,
            message_size: $size,
            name: $name,
        }
    };
}

/// Ids 1001 to 1007 are Winsock's. The others, from 1101 on, are of sockets that Winsock does not have.
static ENTRIES: [CatalogEntry; 11] = [
    entry!(1001, IPV4, STREAM, 0x8, 2 / 1 / 6 + 0, 16..16, 0, "MSAFD Tcpip [TCP/IP]"),
    entry!(1002, IPV4, DATAGRAM, 0x8, 2 / 2 / 17 + 0, 16..16, 0xFFBB, "MSAFD Tcpip [UDP/IP]"),
    entry!(1003, IPV4, DATAGRAM, 0xC, 2 / 3 / 0 + 255, 16..16, 0x8000, "MSAFD Tcpip [RAW/IP]"),
    entry!(1004, IPV6, STREAM, 0x8, 23 / 1 / 6 + 0, 28..28, 0, "MSAFD Tcpip [TCP/IPv6]"),
    entry!(1005, IPV6, DATAGRAM, 0x8, 23 / 2 / 17 + 0, 28..28, 0xFFBB, "MSAFD Tcpip [UDP/IPv6]"),
    entry!(1006, IPV6, DATAGRAM, 0xC, 23 / 3 / 0 + 255, 28..28, 0x8000, "MSAFD Tcpip [RAW/IPv6]"),
    entry!(1007, UNIX, 0x2_0006, 0x8, 1 / 1 / 0 + 0, 110..2, 0, "AF_UNIX"),
    entry!(1101, UNIX, 0x2_000E, 0x8, 1 / 2 / 0 + 0, 110..2, 0xFFFF_FFFF, "AF_UNIX [datagram]"),
    entry!(1102, UNIX, 0x2_000E, 0x8, 1 / 5 / 0 + 0, 110..2, 0xFFFF_FFFF, "AF_UNIX [seqpacket]"),
    entry!(1103, UNIX, 0x2_0000, 0x8, 0 / 1 / 0 + 0, 128..2, 0, "other stream"),
    entry!(1104, UNIX, 0x2_0008, 0x8, 0 / 2 / 0 + 0, 128..2, 0xFFFF_FFFF, "other messages"),
];

impl CatalogEntry {
    /// All entries, in the order of their ids.
    ///
    /// ```
    /// let tcp = &sharesock::CatalogEntry::all()[0];
    /// assert_eq!((tcp.id, tcp.address_family, tcp.protocol), (1001, 2, 6));
    /// ```
    #[must_use]
    pub fn all() -> &'static [CatalogEntry] {
        &ENTRIES
    }

    pub(crate) fn by_id(id: u32) -> Option<&'static CatalogEntry> {
        ENTRIES.iter().find(|entry| entry.id == id)
    }

    /// The entry for a socket, by Winsock's numbers. Every socket has one.
    pub(crate) fn describing(address_family: u32, socket_type: u32) -> &'static CatalogEntry {
        let exact = |entry: &&CatalogEntry| entry.address_family == address_family && entry.socket_type == socket_type;
        let [.., stream, messages] = &ENTRIES;
        ENTRIES.iter().find(exact).unwrap_or(if socket_type == 1 { stream } else { messages })
    }
}

/// The memory of a Windows GUID: its first three parts are little-endian.
const fn guid(a: u32, b: u16, c: u16, d: [u8; 8]) -> [u8; 16] {
    let ([a0, a1, a2, a3], [b0, b1], [c0, c1]) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes());
    [a0, a1, a2, a3, b0, b1, c0, c1, d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}
