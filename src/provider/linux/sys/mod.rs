//! Linux.

mod backlog;
mod entrusted;
mod exclusive;
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
mod thread;
pub(crate) mod timer;

pub(crate) use backlog::{queue_memory, tcp_connection, waiting_connections};
pub(crate) use entrusted::{Bury, Entrusted};
pub(crate) use exclusive::Exclusive;
pub(crate) use gate::{gate_is_open, gates_left, is_gate, new_gate, take_gate, take_gates};
pub(crate) use headroom::Headroom;
pub(crate) use inherit::{adopt_link, adopt_listening, beyond_standard, spawn_listening};
pub(crate) use interest::Interest;
pub(crate) use lock::{lock_range, locked_by_others, try_lock_range, try_share_range, unlock_range};
pub(crate) use memory::ForkMark;
pub(crate) use peer::{Credentials, descriptors_in_queue, lingers, peer_credentials, peer_pidfd, refuse_descriptors};
pub(crate) use receive::receive_from;
pub(crate) use rights::{
    Look, MOST_RIGHTS, Message, is_empty, peek_first, receive_bytes, receive_few, receive_rights, send_rights,
};
pub(crate) use segment::{Segment, remove_abandoned_segments};
pub(crate) use thread::{keep_only, spawn_masked};
