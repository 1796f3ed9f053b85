//! The kernel, behind the same names on every system. This is the one place that picks.

mod linux;

pub(crate) use linux::*;
