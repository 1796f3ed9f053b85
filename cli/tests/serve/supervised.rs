//! `sharesock serve` as a supervisor: the commands that talk to it, and connections that outlive it.

use crate::patience::OutputInTime;
use crate::serving::{Client, Server, lives, signal_process, until};
use rustix::process::Signal;
use std::collections::HashSet;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const LENGTH: usize = 20 << 20;

/// What the file `big` holds.
fn content() -> &'static [u8] {
    static CONTENT: OnceLock<Vec<u8>> = OnceLock::new();
    CONTENT.get_or_init(|| (0..251).map(|at| at * 7 % 251).map(|byte| byte as u8).cycle().take(LENGTH).collect())
}

fn with_big_file(options: &[&str]) -> Server {
    Server::start_with(options, |www| std::fs::write(www.join("big"), content()).unwrap())
}

/// Another command of the program, about this server.
fn tell(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
    command.args(words).arg("--domain").arg(server.path("domain")).output_in_time()
}

fn do_it(server: &Server, words: &[&str]) {
    let output = tell(server, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
}

fn status(server: &Server) -> serde_json::Value {
    serde_json::from_slice(&tell(server, &["status", "serve", "--json"]).stdout).unwrap()
}

fn workers(server: &Server) -> HashSet<u32> {
    let pid = |worker: &serde_json::Value| u32::try_from(worker["pid"].as_u64().unwrap()).unwrap();
    status(server)["workers"].as_array().unwrap().iter().map(pid).collect()
}

/// Nothing is left of the workers, nor in the domain, save the name of an endpoint of a server that was killed.
fn assert_nothing_left(server: &Server, workers: &HashSet<u32>) {
    until("the workers' end", || workers.iter().all(|pid| !lives(*pid)));
    let killed = format!("{}-", server.pid());
    let left = || std::fs::read_dir(server.path("domain")).unwrap().map(|entry| entry.unwrap().file_name());
    until("an empty domain", || left().all(|name| !lives(server.pid()) && name.to_string_lossy().starts_with(&killed)));
}

/// A client that has asked for the big file, and reads nothing of it yet: the response is stuck in its worker.
fn downloading(server: &Server) -> Client {
    let mut client = server.client();
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    client.wait_for_response();
    client
}

#[test]
fn a_server_is_found_asked_and_stopped_by_its_name() {
    let mut server = Server::start(&["--workers", "3"]);
    let mut clients: Vec<_> = (0..6).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/hello.txt").text(), "hello\n"));
    let said = status(&server);
    assert_eq!(
        (&said["name"], &said["state"], &said["pid"]),
        (&"serve".into(), &"running".into(), &server.pid().into())
    );
    let all: Vec<_> = said["workers"].as_array().unwrap().iter().map(|worker| worker["open"].as_u64()).collect();
    assert_eq!(all, [Some(2); 3], "connections that are open, and were given to the one that had least");
    let before = workers(&server);
    do_it(&server, &["reload", "serve"]);
    until("the old workers' end", || before.iter().all(|pid| !lives(*pid)));
    let after: HashSet<_> = clients.iter_mut().map(|client| client.get("/hello.txt").worker()).collect();
    assert!(after.is_disjoint(&before));
    do_it(&server, &["stop", "serve"]);
    assert!(server.wait().success());
    assert!(clients.iter_mut().all(Client::is_closed));
    assert_nothing_left(&server, &after);
    assert_eq!(tell(&server, &["status", "serve"]).status.code(), Some(4));
}

#[test]
fn connections_outlive_an_upgrade_and_move_at_the_reload_behind_it() {
    for via in ["hand-off", "info"] {
        let mut server = with_big_file(&["--via", via]);
        let before = workers(&server);
        let mut clients: Vec<_> = (0..12).map(|_| server.client()).collect();
        let silent = server.client();
        clients.iter_mut().for_each(|client| assert!(before.contains(&client.get("/hello.txt").worker())));
        // Half a request is read before, the other half after everything.
        clients[0].send("GET /hello.txt HT").unwrap();
        let mut slow = downloading(&server);
        do_it(&server, &["upgrade", "serve"]);
        server.wait_for("upgraded");
        assert_eq!(workers(&server), before);
        clients[1..].iter_mut().for_each(|client| assert!(before.contains(&client.get("/hello.txt").worker())));
        do_it(&server, &["reload", "serve"]);
        let after: HashSet<_> = server.wait_for("reloaded")["workers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pid| u32::try_from(pid.as_u64().unwrap()).unwrap())
            .collect();
        assert!(after.is_disjoint(&before));
        let body = slow.response().unwrap();
        assert!(before.contains(&body.worker()) && body.body == content());
        until("the old workers' end", || before.iter().all(|pid| !lives(*pid)));
        clients[0].send("TP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(clients[0].response().unwrap().text(), "hello\n");
        clients.extend([slow, silent]);
        for client in &mut clients {
            let response = client.get("/hello.txt");
            assert!(after.contains(&response.worker()) && response.text() == "hello\n");
        }
        assert!(clients[0].get("/big").body == content());
        server.signal(Signal::TERM);
        assert!(server.wait().success());
        assert_nothing_left(&server, &after);
    }
}

#[test]
fn nothing_is_lost_under_load_while_workers_and_supervisor_are_replaced() {
    for via in ["hand-off", "info"] {
        let server = Server::start_with(&["--via", via], |www| {
            std::fs::write(www.join("page"), &content()[..200_000]).unwrap();
        });
        let expected = &content()[..200_000];
        let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for kept in [true, true, false] {
                let (server, over, answered) = (&server, &over, &answered);
                scope.spawn(move || {
                    let mut client = server.client();
                    while !over.load(Ordering::SeqCst) {
                        if !kept {
                            client = server.client();
                        }
                        assert!(client.get("/page").body == expected, "{via}");
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            // Ends them also when something fails.
            let _over = Over(&over);
            for what in ["upgrade", "reload", "upgrade", "reload"] {
                let before = answered.load(Ordering::SeqCst);
                until("answers", || answered.load(Ordering::SeqCst) > before + 20);
                let output = tell(&server, &[what, "serve"]);
                assert!(output.status.success(), "{via} {what}: {output:?}");
            }
        });
    }
}

#[test]
fn a_worker_that_somebody_else_ends_finishes_what_it_has_taken_and_the_rest_goes_to_others() {
    for via in ["hand-off", "info"] {
        let server = with_big_file(&["--via", via, "--policy", "round-robin"]);
        let mut slow = downloading(&server);
        let mut other = server.client();
        let serves = other.get("/hello.txt").worker();
        let ended = *workers(&server).iter().find(|pid| **pid != serves).unwrap();
        signal_process(ended, Signal::TERM);
        // Every other one is given to the worker that takes nothing more.
        let mut clients: Vec<_> = (0..10).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
        let body = slow.response().unwrap();
        assert!(body.worker() == ended && body.body == content());
        for client in &mut clients {
            assert_eq!(client.response().unwrap().text(), "hello\n");
        }
        assert_eq!(other.get("/hello.txt").worker(), serves, "its connection stays where it is");
        until("the worker's end", || !lives(ended));
    }
}

/// Sets it when it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn when_the_supervisor_is_killed_workers_finish_and_nothing_is_left() {
    for via in ["hand-off", "info"] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.sock");
        let mut server = with_big_file(&["--via", via, "--listen", &format!("unix:{}", path.display())]);
        let all = workers(&server);
        let (mut idle, mut slow) = (server.client(), downloading(&server));
        idle.get("/hello.txt");
        server.signal(Signal::KILL);
        server.wait();
        assert!(idle.is_closed());
        assert!(slow.response().unwrap().body == content());
        assert!(slow.is_closed());
        assert_nothing_left(&server, &all);
        until("the path's end", || !path.exists());
    }
}

#[test]
fn when_the_supervisor_stands_still_a_worker_that_is_to_end_does_not_wait_for_it() {
    let server = Server::start(&["--workers", "1"]);
    let mut idle = server.client();
    let worker = idle.get("/hello.txt").worker();
    server.signal(Signal::STOP);
    signal_process(worker, Signal::TERM);
    assert!(idle.is_closed());
    server.signal(Signal::CONT);
    until("another worker", || server.get("/hello.txt").worker() != worker);
}

#[test]
fn a_download_has_its_own_time_over_a_reload_and_is_cut_with_a_word_when_everything_ends() {
    for via in ["hand-off", "info"] {
        let mut server = with_big_file(&["--via", via, "--stop-timeout", "1"]);
        let (mut slow, mut slower) = (downloading(&server), downloading(&server));
        let (_, before) = (do_it(&server, &["reload", "serve"]), workers(&server));
        // Longer than any worker has when everything ends.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert_eq!(workers(&server), before, "old workers are there, and told of");
        assert_eq!(before.len(), 4);
        assert!(slow.response().unwrap().body == content());
        drop(slow);
        server.signal(Signal::TERM);
        // On a busy machine, a worker that has none may be late, too.
        while server.wait_for("killed")["connections"] != 1 {}
        assert!(slower.response().is_err());
        assert!(server.wait().success());
    }
}

#[test]
fn a_download_is_cut_at_a_reload_when_that_is_asked_for() {
    let mut server = with_big_file(&["--drain-timeout", "0.2"]);
    let mut slow = downloading(&server);
    do_it(&server, &["reload", "serve"]);
    assert_eq!(server.wait_for("killed")["connections"], 1);
    assert!(slow.response().is_err());
    assert_eq!(status(&server)["connections_cut"], 1);
}

#[test]
fn everything_can_end_while_workers_from_before_a_reload_still_work() {
    let mut server = with_big_file(&[]);
    let (mut slow, mut idle) = (downloading(&server), server.client());
    idle.get("/hello.txt");
    do_it(&server, &["reload", "serve"]);
    server.signal(Signal::TERM);
    server.wait_for("draining");
    assert!(idle.is_closed());
    assert!(slow.response().unwrap().body == content());
    assert!(slow.is_closed());
    assert!(server.wait().success());
}

#[test]
fn what_is_queued_when_everything_ends_is_answered() {
    for via in ["hand-off", "info"] {
        let mut server = Server::start(&["--via", via]);
        server.signal(Signal::STOP);
        let mut clients: Vec<_> = (0..60).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
        server.signal(Signal::TERM);
        server.signal(Signal::CONT);
        for client in &mut clients {
            assert_eq!(client.response().unwrap().text(), "hello\n");
            assert!(client.is_closed());
        }
        assert!(server.wait().success());
    }
}

#[test]
fn signals_that_are_passed_on_end_no_worker() {
    let server = Server::start(&[]);
    let before = workers(&server);
    [Signal::USR1, Signal::USR2, Signal::WINCH].into_iter().for_each(|signal| server.signal(signal));
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    assert_eq!(status(&server)["restarts"], 0);
    assert_eq!(workers(&server), before);
}

#[test]
fn listeners_may_have_names_and_options_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("serve.toml");
    let check = |text: &str, options: &[&str]| {
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
        command.args(["serve", "--check", "--config"]).arg(&config).args(["--files", "."]).args(options);
        command.env("SHARESOCK_DOMAIN", folder.path().join("domain"));
        let output = command.output_in_time();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let path = format!("unix:{}/x=y", folder.path().display());
    let named = format!("a={path}");
    let listen = ["--listen", "web=127.0.0.1:0", "--listen", "[::1]:0", "--listen", &named, "--listen", &path];
    let (code, said, why) = check("workers = 5\nname = \"site\"\n", &listen);
    assert_eq!(code, Some(0), "{why}");
    assert!(said.contains("site\n") && said.contains("workers   5\n"), "{said}");
    let listeners = format!("listeners web=127.0.0.1:0 web-2=[::1]:0 {named} web-3={path}\n");
    assert!(
        said.contains(&listeners) && said.ends_with("verdict   would start, and accept for the workers\n"),
        "{said}"
    );
    // An address that somebody has, and one that this machine has not.
    let busy = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let busy = busy.local_addr().unwrap().to_string();
    for (address, says) in [(busy.as_str(), "the port is in use by"), ("192.0.2.1:80", "does not have the address")] {
        let (code, said, why) = check("", &["--listen", address]);
        assert!(code == Some(1) && why.contains(says) && said.ends_with("would not start\n"), "{said}{why}");
    }
    for (text, options, says) in [
        ("pass = \"listener\"", &[][..], "there is no option `pass`"),
        ("", &["--pass", "listener"], "no option --pass"),
        ("", &["--stop-signal", "QUIT"], "no option --stop-signal"),
        ("", &["--", "cat"], "no option --command"),
        ("", &["--via", "stdio"], "hand-off"),
    ] {
        let (code, _, said) = check(text, options);
        assert!(code == Some(2) && said.contains(says), "{options:?}: {said}");
    }
}

#[test]
fn what_a_stopped_worker_was_given_goes_to_others_and_it_is_given_more_when_it_goes_on() {
    let mut server = Server::start(&["--workers", "2"]);
    let stopped = server.get("/hello.txt").worker();
    signal_process(stopped, Signal::STOP);
    let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
    for client in &mut clients {
        let response = client.response().unwrap();
        assert_eq!(response.text(), "hello\n");
        assert_ne!(response.worker(), stopped);
    }
    drop(clients);
    signal_process(stopped, Signal::CONT);
    until("connections for who goes on", || server.get("/hello.txt").worker() == stopped);
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}
