//! `sharesock serve`, run as people run it.

use crate::patience::OutputInTime;
use crate::serving::{Client, Server, lives, signal_process, until};
use rustix::process::Signal;
use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;

#[test]
fn r7_connections_are_accepted_by_one_process_and_served_by_others() {
    for via in ["hand-off", "info"] {
        let server = Server::start(&["--via", via, "--workers", "3"]);
        let workers: HashSet<u32> =
            server.ready()["workers"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap() as u32).collect();
        assert_eq!(workers.len(), 3);
        let mut clients: Vec<Client> = (0..9).map(|_| server.client()).collect();
        let served: HashSet<u32> = clients.iter_mut().map(|client| client.get("/hello.txt").worker()).collect();
        assert_eq!(served, workers, "the least busy worker gets the next connection");
        let status: serde_json::Value = serde_json::from_str(clients[0].get("/_sharesock/status.json").text()).unwrap();
        assert_eq!(status["accepted_by"], server.pid());
        assert!(workers.contains(&(status["served_by"].as_u64().unwrap() as u32)));
        assert!(status["hand_off_us"].as_f64().unwrap() > 0.0);
        assert!(clients[0].get("/_sharesock/").text().contains("One process accepts"));
        clients.truncate(1);
        until("the counts of all workers", || {
            let status: serde_json::Value =
                serde_json::from_str(clients[0].get("/_sharesock/status.json").text()).unwrap();
            let counts = status["worker"]["workers"].as_array().unwrap();
            counts.len() == 3 && counts.iter().map(|count| count["open"].as_u64().unwrap()).sum::<u64>() == 1
        });
    }
}

#[test]
fn files_are_served_as_browsers_expect() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let first = client.get("/hello.txt");
    assert_eq!(
        (first.status, first.text(), first.headers["content-type"].as_str()),
        (200, "hello\n", "text/plain; charset=utf-8")
    );
    let tag = &first.headers["etag"];
    for known in [tag.clone(), format!("\"other\", {tag}"), "*".to_owned()] {
        let response = client.request("/hello.txt", &format!("If-None-Match: {known}\r\n")).unwrap();
        assert_eq!((response.status, response.headers.get("etag")), (304, Some(tag)));
    }
    assert_eq!(client.request("/hello.txt", "If-None-Match: \"other\"\r\n").unwrap().text(), "hello\n");
    let part = client.request("/hello.txt", "Range: bytes=1-3\r\n").unwrap();
    assert_eq!((part.status, part.text(), part.headers["content-range"].as_str()), (206, "ell", "bytes 1-3/6"));
    assert_eq!(client.request("/hello.txt", "Range: bytes=100-\r\n").unwrap().status, 416);
    assert_eq!(client.get("/nothing").status, 404);
    assert!(client.get("/").text().contains("hello.txt"), "a folder is listed");
}

#[test]
fn nothing_outside_of_the_folder_is_served() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for path in ["/../secret", "/%2e%2e/secret", "/..%2fsecret", "/x/../../secret", "//../secret", "/../", "/%2e%2e/"] {
        let response = client.get(path);
        assert!(response.status >= 400, "{path} was answered with {}", response.status);
        assert!(!response.text().contains("secret"), "{path}");
    }
}

#[test]
fn hidden_files_are_served_only_when_asked_for() {
    let prepare = |www: &std::path::Path| {
        std::fs::create_dir_all(www.join(".git")).unwrap();
        std::fs::create_dir_all(www.join(".well-known")).unwrap();
        std::fs::write(www.join(".git/config"), "hidden").unwrap();
        std::fs::write(www.join(".well-known/x"), "known").unwrap();
    };
    let server = Server::start_with(&[], prepare);
    for path in ["/.git/config", "/%2egit/config", "/.git/", "/.git"] {
        assert_eq!(server.get(path).status, 404, "{path}");
    }
    assert_eq!(server.get("/.well-known/x").text(), "known");
    assert!(!server.get("/").text().contains(".git"));
    let server = Server::start_with(&["--hidden"], prepare);
    assert_eq!(server.get("/.git/config").text(), "hidden");
    assert!(server.get("/").text().contains(".git"));
}

