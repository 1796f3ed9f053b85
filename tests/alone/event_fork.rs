//! Event objects and registrations in a forked child. One test alone in its program: no other thread is at anything
//! when it forks.
#![allow(unsafe_code)]

use crate::occurring::{LONG, accepted, stage};
use sharesock::{Error, Event, MessageQueue, NetworkEvents};
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const READ: NetworkEvents = NetworkEvents::READ;

/// Whether `act` succeeds in a forked child.
fn in_a_child(act: impl FnOnce()) -> bool {
    // SAFETY: the child runs on in this thread alone, with locks that no other thread of this program held.
    let pid = unsafe { libc::fork() };
    assert_ne!(pid, -1);
    if pid == 0 {
        let failed = catch_unwind(AssertUnwindSafe(act)).is_err();
        // SAFETY: nothing of the test program may run here any more.
        unsafe { libc::_exit(failed.into()) };
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    status == 0
}

#[test]
fn a_forked_child_cannot_use_its_parents_and_does_not_disturb_them() {
    in_a_process_of_its_own!();
    let (place, domain, event) = stage("ef");
    let (mut client, socket) = accepted();
    socket.event_select(&event, READ).unwrap();
    let queue = MessageQueue::new(&domain).unwrap();
    let mut socket = Some(socket);
    assert!(in_a_child(|| {
        assert_eq!(event.wait(Some(Duration::ZERO)), Err(Error::Forked));
        assert_eq!(event.set(), Err(Error::Forked));
        assert_eq!(queue.try_get(), Err(Error::Forked));
        assert_eq!(socket.as_ref().unwrap().enum_network_events(Some(&event)), Err(Error::Forked));
        assert_eq!(socket.as_ref().unwrap().event_select(&event, READ), Err(Error::Forked));
        // Neither does the end of its copies end anything here.
        drop(socket.take());
        drop((event.clone(), queue.clone()));
    }));
    let socket = socket.unwrap();
    assert_eq!(socket.registration().unwrap().unwrap().process.pid(), std::process::id());
    client.write_all(b"x").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), READ);

    // What a child receives re-enables, and wakes its parent.
    client.write_all(b"yz").unwrap();
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), READ);
    assert!(!event.is_set().unwrap());
    assert!(in_a_child(|| assert_eq!(socket.recv(&mut [0; 1]).unwrap(), 1)));
    assert!(event.wait(Some(LONG)).unwrap());
    assert_eq!(socket.enum_network_events(Some(&event)).unwrap().events(), READ);

    // A child takes the registration over with an object of its own, and its death frees it.
    assert!(in_a_child(|| {
        let own = Event::manual(&domain).unwrap();
        socket.event_select(&own, READ).unwrap();
        assert!(own.wait(Some(LONG)).unwrap());
    }));
    assert_eq!(socket.registration(), Ok(None));
    client.write_all(b"x").unwrap();
    assert!(!event.wait(Some(Duration::from_millis(20))).unwrap());
    drop(place);
}
