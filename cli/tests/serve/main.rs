//! `sharesock serve`: its protocol, its limits, its reloads.
#![cfg(target_os = "linux")]

mod basic;
mod full;
mod http;
mod load;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
#[path = "../serving/mod.rs"]
mod serving;
mod supervised;
