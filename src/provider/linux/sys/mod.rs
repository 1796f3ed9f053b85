//! Linux.

mod backlog;
mod gate;
mod headroom;
mod inherit;
mod interest;
mod lock;
mod memory;
mod peer;
mod receive;
mod rights;
mod segment;

pub(crate) use backlog::{queue_memory, tcp_connection, waiting_connections};
pub(crate) use gate::{gate_is_open, new_gate, take_gate};
pub(crate) use headroom::Headroom;
pub(crate) use inherit::{adopt_listening, beyond_standard, spawn_listening};
pub(crate) use interest::Interest;
pub(crate) use lock::{lock_range, locked_by_others, try_lock_range, try_share_range, unlock_range};
pub(crate) use memory::{ForkMark, Tally};
pub(crate) use peer::peer_pid;
pub(crate) use receive::receive_from;
pub(crate) use rights::{MOST_RIGHTS, receive_load, receive_rights, send_load, send_rights};
pub(crate) use segment::{Segment, remove_abandoned_segments};
