//! Listeners: where they are, and what becomes of them when a worker, or somebody else, spoils them.

use crate::patience::OutputInTime;
use crate::running::{PROGRAM, Setup, Supervisor, ask, ask_udp, kill, number, text, until};
use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};
use std::net::TcpStream;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

/// A supervisor whose listener, named `web`, is at a path in its folder; with these options behind.
fn at_path(options: &str) -> (Setup, std::path::PathBuf) {
    let setup = Setup::new(&["--restart-limit", "100"]);
    let path = setup.path("web.sock");
    let listen = format!("--listen=web=unix:{}{options}", path.display());
    (setup.option(listen), path)
}

/// Kills a worker, and waits for another that is ready.
fn replace(supervisor: &mut Supervisor, worker: &Value) {
    kill(number(worker));
    supervisor.wait_for("worker_ended");
    supervisor.wait_for("worker_ready");
}

fn count(supervisor: &Supervisor, text: &str) -> usize {
    supervisor.output.all().iter().filter(|line| line.contains(text)).count()
}

#[test]
fn a_listener_that_a_worker_closed_listens_again_at_its_port() {
    for how in ["spoil shutdown", "spoil disconnect"] {
        let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0"]).start();
        let address = supervisor.address("web");
        let worker = supervisor.ask(how)["pid"].clone();
        assert!(TcpStream::connect(&address).is_err(), "{how} closes it");
        replace(&mut supervisor, &worker);
        supervisor.wait_for_line(&format!("it listens on {address} again"));
        assert_ne!(ask(&address, "who")["pid"], worker);
        supervisor.end();
    }
}

#[test]
fn workers_that_go_on_accept_again_when_another_had_closed_their_listener() {
    let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0", "--workers", "2"]).start();
    let address = supervisor.address("web");
    let worker = supervisor.ask("spoil shutdown")["pid"].clone();
    replace(&mut supervisor, &worker);
    let other = supervisor.workers().into_iter().next().unwrap();
    until("an answer of the one that went on", || number(&ask(&address, "who")["pid"]) == other);
    supervisor.end();
}

#[test]
fn a_listener_listens_again_while_the_worker_that_closed_it_still_drains() {
    let supervisor = Setup::new(&["--listen", "web=127.0.0.1:0", "--stop-timeout", "600"]).start();
    let address = supervisor.address("web");
    let mut held = supervisor.connect();
    held.send("spoil-later shutdown");
    assert_eq!(held.line(), "held");
    supervisor.do_it(&["reload"]);
    held.send("now");
    assert_eq!(held.line(), "spoilt");
    supervisor.wait_for_line(&format!("it listens on {address} again"));
    assert_eq!(ask(&address, "who")["generation"], 2);
    assert_eq!(held.let_go()["generation"], 1, "it was still there");
    supervisor.end();
}

#[test]
fn a_socket_for_datagrams_that_a_worker_connected_hears_everybody_again() {
    let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0", "--listen", "names=udp:127.0.0.1:0"]).start();
    let address = supervisor.address("names");
    let worker = supervisor.ask("spoil-last connect")["pid"].clone();
    replace(&mut supervisor, &worker);
    supervisor.wait_for_line(&format!("it listens on {address} again"));
    assert_ne!(ask_udp(&address, "who")["pid"], worker);
    supervisor.end();
}

#[test]
fn a_unix_listener_that_was_shut_down_is_made_anew() {
    let (setup, path) = at_path(",mode=640,nonblock");
    let mut supervisor = setup.start();
    let worker = supervisor.ask("spoil shutdown")["pid"].clone();
    replace(&mut supervisor, &worker);
    supervisor.wait_for_line("the listener web was shut down; a new one listens on unix:");
    assert_ne!(supervisor.ask("who")["pid"], worker);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    // A successor goes on with the new one.
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    supervisor.until_served_by(2);
    supervisor.end();
}

#[test]
fn a_path_that_was_removed_is_made_again_also_where_connections_are_given_away() {
    for giving in [&[][..], &["--pass=connection", "--via=info"]] {
        let (mut setup, path) = at_path("");
        for option in giving {
            setup = setup.option(option);
        }
        let mut supervisor = setup.play(if giving.is_empty() { "ready" } else { "ready info" }).start();
        let worker = supervisor.ask("who")["pid"].clone();
        std::fs::remove_file(&path).unwrap();
        replace(&mut supervisor, &worker);
        supervisor.wait_for_line("the listener web has lost its path, which was removed; a new one listens on");
        assert_ne!(supervisor.ask("who")["pid"], worker);
        supervisor.end();
    }
}

#[test]
fn a_path_that_was_removed_is_made_again_at_once_where_connections_are_given_away() {
    let (setup, path) = at_path("");
    let supervisor = setup.option("--pass=connection").option("--via=info").play("ready info").start();
    std::fs::remove_file(&path).unwrap();
    // Nothing else happens that would have it looked at.
    supervisor.wait_for_line("the listener web has lost its path, which was removed; a new one listens on");
    supervisor.ask("who");
    supervisor.end();
}

