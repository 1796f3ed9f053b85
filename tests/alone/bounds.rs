//! Bounds that take a process with many descriptors to reach.

use crate::peer::{Peer, Place, pair};
use rustix::process::{Resource, getrlimit};
use sharesock::Error;

/// The most duplicates that a process holds for targets that cannot receive yet.
const MOST_HELD: u64 = 16_384;

#[test]
fn a_process_holds_so_many_duplicates_and_no_more() {
    in_a_process_of_its_own!();
    let place = Place::new("most-held");
    let enough = getrlimit(Resource::Nofile).current.is_none_or(|limit| limit > MOST_HELD + 100);
    assert!(enough, "this test needs a hard limit of more than {MOST_HELD} open files (`ulimit -Hn`)");
    let endpoint = place.endpoint();
    let mut target = Peer::start_without_endpoint(&place);
    let (_client, socket) = pair();
    let first = endpoint.duplicate(&socket, target.pid()).unwrap();
    for _ in 1..MOST_HELD {
        assert!(endpoint.duplicate(&socket, target.pid()).unwrap().delivery().unwrap().held);
    }
    assert_eq!(endpoint.duplicate(&socket, target.pid()), Err(Error::QueueFull { pid: target.pid() }));
    // One that is claimed makes room.
    assert_eq!(target.ask("open"), "ok");
    assert!(target.ask(&format!("redeem {first}")).starts_with("ok"));
    assert!(endpoint.duplicate(&socket, target.pid()).is_ok());
}
