//! What a run came to.

/// Why a scenario ends early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// An actor ended, or an error came again and again: the rest cannot be played.
    Cut(String),
    Found(Finding),
}

/// What must not happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Lost,
    Doubled,
    Hang,
    Leak,
    Panic,
    /// Something else went wrong, such as an error that does not go away.
    Wrong,
}

#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

pub(crate) fn found<T>(kind: Kind, text: impl Into<String>) -> Result<T, Halt> {
    Err(Halt::Found(Finding { kind, text: text.into() }))
}
