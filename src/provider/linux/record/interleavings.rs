//! Every order in which two and three parties can reach the record, tried out.
//!
//! The kernel is a lock around what it knows of one socket: what is in the queue, and whom it has to report to. What
//! is tried is what the parties do between their visits to the kernel, each step of which another may precede.

use super::cell::{Cell, update};
use super::word::{Record, Seen};
use crate::network_events::NetworkEvents;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::sync::{Arc, Mutex, MutexGuard};
use loom::thread;

const READ: NetworkEvents = NetworkEvents::READ;
const WRITE: NetworkEvents = NetworkEvents::WRITE;
const A: u16 = 1;
const B: u16 = 2;

impl Cell for AtomicU64 {
    fn get(&self) -> u64 {
        self.load(Ordering::SeqCst)
    }

    fn replace(&self, old: u64, new: u64) -> bool {
        old == new || self.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }
}

/// What the kernel knows.
#[derive(Default)]
struct Kernel {
    queue: u32,
    room: bool,
    /// How often something was taken.
    taken: u32,
    /// Owners that watch for input, for room, and those that have an unread report.
    watch_in: Vec<u16>,
    watch_out: Vec<u16>,
    reports: Vec<u16>,
    /// Wake-ups that an owner has not answered.
    wake_ups: Vec<u16>,
}

struct World {
    word: AtomicU64,
    kernel: Mutex<Kernel>,
}

impl World {
    fn new(record: Record, kernel: Kernel) -> Arc<Self> {
        Arc::new(World { word: AtomicU64::new(record.pack()), kernel: Mutex::new(kernel) })
    }

    fn kernel(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.lock().unwrap()
    }

    fn record(&self) -> Record {
        Record::unpack(self.word.get())
    }

    fn arrive(&self) {
        let mut kernel = self.kernel();
        kernel.queue += 1;
        let watchers = kernel.watch_in.clone();
        kernel.reports.extend(watchers);
    }

    fn make_room(&self) {
        let mut kernel = self.kernel();
        kernel.room = true;
        let watchers = kernel.watch_out.clone();
        kernel.reports.extend(watchers);
    }

    fn wake(&self, owner: u16) {
        self.kernel().wake_ups.push(owner);
    }

    /// Receives through any descriptor, in any process.
    fn receive(&self) {
        {
            let mut kernel = self.kernel();
            kernel.queue = kernel.queue.saturating_sub(1);
            kernel.taken += 1;
        }
        self.look();
    }

    /// Looks whether something is left after a receive.
    fn look(&self) {
        loop {
            let looked = self.record();
            let remains = looked.is_registered() && self.kernel().queue > 0;
            let taken = update(&self.word, |record| record.take(READ, &looked, remains).map(|due| (due, record.owner)));
            if let Some((due, owner)) = taken {
                if !due.is_empty() {
                    self.wake(owner);
                }
                return;
            }
        }
    }

    /// Receives with room for all there is, which tells that nothing is left: then nobody looks for it.
    fn receive_all(&self) {
        let looked = self.record();
        {
            let mut kernel = self.kernel();
            kernel.queue = 0;
            kernel.taken += 1;
        }
        let taken = looked.is_registered().then(|| update(&self.word, |record| record.take(READ, &looked, false)));
        if taken.flatten().is_none() {
            self.look();
        }
    }

    /// A send finds no room.
    fn send_blocks(&self) {
        self.kernel().room = false;
        let owner = update(&self.word, |record| {
            record.block();
            Some(record.owner)
        });
        self.wake(owner.unwrap());
    }

    /// The owner reads its reports and wake-ups, as a wait does.
    fn gather(&self, owner: u16) {
        let (reported, seen) = {
            let mut kernel = self.kernel();
            let before = kernel.reports.len();
            kernel.reports.retain(|whose| *whose != owner);
            let mut holds = NetworkEvents::empty();
            holds.set(READ, kernel.queue > 0);
            holds.set(WRITE, kernel.room);
            (kernel.reports.len() < before, Seen { holds, ..Seen::default() })
        };
        if reported {
            update(&self.word, |record| (record.owner == owner).then(|| record.see(&seen, true)));
        }
        let woken = {
            let mut kernel = self.kernel();
            let before = kernel.wake_ups.len();
            kernel.wake_ups.retain(|whose| *whose != owner);
            kernel.wake_ups.len() < before
        };
        // It has the kernel watch for room, if that is to be told.
        if woken && !self.record().recorded.contains(WRITE) {
            let mut kernel = self.kernel();
            kernel.watch_out.push(owner);
            if kernel.room {
                kernel.reports.push(owner);
            }
        }
    }

    /// What is due is reported; how much had been taken by then.
    fn enumerate(&self) -> Option<u32> {
        let due = update(&self.word, |record| Some(record.report())).unwrap();
        due.contains(READ).then(|| self.kernel().taken)
    }

    fn register(&self, owner: u16) {
        let holds = {
            let mut kernel = self.kernel();
            kernel.watch_in.push(owner);
            if kernel.queue > 0 { READ } else { NetworkEvents::empty() }
        };
        let seen = Seen { holds, ..Seen::default() };
        update(&self.word, |record| Some(record.register(owner, READ, false, &seen, true)));
    }

