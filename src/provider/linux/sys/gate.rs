//! Gates: a flag that exactly one of all its holders, in whatever process, can take.
//!
//! A gate is an eventfd that counts one. It travels with a revocable duplicate: who reads the one first, the target
//! to redeem or the source to revoke, has decided.

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};
use std::os::fd::{AsFd, OwnedFd};

/// A gate that nobody has taken.
pub(crate) fn new_gate() -> rustix::io::Result<OwnedFd> {
    eventfd(1, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK | EventfdFlags::SEMAPHORE)
}

/// Takes the gate; `false` when somebody else did. It never waits, whatever a peer gave us as a gate.
pub(crate) fn take_gate(gate: impl AsFd) -> rustix::io::Result<bool> {
    let mut count = [0; 8];
    loop {
        // Offset -1 reads without a position, which an eventfd does not have.
        match preadv2(&gate, &mut [IoSliceMut::new(&mut count)], u64::MAX, ReadWriteFlags::NOWAIT) {
            Ok(8) => return Ok(true),
            Ok(_) => return Err(Errno::PROTO),
            Err(Errno::AGAIN) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether nobody has taken it yet.
pub(crate) fn gate_is_open(gate: impl AsFd) -> rustix::io::Result<bool> {
    let mut gates = [PollFd::new(&gate, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        match poll(&mut gates, Some(&now)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_takes_it() {
        let gate = new_gate().unwrap();
        let copy = gate.try_clone().unwrap();
        assert_eq!(gate_is_open(&copy), Ok(true));
        assert_eq!((take_gate(&copy), take_gate(&gate), take_gate(&copy)), (Ok(true), Ok(false), Ok(false)));
        assert_eq!(gate_is_open(&gate), Ok(false));
    }

    #[test]
    fn what_is_no_gate_does_not_block() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_ne!(take_gate(one), Ok(true));
        let (one, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert_ne!(take_gate(one), Ok(true));
    }
}
