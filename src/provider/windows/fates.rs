//! What became of the duplicates that this process knew: for those who ask again.

use super::ticket::Token;
use crate::error::Error;
use std::collections::{HashMap, VecDeque};

/// So many are remembered.
const MOST: usize = 8192;

/// What became of a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Redeemed,
    Expired,
    Revoked,
}

impl From<Fate> for Error {
    fn from(fate: Fate) -> Self {
        match fate {
            Fate::Redeemed => Error::AlreadyRedeemed,
            Fate::Expired => Error::Expired,
            Fate::Revoked => Error::Revoked,
        }
    }
}

/// The fates of the last so many.
#[derive(Debug, Default)]
pub(crate) struct Fates {
    known: HashMap<Token, Fate>,
    order: VecDeque<Token>,
}

impl Fates {
    pub(crate) fn note(&mut self, token: Token, fate: Fate) {
        if self.known.insert(token, fate).is_none() {
            self.order.push_back(token);
        }
        if self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn of(&self, token: &Token) -> Option<Fate> {
        self.known.get(token).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut fates = Fates::default();
        let token = |number: usize| u128::try_from(number).unwrap().to_le_bytes();
        for number in 0..=MOST {
            fates.note(token(number), Fate::Redeemed);
        }
        assert_eq!((fates.of(&token(0)), fates.of(&token(1))), (None, Some(Fate::Redeemed)));
        assert_eq!(fates.known.len(), MOST);
    }
}