    fn cancel(&self) {
        update(&self.word, |record| {
            record.cancel();
            Some(())
        });
    }

    /// Once everybody is quiet: all that is left to be read is read.
    fn settle(&self, owner: u16) {
        for _ in 0..2 {
            self.gather(owner);
        }
    }
}

fn owned_by(owner: u16, mask: NetworkEvents, recorded: NetworkEvents) -> Record {
    Record { owner, mask, recorded, epoch: 1, ..Record::default() }
}

/// Input that nobody was told of since the last receive is due.
fn assert_told(world: &World, reported: Option<u32>) {
    let kernel = world.kernel();
    let told = reported == Some(kernel.taken);
    assert!(kernel.queue == 0 || told || world.record().due().contains(READ), "input waits, and nobody is told");
}

#[test]
fn arriving_and_receiving_elsewhere_and_enumerating() {
    loom::model(|| {
        // One is in the queue, and was reported.
        let kernel = Kernel { queue: 1, watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, READ), kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let receiving = thread::spawn(move || two.receive());
        world.gather(A);
        let reported = world.enumerate();
        arriving.join().unwrap();
        receiving.join().unwrap();
        world.settle(A);
        assert_told(&world, reported);
    });
}

#[test]
fn room_is_reported_while_one_receives_and_another_arrives_in_messages() {
    loom::model(|| {
        let kernel = Kernel { queue: 1, watch_in: vec![A], watch_out: vec![A], ..Kernel::default() };
        let record = Record { messages: true, ..owned_by(A, READ | WRITE, READ) };
        let world = World::new(record, kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || {
            one.make_room();
            one.arrive();
        });
        let receiving = thread::spawn(move || two.receive());
        world.gather(A);
        arriving.join().unwrap();
        receiving.join().unwrap();
        world.settle(A);
        assert_told(&world, None);
    });
}

#[test]
fn two_that_receive_and_an_arrival() {
    loom::model(|| {
        let kernel = Kernel { queue: 1, watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, READ), kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let receiving = thread::spawn(move || two.receive());
        world.receive();
        arriving.join().unwrap();
        receiving.join().unwrap();
        world.settle(A);
        assert_told(&world, None);
    });
}

#[test]
fn receiving_all_while_something_arrives_and_is_reported() {
    loom::model(|| {
        let kernel = Kernel { queue: 1, watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, READ), kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let receiving = thread::spawn(move || two.receive_all());
        world.gather(A);
        arriving.join().unwrap();
        receiving.join().unwrap();
        world.settle(A);
        assert_told(&world, None);
    });
}

#[test]
fn receiving_all_while_something_arrives_and_another_registers() {
    loom::model(|| {
        let kernel = Kernel { queue: 1, watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, READ), kernel);
        let receiving = {
            let world = world.clone();
            thread::spawn(move || world.receive_all())
        };
        world.register(B);
        world.arrive();
        world.gather(B);
        receiving.join().unwrap();
        world.settle(B);
        assert_told(&world, None);
    });
}

#[test]
fn taking_over_while_something_arrives_and_the_former_owner_looks() {
    loom::model(|| {
        let kernel = Kernel { watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, NetworkEvents::empty()), kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let looking = thread::spawn(move || two.gather(A));
        world.register(B);
        // From here on A cannot record anything.
        let before = world.record();
        world.gather(A);
        let after = world.record();
        assert!(before.owner == B && after.owner == B);
        arriving.join().unwrap();
        looking.join().unwrap();
        world.settle(B);
        assert_told(&world, None);
    });
}

#[test]
fn two_that_register_and_an_arrival() {
    loom::model(|| {
        let world = World::new(Record::default(), Kernel::default());
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let registering = thread::spawn(move || two.register(A));
        world.register(B);
        arriving.join().unwrap();
        registering.join().unwrap();
        let owner = world.record().owner;
        assert!(owner == A || owner == B);
        world.settle(owner);
        assert_told(&world, None);
    });
}

#[test]
fn cancelling_while_something_arrives_and_registering_again() {
    loom::model(|| {
        let kernel = Kernel { watch_in: vec![A], ..Kernel::default() };
        let world = World::new(owned_by(A, READ, NetworkEvents::empty()), kernel);
        let (one, two) = (world.clone(), world.clone());
        let arriving = thread::spawn(move || one.arrive());
        let looking = thread::spawn(move || two.gather(A));
        world.cancel();
        assert!(world.record().due().is_empty() && !world.record().is_registered());
        looking.join().unwrap();
        arriving.join().unwrap();
        world.register(B);
        world.settle(B);
        assert_told(&world, None);
    });
}

#[test]
fn a_send_that_blocks_elsewhere_and_room_that_is_made() {
    loom::model(|| {
        let kernel = Kernel { watch_in: vec![A], room: true, ..Kernel::default() };
        let world = World::new(owned_by(A, WRITE, WRITE), kernel);
        let (one, two) = (world.clone(), world.clone());
        let sending = thread::spawn(move || {
            one.send_blocks();
            one.make_room();
        });
        let looking = thread::spawn(move || two.gather(A));
        world.gather(A);
        sending.join().unwrap();
        looking.join().unwrap();
        world.settle(A);
        assert!(world.record().due().contains(WRITE), "there is room, and nobody is told");
    });
}