#[test]
fn a_unix_listener_is_served_and_its_path_goes_with_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock");
    // What a server left that was killed is replaced.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let mut server = Server::start(&["--listen", &format!("unix:{}", path.display())]);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /hello.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("hello\n"), "{text}");
    server.signal(Signal::TERM);
    assert!(server.wait().success());
    assert!(!path.exists());
}

#[test]
fn a_reload_moves_idle_connections_to_new_workers() {
    for via in ["hand-off", "info"] {
        let mut server = Server::start(&["--via", via]);
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        let mut served: HashSet<u32> = clients.iter_mut().map(|client| client.get("/hello.txt").worker()).collect();
        let mut silent = server.client();
        // Half a request is read before, the other half after the reload.
        clients[0].send("GET /hello.txt HT").unwrap();
        for _ in 0..3 {
            server.signal(Signal::HUP);
            let event = server.wait_for("reloaded");
            let workers: HashSet<u32> =
                event["workers"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap() as u32).collect();
            assert!(workers.is_disjoint(&served));
            until("the old workers' end", || served.iter().all(|pid| !lives(*pid)));
            for client in &mut clients[1..] {
                assert!(workers.contains(&client.get("/hello.txt").worker()));
            }
            served = workers;
        }
        clients[0].send("TP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert_eq!(clients[0].response().unwrap().text(), "hello\n");
        assert_eq!(silent.get("/hello.txt").text(), "hello\n");
    }
}

#[test]
fn the_page_about_the_workers_is_told_what_happens_until_its_worker_is_replaced() {
    let mut server = Server::start(&["--workers", "1"]);
    let page = server.get("/_sharesock/");
    assert!(page.text().contains("new EventSource(\"events\")") && !page.text().contains("http:"), "{}", page.text());
    let mut client = server.client();
    client.send("GET /_sharesock/events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // Pieces come as they are made: two of them mean that it goes on.
    let head = client.until("\r\n\r\n");
    assert!(head.contains("content-type: text/event-stream") && head.contains("transfer-encoding: chunked"), "{head}");
    for _ in 0..2 {
        let event = client.until("\n\n");
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
        let view: serde_json::Value = serde_json::from_str(data).unwrap();
        assert_eq!((&view["state"], &view["generation"]), (&"running".into(), &1.into()), "{view}");
        assert_eq!((&view["workers"][0]["state"], &view["workers"][0]["open"]), (&"ready".into(), &1.into()), "{view}");
    }
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    client.until("\r\n0\r\n\r\n");
    until("its move to another worker", || {
        let status: serde_json::Value = serde_json::from_str(client.get("/_sharesock/status.json").text()).unwrap();
        (&status["moves"], &status["worker"]["generation"]) == (&1.into(), &2.into())
    });
}

#[test]
fn a_response_in_flight_is_finished_before_its_connection_moves() {
    let mut server = Server::start_with(&[], |www| std::fs::write(www.join("big"), vec![7; 20 << 20]).unwrap());
    let mut client = server.client();
    // It does not read: the response is stuck in the worker.
    client.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    let big = client.response().unwrap();
    assert!(big.body.len() == 20 << 20 && big.body.iter().all(|byte| *byte == 7));
    assert_eq!(client.response().unwrap().text(), "hello\n", "what was sent behind it is answered, too");
    until("the old worker's end", || !lives(big.worker()));
    assert_ne!(client.get("/hello.txt").worker(), big.worker());
}

#[test]
fn a_reload_that_fails_leaves_the_old_workers_at_work() {
    let mut server = Server::start(&[]);
    // New workers cannot start: their program is what runs, so take away the domain's permissions instead.
    let domain = server.path("domain");
    let set = |mode| std::fs::set_permissions(&domain, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    set(0o707);
    server.signal(Signal::HUP);
    server.wait_for("reload_failed");
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
    set(0o700);
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    assert_eq!(server.get("/hello.txt").text(), "hello\n");
}

#[test]
fn a_backlog_that_was_filled_before_a_reload_is_answered_after_it() {
    let mut server = Server::start(&[]);
    // The front stands still: the kernel completes connections by itself.
    server.signal(Signal::STOP);
    let mut clients: Vec<Client> = (0..60).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
    server.signal(Signal::HUP);
    server.signal(Signal::CONT);
    server.wait_for("reloaded");
    for client in &mut clients {
        assert_eq!(client.response().unwrap().text(), "hello\n");
    }
}

#[test]
fn a_killed_worker_is_replaced_and_loses_only_what_it_had() {
    let mut server = Server::start(&[]);
    let (mut one, mut two) = (server.client(), server.client());
    let (victim, other) = (one.get("/hello.txt").worker(), two.get("/hello.txt").worker());
    assert_ne!(victim, other);
    signal_process(victim, Signal::KILL);
    assert_eq!(server.wait_for("worker_ended")["pid"], victim);
    assert!(one.request("/hello.txt", "").is_err());
    assert_eq!(two.get("/hello.txt").worker(), other);
    until("another worker", || (0..4).any(|_| ![victim, other].contains(&server.get("/hello.txt").worker())));
}

#[test]
fn connections_that_a_dying_worker_never_took_are_served_by_another() {
    for via in ["hand-off", "info"] {
        let server = Server::start(&["--via", via, "--workers", "1"]);
        let victim = server.get("/hello.txt").worker();
        signal_process(victim, Signal::STOP);
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        clients.iter_mut().for_each(|client| client.send("GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n").unwrap());
        // One more, whose arrival at the front shows that the others were given to the worker.
        std::thread::sleep(std::time::Duration::from_millis(100));
        signal_process(victim, Signal::KILL);
        for client in &mut clients {
            let response = client.response().unwrap();
            assert_eq!(response.text(), "hello\n");
            assert_ne!(response.worker(), victim);
        }
    }
}

#[test]
fn sigterm_finishes_what_is_in_flight_and_leaves_nothing_behind() {
    let mut server = Server::start_with(&[], |www| std::fs::write(www.join("big"), vec![7; 20 << 20]).unwrap());
    let workers: Vec<u32> =
        server.ready()["workers"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap() as u32).collect();
    let (mut busy, mut idle) = (server.client(), server.client());
    idle.get("/hello.txt");
    busy.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    server.signal(Signal::TERM);
    server.wait_for("draining");
    assert!(idle.is_closed());
    assert_eq!(busy.response().unwrap().body.len(), 20 << 20);
    assert!(server.wait().success());
    assert!(workers.iter().all(|pid| !lives(*pid)));
    let domain = server.path("domain");
    assert_eq!(std::fs::read_dir(domain).unwrap().count(), 0, "nothing is left in the domain");
}

#[test]
fn a_client_is_told_that_its_connection_ends() {
    let mut server = Server::start(&[]);
    let mut clients: Vec<Client> = (0..8).map(|_| server.client()).collect();
    clients.iter_mut().for_each(|client| drop(client.get("/hello.txt")));
    server.signal(Signal::TERM);
    server.wait_for("draining");
    clients.iter_mut().for_each(until_the_last);
    assert!(server.wait().success());
}

#[test]
fn the_body_of_a_request_is_read_off() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    for body in ["Content-Length: 4\r\n\r\nbody", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"] {
        client.send(&format!("POST /hello.txt HTTP/1.1\r\nHost: x\r\n{body}")).unwrap();
        assert_eq!(client.response().unwrap().status, 405);
    }
    let before = client.get("/hello.txt").worker();
    server.signal(Signal::HUP);
    server.wait_for("reloaded");
    until("the old worker's end", || !lives(before));
    assert_ne!(client.get("/hello.txt").worker(), before, "its connection moves as others do");
    // A large one is not: the answer says that the connection ends.
    let body = "x".repeat(100 << 10);
    client
        .send(&format!("POST /hello.txt HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
        .unwrap();
    let response = client.response().unwrap();
    assert_eq!((response.status, response.headers["connection"].as_str()), (405, "close"));
}

#[test]
fn a_client_that_has_sent_all_it_has_to_say_is_answered() {
    let server = Server::start_with(&[], |www| std::fs::write(www.join("big"), vec![7; 20 << 20]).unwrap());
    for (path, length) in [("/hello.txt", 6), ("/big", 20 << 20)] {
        for _ in 0..10 {
            let mut client = server.client();
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).unwrap();
            client.stream().shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(client.response().unwrap().body.len(), length);
        }
    }
}

/// Asks again and again: each request is answered, until an answer says that it is the last.
fn until_the_last(client: &mut Client) {
    loop {
        let response = client.get("/hello.txt");
        assert_eq!(response.text(), "hello\n");
        if response.headers.get("connection").is_some_and(|connection| connection == "close") {
            return assert!(client.is_closed());
        }
    }
}

#[test]
fn workers_end_when_the_front_is_killed() {
    let mut server = Server::start(&[]);
    let workers: Vec<u32> =
        server.ready()["workers"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap() as u32).collect();
    server.signal(Signal::KILL);
    server.wait();
    until("the workers' end", || workers.iter().all(|pid| !lives(*pid)));
}

#[test]
fn mistakes_on_the_command_line_are_explained() {
    let domain = tempfile::tempdir().unwrap();
    let run = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
        let output = command.args(options).env("SHARESOCK_DOMAIN", domain.path().join("domain")).output_in_time();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (options, code, says) in [
        (&["serve"][..], 2, "no folder is named"),
        (&["serve", ".", "--files", "."], 2, "cannot be used with"),
        (&["serve", "--files", ".", "--listen", "80800"], 2, "from 0 to 65535"),
        (&["serve", "--files", ".", "--workers", "0"], 2, "--workers"),
        (&["serve", "--files", ".", "--policy", "best"], 2, "least-open"),
        (&["serve", "/no/such/folder"], 2, "is not a folder"),
        (&["serve", "--files", ".", "--domain", "/no/such/place"], 1, "creating the domain /no/such/place"),
        (&["serve", "--files", ".", "--listen", "unix:/etc/passwd"], 1, "is a file, not a socket"),
    ] {
        let (status, text) = run(options);
        assert_eq!(status, Some(code), "{options:?}: {text}");
        assert!(text.contains(says), "{options:?}: {text}");
    }
    // Its own options stand in the environment, too.
    for name in ["MAX_CONNECTIONS", "MAX_CONNECTIONS_PER_ADDRESS", "CLIENT_TIMEOUT", "ACCESS_LOG_FORMAT", "STATUS_PAGE"]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock"));
        let output = command.args(["serve", ".", "--check"]).env(format!("SHARESOCK_{name}"), "?").output_in_time();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && text.contains("'?'"), "{name}: {text}");
    }
    let log = "/no/such/folder/log";
    let (status, text) = run(&["serve", ".", "--access-log", log]);
    assert!(status == Some(2) && text.contains(log), "{text}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (status, text) = run(&["serve", "--files", ".", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(status == Some(1) && text.contains("the port is in use"), "{text}");
}

#[test]
fn a_reload_that_is_asked_for_during_another_follows_it() {
    let mut server = Server::start(&[]);
    let mut client = server.client();
    client.get("/hello.txt");
    server.signal(Signal::HUP);
    server.wait_for("reloading");
    server.signal(Signal::HUP);
    assert_eq!(server.wait_for("reloaded")["generation"], 2);
    assert_eq!(server.wait_for("reloaded")["generation"], 3);
    assert_eq!(client.get("/hello.txt").text(), "hello\n");
}
