//! What the public types stand on, behind the same names on every system. This is the one place that picks.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(windows)]
mod windows;

#[cfg(target_os = "linux")]
use linux as system;
#[cfg(windows)]
use windows as system;

pub use system::RawDescriptor;
#[cfg(windows)]
pub use system::SocketExt;
pub(crate) use system::*;