#[test]
fn a_new_listener_is_told_of_to_whoever_has_workers_at_the_old_one() {
    let (setup, path) = at_path("");
    let mut supervisor = setup.option("--workers=2").start();
    let worker = supervisor.ask("who")["pid"].clone();
    std::fs::remove_file(&path).unwrap();
    replace(&mut supervisor, &worker);
    supervisor.wait_for_line("running workers still accept from the old one");
    supervisor.do_it(&["reload"]);
    supervisor.until_served_by(2);
    supervisor.end();
}

#[test]
fn a_path_that_another_has_taken_is_left_to_it() {
    let (setup, path) = at_path("");
    let mut supervisor = setup.start();
    let worker = supervisor.ask("who")["pid"].clone();
    std::fs::remove_file(&path).unwrap();
    let other = UnixListener::bind(&path).unwrap();
    let inode = std::fs::metadata(&path).unwrap().ino();
    replace(&mut supervisor, &worker);
    let me = std::process::id();
    // And by nobody else: the supervisor's own socket was bound to a file that is gone.
    let line = supervisor.wait_for_line("is in use by process ");
    assert!(line.contains(&format!("is in use by process {me} (")) && !line.contains(" and process "), "{line}");
    kill(supervisor.workers()[0]);
    supervisor.wait_for("worker_ready");
    assert_eq!(count(&supervisor, "is in use by"), 1, "it is said once");
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    supervisor.signal(rustix::process::Signal::TERM);
    assert!(supervisor.wait().success());
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode, "nor is it removed at the end");
    drop(other);
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn permissions_are_restored_and_a_reload_changes_them() {
    let (setup, path) = at_path(",mode=600");
    let mut supervisor = setup.start();
    let worker = supervisor.ask("who")["pid"].clone();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    replace(&mut supervisor, &worker);
    supervisor.wait_for_line("the path of the listener web had other permissions; restored");
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    supervisor.end();
}

/// What a worker did to the options of its listener that others would inherit.
fn spoilt(supervisor: &Supervisor) -> bool {
    let listener = supervisor.ask("listeners")[0].clone();
    let mut set = ["keepalive", "timeout", "linger", "nodelay"].map(|name| listener[name] == true).to_vec();
    set.push(listener["buffer"] == 8192);
    assert!(set == [true; 5] || set == [false; 5], "{listener}");
    set[0]
}

#[test]
fn options_are_restored_before_another_worker_starts_also_by_a_successor() {
    let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0"]).start();
    for command in [None, Some("upgrade")] {
        let worker = supervisor.ask("spoil options")["pid"].clone();
        assert!(spoilt(&supervisor));
        command.into_iter().for_each(|command| _ = supervisor.do_it(&[command]));
        replace(&mut supervisor, &worker);
        assert!(!spoilt(&supervisor));
    }
    supervisor.wait_for_line(
        "a worker changed SO_BUF_LOCK, SO_KEEPALIVE, SO_LINGER, SO_RCVBUF, SO_RCVTIMEO, TCP_NODELAY of the listener web; restored",
    );
    supervisor.end();
}

#[test]
fn options_are_left_to_workers_that_go_on() {
    let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0", "--workers", "2", "--restart-limit", "9"]).start();
    let mut worker = supervisor.ask("spoil options")["pid"].clone();
    for _ in 0..2 {
        replace(&mut supervisor, &worker);
        assert!(spoilt(&supervisor));
        worker = supervisor.ask("who")["pid"].clone();
    }
    supervisor.do_it(&["upgrade"]);
    replace(&mut supervisor, &worker);
    assert_eq!(count(&supervisor, "it stays so while workers have it"), 1, "it is said once");
    supervisor.end();
}

#[test]
fn the_backlog_that_is_in_force_is_told_and_is_restored() {
    let (unix, _path) = at_path(",backlog=9");
    for setup in [unix, Setup::new(&["--listen", "web=127.0.0.1:0,backlog=9"])] {
        let mut supervisor = setup.start();
        let backlog = |supervisor: &Supervisor| number(&supervisor.status()["listeners"][0]["backlog"]);
        assert_eq!(backlog(&supervisor), 9);
        let worker = supervisor.ask("spoil backlog")["pid"].clone();
        assert_eq!(backlog(&supervisor), 3);
        replace(&mut supervisor, &worker);
        assert_eq!(backlog(&supervisor), 9);
        supervisor.end();
    }
}

#[test]
fn a_filter_that_lets_nothing_in_is_detached() {
    let mut supervisor = Setup::new(&["--listen", "web=127.0.0.1:0"]).start();
    let worker = supervisor.ask("spoil filter")["pid"].clone();
    replace(&mut supervisor, &worker);
    supervisor.wait_for_line("a worker changed SO_ATTACH_FILTER of the listener web; restored");
    assert_ne!(supervisor.ask("who")["pid"], worker);
    supervisor.end();
}

