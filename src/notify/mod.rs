//! Being told of network events: event objects, message queues, and registering sockets with them.
//!
//! `select` has what a `Socket` does, `event` and `message_queue` what is waited for.

mod event;
mod message_queue;
mod select;
#[cfg(feature = "tokio")]
mod stream;

pub use event::Event;
pub use message_queue::{Message, MessageQueue};
pub use select::Registration;
#[cfg(feature = "tokio")]
pub use stream::{AsyncEvent, AsyncMessageQueue};
