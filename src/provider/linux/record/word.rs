//! The record of network events of one underlying socket, as one word; and every change that it can undergo.
//!
//! There is no I/O here: what the kernel says of the socket comes in as [`Seen`]. All that must change together is in
//! the word, so that a compare-and-swap changes it whole, and a process that is killed leaves a valid record.

use crate::network_events::NetworkEvents;

/// What can be looked at again: when it does not hold any more, it was consumed.
const LEVELS: NetworkEvents = NetworkEvents::READ.union(NetworkEvents::OOB).union(NetworkEvents::ACCEPT);

/// What every arrival tells anew. Urgent data is one at a time, and told once until it is received.
const ARRIVALS: NetworkEvents = NetworkEvents::READ.union(NetworkEvents::ACCEPT);

/// A record, unpacked.
///
/// | bits | what |
/// | --- | --- |
/// | 0–5 | `pending` |
/// | 6–11 | `recorded` |
/// | 12–21 | `mask` |
/// | 22–26 | the flags |
/// | 27–36 | `stamp` |
/// | 37–51 | `owner` |
/// | 52–63 | `epoch` |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Record {
    /// What has occurred and was not reported.
    pub(crate) pending: NetworkEvents,
    /// What has occurred and was not re-enabled since, reported or not.
    pub(crate) recorded: NetworkEvents,
    /// What the registration asks for.
    pub(crate) mask: NetworkEvents,
    /// The registration is for messages, one for each event, not for an event object.
    pub(crate) messages: bool,
    /// The connection was reset.
    pub(crate) reset: bool,
    /// The attempt to connect has failed.
    pub(crate) failed: bool,
    /// This side has ended its receiving.
    pub(crate) read_shut: bool,
    /// The slot is being given to another socket.
    pub(crate) moving: bool,
    /// Counts what was seen of input: tells whether anything came between a look and the change that is made of it.
    pub(crate) stamp: u16,
    /// Whose the registration is: an index into the table of owners, 0 for nobody.
    pub(crate) owner: u16,
    /// Counts registrations and moves.
    pub(crate) epoch: u16,
}

/// The most owners that a record can tell apart, nobody among them.
pub(crate) const OWNERS: u16 = 1 << 15;

impl Record {
    pub(crate) fn unpack(word: u64) -> Self {
        let part = |at: u32, bits: u32| u16::try_from(word >> at & ((1 << bits) - 1)).unwrap_or(0);
        let events = |at, bits| NetworkEvents::from_bits_truncate(part(at, bits));
        Record {
            pending: events(0, 6),
            recorded: events(6, 6),
            mask: events(12, 10),
            messages: part(22, 1) == 1,
            reset: part(23, 1) == 1,
            failed: part(24, 1) == 1,
            read_shut: part(25, 1) == 1,
            moving: part(26, 1) == 1,
            stamp: part(27, 10),
            owner: part(37, 15),
            epoch: part(52, 12),
        }
    }

    pub(crate) fn pack(self) -> u64 {
        let put = |value: u16, at: u32, bits: u32| (u64::from(value) & ((1 << bits) - 1)) << at;
        put(self.pending.bits(), 0, 6)
            | put(self.recorded.bits(), 6, 6)
            | put(self.mask.bits(), 12, 10)
            | put(self.messages.into(), 22, 1)
            | put(self.reset.into(), 23, 1)
            | put(self.failed.into(), 24, 1)
            | put(self.read_shut.into(), 25, 1)
            | put(self.moving.into(), 26, 1)
            | put(self.stamp, 27, 10)
            | put(self.owner, 37, 15)
            | put(self.epoch, 52, 12)
    }

    /// What the owner is still to be told.
    pub(crate) fn due(&self) -> NetworkEvents {
        self.pending & self.mask
    }

    pub(crate) fn is_registered(&self) -> bool {
        self.owner != 0
    }

