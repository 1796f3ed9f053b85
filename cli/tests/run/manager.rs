//! Under a service manager: what it passes, and what it is told.

use crate::running::{LONG, PROGRAM, Setup, Supervisor, ask, count_of_descriptors, guard_of, number, text};
use command_fds::{CommandFdExt, FdMapping};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::io::{IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::Command;

/// A command that is activated with these listeners, under these names.
fn activated(names: &str, listeners: Vec<OwnedFd>) -> Command {
    let mut command = Command::new("sh");
    let script = format!("LISTEN_PID=$$ LISTEN_FDS={} LISTEN_FDNAMES={names} exec \"$@\"", listeners.len());
    command.args(["-c", &script, "sh", PROGRAM]);
    let mapping = |(child_fd, parent_fd)| FdMapping { parent_fd, child_fd };
    command.fd_mappings((3..).zip(listeners).map(mapping).collect()).unwrap();
    command
}

#[test]
fn listeners_that_are_passed_are_used() {
    let (one, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (at_one, at_other) = (one.local_addr().unwrap(), other.local_addr().unwrap());
    // One that nobody wants is among them, and one that is wanted at its own address.
    let unwanted = TcpListener::bind("127.0.0.1:0").unwrap();
    let at_unwanted = unwanted.local_addr().unwrap();
    let passed = vec![OwnedFd::from(unwanted), one.try_clone().unwrap().into(), other.try_clone().unwrap().into()];
    let web = format!("web={at_other}");
    let options = ["--listen", &web, "--listen", "admin=inherited", "--listen", "new=127.0.0.1:0"];
    // A connection that comes before the start waits for it.
    let early = TcpStream::connect(at_one).unwrap();
    drop((one, other));
    let setup = Setup::by(activated("strange:admin:web", passed), &options);
    let supervisor = setup.start();
    supervisor.wait_for_line("a descriptor named strange was passed, and is not used");
    assert!(TcpStream::connect(at_unwanted).is_err(), "nobody has it, or clients would wait for ever");
    assert_eq!(supervisor.address("web"), at_other.to_string());
    assert_eq!(supervisor.address("admin"), at_one.to_string());
    assert_eq!(count_of_descriptors(guard_of(supervisor.pid()).unwrap()), 3, "the guard has none of them");
    (&early).write_all(b"environment\n").unwrap();
    let mut answer = String::new();
    (&early).read_to_string(&mut answer).unwrap();
    let environment: serde_json::Value = serde_json::from_str(&answer).unwrap();
    assert_eq!(environment["LISTEN_FDNAMES"], "web:admin:new");
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    assert_eq!(supervisor.address("web"), at_other.to_string());
    supervisor.end();
}

#[test]
fn all_listeners_that_are_passed_under_one_name_are_used() {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
    let passed = listeners.into_iter().map(OwnedFd::from).collect();
    let supervisor = Setup::by(activated("web:web", passed), &["--listen", "web=inherited"]).start();
    for (command, generation) in [(None, 1), (Some("reload"), 2), (Some("upgrade"), 2)] {
        command.into_iter().for_each(|command| _ = supervisor.do_it(&[command]));
        supervisor.until_served_by(generation);
        for address in &addresses {
            assert_eq!(ask(address, "environment")["LISTEN_FDNAMES"], "web:web");
        }
    }
    let status = supervisor.status();
    let told: Vec<_> = status["listeners"].as_array().unwrap().iter().map(|listener| &listener["address"]).collect();
    assert_eq!(told, addresses.each_ref());
    supervisor.end();
}

#[test]
fn a_listener_that_is_passed_must_be_where_it_is_wanted() {
    let passed = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = passed.local_addr().unwrap();
    let wanted = format!("web=127.0.0.1:{}", at.port() ^ 1);
    let mut supervisor = Setup::by(activated("web", vec![passed.into()]), &["--listen", &wanted]).spawn();
    assert_eq!(supervisor.wait().code(), Some(1));
    let error = supervisor.wait_for_error("that was passed is at");
    assert!(error.contains(&at.to_string()) && error.contains("give web=inherited"), "{error}");
    supervisor.assert_nothing_left();
}

/// A service manager, as far as it listens.
struct Manager(UnixDatagram);

impl Manager {
    /// It offers room for descriptors and watches.
    fn of(setup: Setup) -> (Self, Setup) {
        let path = setup.path("manager");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(LONG)).unwrap();
        (Manager(socket), setup.env("NOTIFY_SOCKET", path).env("FDSTORE", "8").env("WATCHDOG_USEC", "200000"))
    }

    /// The next message that has this line, and the descriptors that came with it.
    fn wait_for(&self, line: &str) -> (String, Vec<OwnedFd>) {
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut bytes = [0; 4096];
            let mut parts = [IoSliceMut::new(&mut bytes)];
            let length = recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
            let descriptors = control.drain().flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
                _ => Vec::new(),
            });
            let descriptors = descriptors.collect();
            let said = text(&bytes[..length]);
            if said.lines().any(|there| there == line) {
                return (said, descriptors);
            }
        }
    }
}

