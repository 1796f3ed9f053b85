//! What is shown of a supervisor: as text, for Prometheus, and live in a terminal.
#![cfg(target_os = "linux")]

#[path = "../src/seconds.rs"]
mod seconds;
#[path = "../src/status.rs"]
#[allow(dead_code)] // The views do not ask everything.
mod status;
mod terminal;
#[path = "../src/views/mod.rs"]
mod views;
