//! Names in a domain: nobody sees one that is not complete, uses one before its owner, or removes one that is in use.

use crate::needs::{lacks_namespaces, lacks_root};
use crate::patience::{OutputInTime, WaitInTime};
use crate::peer::{Peer, Place, pair, program_for_all};
use sharesock::{Domain, Endpoint, Error, SpawnExt};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

const GROUP: u32 = 54_322;

/// A peer of another user, in the group of the domain.
fn peer_of(place: &Place, program: &str, uid: u32) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--groups", &GROUP.to_string()]);
    command.args([program, "--exact", "peer::peer", "--nocapture"]);
    command.env("SHARESOCK_TEST_PEER_DOMAIN", place.path()).env("TMPDIR", "/tmp");
    command
}

fn admit(path: &Path, group: Option<u32>, mode: u32) {
    chown(path, None, group).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_domain_in_which_members_could_replace_names_is_refused() {
    let place = Place::new("sticky");
    for mode in [0o770, 0o2770, 0o730] {
        admit(place.path(), None, mode);
        match Domain::at(place.path()) {
            Err(Error::UntrustedDomain { why, .. }) => assert!(why.contains("3770"), "{why}"),
            other => panic!("{mode:o}: {other:?}"),
        }
    }
    admit(place.path(), None, 0o3770);
    assert!(Endpoint::open(&place.domain()).is_ok());
}

/// Looks at everything in the directory until it is told to stop.
fn watch(path: &Path, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        for entry in fs::read_dir(path).unwrap().flatten() {
            let Ok(found) = entry.path().symlink_metadata() else { continue };
            let mode = found.mode() & 0o777;
            if found.file_type().is_dir() {
                assert_eq!(mode, 0o700, "{entry:?}");
                continue;
            }
            assert_eq!((mode, found.gid()), (0o660, fs::metadata(path).unwrap().gid()), "{entry:?}");
            assert!(found.file_type().is_socket(), "{entry:?}");
        }
    }
}

#[test]
fn a_name_is_seen_only_when_it_has_its_mode_and_before_that_nobody_else_can_enter() {
    let place = Place::new("seen");
    admit(place.path(), rustix::process::geteuid().is_root().then_some(GROUP), 0o3770);
    let mut peer = Peer::start(&place);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(place.path(), &stop));
        assert_eq!(peer.ask("open-often 1000"), "ok");
        stop.store(true, Ordering::Relaxed);
        watching.join().unwrap();
    });
    peer.kill();
    drop(place.endpoint());
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0, "something is left");
}

#[test]
fn a_name_that_another_user_has_taken_is_said_with_the_user() {
    if lacks_root() {
        return;
    }
    let place = Place::new("taken");
    admit(place.path(), Some(GROUP), 0o3770);
    let program = program_for_all(&place);
    let mut target = Peer::from_command(&mut peer_of(&place, &program, 61_011), Command::spawn);
    let endpoint = fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    let taken = format!("{}-hand-off", endpoint.display());
    fs::write(&taken, b"").unwrap();
    chown(&taken, Some(61_012), Some(61_012)).unwrap();
    let refused = target.ask("receiver");
    assert!(refused.contains(&taken) && refused.contains("held by user 61012"), "{refused}");
    // A directory of another user is no domain, nor is anything else of that user.
    fs::remove_file(&taken).unwrap();
    assert_eq!(target.ask("receiver"), "ok");
    for mode in [0o700, 0o750] {
        let (own, mut command) = (Place::new("taken-directory"), peer_of(&place, &program, 61_011));
        chown(own.path(), Some(61_012), Some(61_012)).unwrap();
        fs::set_permissions(own.path(), Permissions::from_mode(mode)).unwrap();
        let output = command.env("SHARESOCK_TEST_PEER_DOMAIN", own.path()).output_in_time();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("UntrustedDomain") && said.contains("user 61012 owns it"), "{said}");
    }
    fs::remove_file(program).unwrap();
}

