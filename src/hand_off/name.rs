//! Names of receivers.

use crate::error::{Error, Result};

/// The most letters that a name has: what is made of it must fit into the address of a socket.
const LONGEST: usize = 32;

/// The name of a receiver; that of the unnamed one is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReceiverName(String);

impl ReceiverName {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
        if !(1..=LONGEST).contains(&name.len()) || !name.chars().all(is_allowed) {
            // A text that somebody else supplied need not be short.
            let name = name.chars().take(2 * LONGEST).collect();
            return Err(Error::BadName { name, limit: LONGEST });
        }
        Ok(ReceiverName(name.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What the names of its listeners end with.
    pub(crate) fn suffix(&self) -> String {
        match self.0.as_str() {
            "" => "-hand-off".into(),
            name => format!("-hand-off-{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_plain() {
        for name in ["a", "web-1", "A.b_c", &"x".repeat(LONGEST)] {
            assert_eq!(ReceiverName::new(name).unwrap().as_str(), name);
        }
        for name in ["", "a/b", "..\u{e4}", "a b", "a\0", &"x".repeat(LONGEST + 1)] {
            assert!(matches!(ReceiverName::new(name), Err(Error::BadName { limit: LONGEST, .. })), "{name:?}");
        }
    }
}
