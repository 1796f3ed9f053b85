//! Who holds a descriptor of an underlying socket.

use super::sys::{Handles, Purpose, Running, Seen, handles_of, same_object};
use crate::error::{Error, Result};
use crate::holders::Holder;
use crate::socket::Socket;
use std::collections::BTreeMap;

/// The descriptors that can be seen, and how many processes cannot be looked at.
pub(crate) fn descriptors(socket: &Socket) -> Result<(Vec<Holder>, usize)> {
    let found = handles_of(socket.as_socket()).map_err(Error::io("looking at the handles of all processes"))?;
    let found = found.ok_or(Error::NotOnThisSystem {
        what: "who holds a socket",
        instead: "it does not show the handles of processes; ask each of them",
    })?;
    let (found, hidden) = match found {
        Handles::All(found) => (found, 0),
        Handles::Candidates(candidates) => sift(socket, candidates),
    };
    let mut seen: Vec<_> = found
        .into_iter()
        .map(|found| Holder { pid: found.pid, command: command(found.pid), descriptor: found.handle })
        .collect();
    seen.sort_by_key(|holder| (holder.pid, holder.descriptor));
    Ok((seen, hidden))
}

/// Those that are of the socket, found by taking a copy of each for a moment; and how many processes do not allow it.
fn sift(socket: &Socket, candidates: Vec<Seen>) -> (Vec<Seen>, usize) {
    let mut by_process = BTreeMap::<u32, Vec<Seen>>::new();
    for candidate in candidates {
        by_process.entry(candidate.pid).or_default().push(candidate);
    }
    let (mut found, mut hidden) = (Vec::new(), 0);
    for (pid, of_process) in by_process {
        match Running::open(pid, Purpose::Giving) {
            Ok(Some(process)) => found.extend(of_process.into_iter().filter(|candidate| {
                // A handle that was closed meanwhile is none any more.
                process.copy_of(candidate.handle).is_ok_and(|copy| same_object(socket.as_socket(), &copy))
            })),
            Ok(None) => {}
            Err(_) => hidden += 1,
        }
    }
    (found, hidden)
}

/// The name of the file of its program; empty for one that does not let this process look.
fn command(pid: u32) -> String {
    let image = Running::open(pid, Purpose::Asking).ok().flatten().and_then(|running| running.image().ok());
    image.as_deref().and_then(|path| path.rsplit('\\').next()).unwrap_or_default().to_owned()
}
