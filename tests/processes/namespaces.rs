//! Processes where less can be seen of each other: other PID and time namespaces, other users, a `/proc` that hides them.

use crate::needs::{lacks, works};
use crate::peer::{Peer, Place, pair, program_for_all, wait_for_end};
use sharesock::{DuplicateOptions, Error, Process, ProtocolInfo};
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;
use std::time::Duration;

/// Whether `unshare` with these arguments does not work here.
#[track_caller]
fn lacks_unshare(arguments: &[&str]) -> bool {
    let made = works("unshare", &[arguments, &["true"]].concat());
    lacks(&format!("root, and `unshare {}`", arguments.join(" ")), made)
}

const INSIDE: [&str; 4] = ["--pid", "--fork", "--mount-proc", "--kill-child"];

/// A domain for the members of a group, and a copy of this program that they can run.
struct Shared {
    place: Place,
    program: String,
}

impl Shared {
    fn new(name: &str) -> Self {
        let place = Place::new(name);
        let program = program_for_all(&place);
        chown(place.path(), Some(0), Some(54_321)).unwrap();
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o3770)).unwrap();
        Shared { place, program }
    }

    /// A peer of user `uid`, which `before` starts.
    fn peer(&self, before: &[&str], uid: u32) -> Peer {
        let uid = uid.to_string();
        let user = ["setpriv", "--reuid", &uid, "--regid", &uid, "--groups", "54321"];
        let peer = [self.program.as_str(), "--exact", "peer::peer", "--nocapture"];
        let words = [before, &user, &peer].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env("SHARESOCK_TEST_PEER_DOMAIN", self.place.path());
        Peer::from_command(&mut command, Command::spawn)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.program);
    }
}

fn text(answer: &str) -> &str {
    answer.strip_prefix("ok ").unwrap_or_else(|| panic!("{answer}"))
}

/// Both duplicate for and hand off to each other, by what each says of itself.
fn share(one: &mut Peer, two: &mut Peer) {
    let [first, second] = [&mut *one, two].map(|peer| peer.ask("process"));
    assert_eq!(one.ask("socket"), "ok");
    for (from, to, target, source) in [(0, 1, &second, &first), (1, 0, &first, &second)] {
        let peers = [&mut *one, &mut *two];
        let info = peers[from].ask(&format!("duplicate-for {target}"));
        let redeemed = peers[to].ask(&format!("redeem {}", text(&info)));
        assert!(redeemed.starts_with("ok"), "from {source} to {target}: {redeemed}");
        assert_eq!(peers[to].ask("receiver"), "ok");
        assert_eq!(peers[from].ask(&format!("hand-off-to {target}")), "ok");
        assert_eq!(peers[to].ask("receive"), redeemed);
        assert_eq!(peers[to].ask("close-receiver"), "ok");
    }
}

#[test]
fn two_users_in_two_pid_namespaces_share() {
    let unshare = [&["unshare"][..], &INSIDE].concat();
    if lacks_unshare(&INSIDE) {
        return;
    }
    let shared = Shared::new("users-namespaces");
    for (one, two) in [(61_001, 61_001), (61_001, 61_002)] {
        let mut outside = shared.peer(&[], one);
        let mut inside = shared.peer(&unshare, two);
        share(&mut outside, &mut inside);
        // Two namespaces of which neither sees into the other.
        let mut beside = shared.peer(&unshare, one);
        share(&mut inside, &mut beside);
        // By its id, where `/proc` shows its namespace: that of another user is not shown.
        let children = format!("/proc/{0}/task/{0}/children", inside.pid());
        let outer = std::fs::read_to_string(children).unwrap();
        assert_eq!(outside.ask("socket"), "ok");
        let answer = outside.ask(&format!("duplicate {}", outer.trim()));
        match one == two {
            true => assert!(inside.ask(&format!("redeem {}", text(&answer))).starts_with("ok")),
            false => assert!(answer.contains("another user's PID namespace"), "{answer}"),
        }
    }
}

#[test]
fn users_share_behind_a_proc_that_hides_others() {
    let mount = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"";
    let hide = ["--mount", "--propagation", "private", "sh", "-c", mount, "sh"];
    if lacks_unshare(&hide) {
        return;
    }
    let shared = Shared::new("hidden");
    let unshare = [&["unshare"][..], &hide].concat();
    let mut seen = shared.peer(&[], 61_001);
    let mut blind = shared.peer(&unshare, 61_002);
    share(&mut seen, &mut blind);
    assert_eq!(blind.ask("socket"), "ok");
    let answer = blind.ask(&format!("duplicate {}", seen.pid()));
    assert!(answer.contains("hides (hidepid, ProtectProc)"), "{answer}");
    // One that ended is gone for it, too.
    let process = seen.ask("process");
    seen.kill();
    let answer = blind.ask(&format!("duplicate-for {process}"));
    assert!(answer.starts_with("error"), "{answer}");
}

