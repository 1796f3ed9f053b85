//! The bytes that name a duplicate: `WSAPROTOCOL_INFO`, wide and narrow, and its text form.
//!
//! What names the delivery lies in the reserved members and in the chain entries that a base protocol leaves unused,
//! so it is the same in both forms and survives conversion between them. The name in `szProtocol` is decoration:
//! it is written, and ignored when read.

use crate::catalog::CatalogEntry;
use crate::digest::checksum32;
use crate::error::InfoError;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// Size of `WSAPROTOCOL_INFOW` in bytes.
const WIDE: usize = 628;
/// Size of `WSAPROTOCOL_INFOA` in bytes.
const NARROW: usize = 372;
/// All members before `szProtocol`.
const HEAD: usize = 116;
/// `dwServiceFlags2` of an info that names a delivery: "SHS" and the version of this layout.
const DELIVERED: u32 = u32::from_le_bytes(*b"SHS\x03");
/// The same when the source holds the duplicate until it is claimed.
const HELD: u32 = u32::from_le_bytes(*b"SHS\x04");
const TEXT_PREFIX: &str = "sharesock1:";
/// The members before and after `ProviderId`, a word each.
const MEMBERS: [&str; 25] = [
    "dwServiceFlags1",
    "dwServiceFlags2",
    "dwServiceFlags3",
    "dwServiceFlags4",
    "dwProviderFlags",
    "dwCatalogEntryId",
    "ProtocolChain.ChainLen",
    "ProtocolChain.ChainEntries[0]",
    "ProtocolChain.ChainEntries[1]",
    "ProtocolChain.ChainEntries[2]",
    "ProtocolChain.ChainEntries[3]",
    "ProtocolChain.ChainEntries[4]",
    "ProtocolChain.ChainEntries[5]",
    "ProtocolChain.ChainEntries[6]",
    "iVersion",
    "iAddressFamily",
    "iMaxSockAddr",
    "iMinSockAddr",
    "iSocketType",
    "iProtocol",
    "iProtocolMaxOffset",
    "iNetworkByteOrder",
    "iSecurityScheme",
    "dwMessageSize",
    "dwProviderReserved",
];

/// A protocol info: what a source process gets for a duplicated socket, and a target process redeems (R1–R3).
///
/// It is exactly Winsock's `WSAPROTOCOL_INFO`: 628 bytes in the wide form, 372 in the narrow one, with genuine
/// catalog members. It is no secret and no key: only the process it names can redeem it, and only once. The info of an
/// [offer](crate::Endpoint::offer) alone names no process: it is a bearer token ([`Delivery::is_offer`]).
///
/// ```
/// use sharesock::{CatalogEntry, ProtocolInfo};
/// let info = ProtocolInfo::from(&CatalogEntry::all()[0]);
/// let wide = info.to_wide_bytes();
/// assert_eq!(ProtocolInfo::from_bytes(&wide)?, info);
/// assert_eq!(ProtocolInfo::from_bytes(&info.to_narrow_bytes())?, info);
/// assert_eq!(info.to_string().parse::<ProtocolInfo>()?, info);
/// # Ok::<(), sharesock::InfoError>(())
/// ```
#[doc(alias = "WSAPROTOCOL_INFO")]
#[doc(alias = "WSAPROTOCOL_INFOW")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ProtocolInfo {
    entry: &'static CatalogEntry,
    delivery: Option<Delivery>,
}

/// What a protocol info says of the duplicate that it names.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Names this duplicate and no other: 128 random bits on Windows; on Linux 64, and the identity of the underlying socket
    /// (`SO_COOKIE`), so that nobody who only sees the info can put another socket in its place.
    pub token: [u8; 16],
    /// Id of the process that may redeem it, as that process sees itself.
    pub target_pid: u32,
    /// Tells that process from others that had the same id.
    pub target_tag: u32,
    /// Id of the process that duplicated, as that process sees itself.
    pub source_pid: u32,
    /// Tells that process from others that had the same id.
    pub source_tag: u32,
    /// Short digest of the domain in which the two meet.
    pub domain: u32,
    /// Whether the source holds it until it is claimed; else it lies with the target.
    pub held: bool,
}

