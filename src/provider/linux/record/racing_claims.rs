//! Every order in which two parties can give sockets their slots, tried out; with what a third has left half done.

use super::claim::{Row, claim, cookie_after, cookie_in, find};
use super::word::Record;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering, fence};
use loom::thread;

const OWN: u64 = 7;
const OTHER: u64 = 8;
/// An owner that is gone, and one that lives.
const DEAD: u16 = 5;
const ALIVE: u16 = 6;

/// A row of few slots.
struct Slots {
    slots: Vec<(AtomicU64, AtomicU64)>,
    counted: AtomicU64,
}

impl Row for Slots {
    type Cell = AtomicU64;

    fn length(&self) -> usize {
        self.slots.len()
    }

    fn word(&self, at: usize) -> &AtomicU64 {
        &self.slots[at].0
    }

    fn cookie(&self, at: usize) -> &AtomicU64 {
        &self.slots[at].1
    }

    fn clear(&self, _: usize) {}

    fn count(&self) {
        self.counted.fetch_add(1, Ordering::SeqCst);
    }

    fn is_gone(&self, owner: u16) -> bool {
        owner == DEAD
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Slots {
    fn new(slots: &[(u64, Record)]) -> Arc<Self> {
        let slots = slots.iter().map(|(cookie, record)| {
            let cookie = if *cookie == 0 { 0 } else { cookie_after(0, *cookie) };
            (AtomicU64::new(record.pack()), AtomicU64::new(cookie))
        });
        Arc::new(Slots { slots: slots.collect(), counted: AtomicU64::new(0) })
    }

    /// The whole slots of a socket.
    fn whole(&self, cookie: u64) -> Vec<usize> {
        let is_whole = |at: &usize| {
            let record = Record::unpack(self.word(*at).load(Ordering::SeqCst));
            !record.moving && cookie_in(self.cookie(*at).load(Ordering::SeqCst)) == cookie
        };
        (0..self.slots.len()).filter(is_whole).collect()
    }
}

fn owned(owner: u16) -> Record {
    Record { owner, epoch: 1, ..Record::default() }
}

fn moving() -> Record {
    Record { moving: true, epoch: 3, ..Record::default() }
}

/// Two give slots to these sockets. In the end each socket has one at most; and it has one, counted, unless another
/// needed it.
fn race(slots: &[(u64, Record)], cookies: [u64; 2]) {
    let slots = slots.to_vec();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(move || {
        let row = Slots::new(&slots);
        let there = row.clone();
        let claiming = thread::spawn(move || claim(&*there, cookies[1]));
        let here = claim(&*row, cookies[0]);
        let there = claiming.join().unwrap();
        assert!(here.is_some() && there.is_some());
        for cookie in cookies {
            assert!(row.whole(cookie).len() < 2, "a socket has two slots: {:?}", row.whole(cookie));
        }
        // At least the one that was last has its slot.
        let last = cookies.iter().find_map(|cookie| find(&*row, *cookie));
        assert!(last.is_some(), "nobody has a slot");
        // Where there is no room, one may give away what the other has not registered yet.
        if cookies[0] == cookies[1] || slots.iter().any(|(cookie, _)| *cookie == 0) {
            assert!(cookies.iter().all(|cookie| row.whole(*cookie).len() == 1));
        }
        assert!(row.counted.load(Ordering::SeqCst) > 0);
    });
}

#[test]
fn one_socket_in_a_row_with_room() {
    race(&[(OTHER, owned(ALIVE)), (0, Record::default()), (0, Record::default())], [OWN, OWN]);
}

#[test]
fn two_sockets_in_a_row_with_room() {
    race(&[(0, Record::default()), (0, Record::default()), (0, Record::default())], [OWN, OTHER]);
}

#[test]
fn one_socket_in_a_row_that_is_full() {
    race(&[(1, owned(0)), (2, owned(0))], [OWN, OWN]);
    race(&[(1, owned(ALIVE)), (2, owned(DEAD)), (3, owned(DEAD))], [OWN, OWN]);
}

#[test]
fn two_sockets_in_a_row_that_is_full() {
    race(&[(1, owned(0)), (2, owned(0)), (3, owned(0))], [OWN, OTHER]);
    race(&[(1, owned(ALIVE)), (2, owned(0))], [OWN, OTHER]);
}

#[test]
fn what_somebody_left_half_done_is_finished_or_given_away() {
    race(&[(OWN, moving()), (2, owned(0))], [OWN, OWN]);
    race(&[(OWN, moving()), (OWN, moving())], [OWN, OWN]);
    race(&[(OTHER, moving()), (OWN, moving()), (3, owned(0))], [OWN, OTHER]);
}

#[test]
fn a_registration_that_lives_is_never_given_away() {
    loom::model(|| {
        let row = Slots::new(&[(OTHER, owned(0))]);
        let there = row.clone();
        // Its owner registers it, unless it is given away before.
        let registering = thread::spawn(move || {
            let old = owned(0);
            let registered = Record { owner: ALIVE, epoch: 2, ..Record::default() };
            let word = there.word(0);
            let ours = cookie_in(there.cookie(0).load(Ordering::SeqCst)) == OTHER;
            ours && word.compare_exchange(old.pack(), registered.pack(), Ordering::SeqCst, Ordering::SeqCst).is_ok()
        });
        let claimed = claim(&*row, OWN);
        let registered = registering.join().unwrap();
        assert!(registered != claimed.is_some(), "both have the slot, or neither");
    });
}
