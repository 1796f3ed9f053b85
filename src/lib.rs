//! Share live sockets between processes the way Winsock does.
//!
//! A *source process* duplicates a socket for a *target process* and gets a [`ProtocolInfo`]: 628 plain bytes.
//! The bytes travel over any channel; the target redeems them for one more descriptor of the same *underlying
//! socket*. Nothing stands in between: the kernel keeps the descriptor in the receive queue of the target's own
//! endpoint, so the source may close its socket or exit as soon as [`Endpoint::duplicate`] has returned, if the target
//! has opened its endpoint.
//!
//! ```
//! use sharesock::{Domain, Endpoint, ProtocolInfo, Socket};
//! use std::io::{Read, Write};
//! # let folder = std::env::temp_dir().join(format!("sharesock-doc-lib-{}", std::process::id()));
//! # let domain = Domain::at(&folder)?;
//! let endpoint = Endpoint::open(&domain)?;
//!
//! let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
//! let mut client = std::net::TcpStream::connect(listener.local_addr()?)?;
//! let connection = Socket::from(listener.accept()?.0);
//!
//! // The source names the target process. Here it is this one, which is allowed.
//! let info = endpoint.duplicate(&connection, std::process::id())?;
//! let bytes: [u8; 628] = info.to_wide_bytes();
//! drop(connection); // the connection lives on
//!
//! // The target redeems the bytes, once.
//! let mut redeemed = endpoint.redeem(&ProtocolInfo::from_bytes(&bytes)?)?;
//! redeemed.write_all(b"hello")?;
//! let mut read = [0; 5];
//! client.read_exact(&mut read)?;
//! assert_eq!(&read, b"hello");
//! # drop(endpoint);
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To give a socket away instead, with application bytes, in one message and without a protocol info, see [`Sender`]
//! and [`Receiver`]. To be told of network events, in the one process that is registered for them, see
//! [`Socket::event_select`] and [`Socket::async_select`]. To take turns on a socket, see [`Turn`]; to see who holds it,
//! [`Socket::holders`].
//!
//! # Features
//!
//! None is on by default.
//!
//! - `tokio`: conversions from and to tokio's sockets, [`AsyncSender`], `ReceiverStream`, `AsyncEvent`, `AsyncMessageQueue`,
//!   [`Endpoint::redeem_async`] and [`Endpoint::flush_async`], and [`SpawnExt`] for tokio's `Command`.
//! - `serde`: [`ProtocolInfo`] and [`Process`] are serialized as their texts.
//! - `tracing`: what becomes of endpoints and sockets is told to the program's log, under the target `sharesock` and at the levels
//!   *debug* and *trace*.
//!
//! Platforms: Linux 5.10 or later with `/proc` mounted; Windows, over the real Winsock, run so far under Wine alone.

// Nothing that a peer, a file or the environment can supply may make us panic.
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod catalog;
mod connection;
mod digest;
mod domain;
mod duplicate;
mod endpoint;
mod error;
mod error_kind;
mod hand_off;
mod holders;
mod members;
mod network_events;
mod notify;
mod offer;
mod pending;
mod process;
mod protocol_info;
mod provider;
#[cfg(feature = "tokio")]
mod runtime;
#[cfg(unix)]
mod seat;
#[cfg(feature = "serde")]
mod serialized;
mod socket;
mod spawn;
mod trace;
mod turn;
#[cfg(test)]
mod vectors;
mod wait;

/// The examples of the README are compiled with the others.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The same of the guide for Rust.
#[cfg(doctest)]
#[doc = include_str!("../docs/how-to/rust.md")]
struct HowTo;

/// What exists on one system only.
#[cfg(windows)]
pub mod os {
    /// Windows.
    pub mod windows {
        pub use crate::provider::SocketExt;
    }
}

/// What only fuzzing reaches from outside.
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing {
    /// Reads `bytes` as every message that a peer can send.
    pub fn messages(bytes: &[u8]) {
        crate::provider::fuzz(bytes);
        crate::hand_off::fuzz(bytes);
    }
}

pub use catalog::CatalogEntry;
pub use connection::Connection;
pub use domain::Domain;
pub use duplicate::{DuplicateOptions, Revocation};
pub use endpoint::Endpoint;
pub use error::{Error, InfoError, Result, winsock_code};
pub use error_kind::ErrorKind;
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use hand_off::ReceiverStream;
pub use hand_off::{Iter, Parcel, Progress, Receiver, Refused, Sender};
pub use holders::{Holder, Holders};
pub use members::Member;
pub use network_events::{NetworkEvents, Occurred};
#[cfg(feature = "tokio")]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use notify::{AsyncEvent, AsyncMessageQueue};
pub use notify::{Event, Message, MessageQueue, Registration};
pub use offer::{Keeper, OfferOptions};
pub use pending::{PendingFlush, PendingRedeem, Redeeming};
pub use process::{Process, Target};
pub use protocol_info::{Delivery, ProtocolInfo};
pub use provider::RawDescriptor;
#[cfg(all(feature = "tokio", unix))]
#[cfg_attr(docsrs, doc(cfg(feature = "tokio")))]
pub use runtime::AsyncSender;
#[cfg(unix)]
pub use seat::{ExecExt, InheritedEndpoint, Seat};
pub use socket::{Socket, SocketId, SocketRef};
/// The crate behind [`Socket::as_socket`] and [`Socket::new`]: its `Domain` is a family of addresses, not a [`Domain`].
pub use socket2;
pub use spawn::SpawnExt;
pub use turn::{Direction, Turn};
pub use wait::Wait;
