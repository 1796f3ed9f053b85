//! Sharing between processes: the rules, duplicates, handing off, domains and their names.
#![cfg(target_os = "linux")]

mod hand_off;
mod hand_off_ends;
mod hand_off_queue;
mod held;
mod limits;
mod looping;
mod names;
mod namespaces;
#[path = "../needs/mod.rs"]
mod needs;
#[path = "../occurring/mod.rs"]
mod occurring;
mod offers;
mod one_registration;
#[path = "../outside/mod.rs"]
mod outside;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../peer/mod.rs"]
mod peer;
mod places;
mod rules;
#[cfg(feature = "tokio")]
mod runtime;
mod spawn;
#[path = "../stranger/mod.rs"]
mod stranger;
