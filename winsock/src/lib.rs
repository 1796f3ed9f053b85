//! Winsock for Linux: C programs that use shared sockets compile and run unchanged.
//!
//! `plain` has the plain C interface (`sharesock.h`). `shell` has the functions that Winsock programs call, `provider` what they do to sockets, `system` event objects, waiting
//! and windows, `names` hosts and addresses. Below lie `sock` (a socket), `waiting` (the calls that block), `transfer`
//! (bytes with the caller's buffers), `state` (what a process has) with `handle`, `address` and `layout` (what lies
//! in a C program's memory), and at the bottom `memory` (that memory), `boundary` and `code`.
//!
//! This crate is a C library; its Rust names are of no use outside. Rust programs use the crate `sharesock`. On Windows,
//! which has Winsock, it is empty.
#![cfg(target_os = "linux")]
#![allow(unreachable_pub)] // C reaches what Rust does not.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod address;
mod boundary;
mod code;
mod handle;
mod layout;
mod memory;
mod names;
mod plain;
mod provider;
mod shell;
mod sign;
mod sock;
mod state;
mod system;
mod transfer;
mod waiting;
