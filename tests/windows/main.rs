//! The library on Windows, with real processes.
#![cfg(windows)]

#[macro_use]
#[path = "../alone/process.rs"]
mod process;

mod duplicates;
mod endings;
mod hand_off;
mod notify;
mod peer;
mod places;
