//! The small tools, and the rest of the program.
#![cfg(target_os = "linux")]

mod give;
mod look;
mod offers;
mod program;
mod revoke;
mod sockets;
mod stage;