#[test]
fn what_a_killed_process_was_making_is_removed_and_what_is_being_made_is_not() {
    let place = Place::new("half-made");
    let [dead, alive] = ["new-1-00000000deadbeef", "new-2-00000000deadbeef"].map(|name| place.path().join(name));
    for directory in [&dead, &alive] {
        fs::create_dir(directory).unwrap();
        fs::set_permissions(directory, Permissions::from_mode(0o700)).unwrap();
        drop(std::os::unix::net::UnixListener::bind(directory.join("1-00000000")).unwrap());
    }
    let held = fs::File::open(&alive).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let endpoint = place.endpoint();
    assert!(!dead.exists() && alive.join("1-00000000").exists());
    drop((held, endpoint));
    // A child that another test is starting may have the lock until it executes its program.
    let started = std::time::Instant::now();
    loop {
        drop(place.endpoint());
        let left = fs::read_dir(place.path()).unwrap().count();
        if left == 0 {
            return;
        }
        assert!(started.elapsed() < std::time::Duration::from_secs(60), "{left} are left");
    }
}

#[test]
fn two_pid_namespaces_sweep_nothing_of_each_other_that_is_being_made() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("sweep");
    let endpoint = place.endpoint();
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut inside = Peer::from_command(&mut Peer::command_by(&place, "unshare", &unshare), Command::spawn);
    inside.tell("open-often 2000");
    let (_client, socket) = pair();
    for round in 0..100 {
        let mut child = Command::new("sleep").arg("1000").spawn_with_endpoint(&endpoint).unwrap();
        let info = endpoint.duplicate(&socket, child.id()).unwrap();
        assert!(!info.delivery().unwrap().held, "child {round} has no endpoint");
        child.kill().unwrap();
        child.wait_in_time();
    }
    assert_eq!(inside.answer(), "ok");
}

#[test]
fn asking_ends_no_registration_of_a_process_that_cannot_be_seen() {
    if lacks_root() {
        return;
    }
    let place = Place::new("hidden");
    admit(place.path(), Some(GROUP), 0o3770);
    let program = program_for_all(&place);
    let (endpoint, mut owner) =
        (place.endpoint(), Peer::from_command(&mut peer_of(&place, &program, 61_021), Command::spawn));
    let plain = peer_of(&place, &program, 61_022);
    let mut hidden = Command::new("unshare");
    hidden.args(["--mount", "sh", "-c", "mount -t proc -o hidepid=2 proc /proc && exec \"$@\"", "sh"]);
    hidden.arg(plain.get_program()).args(plain.get_args());
    hidden.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut asker = Peer::from_command(&mut hidden, Command::spawn);
    let (mut client, socket) = pair();
    for peer in [&mut owner, &mut asker] {
        let info = endpoint.duplicate(&socket, peer.pid()).unwrap();
        assert!(peer.ask(&format!("redeem {info}")).starts_with("ok"));
    }
    assert_eq!(owner.ask("event-select 1"), "ok");
    let registered = format!("{} READ false", owner.pid());
    assert_eq!(asker.ask("registration"), registered);
    assert!(asker.ask("blocking").contains("has an event registration"));
    client.write_all(b"x").unwrap();
    assert_eq!((owner.ask("wait 20000"), owner.ask("enumerate")), ("true".to_owned(), "READ".to_owned()));
    assert_eq!(owner.ask("registration"), registered);
    // Gone is what the kernel says is gone.
    owner.kill();
    assert_eq!(asker.ask("registration"), "none");
    fs::remove_file(program).unwrap();
}

#[test]
fn of_two_that_open_the_endpoint_at_once_one_has_it() {
    let place = Place::new("twice");
    let domain = place.domain();
    for _ in 0..50 {
        let open = || Endpoint::open(&domain);
        let [one, two] =
            std::thread::scope(|scope| [scope.spawn(open), scope.spawn(open)].map(|it| it.join().unwrap()));
        let (first, second) = if one.is_ok() { (one, two) } else { (two, one) };
        assert!(matches!(second, Err(Error::EndpointOpen { .. })));
        let (_client, socket) = pair();
        assert!(!first.unwrap().duplicate(&socket, std::process::id()).unwrap().delivery().unwrap().held);
    }
}
