//! What travels with a connection, before its unread bytes: a fixed prefix of the parcel's bytes. A supervisor hands off bare
//! connections.

use std::time::{SystemTime, UNIX_EPOCH};

const MAGIC: [u8; 4] = *b"SSe\x02";
/// Bytes of an envelope.
pub(crate) const SIZE: usize = 24;
/// Stands for a time that nobody tells.
const UNTOLD: u64 = 0;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Envelope {
    /// Id of the process that accepted it.
    pub(crate) accepted_by: u32,
    /// Number of its moves from one worker to another.
    pub(crate) moves: u32,
    /// When it was last handed off, in nanoseconds since 1970: a clock that every process reads alike, on every system.
    pub(crate) sent: u64,
}

impl Envelope {
    /// Envelope of a connection that the process with this id accepted, and nobody has moved yet.
    pub(crate) fn bare(accepted_by: u32) -> Self {
        Envelope { accepted_by, moves: 0, sent: UNTOLD }
    }

    /// The same, handed off now.
    pub(crate) fn sent_now(self) -> Self {
        Envelope { sent: now(), ..self }
    }

    /// Microseconds since it was handed off, if that is known.
    pub(crate) fn age_us(self) -> Option<f64> {
        let nanoseconds = u32::try_from(now().saturating_sub(self.sent)).unwrap_or(u32::MAX);
        (self.sent != UNTOLD).then_some(f64::from(nanoseconds) / 1000.0)
    }

    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let parts =
            [&MAGIC[..], &self.accepted_by.to_le_bytes(), &self.moves.to_le_bytes(), &[0; 4], &self.sent.to_le_bytes()];
        bytes.copy_from_slice(&parts.concat());
        bytes
    }

    /// The envelope, and the bytes behind it.
    pub(crate) fn open(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (accepted_by, rest) = rest.split_first_chunk()?;
        let (moves, rest) = rest.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (sent, rest) = rest.split_first_chunk()?;
        let [accepted_by, moves] = [accepted_by, moves].map(|word| u32::from_le_bytes(*word));
        (*magic == MAGIC).then_some((Envelope { accepted_by, moves, sent: u64::from_le_bytes(*sent) }, rest))
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_back_with_what_follows_it() {
        let envelope = Envelope { accepted_by: 7, moves: 3, sent: 1 << 40 };
        let bytes = [&envelope.to_bytes()[..], b"GET /"].concat();
        assert_eq!(Envelope::open(&bytes), Some((envelope, &b"GET /"[..])));
        assert_eq!(Envelope::open(&bytes[..SIZE - 1]), None);
        assert_eq!(Envelope::open(&[0; 64]), None);
    }
}
