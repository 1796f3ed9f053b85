//! What the public types stand on, behind the same names on every system. This is the one place that picks.

mod linux;

use linux as system;

pub use system::RawDescriptor;
pub(crate) use system::*;
