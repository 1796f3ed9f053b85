//! Small tools for the shell: each does one thing with sockets that processes share.

#[cfg(target_os = "linux")]
pub(crate) mod connect;
#[cfg(target_os = "linux")]
pub(crate) mod doctor;
#[cfg(target_os = "linux")]
pub(crate) mod endowed;
#[cfg(target_os = "linux")]
mod exec;
#[cfg(target_os = "linux")]
pub(crate) mod give;
#[cfg(target_os = "linux")]
pub(crate) mod holders;
mod info;
#[cfg(target_os = "linux")]
mod inherited;
pub(crate) mod inspect;
#[cfg(target_os = "linux")]
pub(crate) mod keep;
#[cfg(target_os = "linux")]
pub(crate) mod listen;
#[cfg(target_os = "linux")]
mod meeting;
#[cfg(target_os = "linux")]
mod published;
#[cfg(target_os = "linux")]
mod reader;
#[cfg(target_os = "linux")]
mod revocation;
#[cfg(target_os = "linux")]
pub(crate) mod revoke;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
pub(crate) mod take;

use anyhow::{Context, Result};
use std::io::Write;

/// Prints, without a word about it when nobody reads any more.
fn say(text: &str) -> Result<()> {
    let mut output = std::io::stdout().lock();
    match writeln!(output, "{text}").and_then(|()| output.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        printed => printed.context("printing"),
    }
}

/// Says what is wrong with the command line.
#[cfg(target_os = "linux")]
fn misuse(what: &str) -> std::process::ExitCode {
    eprintln!("sharesock: {what}");
    std::process::ExitCode::from(2)
}