impl Hash for ProtocolInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.entry.id, self.delivery).hash(state);
    }
}

/// As [`ProtocolInfo::from_bytes`].
impl TryFrom<[u8; WIDE]> for ProtocolInfo {
    type Error = InfoError;

    fn try_from(bytes: [u8; WIDE]) -> Result<Self, InfoError> {
        Self::from_bytes(&bytes)
    }
}

/// As [`ProtocolInfo::from_bytes`].
impl TryFrom<&[u8]> for ProtocolInfo {
    type Error = InfoError;

    fn try_from(bytes: &[u8]) -> Result<Self, InfoError> {
        Self::from_bytes(bytes)
    }
}

impl From<ProtocolInfo> for [u8; WIDE] {
    fn from(info: ProtocolInfo) -> Self {
        info.to_wide_bytes()
    }
}

impl Delivery {
    /// What an offer has in the place of its target.
    #[cfg_attr(windows, allow(dead_code))]
    pub(crate) const ANYBODY: (u32, u32) = (0, 0);

    /// Whether it is an [offer](crate::Endpoint::offer), which whoever has the info may redeem: then it is a secret, and
    /// names no target.
    #[must_use]
    pub fn is_offer(&self) -> bool {
        self.held && (self.target_pid, self.target_tag) == Self::ANYBODY
    }

    fn way(&self) -> u32 {
        if self.held { HELD } else { DELIVERED }
    }

    fn checksum(&self, entry: u32) -> u32 {
        let [t0, t1, t2, t3] = self.token_words();
        let Delivery { target_pid, target_tag, source_pid, source_tag, domain, .. } = *self;
        checksum32(&[t0, t1, t2, t3, self.way(), entry, target_pid, target_tag, source_pid, source_tag, domain])
    }

    fn token_words(&self) -> [u32; 4] {
        let [t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, ta, tb, tc, td, te, tf] = self.token;
        [[t0, t1, t2, t3], [t4, t5, t6, t7], [t8, t9, ta, tb], [tc, td, te, tf]].map(u32::from_le_bytes)
    }
}

impl ProtocolInfo {
    pub(crate) fn new(entry: &'static CatalogEntry, delivery: Delivery) -> Self {
        ProtocolInfo { entry, delivery: Some(delivery) }
    }

