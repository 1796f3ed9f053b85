//! The part of the system's own interface that Winsock programs use: event objects, waiting, windows for messages.

pub(crate) mod message;
pub(crate) mod wait;
pub(crate) mod window;