/// Somebody at a path, in each way in which one can be there; it is there for as long as what is returned.
fn occupy(kind: &str, path: &Path) -> Vec<Socket> {
    let bound = |kind| {
        let socket = Socket::new(Domain::UNIX, kind, None).unwrap();
        socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
        socket
    };
    let mut held = Vec::new();
    match kind {
        "idle" | "full" | "dead" => {
            held.push(bound(Type::STREAM));
            held[0].listen(if kind == "full" { 0 } else { 8 }).unwrap();
        }
        "seqpacket" => {
            held.push(bound(Type::SEQPACKET));
            held[0].listen(8).unwrap();
        }
        "datagrams" => held.push(bound(Type::DGRAM)),
        "bound" => held.push(bound(Type::STREAM)),
        "file" => std::fs::write(path, "precious").unwrap(),
        "link" => std::os::unix::fs::symlink("elsewhere", path).unwrap(),
        "directory" => std::fs::create_dir(path).unwrap(),
        "fifo" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        _ => panic!("{kind}"),
    }
    if kind == "full" {
        loop {
            let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            if client.connect(&SockAddr::unix(path).unwrap()).is_err() {
                break;
            }
            held.push(client);
        }
    }
    if kind == "dead" {
        held.clear();
    }
    held
}

#[test]
fn a_path_that_is_in_use_is_refused_at_once_and_only_a_stale_one_is_replaced() {
    let kinds = ["idle", "full", "seqpacket", "datagrams", "bound", "file", "link", "directory", "fifo"];
    for kind in kinds {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("path");
        let _held = occupy(kind, &path);
        let inode = || std::fs::symlink_metadata(&path).unwrap().ino();
        let before = inode();
        let listen = format!("web=unix:{}", path.display());
        let mut supervisor = Setup::new(&["--listen", &listen]).spawn();
        assert_eq!(supervisor.wait().code(), Some(1), "{kind}");
        let me = format!("is in use by process {}", std::process::id());
        let is_socket = std::fs::symlink_metadata(&path).unwrap().file_type().is_socket();
        supervisor.wait_for_error(if is_socket { &me } else { ", not a socket: remove it" });
        let output = Command::new(PROGRAM).args(["listen", &listen[4..], "--", "true"]).output_in_time();
        assert_eq!(output.status.code(), Some(1), "{kind}: {}", text(&output.stderr));
        supervisor.assert_nothing_left();
        assert_eq!(inode(), before, "{kind}");
    }
    let (setup, path) = at_path("");
    occupy("dead", &path);
    let supervisor = setup.start();
    assert_eq!(supervisor.ask("who")["generation"], 1);
    supervisor.end();
}

#[test]
fn a_port_without_a_host_is_that_of_all_addresses() {
    for listen in ["--listen=web=:0", "--listen=web=*:0"] {
        let supervisor = Setup::new(&[listen]).start();
        let address = supervisor.address("web");
        let port = address.rsplit_once(':').unwrap().1;
        assert_eq!(ask(&format!("127.0.0.1:{port}"), "who")["generation"], 1);
        if address.starts_with('[') {
            assert_eq!(ask(&format!("[::1]:{port}"), "who")["generation"], 1);
        }
        supervisor.end();
    }
}

#[test]
fn an_abstract_name_is_listened_on_and_never_becomes_a_file() {
    let name = format!("unix:@sharesock-test-listeners-{}", std::process::id());
    let listen = format!("web={name}");
    let supervisor = Setup::new(&["--listen", &listen]).start();
    assert_eq!(supervisor.address("web"), name);
    assert_eq!(supervisor.ask("who")["generation"], 1);
    let mut second = Setup::new(&["--listen", &listen]).spawn();
    assert_eq!(second.wait().code(), Some(1));
    second.wait_for_error("the name is in use: stop who has it, or choose another");
    supervisor.do_it(&["reload"]);
    supervisor.do_it(&["upgrade"]);
    supervisor.until_served_by(2);
    supervisor.end();
}

#[test]
fn a_variable_names_a_path_with_spaces_and_its_owner() {
    let setup = Setup::new(&[]);
    let path = setup.path("a b.sock");
    let me = rustix::process::getuid().as_raw();
    let listen = format!("web=unix:{},owner={me},mode=600\nadmin=127.0.0.1:0\n", path.display());
    let supervisor = setup.env("SHARESOCK_LISTEN", listen).start();
    assert_eq!(supervisor.ask("environment")["LISTEN_FDNAMES"], "web:admin");
    let found = std::fs::metadata(&path).unwrap();
    assert_eq!((found.mode() & 0o777, found.uid()), (0o600, me));
    supervisor.end();
}
