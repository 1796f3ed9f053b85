//! What a sender and a receiver count together.

use crate::provider::windows::sys::{Running, Section, random};
use std::io;
use std::os::windows::io::OwnedHandle;
use std::sync::atomic::{AtomicU64, Ordering};

/// Set by the sender: nothing more can be taken.
const CLOSED: u64 = 1 << 63;
/// Set by the receiver: it could not make a socket of what comes next.
const NO_DESCRIPTORS: u64 = 1 << 62;
/// Set by the receiver: it takes nothing more.
const LEFT: u64 = 1 << 61;

/// Words that a sender and a receiver share. Whoever lies in them harms the link between the two alone.
#[derive(Debug)]
pub(super) struct Counter(Section);

/// How a sender names a counter to the receiver: where it lies in the receiver's handle table, and what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) number: u64,
    pub(super) mark: [u64; 2],
}

impl Counter {
    /// A counter, the handle by which a receiver adopts it, and the mark it knows it by.
    pub(super) fn new() -> io::Result<(Self, OwnedHandle, [u64; 2])> {
        let (section, handle) = Section::new()?;
        let mark = [random()?, random()?].map(u64::from_le_bytes);
        for (word, part) in Self::mark_of(section.words()).into_iter().zip(mark) {
            word.store(part, Ordering::SeqCst);
        }
        Ok((Counter(section), handle, mark))
    }

    /// Puts the counter into the target's handle table. A name would go with its sender, who may be gone before the
    /// receiver looks; this stays.
    pub(super) fn give(handle: &OwnedHandle, mark: [u64; 2], target: &Running) -> io::Result<Ticket> {
        Ok(Ticket { number: Section::give(handle, target)?, mark })
    }

    /// The counter that a sender made.
    pub(super) fn adopt(ticket: Ticket) -> io::Result<Self> {
        let is_it = |words: &_| Self::mark_of(words).map(|word| word.load(Ordering::SeqCst)) == ticket.mark;
        Section::adopt(ticket.number, is_it).map(Counter)
    }

    fn mark_of([first, second, ..]: &[AtomicU64; 512]) -> [&AtomicU64; 2] {
        [first, second]
    }

    fn taken_word(&self) -> &AtomicU64 {
        let [_, _, taken, ..] = self.0.words();
        taken
    }

    fn read_word(&self) -> &AtomicU64 {
        let [_, _, _, read, ..] = self.0.words();
        read
    }

    fn ask_word(&self) -> &AtomicU64 {
        let [_, _, _, _, ask, ..] = self.0.words();
        ask
    }

    fn sending_word(&self) -> &AtomicU64 {
        let [_, _, _, _, _, sending, ..] = self.0.words();
        sending
    }

    /// How much the receiver's program has taken.
    pub(super) fn taken(&self) -> u64 {
        self.taken_word().load(Ordering::SeqCst) & !(CLOSED | NO_DESCRIPTORS | LEFT)
    }

    /// Receiver: takes one more, unless the sender has closed.
    pub(super) fn take(&self) -> bool {
        let next = |taken: u64| (taken & CLOSED == 0).then_some(taken + 1);
        self.taken_word().fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Receiver: whether the sender has closed.
    pub(super) fn is_closed(&self) -> bool {
        self.taken_word().load(Ordering::SeqCst) & CLOSED != 0
    }

    /// Receiver: so many bytes more were read, and leave room for others.
    pub(super) fn count_read(&self, bytes: usize) {
        self.read_word().fetch_add(bytes as u64, Ordering::SeqCst);
    }

    /// Sender: how many bytes the receiver says it has read.
    pub(super) fn read(&self) -> u64 {
        self.read_word().load(Ordering::SeqCst)
    }

    /// Receiver: whether the sender asked to be told, which it is once.
    pub(super) fn was_asked(&self) -> bool {
        self.ask_word().load(Ordering::SeqCst) != 0 && self.ask_word().swap(0, Ordering::SeqCst) != 0
    }

    /// Sender: asks to be told when something is taken or read.
    pub(super) fn ask(&self) {
        self.ask_word().store(1, Ordering::SeqCst);
    }

    /// Receiver: leaves word why it closes the link.
    pub(super) fn lack_descriptors(&self) {
        self.taken_word().fetch_or(NO_DESCRIPTORS, Ordering::SeqCst);
    }

    /// Sender: whether the receiver closed the link because it could not make a socket.
    pub(super) fn lacked_descriptors(&self) -> bool {
        self.taken_word().load(Ordering::SeqCst) & NO_DESCRIPTORS != 0
    }

    /// Receiver: says that it takes nothing more.
    pub(super) fn leave(&self) {
        self.taken_word().fetch_or(LEFT, Ordering::SeqCst);
    }

    /// Sender: whether the receiver takes nothing more.
    pub(super) fn is_left(&self) -> bool {
        self.taken_word().load(Ordering::SeqCst) & LEFT != 0
    }

    /// Sender: from now on nothing can be taken.
    pub(super) fn close(&self) {
        self.taken_word().fetch_or(CLOSED, Ordering::SeqCst);
    }

    /// Sender: begins to duplicate and write, unless the receiver has left. Then, and only then, it has to `end`.
    ///
    /// A receiver that leaves first says so and then looks whether somebody is sending: one of the two sees the other.
    pub(super) fn begin_sending(&self) -> bool {
        self.sending_word().store(1, Ordering::SeqCst);
        let left = self.is_left();
        if left {
            self.end_sending();
        }
        !left
    }

    /// Sender: what was duplicated is written.
    pub(super) fn end_sending(&self) {
        self.sending_word().store(0, Ordering::SeqCst);
    }

    /// Receiver: whether something may be written yet.
    pub(super) fn is_sending(&self) -> bool {
        self.sending_word().load(Ordering::SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::windows::sys::Purpose;

    #[test]
    fn a_counter_is_seen_by_both_and_closes_once() {
        let me = Running::open(std::process::id(), Purpose::Giving).unwrap().unwrap();
        let (mine, handle, mark) = Counter::new().unwrap();
        let ticket = Counter::give(&handle, mark, &me).unwrap();
        let wrong = Ticket { mark: [mark[1], mark[0]], ..ticket };
        assert!(Counter::adopt(wrong).is_err());
        let theirs = Counter::adopt(ticket).unwrap();
        // Its handle was closed.
        assert!(Counter::adopt(ticket).is_err());
        assert!(theirs.take() && theirs.take());
        assert!(!theirs.was_asked());
        mine.ask();
        assert_eq!((mine.taken(), theirs.was_asked(), theirs.was_asked()), (2, true, false));
        assert!(mine.begin_sending() && theirs.is_sending());
        mine.end_sending();
        theirs.leave();
        assert!(!mine.begin_sending() && !theirs.is_sending());
        mine.close();
        theirs.lack_descriptors();
        assert_eq!((theirs.take(), mine.taken(), mine.lacked_descriptors()), (false, 2, true));
    }
}