    /// The protocol of the socket.
    #[must_use]
    pub fn catalog_entry(&self) -> &'static CatalogEntry {
        self.entry
    }

    /// What it names, or nothing when it only describes a protocol.
    #[must_use]
    pub fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    /// The 628 bytes of `WSAPROTOCOL_INFOW`.
    #[must_use]
    pub fn to_wide_bytes(&self) -> [u8; WIDE] {
        let mut bytes = [0; WIDE];
        let (head, name) = bytes.split_at_mut(HEAD);
        head.copy_from_slice(&self.head());
        for (place, letter) in name.chunks_exact_mut(2).zip(self.entry.name.bytes()) {
            place.copy_from_slice(&[letter, 0]);
        }
        bytes
    }

    /// The 372 bytes of `WSAPROTOCOL_INFOA`.
    #[must_use]
    pub fn to_narrow_bytes(&self) -> [u8; NARROW] {
        let mut bytes = [0; NARROW];
        let (head, name) = bytes.split_at_mut(HEAD);
        head.copy_from_slice(&self.head());
        for (place, letter) in name.iter_mut().zip(self.entry.name.bytes()) {
            *place = letter;
        }
        bytes
    }

    /// Reads either form; the length tells which it is.
    ///
    /// # Errors
    /// [`InfoError::Length`] for any other length; [`InfoError::Member`] names the first member that holds something
    /// that this library did not write there. Every altered bit before `szProtocol` is noticed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InfoError> {
        match (bytes.len(), bytes.first_chunk::<HEAD>()) {
            (WIDE | NARROW, Some(head)) => Self::from_head(head),
            (length, _) => Err(InfoError::Length(length)),
        }
    }

    /// The words before and after `ProviderId`; [`MEMBERS`] has their names.
    fn words(&self) -> [u32; MEMBERS.len()] {
        let entry = self.entry;
        let none = Delivery {
            token: [0; 16],
            target_pid: 0,
            target_tag: 0,
            source_pid: 0,
            source_tag: 0,
            domain: 0,
            held: false,
        };
        let (way, checksum, delivery) = match &self.delivery {
            Some(delivery) => (delivery.way(), delivery.checksum(entry.id), delivery),
            None => (0, 0, &none),
        };
        let [t0, t1, t2, t3] = delivery.token_words();
        [
            entry.service_flags,
            way,
            delivery.domain,
            checksum,
            entry.provider_flags,
            entry.id,
            1,
            t0,
            t1,
            t2,
            t3,
            delivery.target_tag,
            delivery.source_pid,
            delivery.source_tag,
            2,
            entry.address_family,
            entry.max_address,
            entry.min_address,
            entry.socket_type,
            entry.protocol,
            entry.protocol_max_offset,
            0,
            0,
            entry.message_size,
            delivery.target_pid,
        ]
    }

    fn head(&self) -> [u8; HEAD] {
        let mut head = [0; HEAD];
        let (before, rest) = head.split_at_mut(20);
        let (provider, after) = rest.split_at_mut(16);
        provider.copy_from_slice(&self.entry.provider);
        let places = before.chunks_exact_mut(4).chain(after.chunks_exact_mut(4));
        for (place, word) in places.zip(self.words()) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        head
    }

    fn from_head(head: &[u8; HEAD]) -> Result<Self, InfoError> {
        let (before, rest) = head.split_at(20);
        let (provider, after) = rest.split_at(16);
        let mut found = [0; MEMBERS.len()];
        for (word, place) in found.iter_mut().zip(before.chunks_exact(4).chain(after.chunks_exact(4))) {
            *word = place.try_into().map_or(0, u32::from_le_bytes);
        }
        let [_, magic, domain, _, _, id, _, t0, t1, t2, t3, target_tag, source_pid, source_tag, .., target_pid] = found;
        let altered = |member, found| InfoError::Member { member, found };
        let entry = CatalogEntry::by_id(id).ok_or(altered("dwCatalogEntryId", id))?;
        let delivery = match magic {
            0 => None,
            DELIVERED | HELD => {
                let mut token = [0; 16];
                for (place, word) in token.chunks_exact_mut(4).zip([t0, t1, t2, t3]) {
                    place.copy_from_slice(&word.to_le_bytes());
                }
                let held = magic == HELD;
                Some(Delivery { token, target_pid, target_tag, source_pid, source_tag, domain, held })
            }
            other => return Err(altered("dwServiceFlags2", other)),
        };
        let info = ProtocolInfo { entry, delivery };
        // What we would have written is the only thing that we accept.
        let written = info.words();
        if written != found {
            let mut members = MEMBERS.into_iter().zip(written).zip(found);
            if let Some(((member, _), found)) = members.find(|((_, written), found)| written != found) {
                return Err(altered(member, found));
            }
        }
        match provider == entry.provider {
            true => Ok(info),
            false => Err(altered("ProviderId", provider.first_chunk().map_or(0, |word| u32::from_le_bytes(*word)))),
        }
    }
}

impl From<&'static CatalogEntry> for ProtocolInfo {
    /// The info of a protocol, without a duplicate (`WSAEnumProtocols`).
    fn from(entry: &'static CatalogEntry) -> Self {
        ProtocolInfo { entry, delivery: None }
    }
}

