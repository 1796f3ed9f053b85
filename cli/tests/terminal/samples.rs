//! Supervisors to show, and screens to compare with.

use crate::status::{HandOffs, ListenerStatus, PastEvent, Status, SupervisorState, WorkerState, WorkerStatus};
use std::path::PathBuf;

/// A busy one, in the middle of a reload; `second` seconds later there is more of everything.
pub(crate) fn busy(second: u64) -> Status {
    let mut workers: Vec<_> = (0..4).map(|place| worker(place, 3, second)).collect();
    workers.push(WorkerStatus { state: WorkerState::Draining, uptime_s: 90_000.0, ..worker(1, 2, second) });
    workers[3].state = WorkerState::Starting;
    workers[3].uptime_s = 0.4;
    workers[3].connections = Some(0);
    workers[3].says = None;
    Status {
        name: "site".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        uptime_s: 273_600.0 + second as f64,
        state: SupervisorState::Reloading,
        generation: 3,
        reloads: 2,
        upgrades: 1,
        restarts: 0,
        wanted: 4,
        ready: 3,
        last_failure: Some("reload: worker 4790 exited with code 1".to_owned()),
        last_failure_age_s: Some(754.0),
        failed_reloads: 1,
        failed_upgrades: 0,
        connections_cut: 12,
        last_reload_at_s: Some(1_767_225_599.5),
        last_reload_took_s: Some(1.5),
        listeners: vec![
            listener("http", "127.0.0.1:8080", Some((300, 4096))),
            listener("admin", "unix:/run/site/admin.sock", Some((120, 128))),
            listener("dns", "udp:127.0.0.1:53", None),
        ],
        workers,
        hand_offs: Some(HandOffs {
            total: (0..second).map(wave).sum::<u64>() + 1_234_567,
            waiting: 2,
            median_us: Some(45),
            slowest_percent_us: Some(1_230),
        }),
        events: vec![
            event("08:59:30", "starting generation 3"),
            event("08:59:31", "worker 4790 exited with code 1; another starts in 100 ms"),
            event("09:00:02", "generation 3 has taken over, workers 4730 4731 4732; the one before drains"),
        ],
    }
}

fn event(time: &str, text: &str) -> PastEvent {
    PastEvent { time: format!("2026-01-31T{time}.000Z"), text: text.to_owned() }
}

/// How many are handed off in that second.
fn wave(second: u64) -> u64 {
    let angle = second as f64 / 9.0;
    (1_200.0 + 900.0 * angle.sin() + 150.0 * (angle * 5.0).cos()) as u64
}

fn worker(place: u32, generation: u32, second: u64) -> WorkerStatus {
    let (one, share) = (u64::from(place) + 1, f64::from(place + 1) / 10.0);
    WorkerStatus {
        pid: 4700 + generation * 10 + place,
        place,
        generation,
        state: WorkerState::Ready,
        uptime_s: 3_725.0 + second as f64,
        restarts: u64::from(place == 2),
        connections: Some(one * 107),
        memory_bytes: Some((34 << 20) + one * 777_777),
        cpu_s: Some(12.5 + second as f64 * share),
        open: None,
        handed_off: 300_000 + second * one * 113,
        says: Some(format!("serving {} requests", one * 31)),
        output: Vec::new(),
    }
}

fn listener(name: &str, address: &str, queue: Option<(u64, u64)>) -> ListenerStatus {
    ListenerStatus {
        name: name.to_owned(),
        address: address.to_owned(),
        queued: queue.map(|queue| queue.0),
        backlog: queue.map(|queue| queue.1),
    }
}

/// One with nothing to tell yet.
pub(crate) fn new() -> Status {
    Status {
        name: "site".to_owned(),
        pid: 4711,
        version: "0.1.0".to_owned(),
        uptime_s: 0.2,
        state: SupervisorState::Starting,
        generation: 1,
        reloads: 0,
        upgrades: 0,
        restarts: 0,
        wanted: 4,
        ready: 0,
        last_failure: None,
        last_failure_age_s: None,
        failed_reloads: 0,
        failed_upgrades: 0,
        connections_cut: 0,
        last_reload_at_s: None,
        last_reload_took_s: None,
        listeners: Vec::new(),
        workers: Vec::new(),
        hand_offs: None,
        events: Vec::new(),
    }
}

/// One that passes its listeners on to many workers, of which little is known.
pub(crate) fn crowd(workers: u32) -> Status {
    let one = |place| WorkerStatus {
        connections: None,
        memory_bytes: None,
        cpu_s: None,
        handed_off: 0,
        says: None,
        ..worker(place, 1, 0)
    };
    Status {
        state: SupervisorState::Running,
        listeners: vec![listener("http", "[::1]:8080", Some((0, 4096)))],
        workers: (0..workers).map(one).collect(),
        ..new()
    }
}

/// One that means harm: its words are commands to terminals and lines of other formats.
pub(crate) fn hostile() -> Status {
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[31m\u{202e}\"} 1\nsharesock_evil{a=\"\\\" 2\r";
    let mut status = busy(0);
    status.name = evil.to_owned();
    status.version = evil.to_owned();
    status.last_failure = Some(evil.to_owned());
    status.listeners[0].name = evil.to_owned();
    status.listeners[0].address = evil.repeat(9);
    status.workers[0].says = Some(evil.repeat(9));
    status.workers[0].output = vec![evil.to_owned()];
    status.events[0] = PastEvent { time: evil.to_owned(), text: evil.to_owned() };
    status
}

/// Compares with a file that is kept beside; `SHARESOCK_BLESS=1` writes it anew.
#[track_caller]
pub(crate) fn check(name: &str, text: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/terminal/screens").join(name);
    if std::env::var_os("SHARESOCK_BLESS").is_some() {
        std::fs::write(&file, text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(kept == text, "not as in {} (SHARESOCK_BLESS=1 writes it anew):\n{text}", file.display());
}
