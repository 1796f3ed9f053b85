//! The kernel, behind the same names on every system. This is the one place that picks.

mod linux;

pub(crate) use linux::{lock_range, receive_rights, send_rights, try_lock_range, unlock_range};
