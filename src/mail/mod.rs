//! What goes between processes: the endpoint's inbox, the links that lead to others, and the frames on them.

mod frame;
mod inbox;
mod link;

pub(crate) use inbox::Inbox;
pub(crate) use link::Links;

/// What names a duplicate within its source process.
pub(crate) type Token = [u8; 16];
