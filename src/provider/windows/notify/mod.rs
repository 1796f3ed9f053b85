//! Event objects, message queues, and registering sockets with them.
//!
//! The system keeps the events of a socket, one registration for all its descriptors, so that here is only what a
//! program of this process waits for, and what each `Socket` remembers about its registration.

mod enrolment;
mod event;
mod queue;
mod registry;
mod select;

pub(crate) use enrolment::Enrolment;
pub(crate) use event::EventObject;
pub(crate) use queue::Queue;
pub(crate) use select::{
    accept, accept_apart, async_select, cancel_select, enum_network_events, event_select, pass_registration,
    registration, set_nonblocking,
};

use crate::error::{Error, Result};

/// What becomes of a wish to hear of lost registrations.
fn hear_losses(hear: bool) -> Result<()> {
    if !hear {
        return Ok(());
    }
    Err(Error::NotOnThisSystem {
        what: "when a registration is taken over",
        instead: "let the process that takes it over say so",
    })
}
