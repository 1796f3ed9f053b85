//! `sharesock serve` with few descriptors and many clients.

use crate::patience::OutputInTime;
use crate::serving::{self, Client, Response, Server, lives, signal_process, until};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::process::Command;
use std::time::Duration;

/// More than all processes have descriptors for.
const MANY: usize = 600;
const BOTH: [&str; 2] = ["hand-off", "info"];

/// A server whose processes may have 200 descriptors each.
fn limited(options: &[&str]) -> Server {
    // All clients are in this process, and so are those of other tests.
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }).unwrap();
    let mut command = Command::new("prlimit");
    command.args(["--nofile=200", env!("CARGO_BIN_EXE_sharesock")]);
    Server::start_as(command, options, |_| {})
}

#[test]
fn more_connections_than_there_may_be_wait_until_others_end() {
    let server = Server::start(&["--max-connections", "3"]);
    let mut open: Vec<_> = (0..3).map(|_| server.client()).collect();
    open.iter_mut().for_each(|client| assert!(is_answer(&client.get("/hello.txt"))));
    let mut next = server.client();
    next.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    next.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(next.response().is_err(), "it waits");
    next.stream().set_read_timeout(Some(serving::LONG)).unwrap();
    assert_eq!(given_and_waiting(&server).0, 3);
    open.pop();
    assert!(is_answer(&next.response().unwrap()));
}

#[test]
fn a_client_with_too_many_connections_is_told_so() {
    let limits = ["--max-connections-per-address", "2", "--max-connections", "4"];
    let server = Server::start(&[&["--workers", "1"][..], &limits].concat());
    let mut open: Vec<_> = (0..2).map(|_| server.client()).collect();
    open.iter_mut().for_each(|client| assert!(is_answer(&client.get("/hello.txt"))));
    // What was refused is over, and counts no more among all.
    for _ in 0..9 {
        let mut third = server.client();
        third.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let response = third.response().unwrap();
        assert_eq!((response.status, &response.headers["connection"][..]), (503, "close"));
        assert!(third.is_closed());
    }
    // They keep their places over a reload.
    server.signal(Signal::HUP);
    let before = open[0].get("/hello.txt").worker();
    until("another worker", || open.iter_mut().all(|client| client.get("/hello.txt").worker() != before));
    assert_eq!(server.client().request("/hello.txt", "").unwrap().status, 503);
    open.pop();
    until("a free place", || server.client().get("/hello.txt").status == 200);
}

#[test]
fn a_client_that_takes_nothing_or_says_nothing_is_dropped() {
    let prepare = |www: &std::path::Path| std::fs::write(www.join("big"), vec![7; 20 << 20]).unwrap();
    let server = Server::start_with(&["--workers", "1", "--client-timeout", "0.5"], prepare);
    let [mut takes_nothing, mut drips, mut silent] = [(); 3].map(|()| server.client());
    takes_nothing.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    silent.send("GET /hello.txt HTTP/1.1\r\nHost: ").unwrap();
    until("the end of one that drips", || {
        std::thread::sleep(Duration::from_millis(50));
        drips.send("x").is_err()
    });
    assert!(silent.is_closed());
    assert!(takes_nothing.response().is_err());
}

fn workers(server: &Server) -> Vec<u32> {
    let pid = |pid: &serde_json::Value| u32::try_from(pid.as_u64().unwrap()).unwrap();
    server.ready()["workers"].as_array().unwrap().iter().map(pid).collect()
}

fn connected(server: &Server) -> Vec<Client> {
    (0..MANY).map(|_| server.client()).collect()
}

fn asking(server: &Server) -> Vec<Client> {
    let mut clients = connected(server);
    for client in &mut clients {
        client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    }
    clients
}

fn descriptors(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// How many connections were given to workers, and how many wait for one.
fn given_and_waiting(server: &Server) -> (u64, u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
    let output = command.args(["status", "serve", "--json", "--domain"]).arg(server.path("domain")).output_in_time();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| status["hand_offs"][name].as_u64().unwrap();
    (number("total"), number("waiting"))
}

/// Waits until two workers have got more than they have descriptors for.
fn wait_until_full(server: &Server) {
    until("workers that are full", || given_and_waiting(server).0 > 380);
}

/// Waits until it has taken in all that it does while its workers stand still.
fn wait_until_settled(server: &Server) {
    let mut last = (0, 0);
    until("it to take in no more", || {
        let now = given_and_waiting(server);
        now != (0, 0) && std::mem::replace(&mut last, now) == now
    });
}

/// Whether it is one: a worker that is full may have no descriptor for the file.
fn is_answer(response: &Response) -> bool {
    response.status == 503 || response.status == 200 && response.text() == "hello\n"
}

fn assert_ends(mut server: Server) {
    server.signal(Signal::TERM);
    assert!(server.wait().success());
}

#[test]
fn it_serves_again_when_idle_clients_that_filled_it_have_left() {
    for via in BOTH {
        let server = limited(&["--via", via]);
        let before = descriptors(&server);
        let idle = connected(&server);
        wait_until_full(&server);
        drop(idle);
        for _ in 0..10 {
            assert_eq!(server.get("/hello.txt").text(), "hello\n", "{via}");
        }
        until("nothing to wait", || given_and_waiting(&server).1 == 0);
        // A way to a worker may be opened later.
        until("descriptors to be closed", || descriptors(&server) <= before + 8);
        assert!(workers(&server).into_iter().all(lives));
        assert_ends(server);
    }
}

#[test]
fn what_workers_that_stood_still_were_given_is_answered_by_others_when_they_are_killed() {
    for via in BOTH {
        let server = limited(&["--via", via]);
        let stopped = workers(&server);
        stopped.iter().for_each(|pid| signal_process(*pid, Signal::STOP));
        let mut clients = asking(&server);
        wait_until_settled(&server);
        stopped.iter().for_each(|pid| signal_process(*pid, Signal::KILL));
        for client in &mut clients {
            let response = client.response().unwrap();
            assert!(!stopped.contains(&response.worker()));
            assert!(is_answer(&response), "{via}: {response:?}");
        }
        assert_ends(server);
    }
}

#[test]
fn workers_are_replaced_when_clients_have_left_those_that_stood_still() {
    for via in BOTH {
        let server = limited(&["--via", via]);
        let stopped = workers(&server);
        stopped.iter().for_each(|pid| signal_process(*pid, Signal::STOP));
        let clients = asking(&server);
        wait_until_settled(&server);
        drop(clients);
        stopped.iter().for_each(|pid| signal_process(*pid, Signal::KILL));
        assert_eq!(server.get("/hello.txt").text(), "hello\n", "{via}");
        assert_ends(server);
    }
}

#[test]
fn a_worker_that_is_full_takes_what_it_was_given_as_connections_end() {
    for via in BOTH {
        let server = limited(&["--via", via]);
        let mut clients = connected(&server);
        wait_until_full(&server);
        // In the order in which they came, so that each makes room for another.
        for client in &mut clients {
            client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        }
        for client in &mut clients {
            let response = client.response().unwrap();
            assert!(is_answer(&response), "{via}: {response:?}");
        }
        assert_ends(server);
    }
}
