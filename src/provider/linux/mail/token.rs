//! What names a duplicate within its source process.

use crate::error::{Error, Result};
use rustix::io::Errno;
use std::sync::{Mutex, PoisonError};

/// So many random numbers are fetched from the kernel at a time.
const AT_A_TIME: usize = 32;

/// Names a duplicate: a random number that its source gives once, and the identity of the underlying socket.
///
/// Since it says of which socket it is, nobody who only sees the info can put another socket in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Token([u8; 16]);

impl Token {
    fn new(random: [u8; 8], cookie: u64) -> Self {
        let mut bytes = [0; 16];
        let (first, last) = bytes.split_at_mut(8);
        first.copy_from_slice(&random);
        last.copy_from_slice(&cookie.to_le_bytes());
        Token(bytes)
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Token(bytes)
    }

    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// Identity of the underlying socket.
    pub(crate) fn cookie(&self) -> u64 {
        self.0.last_chunk().map_or(0, |cookie| u64::from_le_bytes(*cookie))
    }
}

/// Makes tokens.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Vec<[u8; 8]>>);

impl Tokens {
    pub(crate) fn next(&self, cookie: u64) -> Result<Token> {
        let mut random = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(random) = random.pop() {
            return Ok(Token::new(random, cookie));
        }
        let refused = Error::system("asking for random bytes");
        let mut bytes = [0; AT_A_TIME * 8];
        let fetched = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).map_err(&refused)?;
        let whole = bytes.get(..fetched).unwrap_or_default().chunks_exact(8);
        random.extend(whole.filter_map(|number| <[u8; 8]>::try_from(number).ok()));
        random.pop().map(|random| Token::new(random, cookie)).ok_or_else(|| refused(Errno::IO))
    }
}