#[test]
fn the_manager_is_told_what_happens() {
    let setup = Setup::new(&["--listen", "web=127.0.0.1:0", "--listen", "names=udp:127.0.0.1:0", "--name", "app"]);
    let (manager, setup) = Manager::of(setup);
    let mut supervisor = setup.start();
    assert!(manager.wait_for("READY=1").0.contains("STATUS=generation 1, 1 worker"));
    for name in ["web", "names"] {
        let (said, stored) = manager.wait_for("FDSTORE=1");
        assert!(said.contains(&format!("FDNAME={name}")) && stored.len() == 1, "{said}");
        let stored = socket2::Socket::from(stored.into_iter().next().unwrap());
        let address = stored.local_addr().unwrap().as_socket().unwrap().to_string();
        assert!(supervisor.address(name).ends_with(&address));
    }
    (0..3).for_each(|_| _ = manager.wait_for("WATCHDOG=1"));

    supervisor.do_it(&["reload"]);
    assert!(manager.wait_for("RELOADING=1").0.contains("MONOTONIC_USEC="));
    assert!(manager.wait_for("READY=1").0.contains("generation 2"));
    supervisor.play("fail");
    supervisor.fail(&["reload"], 3);
    manager.wait_for("RELOADING=1");
    assert!(manager.wait_for("READY=1").0.contains("the last reload failed: "));
    supervisor.fail(&["upgrade", "--to", "/bin/false"], 3);

    supervisor.play("ready");
    supervisor.do_it(&["upgrade"]);
    assert!(manager.wait_for(&format!("MAINPID={}", supervisor.pid())).1.is_empty());
    manager.wait_for("READY=1");
    // A successor goes on with that.
    manager.wait_for("WATCHDOG=1");
    supervisor.signal(rustix::process::Signal::TERM);
    manager.wait_for("STOPPING=1");
    manager.wait_for("EXTEND_TIMEOUT_USEC=40000000");
    assert!(supervisor.wait().success());
}

#[test]
fn the_path_of_a_listener_that_was_passed_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let ours = UnixListener::bind(&path).unwrap();
    let wanted = format!("web=unix:{}", path.display());
    let setup = Setup::by(activated("web", vec![ours.try_clone().unwrap().into()]), &["--listen", &wanted]);
    let supervisor = setup.start();
    supervisor.do_it(&["upgrade"]);
    supervisor.end();
    UnixStream::connect(&path).expect("whoever passed it goes on to listen there");
}

#[test]
fn the_path_of_a_listener_that_is_kept_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.sock");
    let (manager, setup) = Manager::of(Setup::new(&["--listen", &format!("web=unix:{}", path.display())]));
    let supervisor = setup.start();
    let (_, kept) = manager.wait_for("FDSTORE=1");
    supervisor.end();
    UnixStream::connect(&path).expect("the next one is passed what was kept, and others come to this path");
    drop(kept);
}

#[test]
fn a_manager_that_is_gone_is_no_reason_to_fail() {
    let (manager, setup) = Manager::of(Setup::new(&["--listen", "web=127.0.0.1:0"]));
    std::fs::remove_file(setup.path("manager")).unwrap();
    drop(manager);
    let supervisor = setup.start();
    supervisor.wait_for_line("telling the service manager at");
    assert_eq!(supervisor.ask("who")["generation"], 1);
    supervisor.end();
}

/// What is answered to this.
fn http(supervisor: &Supervisor, request: &str) -> String {
    let event = supervisor.wait_for_line("\"event\":\"metrics\"");
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    let address = event["address"].as_str().unwrap().strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn metrics_are_answered_for() {
    let options = ["--listen", "web=127.0.0.1:0", "--metrics", "localhost:0", "--workers", "2"];
    let supervisor = Setup::new(&options).start();
    for _ in 0..2 {
        let answer = http(&supervisor, "GET /metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let metrics = supervisor.do_it(&["status", "--prometheus"]);
        let names = |text: &str| text.lines().filter(|line| line.starts_with("# TYPE")).map(String::from).collect();
        let (there, said): (Vec<_>, Vec<_>) = (names(body), names(&metrics));
        assert_eq!(there, said);
        assert!(!there.is_empty());
        supervisor.do_it(&["reload"]);
    }
    assert!(http(&supervisor, "GET /").starts_with("HTTP/1.1 404"));
    assert!(http(&supervisor, "POST /metrics").starts_with("HTTP/1.1 405"));
    // Who asks nothing holds nobody up, and nothing hides an end.
    let event = supervisor.wait_for_line("\"event\":\"metrics\"");
    let address = event.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let _silent: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert_eq!(number(&supervisor.status()["pid"]), supervisor.pid());
    supervisor.end();
}
