//! One look at the workers that start.

use super::judge::Evidence;
use super::{Serves, Target};
use crate::procfs::connections::{Fate, listening_at};
use crate::procfs::processes::Processes;
use crate::procfs::waits::Waits;
use crate::run::machine::WorkerId;
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long a connection may take to be made, and to be taken.
const TRIAL: Duration = Duration::from_millis(300);
/// Pause between two looks at who has taken it.
const TRIAL_LOOK: Duration = Duration::from_millis(10);

/// Adds what is seen of each worker now.
pub(super) fn look(targets: &[Target], evidence: &mut HashMap<WorkerId, Evidence>) {
    let processes = Processes::look();
    for target in targets {
        let seen = evidence.entry(target.worker).or_insert_with(|| Evidence::new(Instant::now()));
        let Some(pid) = Pid::from_raw(target.pid) else { continue };
        let family = processes.family(pid);
        let wanted: HashSet<u64> = match &target.serves {
            Serves::Listeners(listeners) => listeners.iter().map(|listener| listener.inode).collect(),
            Serves::Address(address) => addresses(address).into_iter().flat_map(listening_at).collect(),
        };
        let mut unseen = false;
        for pid in &family {
            match Waits::of(*pid, &wanted) {
                Ok(waits) => {
                    unseen |= waits.has_ring;
                    seen.served.extend(waits.sockets);
                }
                Err(error) => unseen |= error.kind() == ErrorKind::PermissionDenied,
            }
        }
        seen.unseen = unseen;
        match &target.serves {
            Serves::Address(_) => seen.answers |= !seen.served.is_empty(),
            Serves::Listeners(_) => try_listeners(target, seen, &family),
        }
    }
}

/// Tries, now and then, who takes a connection, where what it waits for has not been seen.
fn try_listeners(target: &Target, seen: &mut Evidence, family: &[i32]) {
    let left = seen.unserved(&target.serves);
    let left: Vec<_> = left.iter().filter_map(|listener| Some((listener.inode, listener.address?))).collect();
    if left.is_empty() || !seen.is_to_be_tried(Instant::now()) {
        return;
    }
    for (inode, address) in left {
        match try_at(address) {
            Fate::Taken(by) if by.iter().any(|pid| family.contains(pid)) => _ = seen.served.insert(inode),
            Fate::Taken(_) | Fate::Over if target.is_alone => _ = seen.taken.insert(inode),
            Fate::Taken(_) | Fate::Over | Fate::Waiting => {}
        }
    }
}

/// Makes a connection, and says who has taken it.
fn try_at(address: SocketAddr) -> Fate {
    let Ok(stream) = TcpStream::connect_timeout(&address, TRIAL) else { return Fate::Waiting };
    let ends = stream.peer_addr().ok().zip(stream.local_addr().ok());
    let until = Instant::now() + TRIAL;
    loop {
        match Fate::of(&[ends]).pop() {
            Some(Fate::Waiting) if Instant::now() < until => std::thread::sleep(TRIAL_LOOK),
            fate => return fate.unwrap_or(Fate::Waiting),
        }
    }
}

fn addresses(text: &str) -> Vec<SocketAddr> {
    text.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}
