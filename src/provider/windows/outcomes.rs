//! What became of the duplicates that this process knew: for those who ask again.

use super::ticket::Token;
use crate::error::Error;
use std::collections::{HashMap, VecDeque};

/// So many are remembered.
const MOST: usize = 8192;

/// What became of a duplicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Redeemed,
    Expired,
    Revoked,
}

impl From<Outcome> for Error {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Redeemed => Error::AlreadyRedeemed,
            Outcome::Expired => Error::Expired,
            Outcome::Revoked => Error::Revoked,
        }
    }
}

/// The outcomes of the last so many.
#[derive(Debug, Default)]
pub(crate) struct OutcomeCache {
    known: HashMap<Token, Outcome>,
    order: VecDeque<Token>,
}

impl OutcomeCache {
    pub(crate) fn note(&mut self, token: Token, outcome: Outcome) {
        if self.known.insert(token, outcome).is_none() {
            self.order.push_back(token);
        }
        if self.order.len() > MOST {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn of(&self, token: &Token) -> Option<Outcome> {
        self.known.get(token).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let mut outcomes = OutcomeCache::default();
        let token = |number: usize| u128::try_from(number).unwrap().to_le_bytes();
        for number in 0..=MOST {
            outcomes.note(token(number), Outcome::Redeemed);
        }
        assert_eq!((outcomes.of(&token(0)), outcomes.of(&token(1))), (None, Some(Outcome::Redeemed)));
        assert_eq!(outcomes.known.len(), MOST);
    }
}
