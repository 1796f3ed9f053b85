//! A worker's link to its front: lines of JSON over its standard input and output.

use super::control::{FromWorker, ToWorker, to_line};
use crate::serve::page::{Count, View};
use crate::serve::{Ending, Told, WorkerOptions};
use crate::system::{Apart, keep_apart};
use anyhow::Result;
use sharesock::ProtocolInfo;
use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};

/// A worker's link to its front.
#[derive(Debug)]
pub(crate) struct Link {
    /// A thread reads them, for Windows has no other way to wait for a pipe that is inherited. Nothing at their end.
    lines: Option<Lines<BufReader<Stdin>>>,
    is_ready: bool,
    successors: Vec<u32>,
    figures: Rc<Figures>,
    _apart: Apart,
}

impl Link {
    /// Opens it.
    pub(crate) fn open(_: &WorkerOptions) -> Result<Self> {
        let lines = Some(BufReader::new(stdin()).lines());
        Ok(Link { lines, is_ready: false, successors: Vec::new(), figures: Rc::default(), _apart: keep_apart()? })
    }

    /// The next message. Cancel safe.
    pub(crate) async fn next(&mut self) -> Told {
        loop {
            let Some(lines) = &mut self.lines else { return std::future::pending().await };
            let Ok(Some(line)) = lines.next_line().await else {
                // The front has ended: nobody else says so.
                (self.lines, self.successors) = (None, Vec::new());
                return Told::End;
            };
            match serde_json::from_str(&line) {
                Ok(ToWorker::Info { id, info, envelope }) => {
                    return Told::Redeem { id, info: info.parse().map_err(anyhow::Error::from), envelope };
                }
                Ok(ToWorker::Counts { workers }) => drop(self.figures.0.replace(workers)),
                Ok(ToWorker::Retire { successors }) => {
                    self.successors = successors;
                    return Told::End;
                }
                Ok(ToWorker::Drain) => {
                    self.successors.clear();
                    return Told::End;
                }
                Err(error) => {
                    eprintln!("sharesock: worker {}: a line that makes no sense: {error}", std::process::id())
                }
            }
        }
    }

    /// Keeps an info for which there is no room now; whether this can be done. Here it is not: the front gives it to another.
    #[allow(clippy::unused_self)]
    pub(crate) fn keep(&mut self, _: &ProtocolInfo) -> bool {
        false
    }

    /// Whether an info is kept.
    #[allow(clippy::unused_self)]
    pub(crate) fn is_behind(&self) -> bool {
        false
    }

    /// Something was closed.
    #[allow(clippy::unused_self)]
    pub(crate) fn hurry(&mut self) {}

    /// Tells what became of a connection that was to be redeemed.
    pub(crate) fn answer(&mut self, id: u64, redeemed: Result<()>) {
        say(&match redeemed {
            Ok(()) => FromWorker::Redeemed { id },
            Err(error) => FromWorker::Failed { id, why: format!("{error:#}") },
        });
    }

    /// Says that this worker serves, and how many connections it has open, and has received from the front.
    pub(crate) fn say(&mut self, open: u64, received: u64) {
        if !std::mem::replace(&mut self.is_ready, true) {
            say(&FromWorker::Ready);
        }
        say(&FromWorker::Load { open, received });
    }

    /// The way in which this worker ends.
    #[allow(clippy::unused_async)]
    pub(crate) async fn ending(&mut self) -> Ending {
        Ending { successors: self.successors.clone(), takes: true }
    }

    /// Figures of all workers.
    pub(crate) fn figures(&self) -> Rc<Figures> {
        Rc::clone(&self.figures)
    }
}

/// Figures of all workers, as the front has told them, for the page.
#[derive(Debug, Default)]
pub(crate) struct Figures(RefCell<Vec<Count>>);

impl Figures {
    #[allow(clippy::unused_async)]
    pub(crate) async fn look(&self) -> View {
        let workers = self.0.borrow().clone();
        let generation = workers.iter().map(|worker| worker.generation).max().unwrap_or_default();
        View { generation, workers, ..View::default() }
    }
}

fn say(message: &FromWorker) {
    // A front that has ended is noticed at standard input.
    let _ = std::io::stdout().write_all(to_line(message).as_bytes());
    let _ = std::io::stdout().flush();
}
