//! Where processes are: in other PID namespaces, of other users, forked, behind long paths.

use crate::needs::{lacks_namespaces, lacks_root};
use crate::patience::{OutputInTime, WaitInTime};
use crate::peer::{Peer, Place, pair, program_for_all, wait_for_end};
use sharesock::{Domain, Endpoint, Error, Process, SpawnExt};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

#[test]
fn processes_of_different_pid_namespaces_share() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("namespace");
    let endpoint = place.endpoint();
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut inside = Peer::from_command(&mut Peer::command_by(&place, "unshare", &unshare), Command::spawn);
    let there: Process = inside.ask("process").parse().unwrap();
    assert!(there.pid() < 10, "it has an id of its own namespace");
    let here = endpoint.process().unwrap();

    // Outwards in, by what it said of itself.
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    let info = endpoint.duplicate(&socket, there).unwrap();
    drop(socket);
    assert_eq!(inside.ask(&format!("redeem {info}")), format!("ok {id}"));
    // Inwards out.
    let text = inside.ask(&format!("duplicate-for {here}"));
    let redeemed = endpoint.redeem(&text.strip_prefix("ok ").unwrap().parse().unwrap()).unwrap();
    assert_eq!(redeemed.id().unwrap().as_u64(), id);
    // Outwards in, by the id that it has here.
    let children = format!("/proc/{0}/task/{0}/children", inside.pid());
    let outer: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    assert_eq!(Process::from_pid(outer), Ok(there));
    let info = endpoint.duplicate(&redeemed, outer).unwrap();
    assert_eq!(inside.ask(&format!("redeem {info}")), format!("ok {id}"));
    drop(redeemed);
    // Handed off, both ways.
    let receiver = endpoint.receiver().unwrap();
    assert_eq!(inside.ask(&format!("hand-off-to {here}")), "ok");
    let parcel = receiver.receive().unwrap();
    assert_eq!(parcel.source(), Some(there));
    assert_eq!(inside.ask("receiver"), "ok");
    endpoint.sender(outer).unwrap().hand_off(parcel).unwrap();
    assert_eq!(inside.ask("receive"), format!("ok {id}"));
    assert_eq!(inside.ask("close"), "ok");
    wait_for_end(&mut client);
}

#[test]
fn what_is_held_is_claimed_across_pid_namespaces() {
    if lacks_namespaces() {
        return;
    }
    let place = Place::new("namespace-held");
    let endpoint = place.endpoint();
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    let mut command = Peer::command_by(&place, "unshare", &unshare);
    let mut inside = Peer::from_command(command.env("SHARESOCK_TEST_PEER_LATER", "1"), Command::spawn);
    let children = format!("/proc/{0}/task/{0}/children", inside.pid());
    let outer: u32 = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let (mut client, socket) = pair();
    let info = endpoint.duplicate(&socket, outer).unwrap();
    assert!(info.delivery().unwrap().held);
    drop(socket);
    assert_eq!(inside.ask("open"), "ok");
    assert!(inside.ask(&format!("redeem {info}")).starts_with("ok"));
    assert_eq!(inside.ask("close"), "ok");
    wait_for_end(&mut client);
}

fn peer_of(place: &Place, program: &str, uid: u32, groups: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string()]);
    match groups {
        "" => command.arg("--clear-groups"),
        groups => command.args(["--groups", groups]),
    };
    command.args([program, "--exact", "peer::peer", "--nocapture"]);
    command.env("SHARESOCK_TEST_PEER_DOMAIN", place.path()).env("TMPDIR", "/tmp");
    command
}

#[test]
fn users_share_through_a_domain_of_their_group_and_others_get_nothing() {
    if lacks_root() {
        return;
    }
    let place = Place::new("users");
    let program = program_for_all(&place);
    let group = 54_321;
    chown(place.path(), Some(0), Some(group)).unwrap();
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o3770)).unwrap();
    let start = |uid| Peer::from_command(&mut peer_of(&place, &program, uid, "54321"), Command::spawn);
    let (mut one, mut two) = (start(61_001), start(61_002));
    let endpoint = place.endpoint();
    let (mut client, socket) = pair();
    let id = socket.id().unwrap().as_u64();
    // Root gives to one, one to two, two back to one; and hands off.
    let info = endpoint.duplicate(&socket, one.pid()).unwrap();
    drop(socket);
    assert_eq!(one.ask(&format!("redeem {info}")), format!("ok {id}"));
    let text = one.ask(&format!("duplicate {}", two.pid()));
    assert_eq!(two.ask(&format!("redeem {}", &text[3..])), format!("ok {id}"));
    let turn = format!("turn {}", place.path().display());
    assert_eq!((one.ask(&turn), two.ask(&turn)), ("taken".to_owned(), "refused".to_owned()));
    assert_eq!(one.ask("close"), "ok");
    assert_eq!(one.ask("receiver"), "ok");
    assert_eq!(two.ask(&format!("hand-off {} across users", one.pid())), "ok");
    assert_eq!(one.ask("receive"), format!("ok {id} across users"));
    assert_eq!(one.ask("close"), "ok");
    wait_for_end(&mut client);

    // A user outside of the group cannot even enter.
    let mut command = peer_of(&place, &program, 61_003, "");
    let output = command.output_in_time();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("UntrustedDomain"), "{said}");
    std::fs::remove_file(program).unwrap();
}

