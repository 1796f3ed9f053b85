//! What is shown of a supervisor: as text, for Prometheus, and live in a terminal.
#![cfg(target_os = "linux")]

#[path = "../src/seconds.rs"]
mod seconds;
#[path = "../src/status.rs"]
mod status;
mod terminal;
#[path = "../src/views/mod.rs"]
mod views;
