//! The small tools, and the rest of the program.
#![cfg(target_os = "linux")]

mod give;
mod look;
mod offers;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
mod program;
mod revoke;
mod sockets;
mod stage;
