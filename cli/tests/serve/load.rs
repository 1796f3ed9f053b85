//! `sharesock serve` under load, with two reloads and a killed worker in the middle.

use crate::serving::{Client, Server, signal_process};
use rustix::process::Signal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What the page of `length` bytes holds.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 7 + length) % 251).unwrap()).collect()
}

const LENGTHS: [usize; 4] = [10, 1_000, 60_000, 700_000];

/// A request that failed: in which worker its connection was, as far as is known.
#[derive(Debug)]
struct Failure {
    worker: Option<u32>,
    #[allow(dead_code)] // Printed when the test fails.
    why: String,
}

#[test]
fn under_load_only_the_killed_workers_requests_fail() {
    let seconds = std::env::var("SHARESOCK_LOAD_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let mut server = Server::start_with(&["--workers", "3"], |www| {
        LENGTHS.iter().for_each(|length| std::fs::write(www.join(length.to_string()), content(*length)).unwrap());
    });
    let address = server.address.clone();
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let failures = Mutex::new(Vec::new());
    let victim = std::thread::scope(|scope| {
        for thread in 0..6_usize {
            let (address, stop, answered, failures) = (&address, &stop, &answered, &failures);
            scope.spawn(move || {
                let keep_alive = thread % 2 == 0;
                let mut connection: Option<(Client, Option<u32>)> = None;
                for round in thread.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let length = LENGTHS[round % LENGTHS.len()];
                    // A refused connection would panic here.
                    let (mut client, worker) = connection.take().unwrap_or_else(|| (Client::connect(address), None));
                    let header = if keep_alive { "" } else { "Connection: close\r\n" };
                    match client.request(&format!("/{length}"), header) {
                        Ok(response) => {
                            assert_eq!(response.status, 200);
                            assert!(response.body == content(length), "a response is not what it should be");
                            answered.fetch_add(1, Ordering::Relaxed);
                            if keep_alive {
                                connection = Some((client, Some(response.worker())));
                            }
                        }
                        Err(error) => failures.lock().unwrap().push(Failure { worker, why: error.to_string() }),
                    }
                }
            });
        }
        let pause = || std::thread::sleep(Duration::from_secs(seconds) / 4);
        pause();
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        pause();
        let victim = server.get("/10").worker();
        signal_process(victim, Signal::KILL);
        // Those that were asked to end are told of, too.
        while server.wait_for("worker_ended")["pid"] != victim {}
        pause();
        server.signal(Signal::HUP);
        server.wait_for("reloaded");
        pause();
        stop.store(true, Ordering::Relaxed);
        victim
    });
    let failures = failures.into_inner().unwrap();
    println!(
        "{} requests answered, {} failed with the killed worker",
        answered.load(Ordering::Relaxed),
        failures.len()
    );
    // Each of six clients had at most one request in flight in the killed worker.
    assert!(failures.len() <= 6, "{failures:?}");
    assert!(
        failures.iter().all(|failure| failure.worker.is_none_or(|worker| worker == victim)),
        "{failures:?}, {victim}"
    );
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}
