//! Whether a queue is read again at once after a message, or only when the kernel says that it has more.

/// So often in a row nothing more is expected before it is tried again.
const DOUBTS: u8 = 16;

/// What the last attempts to read a further message came to: an attempt in vain costs a system call, and so does a question
/// whether there is more.
#[derive(Debug, Default)]
pub(super) struct Eager {
    doubts: u8,
}

impl Eager {
    /// Whether to read on after a message.
    pub(super) fn reads_on(&mut self) -> bool {
        self.doubts = self.doubts.saturating_sub(1);
        self.doubts == 0
    }

    /// What reading on came to.
    pub(super) fn learn(&mut self, found: bool) {
        self.doubts = if found { 0 } else { DOUBTS };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_queue_is_read_on_and_an_idle_one_now_and_then() {
        let mut eager = Eager::default();
        let mut attempts = |found: bool| {
            let mut count = 0;
            for _ in 0..160 {
                if eager.reads_on() {
                    count += 1;
                    eager.learn(found);
                }
            }
            count
        };
        assert_eq!(attempts(true), 160);
        assert_eq!(attempts(false), 10);
        // It is noticed that more is there: within sixteen messages.
        assert!(attempts(true) >= 160 - 16);
    }
}
