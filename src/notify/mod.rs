//! Being told of network events: event objects, message queues, and registering sockets with them.
//!
//! `select` has what a `Socket` does, `event` and `message_queue` what is waited for, `watch_set` what both have
//! below, and `desk` how waiting threads wake each other.

mod desk;
mod event;
mod message_queue;
mod select;
#[cfg(feature = "tokio")]
mod stream;
mod watch_set;

pub use event::Event;
pub use message_queue::{Message, MessageQueue};
pub use select::Registration;
#[cfg(feature = "tokio")]
pub use stream::{AsyncEvent, AsyncMessageQueue};

/// The Winsock code of a connection that was reset (`WSAECONNABORTED`).
const ABORTED: i32 = 10053;
