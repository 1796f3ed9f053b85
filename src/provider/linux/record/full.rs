//! The table when there is no room left.

use super::table::{SLOTS, Slot, Table};
use super::word::Seen;
use crate::domain::Domain;
use crate::error::Error;
use crate::network_events::NetworkEvents;
use crate::process::Process;

/// A domain that is removed at the end.
struct TestDomain(std::path::PathBuf);

impl TestDomain {
    fn new(name: &str) -> Self {
        TestDomain(std::env::temp_dir().join(format!("sharesock-full-{name}-{}", std::process::id())))
    }

    fn domain(&self) -> Domain {
        Domain::at(&self.0).unwrap()
    }
}

impl Drop for TestDomain {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process that has ended.
fn dead() -> Process {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let process = Process::from_pid(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    process
}

fn owner(table: &Table<'_>, process: &Process) -> u16 {
    table.add_owner(process, false, |_| Ok(())).unwrap().0
}

fn register(slot: &Slot<'_>, owner: u16) {
    let read = NetworkEvents::READ;
    let registered = slot.update(|record| Some(record.register(owner, read, false, &Seen::default(), false)));
    assert_eq!(registered, Some(NetworkEvents::empty()));
}

/// Cookies that all want the same slot.
fn colliding() -> impl Iterator<Item = u64> {
    (0..).map(|n| 5 + n * SLOTS as u64)
}

#[test]
fn a_slot_is_found_again_and_given_to_another_when_nobody_is_registered() {
    let place = TestDomain::new("slots");
    let domain = place.domain();
    let table = Table::of(&domain).unwrap();
    let me = owner(&table, &Process::current().unwrap());
    let mut slots = Vec::new();
    let refused = loop {
        let cookie = colliding().nth(slots.len()).unwrap();
        match table.insert(cookie) {
            Ok(slot) => {
                register(&slot, me);
                slots.push((cookie, slot));
            }
            Err(error) => break error,
        }
    };
    assert_eq!(refused, Error::TableFull { what: "registered sockets" });
    assert_eq!(refused.winsock_code(), 10055);
    assert_eq!(slots.len(), 64);
    for (cookie, slot) in &slots {
        assert_eq!(table.find(*cookie).unwrap().index(), slot.index());
        assert_eq!(slot.load().unwrap().owner, me);
    }
    // One that is not registered any more gives way; who still knows the slot finds that it is another's.
    let (old, slot) = slots[7];
    slot.change(|record| record.cancel()).unwrap();
    let cookie = colliding().nth(64).unwrap();
    assert_eq!(table.insert(cookie).unwrap().index(), slot.index());
    assert_eq!((slot.load(), slot.change(|record| record.block())), (None, None));
    assert!(table.find(old).is_none());
    assert!(table.insert(old).is_ok_and(|slot| slot.load().is_some()));
}

#[test]
fn the_slots_of_the_dead_give_way() {
    let place = TestDomain::new("dead-slots");
    let domain = place.domain();
    let table = Table::of(&domain).unwrap();
    let gone = owner(&table, &dead());
    for cookie in colliding().take(64) {
        register(&table.insert(cookie).unwrap(), gone);
    }
    assert!(table.insert(colliding().nth(64).unwrap()).is_ok());
}

#[test]
fn what_was_left_half_inserted_is_finished() {
    let place = TestDomain::new("half");
    let domain = place.domain();
    let table = Table::of(&domain).unwrap();
    let slot = table.insert(9).unwrap();
    slot.vacate();
    assert_eq!(slot.load(), None);
    assert!(table.insert(9).unwrap().load().is_some());
}

#[test]
fn owners_are_freed_when_dropped_and_when_dead_with_what_they_had() {
    let place = TestDomain::new("owners");
    let domain = place.domain();
    let table = Table::of(&domain).unwrap();
    let me = Process::current().unwrap();
    let first = owner(&table, &me);
    table.remove_owner(first);
    assert_eq!(owner(&table, &me), first);

    let gone = owner(&table, &dead());
    let slot = table.insert(9).unwrap();
    register(&slot, gone);
    table.use_all_owners(&me, gone);
    assert_eq!(owner(&table, &me), gone);
    assert_eq!(slot.load().unwrap().owner, 0);
    let refused = table.add_owner(&me, false, |_| Ok(())).unwrap_err();
    assert_eq!(refused, Error::TableFull { what: "event objects and message queues" });
}
