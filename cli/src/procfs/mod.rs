//! What the kernel tells of processes, sockets and the machine: by `/proc`, and by netlink.

pub(crate) mod connections;
pub(crate) mod descriptors;
pub(crate) mod machine;
mod net;
pub(crate) mod processes;
mod sock_diag;
pub(crate) mod sockets;
pub(crate) mod stat;
mod tcp;
pub(crate) mod waits;
