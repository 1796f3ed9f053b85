//! What a shared socket costs that nobody uses.

use super::Bench;
use super::measure::Progress;
use anyhow::{Context, Result};
use sharesock::Socket;

/// For each shared socket, beyond the descriptors that share it.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Idle {
    pub(crate) sockets: u32,
    pub(crate) descriptors: f64,
    pub(crate) threads: f64,
    /// Of memory, as the kernel counts it for this process, the value that the program keeps among it.
    pub(crate) bytes: f64,
}

/// Redeems sockets and keeps them.
pub(crate) fn measure(bench: &Bench) -> Result<Idle> {
    let endpoint = bench.endpoint()?;
    let sockets = bench.count(8000);
    let progress: &Progress = &bench.progress;
    progress.say("idle cost", 1, 1);
    let socket = Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?;
    let redeem = || -> Result<Socket> { Ok(endpoint.redeem(&endpoint.duplicate(&socket, std::process::id())?)?) };
    // What the endpoint remembers of redemptions is bounded: first it is full.
    for _ in 0..20_000 {
        drop(redeem()?);
    }
    let mut kept = Vec::with_capacity(sockets as usize);
    let before = now()?;
    for _ in 0..sockets {
        kept.push(redeem()?);
    }
    let after = now()?;
    let each = |before: u64, after: u64| {
        f64::from(u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX)) / f64::from(sockets)
    };
    drop(kept);
    Ok(Idle {
        sockets,
        descriptors: each(before.0, after.0) - 1.0,
        threads: each(before.1, after.1),
        bytes: each(before.2, after.2),
    })
}

/// Descriptors, threads and bytes of memory of this process.
fn now() -> Result<(u64, u64, u64)> {
    let count = |folder: &str| std::fs::read_dir(folder).map(|entries| entries.count() as u64);
    let status = std::fs::read_to_string("/proc/self/status").context("reading /proc/self/status")?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes: u64 =
        kilobytes.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).context("reading RssAnon")?;
    Ok((count("/proc/self/fd")?, count("/proc/self/task")?, kilobytes * 1024))
}