    /// A registration, which cancels the earlier one (R10). Returns what is due to it at once.
    ///
    /// What has occurred and was not reported is due to the new registration. What was reported is not due again
    /// before it is re-enabled, unless `missed`: something may have arrived unseen since. In messages all that holds
    /// is due again, save the end of an attempt to connect.
    pub(crate) fn register(
        &mut self,
        owner: u16,
        mask: NetworkEvents,
        messages: bool,
        seen: &Seen,
        missed: bool,
    ) -> NetworkEvents {
        self.epoch = self.epoch.wrapping_add(1) & 0xfff;
        (self.owner, self.mask, self.messages) = (owner, mask, messages);
        let over = LEVELS - seen.holds;
        self.pending -= over;
        self.recorded -= over;
        if missed {
            self.recorded -= ARRIVALS;
        }
        if messages {
            self.pending = NetworkEvents::empty();
            self.recorded &= NetworkEvents::CONNECT;
            self.recorded |= seen.holds & NetworkEvents::CONNECT;
        }
        self.see(seen, false);
        self.due()
    }

    /// The registration is cancelled; what has occurred stays.
    pub(crate) fn cancel(&mut self) {
        self.epoch = self.epoch.wrapping_add(1) & 0xfff;
        (self.owner, self.mask, self.messages) = (0, NetworkEvents::empty(), false);
    }

    /// Records what is seen of the socket; returns what of it is due to the owner.
    ///
    /// `arrived` says that the kernel has reported something new. Then, for an event object, what can be received or
    /// accepted is recorded even if it was before; otherwise an event is recorded once until it is re-enabled.
    pub(crate) fn see(&mut self, seen: &Seen, arrived: bool) -> NetworkEvents {
        let again = match arrived && !self.messages {
            true => ARRIVALS,
            false => NetworkEvents::empty(),
        };
        if seen.holds.intersects(LEVELS) {
            self.stamp = self.stamp.wrapping_add(1) & 0x3ff;
        }
        let news = seen.holds & ((NetworkEvents::RECORDED - self.recorded) | again);
        if news.is_empty() {
            return news;
        }
        self.pending |= news;
        self.recorded |= news;
        self.failed |= news.contains(NetworkEvents::CONNECT) && seen.failed;
        self.reset |= news.contains(NetworkEvents::CLOSE) && seen.reset;
        news & self.mask
    }

    /// A re-enabling function took what `event` tells of, and a look has found whether there is more. Returns what is
    /// due to the owner.
    ///
    /// `looked` is the record as it was before the look. Nothing when something was seen since: then look again.
    pub(crate) fn take(&mut self, event: NetworkEvents, looked: &Record, remains: bool) -> Option<NetworkEvents> {
        if (self.stamp, self.epoch) != (looked.stamp, looked.epoch) {
            return None;
        }
        self.pending -= event;
        self.recorded -= event;
        let holds = if remains { event } else { NetworkEvents::empty() };
        Some(self.see(&Seen { holds, ..Seen::default() }, false))
    }

    /// A send would have blocked: the owner is to be told when one can proceed.
    pub(crate) fn block(&mut self) {
        self.pending -= NetworkEvents::WRITE;
        self.recorded -= NetworkEvents::WRITE;
    }

    /// A new attempt to connect begins.
    pub(crate) fn attempt(&mut self) {
        let connection = NetworkEvents::CONNECT | NetworkEvents::WRITE | NetworkEvents::CLOSE;
        self.pending -= connection;
        self.recorded -= connection;
        (self.failed, self.reset) = (false, false);
    }

    /// Reports what is due: it is not due any more.
    pub(crate) fn report(&mut self) -> NetworkEvents {
        let due = self.due();
        self.pending -= due;
        due
    }

    /// Reports one event, if it is due.
    pub(crate) fn report_one(&mut self, event: NetworkEvents) -> bool {
        let due = self.due().contains(event);
        self.pending -= event;
        due
    }
}

/// What the kernel says of a socket at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// The events whose condition holds.
    pub(crate) holds: NetworkEvents,
    /// The attempt to connect has ended, and failed.
    pub(crate) failed: bool,
    /// The connection has ended by a reset.
    pub(crate) reset: bool,
}