/// The text form: one line, safe in an environment variable and in a shell.
impl fmt::Display for ProtocolInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(TEXT_PREFIX)?;
        self.head().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for ProtocolInfo {
    type Err = InfoError;

    fn from_str(text: &str) -> Result<Self, InfoError> {
        let digits =
            text.trim().strip_prefix(TEXT_PREFIX).ok_or(InfoError::Text("it does not begin with sharesock1:"))?;
        let mut head = [0; HEAD];
        if digits.len() != 2 * HEAD {
            return Err(InfoError::Text("232 hexadecimal digits must follow sharesock1:"));
        }
        for (byte, pair) in head.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
            let digit = |letter: &u8| char::from(*letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            *byte = match pair {
                [high, low] => digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low),
                _ => None,
            }
            .ok_or(InfoError::Text("232 hexadecimal digits must follow sharesock1:"))?;
        }
        Self::from_head(&head)
    }
}

impl fmt::Debug for ProtocolInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProtocolInfo({} ", self.entry.name)?;
        match &self.delivery {
            Some(delivery) => write!(f, "{delivery:?})"),
            None => f.write_str("without a duplicate)"),
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_offer() {
            // It would be a secret in a log.
            return write!(f, "offer (a bearer token, not shown), held by process {}", self.source_pid);
        }
        let token = u128::from_be_bytes(self.token);
        let way = if self.held { "held" } else { "delivered" };
        write!(f, "duplicate {token:032x}, {way}, from process {} for process {}", self.source_pid, self.target_pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offer_does_not_show_its_token() {
        let (target_pid, target_tag) = Delivery::ANYBODY;
        let delivery =
            Delivery { token: [0xab; 16], target_pid, target_tag, source_pid: 7, source_tag: 8, domain: 9, held: true };
        let shown = format!("{:?}", ProtocolInfo::new(&CatalogEntry::all()[0], delivery));
        assert!(shown.contains("bearer token") && !shown.contains("abab"), "{shown}");
    }

    fn any_info() -> impl Strategy<Value = ProtocolInfo> {
        let entries = CatalogEntry::all();
        (0..entries.len(), any::<[u8; 16]>(), any::<[u32; 5]>(), any::<bool>()).prop_map(
            move |(entry, token, numbers, held)| {
                let [target_pid, target_tag, source_pid, source_tag, domain] = numbers;
                let delivery = Delivery { token, target_pid, target_tag, source_pid, source_tag, domain, held };
                ProtocolInfo::new(&entries[entry], delivery)
            },
        )
    }

    proptest! {
        #[test]
        fn all_forms_come_back_the_same(info in any_info()) {
            prop_assert_eq!(ProtocolInfo::from_bytes(&info.to_wide_bytes()), Ok(info));
            prop_assert_eq!(ProtocolInfo::from_bytes(&info.to_narrow_bytes()), Ok(info));
            prop_assert_eq!(info.to_string().parse(), Ok(info));
        }

        #[test]
        fn every_altered_bit_is_noticed(info in any_info(), bit in 0..HEAD * 8) {
            let mut bytes = info.to_wide_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let noticed = matches!(ProtocolInfo::from_bytes(&bytes), Err(InfoError::Member { .. }));
            prop_assert!(noticed);
        }

        #[test]
        fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..700), text in ".{0,300}") {
            prop_assert!(ProtocolInfo::from_bytes(&bytes).is_err());
            prop_assert!(text.parse::<ProtocolInfo>().is_err());
        }

        #[test]
        fn the_name_is_decoration(info in any_info(), noise in any::<u8>(), at in HEAD..WIDE) {
            let mut bytes = info.to_wide_bytes();
            bytes[at] = noise;
            prop_assert_eq!(ProtocolInfo::from_bytes(&bytes), Ok(info));
        }
    }

    #[test]
    fn the_layout_is_that_of_winsock() {
        let bytes = ProtocolInfo::from(&CatalogEntry::all()[0]).to_wide_bytes();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(0), 0x20066, "dwServiceFlags1");
        assert_eq!(word(16), 0x8, "dwProviderFlags");
        assert_eq!(bytes[20..24], [0xA0, 0x1A, 0x0F, 0xE7], "ProviderId");
        assert_eq!([word(36), word(40), word(72), word(76)], [1001, 1, 2, 2]);
        assert_eq!([word(80), word(84), word(88), word(92)], [16, 16, 1, 6]);
        assert_eq!(&bytes[116..122], b"M\0S\0A\0");
    }
}
