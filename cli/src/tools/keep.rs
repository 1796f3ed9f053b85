//! `sharesock keep`: holds offers for processes that end.

use super::say;
use crate::domain::open_domain;
use crate::system::{Signals, is_now, polled};
use anyhow::{Context, Result};
use rustix::event::PollFlags;
use sharesock::{Endpoint, Error, Keeper, Wait};
use std::path::PathBuf;
use std::process::ExitCode;

/// Number of offers that are taken before a signal gets its turn.
const AT_ONCE: usize = 64;

/// Options of `sharesock keep`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sharesock keep\n\n\
    A process that does not know its target offers a socket to whoever redeems it first (Endpoint::offer_kept, \
    sharesock_offer_kept): this process holds the offer, so that the one that made it may end. It prints how it is named, and \
    keeps until it is ended by SIGTERM or SIGINT; what it still has is closed then.\n\
    Exit codes: 0 it was ended, 1 something failed, 2 the command line is wrong.")]
pub(crate) struct Options {
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// Keeps.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let endpoint = Endpoint::open(&open_domain(options.domain.as_ref())?)?;
    let keeper = endpoint.keeper()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(async {
        let mut signals = Signals::watch()?;
        let watched = rustix::io::fcntl_dupfd_cloexec(&keeper, 3).context("watching for offers")?;
        let watched = polled(watched).context("watching for offers")?;
        say(&endpoint.process()?.to_string())?;
        let mut has_more = true;
        loop {
            tokio::select! {
                biased;
                _ = signals.next() => return Ok(ExitCode::SUCCESS),
                ready = watched.readable(), if !has_more => ready.context("waiting for offers")?.clear_ready(),
                () = tokio::task::yield_now(), if has_more => {}
            }
            has_more = keep_some(&keeper)?;
        }
    })
}

/// Takes some of the offers that are there; whether there may be more.
fn keep_some(keeper: &Keeper) -> Result<bool> {
    for _ in 0..AT_ONCE {
        match keeper.keep_next(Wait::none()) {
            Ok(true) => {}
            Ok(false) => break,
            // One that has no room is closed; what has no descriptor waits.
            Err(error @ (Error::QueueFull { .. } | Error::System { .. })) => {
                eprintln!("sharesock: an offer could not be kept: {error}");
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    // What came since it was last said to be readable is not said again.
    Ok(is_now(keeper, PollFlags::IN))
}
