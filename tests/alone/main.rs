//! Tests that need a process to themselves: they count its descriptors and threads, lower its limits, fork it, or start so
//! many processes that other tests would be in the way. Each runs in a process of its own; see `process.rs`.
#![cfg(target_os = "linux")]

#[macro_use]
mod process;

mod bounds;
mod close_on_exec;
#[path = "../ending/mod.rs"]
mod ending;
mod endings;
mod event_fork;
mod event_limits;
mod kill;
mod left_over;
#[path = "../needs/mod.rs"]
mod needs;
#[path = "../occurring/mod.rs"]
mod occurring;
mod out_of_descriptors;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../peer/mod.rs"]
mod peer;
mod table;
