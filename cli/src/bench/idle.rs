//! What a shared socket costs that nobody uses.

use super::Bench;
use super::baselines;
use super::measure::Progress;
use anyhow::Result;
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

/// Redeems sockets and keeps them; nothing where the system does not tell what they cost.
pub(crate) fn measure(bench: &Bench) -> Result<Option<Idle>> {
    let endpoint = bench.endpoint()?;
    let sockets = bench.count(8000);
    let progress: &Progress = &bench.progress;
    progress.say("idle cost", 1, 1);
    let socket = baselines::plain_socket()?;
    let redeem = || -> Result<Socket> { Ok(endpoint.redeem(&endpoint.duplicate(&socket, std::process::id())?)?) };
    // What the endpoint remembers of redemptions is bounded: first it is full.
    for _ in 0..20_000 {
        drop(redeem()?);
    }
    let mut kept = Vec::with_capacity(sockets as usize);
    let Some(before) = baselines::usage()? else { return Ok(None) };
    for _ in 0..sockets {
        kept.push(redeem()?);
    }
    let Some(after) = baselines::usage()? else { return Ok(None) };
    let each = |before: u64, after: u64| {
        f64::from(u32::try_from(after.saturating_sub(before)).unwrap_or(u32::MAX)) / f64::from(sockets)
    };
    drop(kept);
    let [[descriptors, threads, bytes], [descriptors_after, threads_after, bytes_after]] = [before, after];
    Ok(Some(Idle {
        sockets,
        descriptors: each(descriptors, descriptors_after) - 1.0,
        threads: each(threads, threads_after),
        bytes: each(bytes, bytes_after),
    }))
}
