//! Linux.

mod gate;
mod headroom;
mod inherit;
mod lock;
mod memory;
mod peer;
mod rights;

pub(crate) use gate::{new_gate, take_gate};
pub(crate) use headroom::Headroom;
pub(crate) use inherit::{adopt_listening, beyond_standard, spawn_listening};
pub(crate) use lock::{lock_range, try_lock_range, unlock_range};
pub(crate) use memory::{ForkMark, Tally};
pub(crate) use peer::peer_pid;
pub(crate) use rights::{MOST_RIGHTS, receive_load, receive_rights, send_load, send_rights};