#[test]
fn a_process_whose_first_thread_has_ended_lives() {
    let place = Place::new("first-thread");
    let endpoint = place.endpoint();
    let mut peer = Peer::start(&place);
    let process: Process = peer.ask("process").parse().unwrap();
    assert_eq!(peer.ask("end-first-thread"), "ok");
    assert_eq!(Process::from_pid(peer.pid()), Ok(process));
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    for _ in 0..2 {
        let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
        assert_eq!(peer.ask(&format!("redeem {info}")), format!("ok {id}"));
        // What it makes now is as good.
        assert_eq!(peer.ask("process"), process.to_string());
        let info: ProtocolInfo =
            text(&peer.ask(&format!("duplicate-for {}", endpoint.process().unwrap()))).parse().unwrap();
        assert_eq!(endpoint.redeem(&info).unwrap(), socket);
        assert_eq!((peer.ask("close-endpoint"), peer.ask("open")), ("ok".to_owned(), "ok".to_owned()));
    }
    assert_eq!(peer.ask("receiver"), "ok");
    let sender = endpoint.sender(process).unwrap();
    sender.hand_off(socket).unwrap();
    assert!(!sender.is_closed());
    assert!(peer.ask("receive").starts_with("ok"));
    sender.flush(Duration::from_secs(60)).unwrap();
    peer.kill();
    assert!(sender.is_closed());
    wait_for_end(&mut client);
}

#[test]
fn identities_and_expiries_hold_across_time_namespaces() {
    let shift = ["--time", "--boottime", "100000", "--fork", "--kill-child"];
    if lacks_unshare(&shift) {
        return;
    }
    let place = Place::new("time");
    let endpoint = place.endpoint();
    let me = endpoint.process().unwrap();
    let mut shifted = Peer::from_command(&mut Peer::command_by(&place, "unshare", &shift), Command::spawn);
    let there: Process = shifted.ask("process").parse().unwrap();
    assert_eq!(Process::from_pid(there.pid()), Ok(there), "both count from the same boot");
    let (_client, socket) = pair();
    let hour = DuplicateOptions::new().expires_in(Duration::from_secs(3600));
    let over = DuplicateOptions::new().expires_in(Duration::from_nanos(1));
    let lasting = endpoint.duplicate_with(&socket, there, &hour).unwrap();
    let expired = endpoint.duplicate_with(&socket, there, &over).unwrap();
    assert!(shifted.ask(&format!("redeem {lasting}")).starts_with("ok"));
    assert!(shifted.ask(&format!("redeem {expired}")).contains("expired"));
    // From there to here.
    let lasting = shifted.ask(&format!("duplicate-expiring {me} {}", 3_600_000_000_000_u64));
    let expired = shifted.ask(&format!("duplicate-expiring {me} 1"));
    assert_eq!(endpoint.redeem(&text(&lasting).parse().unwrap()).unwrap(), socket);
    assert_eq!(endpoint.redeem(&text(&expired).parse().unwrap()), Err(Error::Expired));
}

#[test]
fn a_proc_that_does_not_show_this_process_is_named_as_the_cause() {
    if lacks_unshare(&INSIDE) {
        return;
    }
    let place = Place::new("foreign-proc");
    let inside = Peer::from_command(&mut Peer::command_by(&place, "unshare", &INSIDE), Command::spawn);
    // A process outside of a PID namespace, with the `/proc` of that.
    let enter = ["--mount", "--target", &inside.pid().to_string()];
    let mut command = Peer::command_by(&place, "nsenter", &enter);
    let mut peer = Peer::from_command(command.env("SHARESOCK_TEST_PEER_LATER", "1"), Command::spawn);
    let answer = peer.ask("open");
    assert!(answer.contains("is the /proc of this PID namespace mounted?"), "{answer}");
}

#[test]
fn a_proc_of_an_outer_pid_namespace_is_as_good() {
    let unshare = ["--pid", "--fork", "--kill-child"];
    if lacks_unshare(&unshare) {
        return;
    }
    let place = Place::new("outer-proc");
    let mut inside = Peer::from_command(&mut Peer::command_by(&place, "unshare", &unshare), Command::spawn);
    let mut outside = Peer::start(&place);
    share(&mut inside, &mut outside);
}

#[test]
fn a_thread_of_the_kernel_is_refused_by_name() {
    let seen = std::fs::read_to_string("/proc/2/comm").is_ok_and(|name| name.trim() == "kthreadd");
    if lacks("to see threads of the kernel", seen) {
        return;
    }
    let place = Place::new("kernel-thread");
    let endpoint = place.endpoint();
    let (_client, socket) = pair();
    for refused in [endpoint.duplicate(&socket, 2).unwrap_err(), endpoint.sender(2).unwrap_err()] {
        assert!(refused.to_string().contains("thread of the kernel"), "{refused}");
    }
}
