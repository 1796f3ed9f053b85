//! Linux.

mod rights;

pub(crate) use rights::{receive_rights, send_rights};
