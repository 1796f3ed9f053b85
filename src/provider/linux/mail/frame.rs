//! The frames on a link: fixed layouts, little-endian, with a version.

use super::Token;
use crate::process::Process;

/// Size of every frame in bytes.
pub(crate) const SIZE: usize = 40;
const VERSION: u8 = 1;

/// What one process tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first frame of a link: who opened it.
    Hello(Process),
    /// A duplicate, with its descriptor in the same message.
    Deliver {
        /// Names the duplicate.
        token: Token,
        /// Identity of the underlying socket.
        cookie: u64,
        /// When it expires, in nanoseconds since boot; 0 is never.
        expires: u64,
        /// Whether a gate comes with it: a second descriptor, by which the source can revoke.
        gated: bool,
    },
    /// The opener of the link asks for a duplicate that is held for it.
    Claim(Token),
    /// The answer to a claim that gets nothing.
    Refuse(Token, Refusal),
    /// A receiver takes so many parcels of one message at a time.
    Appetite(u32),
    /// A receiver closes a link before it took anything from it: its sender's process, or user, has too many.
    TooMany,
}

/// Why a claim gets nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Nothing is held under this token for this process: it was claimed, or delivered.
    NotHeld,
    /// It expired.
    Expired,
    /// It was revoked.
    Revoked,
}

const HELLO: u8 = 1;
const DELIVER: u8 = 2;
const CLAIM: u8 = 3;
const REFUSE: u8 = 4;
const APPETITE: u8 = 5;
const TOO_MANY: u8 = 6;

impl Refusal {
    const ALL: [Refusal; 3] = [Refusal::NotHeld, Refusal::Expired, Refusal::Revoked];

    fn code(self) -> u8 {
        match self {
            Refusal::NotHeld => 1,
            Refusal::Expired => 2,
            Refusal::Revoked => 3,
        }
    }
}

impl Frame {
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            let end = at + part.len();
            // Every part fits: the longest frame has as many bytes.
            if let Some(place) = bytes.get_mut(at..end) {
                place.copy_from_slice(part);
            }
            at = end;
        };
        let kind = |kind| [b'S', b'S', VERSION, kind];
        match self {
            Frame::Hello(process) => {
                put(&kind(HELLO));
                put(&process.to_bytes());
            }
            Frame::Deliver { token, cookie, expires, gated } => {
                put(&kind(DELIVER));
                put(&token.to_bytes());
                put(&cookie.to_le_bytes());
                put(&expires.to_le_bytes());
                put(&[u8::from(gated)]);
            }
            Frame::Claim(token) => {
                put(&kind(CLAIM));
                put(&token.to_bytes());
            }
            Frame::Refuse(token, refusal) => {
                put(&kind(REFUSE));
                put(&token.to_bytes());
                put(&[refusal.code()]);
            }
            Frame::Appetite(parcels) => {
                put(&kind(APPETITE));
                put(&parcels.to_le_bytes());
            }
            Frame::TooMany => put(&kind(TOO_MANY)),
        }
        bytes
    }

    /// Nothing when the bytes are no frame of this version: only what we would have written is accepted.
    pub(crate) fn from_bytes(bytes: &[u8; SIZE]) -> Option<Self> {
        let ([_, _, _, kind], body) = bytes.split_first_chunk::<4>()?;
        let frame = match *kind {
            HELLO => Frame::Hello(Process::from_bytes(body.first_chunk()?)?),
            DELIVER => {
                let (token, rest) = body.split_first_chunk()?;
                let (cookie, rest) = rest.split_first_chunk()?;
                let (expires, rest) = rest.split_first_chunk()?;
                let [cookie, expires] = [cookie, expires].map(|word| u64::from_le_bytes(*word));
                Frame::Deliver { token: Token::from_bytes(*token), cookie, expires, gated: *rest.first()? == 1 }
            }
            CLAIM => Frame::Claim(Token::from_bytes(*body.first_chunk()?)),
            REFUSE => {
                let (token, rest) = body.split_first_chunk()?;
                let code = *rest.first()?;
                Frame::Refuse(
                    Token::from_bytes(*token),
                    Refusal::ALL.into_iter().find(|refusal| refusal.code() == code)?,
                )
            }
            APPETITE => Frame::Appetite(u32::from_le_bytes(*body.first_chunk()?)),
            TOO_MANY => Frame::TooMany,
            _ => return None,
        };
        (frame.to_bytes() == *bytes).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{Vector, vectors};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_comes_back_the_same(
            token in any::<[u8; 16]>(),
            numbers in any::<(u64, u64)>(),
            gated in any::<bool>(),
            process in any::<[u8; 20]>(),
            refusal in 0..3_usize,
        ) {
            let token = Token::from_bytes(token);
            let hello = Frame::Hello(Process::from_bytes(&process).unwrap());
            let deliver = Frame::Deliver { token, cookie: numbers.0, expires: numbers.1, gated };
            let refuse = Frame::Refuse(token, Refusal::ALL[refusal]);
            for frame in [hello, deliver, Frame::Claim(token), refuse, Frame::Appetite(7), Frame::TooMany] {
                prop_assert_eq!(Frame::from_bytes(&frame.to_bytes()), Some(frame));
            }
        }

        #[test]
        fn only_what_we_would_have_written_is_accepted(bytes in any::<[u8; SIZE]>(), kind in 0..8_u8, ours in any::<bool>()) {
            let mut bytes = bytes;
            if ours {
                bytes[..4].copy_from_slice(&[b'S', b'S', VERSION, kind]);
            }
            if let Some(frame) = Frame::from_bytes(&bytes) {
                prop_assert_eq!(frame.to_bytes(), bytes);
                prop_assert!(ours);
            }
        }
    }

    #[test]
    fn vectors_hold_both_ways() {
        let both_ways = |kind: &str, frame: &dyn Fn(&Vector) -> Frame| {
            for vector in vectors(kind) {
                let frame = frame(&vector);
                assert_eq!(frame.to_bytes()[..], vector.bytes, "{frame:?}");
                assert_eq!(vector.bytes.first_chunk().and_then(Frame::from_bytes), Some(frame));
            }
        };
        let token = |vector: &Vector| Token::from_bytes(vector.token());
        both_ways("hello", &|vector| {
            let (pid, start) = (vector.number("id"), vector.number("start"));
            Frame::Hello(Process::from_parts(pid, start, vector.number("namespace")))
        });
        both_ways("deliver", &|vector| Frame::Deliver {
            token: token(vector),
            cookie: vector.number("cookie"),
            expires: vector.number("expires"),
            gated: vector.number::<u8>("gated") == 1,
        });
        both_ways("claim", &|vector| Frame::Claim(token(vector)));
        both_ways("refuse", &|vector| Frame::Refuse(token(vector), Refusal::ALL[vector.number::<usize>("reason") - 1]));
        both_ways("appetite", &|vector| Frame::Appetite(vector.number("parcels")));
        both_ways("too-many", &|_| Frame::TooMany);
    }

    #[test]
    fn vectors_of_no_frames_are_refused() {
        for vector in vectors("refused-frame") {
            // A frame of another length is refused before it is read.
            let frame = <&[u8; SIZE]>::try_from(&vector.bytes[..]).ok().and_then(Frame::from_bytes);
            assert_eq!(frame, None, "{:?}", vector.bytes);
        }
    }
}
