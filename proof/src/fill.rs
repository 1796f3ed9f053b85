//! Connections that wait to be accepted while the server is restarted.

use crate::client::{Connection, Trouble};
use crate::count::{Tally, now};
use crate::load::print;
use anyhow::{Context, Result};
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The server, as 127.0.0.1:8080.
    to: SocketAddr,
    /// What the table calls it.
    #[arg(long, default_value = "fill")]
    name: String,
    /// As many, all open before any answer is awaited.
    #[arg(long, default_value_t = 100)]
    connections: usize,
    /// Seconds that all the answers may take.
    #[arg(long, default_value_t = 30.0)]
    patience: f64,
    /// Print everything as JSON, every failure among it. The line "filled" comes first all the same.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let deadline = Instant::now() + Duration::try_from_secs_f64(options.patience).context("--patience")?;
    let began = Instant::now();
    let mut tally = Tally::default();
    let open: Vec<_> =
        (1..=options.connections).map(|lane| (lane as u64, now(), send(options.to, lane, deadline))).collect();
    // Whoever restarts the server waits for this line.
    println!("filled {}", open.iter().filter(|(_, _, sent)| sent.is_ok()).count());
    std::io::stdout().flush()?;
    for (number, asked, sent) in open {
        match sent.and_then(|mut connection| connection.receive(number, deadline)) {
            Ok(answer) => tally.answered(answer.pid, Some(began.elapsed())),
            Err(trouble) => tally.failed(trouble, asked),
        }
    }
    print(&tally.report(&options.name, began.elapsed(), &[]), options.json)
}

fn send(to: SocketAddr, lane: usize, deadline: Instant) -> Result<Connection, Trouble> {
    let mut connection = Connection::open(to, lane, deadline)?;
    connection.send(lane as u64, true)?;
    Ok(connection)
}
