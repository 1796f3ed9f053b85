//! The functions that C programs call. Each takes what C gives, hands it to the provider, and returns its code.
//!
//! Names of Winsock's own (`WSA…`, `WSP…`) are exported as they are; all others with the prefix `sharesock_`, which the
//! headers put in, so that the C library's `socket` and `recv` stay what they are for the rest of the process.

mod events;
mod info;
mod names;
mod sockets;
mod spi;
mod startup;
mod system;
mod texts;
mod transfer;
mod windows;
