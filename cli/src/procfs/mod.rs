//! What the kernel tells of processes and sockets, by `/proc` and by netlink.

pub(crate) mod connections;
pub(crate) mod processes;
mod sock_diag;
pub(crate) mod sockets;
mod tcp;
