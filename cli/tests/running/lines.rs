//! The lines that a process prints, as they come.

use super::LONG;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

/// Lines so far, and whether there will be more.
#[derive(Default)]
pub(crate) struct Lines {
    state: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

/// A line; what a worker printed reads as without `--json`.
fn as_text(line: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(line) {
        Ok(event) if event["event"] == "output" => {
            format!("{} | {}", event["place"], event["line"].as_str().unwrap())
        }
        _ => String::from_utf8_lossy(line).into_owned(),
    }
}

impl Lines {
    pub(crate) fn of(stream: impl Read + Send + 'static) -> Arc<Self> {
        let lines = Arc::new(Lines::default());
        let ours = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                ours.state.lock().unwrap().0.push(as_text(&line));
                ours.more.notify_all();
            }
            ours.state.lock().unwrap().1 = true;
            ours.more.notify_all();
        });
        lines
    }

    /// The first from this one on, there already or still to come, in which something is found.
    pub(crate) fn find<T>(&self, from: usize, mut look: impl FnMut(&str) -> Option<T>) -> Option<(usize, T)> {
        let started = Instant::now();
        let mut state = self.state.lock().unwrap();
        let mut next = from;
        loop {
            while let Some(line) = state.0.get(next) {
                if let Some(found) = look(line) {
                    return Some((next, found));
                }
                next += 1;
            }
            if state.1 || started.elapsed() > LONG {
                return None;
            }
            state = self.more.wait_timeout(state, LONG).unwrap().0;
        }
    }

    /// Waits until all who could print have ended.
    pub(crate) fn to_the_end(&self) -> Vec<String> {
        self.find(0, |_| None::<()>);
        self.all()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.state.lock().unwrap().0.clone()
    }
}
