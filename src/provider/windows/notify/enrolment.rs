//! What a `Socket` remembers about its registration.

use super::event::EventObject;
use super::queue::Listing;
use crate::network_events::NetworkEvents;
use crate::socket::Socket;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// With what a socket was registered last through a `Socket` or one of its clones, and what else the system does not
/// tell. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Enrolment(Arc<Mutex<Memory>>);

impl Enrolment {
    pub(super) fn open(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) enrolled: Option<Enrolled>,
    /// It was made non-blocking, or was seen to be.
    pub(super) nonblocking: bool,
    /// Accepted, and not registered as they should be.
    pub(super) kept: Vec<(Socket, socket2::SockAddr)>,
}

/// A registration.
#[derive(Debug)]
pub(super) enum Enrolled {
    Event { event: Arc<EventObject>, events: NetworkEvents },
    Messages { listing: Listing, id: u32, events: NetworkEvents },
}
