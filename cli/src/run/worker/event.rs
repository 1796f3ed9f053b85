//! What the supervisor is told by its workers, and by those who look at them.

use super::notify::NotifyMessage;
use sharesock::Parcel;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// What comes from the workers.
#[derive(Debug)]
pub(crate) enum Event {
    Notify(u64, NotifyMessage),
    Ready(u64),
    /// These processes accepted a connection that was made to try it, or what they started did. Or connections are accepted
    /// and closed so soon that nobody is seen to have them.
    Accepts(Option<Vec<i32>>),
    /// A worker has ended that is no child of this process.
    Gone(u64),
    Accepted(Waiting),
}

/// A connection, accepted, and given to nobody yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) parcel: Parcel,
    pub(crate) since: Instant,
    _room: Option<OwnedSemaphorePermit>,
}

impl Waiting {
    /// From now on; `room` is what it takes up of the room for such.
    pub(crate) fn new(parcel: Parcel, room: Option<OwnedSemaphorePermit>) -> Self {
        Waiting { parcel, since: Instant::now(), _room: room }
    }
}
