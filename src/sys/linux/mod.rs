//! Linux.

mod lock;
mod rights;

pub(crate) use lock::{lock_range, try_lock_range, unlock_range};
pub(crate) use rights::{receive_rights, send_rights};
