//! The workers that take over from one that retires.

use sharesock::{Endpoint, Error, Parcel, Sender};
use std::collections::VecDeque;
use std::time::Duration;

/// Pause between two attempts while all successors are full.
const RETRY_PAUSE: Duration = Duration::from_millis(5);

/// Where connections are handed over to.
#[derive(Debug)]
pub(crate) struct Successors {
    endpoint: Endpoint,
    current: Vec<Sender>,
    /// Those of an earlier retirement, as long as they have not taken everything.
    former: Vec<Sender>,
    next: usize,
}

impl Successors {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Successors { endpoint, current: Vec::new(), former: Vec::new(), next: 0 }
    }

    /// From now on these processes take over. One that cannot be reached is left out.
    pub(crate) fn replace(&mut self, processes: &[u32]) {
        self.former.append(&mut self.current);
        self.current.extend(processes.iter().filter_map(|process| self.endpoint.sender(*process).ok()));
    }

    /// Hands one over; it comes back when nobody is left to take it.
    pub(crate) async fn give(&mut self, mut parcel: Parcel) -> Result<(), Parcel> {
        loop {
            let mut full = false;
            for _ in 0..self.current.len() {
                self.next = (self.next + 1) % self.current.len();
                let Some(sender) = self.current.get(self.next) else { break };
                match sender.try_hand_off(parcel) {
                    Ok(()) => return Ok(()),
                    Err(refused) => {
                        full |= matches!(refused.error, Error::HandOffFull { .. });
                        parcel = refused.parcel;
                    }
                }
            }
            if !full {
                return Err(parcel);
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// What successors that have ended did not take.
    pub(crate) fn returned(&mut self) -> VecDeque<Parcel> {
        let senders = std::mem::take(&mut self.current);
        let (mut ended, current): (Vec<_>, Vec<_>) = senders.into_iter().partition(Sender::is_closed);
        let over = |sender: &Sender| sender.is_closed() || sender.outstanding() == 0;
        let (over, former): (Vec<_>, Vec<_>) = std::mem::take(&mut self.former).into_iter().partition(over);
        (self.current, self.former) = (current, former);
        ended.extend(over);
        ended.into_iter().flat_map(Sender::reclaim).collect()
    }

    /// How many are on their way.
    pub(crate) fn outstanding(&self) -> usize {
        self.current.iter().chain(&self.former).map(Sender::outstanding).sum()
    }
}
