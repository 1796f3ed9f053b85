//! How a connection stands.

/// How the TCP connection of a socket stands, as the kernel has it: the same for all its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Connection {
    /// There was none yet, or the attempt to make it failed.
    Never,
    /// An attempt goes on.
    Connecting,
    /// The other side can still send. This side may have ended its sending.
    Open,
    /// The other side has ended its sending.
    Ended,
    /// It is over: ended by both sides, or reset.
    Over,
}
