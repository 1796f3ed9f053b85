//! A version that does not serve never takes the place of one that does, however that answers; one that serves does.

use crate::running::{self, Setup, Supervisor};

/// How the old version treats connections: it keeps them until they end, or ends them before anybody sees who it was.
const WAYS: [&str; 3] = ["keeps", "closes", "resets"];
/// Versions that do not serve: it ends, it hangs, it hangs and says that it is ready.
const BAD: [&str; 3] = ["dead", "deaf", "liar"];
/// Versions that serve: each waits for connections in another manner.
const GOOD: [&str; 3] = ["", "blocking", "exclusive"];

/// A supervisor that reads how long a worker may take from a file.
fn start(options: &[&str], play: &str) -> Supervisor {
    let setup = Setup::new(options).play(play);
    let file = setup.path("run.toml");
    std::fs::write(&file, "ready-timeout = 60\n").unwrap();
    setup.option("--config").option(file).start()
}

/// Each bad version fails, and the old one goes on; then each good one serves.
fn try_all(options: &[&str], way: &str, bad: &[&str], good: &[&str]) {
    let supervisor = start(options, way);
    let old = supervisor.workers();
    std::fs::write(supervisor.path("run.toml"), "ready-timeout = 0.7\n").unwrap();
    for version in bad {
        supervisor.play(version);
        supervisor.fail(&["reload"], 3);
        assert_eq!(supervisor.workers(), old, "{options:?}, the old one {way}, the new one is {version}");
    }
    // However busy the machine is.
    std::fs::write(supervisor.path("run.toml"), "ready-timeout = 60\n").unwrap();
    for version in good {
        supervisor.play(&format!("{version} {way}"));
        supervisor.do_it(&["reload"]);
        assert!(supervisor.workers().iter().all(|pid| !old.contains(pid)));
    }
    supervisor.end();
}

fn for_each_way(options: &[&str]) {
    for way in WAYS {
        try_all(options, way, &BAD, &GOOD);
    }
}

#[test]
fn at_a_tcp_listener() {
    for_each_way(&["--listen", "web=127.0.0.1:0"]);
}

#[test]
fn at_a_listener_of_ipv6() {
    try_all(&["--listen", "web=[::1]:0"], "closes", &BAD, &GOOD);
}

#[test]
fn at_a_unix_path() {
    let folder = tempfile::tempdir().unwrap();
    for_each_way(&["--listen", &format!("web=unix:{}/web.sock", folder.path().display())]);
}

#[test]
fn at_an_abstract_name() {
    let name = format!("web=unix:@sharesock-test-serves-{}", std::process::id());
    try_all(&["--listen", &name], "closes", &BAD, &GOOD);
}

#[test]
fn at_two_listeners_of_which_each_must_be_served() {
    let both = ["--listen", "web=127.0.0.1:0", "--listen", "admin=127.0.0.1:0"];
    for way in WAYS {
        try_all(&both, way, &["half", "dead", "deaf", "liar"], &GOOD);
    }
}

#[test]
fn with_several_workers() {
    try_all(&["--listen", "web=127.0.0.1:0", "--workers", "4"], "closes", &BAD, &GOOD);
}

#[test]
fn when_connections_are_to_be_accepted() {
    for_each_way(&["--listen", "web=127.0.0.1:0", "--ready", "connect"]);
}

#[test]
fn when_it_is_to_listen_at_an_address_where_the_old_one_listens_too() {
    let held = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    held.set_reuse_port(true).unwrap();
    held.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let address = held.local_addr().unwrap().as_socket().unwrap();
    let (ready, also) = (format!("connect={address}"), format!("also={address}"));
    let options = ["--listen", "web=127.0.0.1:0", "--ready", &ready];
    for way in WAYS {
        let good = format!("blocking {also}");
        try_all(&options, &format!("{way} {also}"), &["dead", "deaf", "liar", "blocking"], &[&also, &good]);
    }
}

#[test]
fn when_it_is_to_answer_a_request() {
    let options = ["--listen", "web=127.0.0.1:0", "--ready", "http=/health"];
    try_all(&options, "keeps", &["dead", "deaf", "liar", "ill", "closes"], &GOOD);
    try_all(&["--listen", "web=127.0.0.1:0", "--ready", "http=503:/health"], "ill", &["deaf", "keeps"], &["blocking"]);
}

#[test]
fn when_it_is_to_answer_a_request_at_a_unix_path() {
    let folder = tempfile::tempdir().unwrap();
    let listen = format!("web=unix:{}/web.sock", folder.path().display());
    try_all(&["--listen", &listen, "--ready", "http=/health"], "keeps", &["deaf", "ill"], &["", "blocking"]);
}

