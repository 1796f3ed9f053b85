//! What a sender knows of its queue without receiving from it: the lengths of the messages that it sent.

use std::collections::VecDeque;

/// The messages that may still be in the queue, in order.
#[derive(Debug, Default)]
pub(super) struct Sent {
    messages: VecDeque<Message>,
    bytes: u64,
    parcels: usize,
}

#[derive(Debug, Clone, Copy)]
struct Message {
    bytes: u64,
    parcels: usize,
}

impl Sent {
    pub(super) fn push(&mut self, bytes: u64, parcels: usize) {
        self.messages.push_back(Message { bytes, parcels });
        self.bytes += bytes;
        self.parcels += parcels;
    }

    /// The queue holds so many bytes: messages leave it from the front, so those that are left are the last.
    pub(super) fn keep(&mut self, bytes: u64) {
        while self.bytes > bytes {
            let Some(first) = self.messages.pop_front() else { return };
            self.bytes -= first.bytes;
            self.parcels -= first.parcels;
        }
    }

    /// How many parcels they have.
    pub(super) fn parcels(&self) -> usize {
        self.parcels
    }

    /// How many parcels that of them has that has the most.
    pub(super) fn most(&self) -> usize {
        self.messages.iter().map(|message| message.parcels).max().unwrap_or(0)
    }

    /// How many parcels the first of them has.
    pub(super) fn first(&self) -> usize {
        self.messages.front().map_or(0, |message| message.parcels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_left_is_told_by_the_bytes(sizes in prop::collection::vec((1..100_u64, 1..9_usize), 0..50), taken in 0..60_usize) {
            let mut sent = Sent::default();
            for (bytes, parcels) in &sizes {
                sent.push(*bytes, *parcels);
            }
            let left = &sizes[taken.min(sizes.len())..];
            sent.keep(left.iter().map(|(bytes, _)| bytes).sum());
            prop_assert_eq!(sent.parcels(), left.iter().map(|(_, parcels)| parcels).sum::<usize>());
            prop_assert_eq!(sent.first(), left.first().map_or(0, |(_, parcels)| *parcels));
            prop_assert_eq!(sent.most(), left.iter().map(|(_, parcels)| *parcels).max().unwrap_or(0));
            sent.keep(0);
            prop_assert_eq!(sent.parcels(), 0);
        }
    }
}
