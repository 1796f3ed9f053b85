//! The last events, for whoever asks what happened.

use crate::status::PastEvent;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Number of events that are kept.
const KEPT: usize = 50;

/// The events of a supervisor; its copies are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past(Arc<Mutex<VecDeque<PastEvent>>>);

impl Past {
    pub(super) fn add(&self, text: &str) {
        // No code panics while it has the lock; what it held then would be whole all the same.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(PastEvent { time: crate::time::now(), text: text.to_owned() });
    }

    /// The oldest first.
    pub(crate) fn events(&self) -> Vec<PastEvent> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_events_are_kept_in_their_order() {
        let past = Past::default();
        (0..KEPT + 3).for_each(|number| past.clone().add(&number.to_string()));
        let texts: Vec<_> = past.events().into_iter().map(|event| event.text).collect();
        assert_eq!(texts, (3..KEPT + 3).map(|number| number.to_string()).collect::<Vec<_>>());
    }
}
