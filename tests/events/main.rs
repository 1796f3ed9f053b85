//! Network events within one process: what is reported, and when. These tests start no process.
//!
//! What several processes see of one registration is tested in `processes/one_registration.rs`.
#![cfg(target_os = "linux")]

mod kinds;
mod messages;
mod object;
#[path = "../occurring/mod.rs"]
mod occurring;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../peer/mod.rs"]
mod peer;
mod regressions;
mod select;
