//! The record of network events that every underlying socket has, for all processes of a domain.
//!
//! `word` is the record and its changes, `cell` how they are made, `table` and `owners` where it lies, `claim` how a socket
//! gets its place there, and `observe` what the kernel says of a socket.

mod cell;
mod claim;
#[cfg(test)]
mod fault_injection;
#[cfg(test)]
mod full;
#[cfg(test)]
mod interleavings;
mod observe;
mod owners;
#[cfg(test)]
mod racing_claims;
#[cfg(test)]
mod reference;
mod table;
mod word;

pub(crate) use observe::{NOTHING, UNKNOWN, arrivals, begins_attempt, is_datagram, look, observe, remains};
pub(crate) use table::{Slot, Table};
pub(crate) use word::{Record, Seen};