#[test]
fn the_status_that_came_is_told() {
    let supervisor = start(&["--listen", "web=127.0.0.1:0", "--ready", "http=/health"], "keeps");
    supervisor.play("ill");
    // On a busy machine an answer takes longer.
    let said = [1, 8, 60].into_iter().map(|seconds| {
        std::fs::write(supervisor.path("run.toml"), format!("ready-timeout = {seconds}\n")).unwrap();
        supervisor.fail(&["reload"], 3)
    });
    let told = said.into_iter().find(|said| said.contains(": it answered 503"));
    let said = told.expect("the status");
    assert!(said.contains("the reload failed, the old workers go on: worker "), "{said}");
    supervisor.end();
}

#[test]
fn when_a_command_is_to_succeed() {
    let folder = tempfile::tempdir().unwrap();
    let ill = folder.path().join("ill");
    let command = format!("exec=test ! -e {} && kill -0 $SHARESOCK_WORKER_PID", ill.display());
    let options = ["--listen", "web=127.0.0.1:0", "--ready", &command];
    try_all(&options, "keeps", &["dead", "deaf", "liar"], &["blocking"]);
    let supervisor = start(&options, "keeps");
    std::fs::write(&ill, "").unwrap();
    std::fs::write(supervisor.path("run.toml"), "ready-timeout = 0.7\n").unwrap();
    assert!(supervisor.fail(&["reload"], 3).contains("did not succeed, within 0.7 s"));
    supervisor.end();
}

#[test]
fn when_it_is_to_say_so() {
    // What it says is believed; what it does not say is not.
    try_all(&["--listen", "web=127.0.0.1:0", "--ready", "notify"], "closes ready", &["dead", "deaf", ""], &["ready"]);
}

#[test]
fn a_listener_that_no_version_serves_need_not_be_served() {
    let both = ["--listen", "web=127.0.0.1:0", "--listen", "spare=127.0.0.1:0", "--ready-timeout", "1"];
    let supervisor = Setup::new(&both).play("half").start();
    supervisor.wait_for_line("is taken for ready, though it did not accept from web and spare");
    supervisor.do_it(&["reload"]);
    // Nor by one that takes over from the program.
    supervisor.do_it(&["upgrade"]);
    supervisor.do_it(&["reload"]);
    supervisor.play("deaf");
    supervisor.fail(&["reload"], 3);
    // Once a version serves it, it must be served.
    supervisor.play("ready");
    supervisor.do_it(&["reload"]);
    supervisor.play("half");
    let said = supervisor.fail(&["reload"], 3);
    assert!(said.contains("it did not accept from web and spare"), "{said}");
    supervisor.end();
}

#[test]
fn one_that_hangs_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let ill = folder.path().join("ill");
    let command = format!("exec=test ! -e {}", ill.display());
    for check in ["http=/health", &command] {
        let options =
            ["--listen", "web=127.0.0.1:0", "--live", check, "--live-interval", "0.1", "--live-failures", "2"];
        let options = [&options[..], &["--stop-timeout", "0.3"]].concat();
        let mut supervisor = Setup::new(&options).play("ready").start();
        let old = supervisor.workers();
        // It is stopped, and neither ends nor answers; or the command finds something wrong.
        match check {
            "http=/health" => running::signal(old[0], rustix::process::Signal::STOP),
            _ => std::fs::write(&ill, "").unwrap(),
        }
        supervisor.wait_for_line(&format!("worker {} is replaced", old[0]));
        let _ = std::fs::remove_file(&ill);
        let ended = supervisor.wait_for("worker_ended");
        assert_eq!(running::number(&ended["pid"]), old[0], "{ended}");
        supervisor.wait_for("worker_ready");
        supervisor.end();
    }
}

#[test]
fn one_that_is_well_is_left_alone() {
    let options =
        ["--listen", "web=127.0.0.1:0", "--workers", "3", "--live", "http=/health", "--live-interval", "0.05"];
    for version in GOOD {
        let supervisor = Setup::new(&options).play(&format!("ready {version}")).start();
        let workers = supervisor.workers();
        let asked = |line: &String| line.contains("was asked whether it is well");
        running::until("thirty checks", || {
            supervisor.ask("who");
            supervisor.output.all().iter().filter(|line| asked(line)).count() >= 30
        });
        assert_eq!(supervisor.workers(), workers);
        supervisor.end();
    }
}
