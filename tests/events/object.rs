//! Event objects by themselves: setting, resetting, and waiting for one, any or all.

use crate::occurring::{LONG, accepted, stage};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sharesock::{Domain, Error, Event, MessageQueue, NetworkEvents};
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

const NOW: Option<Duration> = Some(Duration::ZERO);

fn events(domain: &Domain, count: usize) -> Vec<Event> {
    (0..count).map(|_| Event::manual(domain).unwrap()).collect()
}

fn readable(descriptor: impl AsFd) -> bool {
    let mut polled = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut polled, Some(&Timespec::default())).unwrap() == 1
}

#[test]
fn a_manual_one_stays_set_until_it_is_reset() {
    let (_place, _, event) = stage("eo-manual");
    assert!(!event.wait(NOW).unwrap());
    event.set().unwrap();
    event.set().unwrap();
    assert!(event.wait(NOW).unwrap() && event.wait(None).unwrap() && event.clone().is_set().unwrap());
    event.reset().unwrap();
    assert!(!event.wait(NOW).unwrap());
}

#[test]
fn an_automatic_one_ends_one_wait() {
    let (_place, domain, _) = stage("eo-automatic");
    let event = Event::automatic(&domain).unwrap();
    event.set().unwrap();
    event.set().unwrap();
    assert!(event.is_set().unwrap() && event.is_set().unwrap());
    assert!(event.wait(NOW).unwrap());
    assert!(!event.wait(NOW).unwrap());
}

#[test]
fn a_timeout_ends_a_wait() {
    let (_place, _, event) = stage("eo-timeout");
    let started = std::time::Instant::now();
    assert!(!event.wait(Some(Duration::from_millis(30))).unwrap());
    assert!(started.elapsed() >= Duration::from_millis(30));
    assert_eq!(Event::wait_any(&[&event], Some(Duration::from_millis(5))).unwrap(), None);
}

#[test]
fn any_is_the_lowest_index_of_more_than_sixty_four() {
    let (_place, domain, _) = stage("eo-any");
    let events = events(&domain, 100);
    let all: Vec<&Event> = events.iter().collect();
    assert_eq!(Event::wait_any(&all, NOW).unwrap(), None);
    for set in [99, 70, 3] {
        events[set].set().unwrap();
        assert_eq!(Event::wait_any(&all, None).unwrap(), Some(set));
    }
    events[3].reset().unwrap();
    assert_eq!(Event::wait_any(&all, None).unwrap(), Some(70));
    // One may be given twice: the first counts.
    assert_eq!(Event::wait_any(&[&events[0], &events[70], &events[70]], None).unwrap(), Some(1));
}

#[test]
fn any_resets_the_automatic_one_it_returns_and_no_other() {
    let (_place, domain, _) = stage("eo-any-automatic");
    let two = [Event::automatic(&domain).unwrap(), Event::automatic(&domain).unwrap()];
    two.iter().for_each(|event| event.set().unwrap());
    assert_eq!(Event::wait_any(&[&two[0], &two[1]], NOW).unwrap(), Some(0));
    assert_eq!(Event::wait_any(&[&two[0], &two[1]], NOW).unwrap(), Some(1));
    assert_eq!(Event::wait_any(&[&two[0], &two[1]], NOW).unwrap(), None);
}

#[test]
fn all_waits_for_the_last_and_resets_none_before() {
    let (_place, domain, manual) = stage("eo-all");
    let automatic = Event::automatic(&domain).unwrap();
    automatic.set().unwrap();
    assert!(!Event::wait_all(&[&automatic, &manual], Some(Duration::from_millis(10))).unwrap());
    assert!(automatic.is_set().unwrap());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| Event::wait_all(&[&automatic, &manual], Some(LONG)).unwrap());
        std::thread::sleep(Duration::from_millis(10));
        manual.set().unwrap();
        assert!(waiting.join().unwrap());
    });
    assert!(!automatic.is_set().unwrap() && manual.is_set().unwrap());
}

#[test]
fn what_cannot_be_waited_for_is_an_error() {
    let (_place, _, event) = stage("eo-bad");
    assert_eq!(Event::wait_any(&[], NOW), Err(Error::BadWait));
    assert_eq!(Event::wait_all(&[], NOW), Err(Error::BadWait));
    assert_eq!(Event::wait_all(&[&event, &event], NOW), Err(Error::BadWait));
    assert_eq!(Error::BadWait.winsock_code(), 87);
}

#[test]
fn all_threads_that_wait_for_a_manual_one_are_released_and_one_for_an_automatic_one() {
    let (_place, domain, manual) = stage("eo-threads");
    let automatic = Event::automatic(&domain).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| manual.wait(Some(LONG)).unwrap())).collect();
        std::thread::sleep(Duration::from_millis(10));
        manual.set().unwrap();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));

        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| automatic.wait(Some(LONG)).unwrap())).collect();
        for _ in 0..4 {
            while automatic.is_set().unwrap() {
                std::thread::yield_now();
            }
            automatic.set().unwrap();
        }
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
    assert!(!automatic.is_set().unwrap());
}

#[test]
fn all_threads_that_wait_are_released_by_a_network_event_that_one_of_them_finds() {
    let (_place, _, event) = stage("eo-threads-network");
    let (mut client, socket) = accepted();
    socket.event_select(&event, NetworkEvents::READ).unwrap();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| event.wait(Some(LONG)).unwrap())).collect();
        std::thread::sleep(Duration::from_millis(10));
        client.write_all(b"x").unwrap();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
}

#[test]
fn a_foreign_poll_loop_can_wait_for_it() {
    let (_place, domain, event) = stage("eo-poll");
    let queue = MessageQueue::new(&domain).unwrap();
    event.set().unwrap();
    assert!(readable(&event) && event.is_set().unwrap());
    event.reset().unwrap();
    assert!(!readable(&event));
    event.set().unwrap();
    assert!(readable(&event));
    event.reset().unwrap();

    let (mut client, socket) = accepted();
    socket.event_select(&event, NetworkEvents::READ).unwrap();
    let _ = event.is_set().unwrap();
    assert!(!readable(&event));
    for _ in 0..3 {
        client.write_all(b"x").unwrap();
        poll(&mut [PollFd::new(&event, PollFlags::IN)], None).unwrap();
        assert!(event.is_set().unwrap());
        socket.enum_network_events(Some(&event)).unwrap();
        // Quiet, though there is unread input.
        assert!(!readable(&event));
    }
    assert!(!readable(&queue));
    queue.post(1, 0, 0).unwrap();
    assert!(readable(&queue));
    queue.get().unwrap();
    assert!(!readable(&queue));
}
