//! Other ways of accepting than the server's own.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use socket2::Socket;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Accepts in a thread for each listener, or in several, which wait in `accept`.
pub(crate) fn block(listeners: &[Socket], threads: usize, begin: fn(OwnedFd)) {
    for listener in listeners {
        listener.set_nonblocking(false).unwrap();
        for _ in 0..threads {
            let listener = listener.try_clone().unwrap();
            std::thread::spawn(move || {
                while let Ok((connection, _)) = listener.accept() {
                    begin(connection.into());
                }
            });
        }
    }
}

/// Looks now and then whether there is a connection, and sleeps in between: nothing shows what it serves.
pub(crate) fn nap(listeners: &[Socket], begin: fn(OwnedFd)) {
    let listeners: Vec<_> = listeners.iter().map(|one| one.try_clone().unwrap()).collect();
    listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(std::time::Duration::from_millis(5));
            for (connection, _) in listeners.iter().filter_map(|listener| listener.accept().ok()) {
                connection.set_nonblocking(false).unwrap();
                begin(connection.into());
            }
        }
    });
}

/// Accepts in an event loop of which the kernel wakes only one.
pub(crate) fn loop_exclusively(listeners: &[Socket], begin: fn(OwnedFd)) {
    let set = epoll::create(CreateFlags::CLOEXEC).unwrap();
    let listeners: Arc<Vec<Socket>> = Arc::new(listeners.iter().map(|one| one.try_clone().unwrap()).collect());
    for (number, listener) in (0..).zip(listeners.iter()) {
        listener.set_nonblocking(true).unwrap();
        let flags = EventFlags::IN | EventFlags::EXCLUSIVE;
        epoll::add(&set, listener, EventData::new_u64(number), flags).unwrap();
    }
    std::thread::spawn(move || {
        loop {
            let mut events: Vec<epoll::Event> = Vec::with_capacity(8);
            if epoll::wait(&set, spare_capacity(&mut events), None).is_err() {
                continue;
            }
            for event in &events {
                let listener = &listeners[usize::try_from(event.data.u64()).unwrap()];
                if let Ok((connection, _)) = listener.accept() {
                    connection.set_nonblocking(false).unwrap();
                    begin(connection.into());
                }
            }
        }
    });
}
