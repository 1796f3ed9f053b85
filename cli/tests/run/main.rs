//! `sharesock run` and the commands that talk to it: each file is about one part of what it does.
#![cfg(target_os = "linux")]

mod as_pid_1;
mod basic;
mod config;
mod control;
mod endings;
mod idle;
mod inherited;
mod listeners;
mod manager;
#[path = "../../../tests/needs/mod.rs"]
mod needs;
mod output;
mod pass;
#[path = "../../../tests/patience/mod.rs"]
mod patience;
mod ready;
mod reload;
#[path = "../running/mod.rs"]
mod running;
mod serves;
#[path = "../serving/mod.rs"]
mod serving;
mod settings;
mod stop;
mod trust;
mod upgrade;
mod upgrade_fails;
