//! Socket activation, as systemd does it: how descriptors that are passed to a process are announced.

/// The number of the first descriptor; the others follow.
pub(crate) const FIRST: i32 = 3;
/// How many there are.
pub(crate) const LISTEN_FDS: &str = "LISTEN_FDS";
/// The process for which they are meant.
pub(crate) const LISTEN_PID: &str = "LISTEN_PID";
/// Their names, with colons in between.
pub(crate) const LISTEN_FDNAMES: &str = "LISTEN_FDNAMES";
/// The process once more, by what tells it from a later one with its id.
pub(crate) const LISTEN_PIDFDID: &str = "LISTEN_PIDFDID";
