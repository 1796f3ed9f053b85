//! A peer that forks without executing another program.
#![allow(unsafe_code)]

use super::ring::Failure;
use sharesock::{Endpoint, Error, ProtocolInfo};

/// Forks. The child tries to redeem what is meant for its parent, uses the endpoint on its own, says how it went, and
/// then lives until it is killed. Returns its id and what it said.
pub(super) fn fork(endpoint: &Endpoint, info: &str) -> Result<String, Failure> {
    let info: ProtocolInfo = info.parse()?;
    let (mut reader, writer) = std::os::unix::net::UnixStream::pair()?;
    // SAFETY: the child runs on in this thread alone, with locks that no other thread of this program held.
    match unsafe { libc::fork() } {
        -1 => Err(std::io::Error::last_os_error().into()),
        0 => {
            drop(reader);
            let said = child(endpoint, &info).unwrap_or_else(|error| format!("failed: {error}"));
            let _ = std::io::Write::write_all(&mut &writer, said.as_bytes());
            drop(writer);
            // Nothing of the test program may run here when it ends.
            loop {
                // SAFETY: it only waits.
                unsafe { libc::pause() };
            }
        }
        pid => {
            drop(writer);
            let mut said = String::new();
            std::io::Read::read_to_string(&mut reader, &mut said)?;
            Ok(format!("{pid} {said}"))
        }
    }
}

fn child(endpoint: &Endpoint, meant_for_parent: &ProtocolInfo) -> Result<String, Error> {
    match endpoint.redeem(meant_for_parent) {
        Err(Error::WrongProcess { here, .. }) if here == std::process::id() => {}
        other => return Ok(format!("redeemed its parent's: {other:?}")),
    }
    if endpoint.process()?.pid() != std::process::id() {
        return Ok("has its parent's endpoint".to_owned());
    }
    let socket = sharesock::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    let redeemed = endpoint.redeem(&endpoint.duplicate(&socket, std::process::id())?)?;
    Ok(if redeemed == socket { "has its own endpoint" } else { "got another socket" }.to_owned())
}
