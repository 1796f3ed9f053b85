//! Requests at a steady concurrency, while somebody restarts the server.

use crate::client::{Answer, Connection, Trouble, is_slow};
use crate::count::{Report, Tally, now};
use crate::kill;
use anyhow::{Context, Result, bail};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The server, as 127.0.0.1:8080.
    to: SocketAddr,
    /// What the table calls it.
    #[arg(long, default_value = "load")]
    name: String,
    /// Seconds; without it, until standard input ends.
    #[arg(long)]
    seconds: Option<f64>,
    /// Requests at a time, each on a connection of its own.
    #[arg(long, default_value_t = 16)]
    connections: usize,
    /// Connections that are kept from request to request, besides.
    #[arg(long, default_value_t = 4)]
    kept: usize,
    /// Requests a second at most, of all; 0 for no bound.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Seconds that a request may take before it counts as failed.
    #[arg(long, default_value_t = 10.0)]
    patience: f64,
    /// What `kill` noted.
    #[arg(long)]
    killed: Option<PathBuf>,
    /// Print everything as JSON, every failure among it.
    #[arg(long)]
    json: bool,
}

/// What the lanes have in common.
struct Run<'a> {
    options: &'a Options,
    stop: AtomicBool,
    next: AtomicU64,
    patience: Duration,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let duration = options.seconds.map(Duration::try_from_secs_f64).transpose().context("--seconds")?;
    let patience = Duration::try_from_secs_f64(options.patience).context("--patience")?;
    if options.connections + options.kept == 0 {
        bail!("--connections and --kept are both 0: there is nothing to do");
    }
    let run = Run { options, stop: AtomicBool::new(false), next: AtomicU64::new(1), patience };
    let began = Instant::now();
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..options.connections + options.kept)
            .map(|lane| {
                let run = &run;
                scope.spawn(move || run.lane(lane))
            })
            .collect();
        match duration {
            Some(duration) => std::thread::sleep(duration),
            None => drop(std::io::stdin().read_to_end(&mut Vec::new())),
        }
        run.stop.store(true, Ordering::Relaxed);
        for lane in lanes {
            match lane.join() {
                Ok(seen) => tally.add(seen),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let killed = options.killed.as_deref().map(kill::notes).transpose()?.unwrap_or_default();
    print(&tally.report(&options.name, began.elapsed(), &killed), options.json)
}

/// Prints the report; the exit code says whether something was lost.
pub(crate) fn print(report: &Report, json: bool) -> Result<ExitCode> {
    if json {
        println!("{}", serde_json::to_string(report)?);
    } else {
        println!("{}\n{}", Report::TITLE, report.line());
    }
    Ok(match (report.own, report.lost) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(3),
    })
}

impl Run<'_> {
    fn lane(&self, lane: usize) -> Tally {
        let mut tally = Tally::default();
        let keeps = lane >= self.options.connections;
        let mut kept = None;
        let mut due = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            self.wait_turn(&mut due);
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            kept = self.ask(lane, number, keeps, kept, &mut tally);
        }
        tally
    }

    /// Spreads each lane's requests evenly. One that was late does not catch up: the load would come in bursts.
    fn wait_turn(&self, due: &mut Instant) {
        if self.options.rate == 0 {
            return;
        }
        let lanes = (self.options.connections + self.options.kept) as f64;
        let now = Instant::now();
        std::thread::sleep(due.saturating_duration_since(now));
        *due = (*due).max(now) + Duration::from_secs_f64(lanes / f64::from(self.options.rate));
    }

    /// One request; gives back the connection if it can be kept.
    fn ask(
        &self,
        lane: usize,
        number: u64,
        keeps: bool,
        kept: Option<Connection>,
        tally: &mut Tally,
    ) -> Option<Connection> {
        let (began, clock) = (now(), Instant::now());
        let deadline = clock + self.patience;
        let mut outcome = match kept {
            Some(connection) => exchange(connection, number, keeps, deadline),
            None => Connection::open(self.options.to, lane, deadline)
                .map_err(|trouble| (trouble, false))
                .and_then(|connection| exchange(connection, number, keeps, deadline)),
        };
        // A server may end an idle connection at any time, also while the next request is on its way.
        if outcome.as_ref().is_err_and(|(trouble, used)| *used && trouble.received == 0 && trouble.is_torn()) {
            tally.reused();
            outcome = Connection::open(self.options.to, lane, deadline)
                .map_err(|trouble| (trouble, false))
                .and_then(|connection| exchange(connection, number, keeps, deadline));
        }
        match outcome {
            Ok((connection, answer)) => {
                tally.answered(answer.pid, (!is_slow(number)).then(|| clock.elapsed()));
                (keeps && !answer.last).then_some(connection)
            }
            Err((trouble, _)) => {
                tally.failed(trouble, began);
                None
            }
        }
    }
}

/// The second part of the error: the connection had been used before.
fn exchange(
    mut connection: Connection,
    number: u64,
    keeps: bool,
    deadline: Instant,
) -> Result<(Connection, Answer), (Trouble, bool)> {
    let used = connection.used;
    // A failed send may hide an answer that came before, or why there is none: what is received tells.
    let sent = connection.send(number, !keeps);
    match connection.receive(number, deadline) {
        Ok(answer) => Ok((connection, answer)),
        Err(trouble) if trouble.received > 0 => Err((trouble, used)),
        Err(trouble) => Err((sent.err().unwrap_or(trouble), used)),
    }
}
