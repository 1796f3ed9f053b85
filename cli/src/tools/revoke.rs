//! `sharesock revoke`: asks a `give --revocable` to take its duplicate back.

use super::published;
use super::revocation::{self, Answer};
use super::{info, say};
use crate::domain::open_domain;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

/// Options of `sharesock revoke`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sharesock revoke \"$(cat info)\"\n  \
    sharesock revoke - < info\n\n\
    It asks the process that made the info, a `sharesock give --revocable` that still waits, and works for the user who \
    started that.\n\
    Exit codes: 0 revoked, nobody can redeem it any more; 1 something failed; 2 the command line is wrong; 3 it had been \
    redeemed before; 4 nobody can revoke it.")]
pub(crate) struct Options {
    /// The protocol info as text, or `-` to read it from standard input.
    info: String,
    /// The domain in which the processes meet; by default $SHARESOCK_DOMAIN, else the user's own.
    #[arg(long, value_name = "DIR")]
    domain: Option<PathBuf>,
}

/// Asks.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let info = info::get(&options.info, std::io::stdin().lock())?;
    let delivery = info.delivery().context("the protocol info names no duplicate: it only describes a protocol")?;
    let domain = open_domain(options.domain.as_ref())?;
    if delivery.domain != domain.digest() {
        bail!(sharesock::Error::WrongDomain { here: domain.path().to_owned() });
    }
    published::sweep(&domain);
    Ok(match revocation::ask(&domain, delivery)? {
        Some(Answer::Revoked) => {
            say("revoked")?;
            ExitCode::SUCCESS
        }
        Some(Answer::Redeemed) => {
            eprintln!("sharesock: it had been redeemed before: its target has the socket");
            ExitCode::from(3)
        }
        None => {
            eprintln!(
                "sharesock: nobody can revoke it: no `sharesock give --revocable` waits with it any more, because it was \
                redeemed or revoked or has expired, or that process ended; or it was not made by one"
            );
            ExitCode::from(4)
        }
    })
}
