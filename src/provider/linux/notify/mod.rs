//! Event objects, message queues, and registering sockets with them.
//!
//! `select` has what is done to a socket, `event` and `queue` what is waited for, `watch_set` what both have below, and
//! `notifier` how waiting threads wake each other.

mod event;
mod notifier;
mod queue;
mod select;
mod watch_set;

pub(crate) use event::EventObject;
pub(crate) use queue::Queue;
pub(crate) use select::{
    accept, accept_apart, async_select, cancel_select, enum_network_events, event_select, pass_registration,
    registration, set_nonblocking,
};

/// The Winsock code of a connection that was reset (`WSAECONNABORTED`).
const ABORTED: i32 = 10053;
