//! What is shown of a supervisor: as text, for Prometheus, and live in a terminal.
#![cfg(target_os = "linux")]

mod drawing;
mod emulator;
mod live;
mod pages;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
mod player;
mod rates;
#[path = "../running/mod.rs"]
mod running;
mod samples;
#[path = "../../src/seconds.rs"]
mod seconds;
#[path = "../../src/status.rs"]
#[allow(dead_code)] // The views do not ask everything.
mod status;
mod supervised;
#[path = "../../src/views/mod.rs"]
mod views;
