//! The frames on a link: fixed layouts, little-endian, with a version.

use super::Token;
use crate::process::Process;

/// Size of every frame in bytes.
pub(crate) const SIZE: usize = 36;
const VERSION: u8 = 1;
const HELLO: [u8; 4] = [b'S', b'S', VERSION, 1];
const DELIVER: [u8; 4] = [b'S', b'S', VERSION, 2];

/// What one process tells another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The first frame of a link: who sends.
    Hello(Process),
    /// A duplicate, with its descriptor in the same message.
    Deliver { token: Token, cookie: u64 },
}

impl Frame {
    pub(crate) fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let (kind, body) = bytes.split_at_mut(4);
        match self {
            Frame::Hello(process) => {
                kind.copy_from_slice(&HELLO);
                body.split_at_mut(20).0.copy_from_slice(&process.to_bytes());
            }
            Frame::Deliver { token, cookie } => {
                kind.copy_from_slice(&DELIVER);
                let (first, rest) = body.split_at_mut(16);
                first.copy_from_slice(&token);
                rest.split_at_mut(8).0.copy_from_slice(&cookie.to_le_bytes());
            }
        }
        bytes
    }

    /// Nothing when the bytes are no frame of this version.
    pub(crate) fn from_bytes(bytes: &[u8; SIZE]) -> Option<Self> {
        let (kind, body) = bytes.split_first_chunk::<4>()?;
        let frame = match *kind {
            HELLO => Frame::Hello(Process::from_bytes(body.first_chunk()?)?),
            DELIVER => {
                let (token, rest) = body.split_first_chunk()?;
                Frame::Deliver { token: *token, cookie: u64::from_le_bytes(*rest.first_chunk()?) }
            }
            _ => return None,
        };
        (frame.to_bytes() == *bytes).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_frame_comes_back_the_same(token in any::<Token>(), cookie in any::<u64>(), process in any::<[u8; 20]>()) {
            let deliver = Frame::Deliver { token, cookie };
            prop_assert_eq!(Frame::from_bytes(&deliver.to_bytes()), Some(deliver));
            let hello = Frame::Hello(Process::from_bytes(&process).unwrap());
            prop_assert_eq!(Frame::from_bytes(&hello.to_bytes()), Some(hello));
        }

        #[test]
        fn noise_is_no_frame(bytes in any::<[u8; SIZE]>(), kind in any::<[u8; 4]>()) {
            let mut bytes = bytes;
            bytes[..4].copy_from_slice(&kind);
            prop_assume!(kind != HELLO && kind != DELIVER);
            prop_assert_eq!(Frame::from_bytes(&bytes), None);
        }
    }
}