#[test]
fn a_user_without_permission_cannot_connect_to_an_endpoint() {
    if lacks_root() {
        return;
    }
    let place = Place::new("closed");
    let _endpoint = place.endpoint();
    let name = std::fs::read_dir(place.path()).unwrap().next().unwrap().unwrap().path();
    let program = program_for_all(&place);
    let try_as = |uid: u32| {
        let mut command = peer_of(&place, &program, uid, "");
        let output = command.env("SHARESOCK_TEST_CONNECT", &name).output_in_time();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(try_as(61_003).contains("connected: Err(PermissionDenied)"), "{}", try_as(61_003));
    assert!(try_as(0).contains("connected: Ok"), "{}", try_as(0));
    std::fs::remove_file(program).unwrap();
}

#[test]
fn a_forked_child_has_its_own_endpoint_and_lets_its_parents_go() {
    let place = Place::new("fork");
    let endpoint = place.endpoint();
    let mut parent = Peer::start(&place);
    let (mut client, socket) = pair();
    let infos = [0, 1].map(|_| endpoint.duplicate(&socket, parent.pid()).unwrap());
    let answer = parent.ask(&format!("fork {}", infos[0]));
    let (child, said) = answer.strip_prefix("ok ").unwrap().split_once(' ').unwrap();
    assert_eq!(said, "has its own endpoint");
    // The parent's is as before.
    assert!(parent.ask(&format!("redeem {}", infos[0])).starts_with("ok"));
    assert_eq!(parent.ask("close"), "ok");
    assert!(endpoint.duplicate(&socket, child.parse::<u32>().unwrap()).is_ok());
    drop(socket);
    // What the parent did not redeem goes with it, although its child lives. Only the child's own is left.
    parent.kill();
    let child: i32 = child.parse().unwrap();
    let names =
        || std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let _next = Peer::start(&place);
    assert!(names().all(|name| !name.starts_with(&format!("{}-", parent.pid()))), "the parent's name is stale");
    assert!(names().any(|name| name.starts_with(&format!("{child}-"))));
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    wait_for_end(&mut client);
}

#[test]
fn a_domain_behind_a_long_path_works() {
    let place = Place::new("long");
    for length in [90, 200] {
        let part = "x".repeat(length);
        let path = place.path().join(&part).join(&part);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let endpoint = Endpoint::open(&Domain::at(&path).unwrap()).unwrap();
        let (_client, socket) = pair();
        let info = endpoint.duplicate(&socket, std::process::id()).unwrap();
        assert_eq!(endpoint.redeem(&info).unwrap(), socket);
        let receiver = endpoint.receiver().unwrap();
        endpoint.sender(std::process::id()).unwrap().hand_off(socket).unwrap();
        receiver.receive().unwrap();
        let mut child = Command::new("true").spawn_with_endpoint(&endpoint).unwrap();
        child.wait_in_time();
    }
}

#[test]
fn a_stale_name_with_the_id_of_a_living_process_is_not_taken_for_it() {
    let place = Place::new("recycled");
    let endpoint = place.endpoint();
    let mut target = Peer::start(&place);
    // A process that had the target's id before left its name, and a forger listens under another.
    let bind = |name: &Path| {
        let kind = socket2::Type::SEQPACKET;
        let socket = socket2::Socket::new(socket2::Domain::UNIX, kind, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(name).unwrap()).unwrap();
        socket
    };
    drop(bind(&place.path().join(format!("{}-00000000", target.pid()))));
    let (_client, socket) = pair();
    let info = endpoint.duplicate(&socket, target.pid()).unwrap();
    assert!(target.ask(&format!("redeem {info}")).starts_with("ok"));

    let mut victim = Peer::start_without_endpoint(&place);
    let real = Process::from_pid(victim.pid()).unwrap();
    let name = endpoint_name_of(&place, &endpoint, &real);
    let forged = bind(&name);
    forged.listen(8).unwrap();
    let refused = endpoint.duplicate(&socket, victim.pid()).unwrap_err();
    assert_eq!(refused, Error::Impostor { pid: victim.pid(), answered: std::process::id() });
    assert_eq!(refused.winsock_code(), 10013);
    victim.kill();
}

/// The name that the endpoint of `process` would have, learnt from the info that names it.
fn endpoint_name_of(place: &Place, endpoint: &Endpoint, process: &Process) -> std::path::PathBuf {
    let probe = sharesock::Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None).unwrap();
    let info = endpoint.duplicate(&probe, *process).unwrap();
    let delivery = info.delivery().unwrap();
    place.path().join(format!("{}-{:08x}", delivery.target_pid, delivery.target_tag))
}
