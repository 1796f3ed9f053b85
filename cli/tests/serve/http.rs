//! `sharesock serve` answers by the book: raw requests, and what RFC 9110 and 9112 have a server say to them.

use crate::serving::{LONG, Server, until};
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// A folder with all that can lie in one.
fn prepare(www: &Path) {
    let write = |name: &str, text: &str| std::fs::write(www.join(name), text).unwrap();
    for folder in ["dir", "index", "example.com", "sp ace"] {
        std::fs::create_dir(www.join(folder)).unwrap();
    }
    write("ten.txt", "0123456789");
    write("empty", "");
    write("index/index.html", "<h1>index</h1>");
    write("dir/a.txt", "a");
    write("a\\b", "backslash");
    write("page.svg", "<svg/>");
    std::fs::write(www.join(OsStr::from_bytes(b"bad\xff")), "no text").unwrap();
    std::fs::File::open(www.join("ten.txt"))
        .unwrap()
        .set_modified(SystemTime::now() - Duration::from_secs(60))
        .unwrap();
    for (link, to) in [("zero", "/dev/zero"), ("loop", "loop"), ("broken", "/no/such/file")] {
        std::os::unix::fs::symlink(to, www.join(link)).unwrap();
    }
    rustix::fs::mkfifoat(rustix::fs::CWD, www.join("fifo"), rustix::fs::Mode::from_raw_mode(0o644)).unwrap();
    drop(std::os::unix::net::UnixListener::bind(www.join("sock")).unwrap());
}

/// The whole response to what is sent, head and body.
fn response(server: &Server, request: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    stream.write_all(request).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let body = bytes.split_off(head + 4);
    (String::from_utf8(bytes).unwrap().to_lowercase(), body)
}

/// The response to a request with these lines.
fn ask(server: &Server, line: &str, fields: &str) -> (String, Vec<u8>) {
    response(server, format!("{line} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n").as_bytes())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[test]
fn each_request_is_answered_as_the_standard_says() {
    let server = Server::start_with(&[], prepare);
    for (line, fields, status, contains) in [
        ("GET /ten.txt", "", 200, "content-length: 10\r\n"),
        ("GET /ten.txt", "", 200, "content-type: text/plain; charset=utf-8\r\n"),
        ("GET /ten.txt", "", 200, "x-content-type-options: nosniff\r\n"),
        ("GET http://test/ten.txt", "", 200, "content-length: 10\r\n"),
        ("GET /ten.txt?query", "", 200, "content-length: 10\r\n"),
        ("GET /./ten.txt", "", 200, "content-length: 10\r\n"),
        ("GET /dir/../ten.txt", "", 200, "content-length: 10\r\n"),
        ("GET /page.svg", "", 200, "content-type: image/svg+xml\r\n"),
        ("GET /a%5Cb", "", 200, "content-length: 9\r\n"),
        ("GET /bad%FF", "", 200, "content-length: 7\r\n"),
        ("GET /empty", "", 200, "content-length: 0\r\n"),
        ("GET /ten.txt/", "", 404, ""),
        ("GET /nothing", "", 404, "content-type: text/html; charset=utf-8\r\n"),
        ("GET /dir", "", 301, "location: /dir/\r\n"),
        ("GET /dir?x=y", "", 301, "location: /dir/?x=y\r\n"),
        ("GET /sp%20ace", "", 301, "location: /sp%20ace/\r\n"),
        ("GET //example.com", "", 301, "location: /example.com/\r\n"),
        ("GET /dir/", "", 200, "content-type: text/html; charset=utf-8\r\n"),
        ("GET /index/", "", 200, "content-length: 14\r\n"),
        ("GET /fifo", "", 404, ""),
        ("GET /sock", "", 404, ""),
        ("GET /zero", "", 404, ""),
        ("GET /loop", "", 404, ""),
        ("GET /broken", "", 404, ""),
        ("GET /ten.txt/x", "", 404, ""),
        ("GET /%00", "", 400, ""),
        ("GET /%zz", "", 400, ""),
        ("GET /../ten.txt", "", 400, ""),
        ("HEAD /ten.txt", "", 200, "content-length: 10\r\n"),
        ("HEAD /ten.txt", "Range: bytes=0-1\r\n", 200, "content-length: 10\r\n"),
        ("HEAD /nothing", "", 404, ""),
        ("POST /ten.txt", "Content-Length: 0\r\n", 405, "allow: get, head\r\n"),
        ("DELETE /ten.txt", "", 405, "allow: get, head\r\n"),
        ("OPTIONS *", "", 405, "allow: get, head\r\n"),
        ("GET /ten.txt", "Host: other\r\n", 400, ""),
        ("GET /ten.txt", "Range: bytes=2-4\r\n", 206, "content-range: bytes 2-4/10\r\n"),
        ("GET /ten.txt", "Range: bytes=-3\r\n", 206, "content-range: bytes 7-9/10\r\n"),
        ("GET /ten.txt", "Range: bytes=-30\r\n", 206, "content-range: bytes 0-9/10\r\n"),
        ("GET /ten.txt", "Range: bytes=0-1,4-5\r\n", 206, "content-type: multipart/byteranges; boundary="),
        ("GET /ten.txt", "Range: bytes=10-\r\n", 416, "content-range: bytes */10\r\n"),
        ("GET /ten.txt", "Range: lines=1-2\r\n", 200, "content-length: 10\r\n"),
        ("GET /ten.txt", "Range: bytes=4-2\r\n", 200, "content-length: 10\r\n"),
        ("GET /empty", "Range: bytes=0-0\r\n", 416, "content-range: bytes */0\r\n"),
        ("GET /ten.txt", "If-Match: \"other\"\r\n", 412, ""),
        ("GET /ten.txt", "If-None-Match: *\r\nRange: bytes=99-\r\n", 304, "etag: \""),
        ("GET /ten.txt", "If-Range: \"other\"\r\nRange: bytes=2-4\r\n", 200, "content-length: 10\r\n"),
        ("GET /ten.txt", "Transfer-Encoding: rot13\r\n", 400, ""),
        ("GET /ten.txt", "Transfer-Encoding: rot13, chunked\r\n", 501, ""),
    ] {
        let (head, _) = ask(&server, line, fields);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line} {fields:?}: {head}");
        assert!((head + "\r\n").contains(contains), "{line} {fields:?} has no {contains}");
    }
    let long = format!("GET /{}", "a".repeat(300));
    assert!(ask(&server, &long, "").0.starts_with("http/1.1 404 "));
    for (request, status) in [
        (&b"GET /ten.txt HTTP/1.1\r\n\r\n"[..], "400"),
        (b"GET /ten.txt HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n", "400"),
        (b"GET /ten.txt HTTP/1.0\r\n\r\n", "200"),
        (b"nonsense\r\n\r\n", "400"),
        (b"GET /ten.txt HTTP/2.0\r\nHost: x\r\n\r\n", "505"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
    ] {
        let mut request = request.to_vec();
        if status == "400" && !request.starts_with(b"nonsense") {
            let at = request.len() - 2;
            request.splice(at..at, *b"Connection: close\r\n");
        }
        let (head, _) = response(&server, &request);
        assert!(head.split(' ').nth(1) == Some(status), "{:?}: {head}", String::from_utf8_lossy(&request));
    }
}

#[test]
fn each_response_has_its_line_in_the_access_log_which_is_opened_anew_at_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let [path, moved] = ["log", "log.1"].map(|name| folder.path().join(name));
    let options = ["--access-log", path.to_str().unwrap(), "--access-log-format", "json", "--workers", "1"];
    let mut server = Server::start_with(&options, prepare);
    let lines = |path: &Path| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let mut client = server.client();
    let worker = client.get("/ten.txt").worker();
    assert_eq!(client.get("/nothing?x=%22%0A").status, 404);
    client.request("/ten.txt", "Range: bytes=2-4\r\n").unwrap();
    until("three lines", || lines(&path).len() == 3);
    let expected = [("/ten.txt", 200, 10), ("/nothing?x=%22%0A", 404, 0), ("/ten.txt", 206, 3)];
    for (line, (target, status, bytes)) in lines(&path).iter().zip(expected) {
        assert_eq!((&line["target"], &line["status"]), (&target.into(), &status.into()), "{line}");
        assert!(bytes == 0 || line["bytes"] == bytes, "{line}");
        assert_eq!((&line["accepted_by"], &line["served_by"]), (&server.pid().into(), &worker.into()), "{line}");
        assert_eq!((&line["client"], &line["method"]), (&"127.0.0.1".into(), &"GET".into()), "{line}");
    }
    std::fs::rename(&path, &moved).unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("reloaded");
    until("another worker", || client.get("/ten.txt").worker() != worker);
    until("a line in the new file", || !lines(&path).is_empty());
    // What waits to be written at the end is written.
    client.get("/empty");
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
    assert_eq!(lines(&path).last().unwrap()["target"], "/empty");
}

#[test]
fn refusals_and_downloads_that_were_cut_have_their_lines_in_the_access_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let log = ["--access-log", path.to_str().unwrap(), "--access-log-format", "json"];
    let options = [&log[..], &["--workers", "1", "--max-connections-per-address", "2"]].concat();
    let mut server = Server::start_with(&options, |www| std::fs::write(www.join("big"), vec![7; 20 << 20]).unwrap());
    let lines = || -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let line = |status: u16| lines().into_iter().find(|line| line["status"] == status);
    for (request, status) in [("nonsense\r\n\r\n", 400), ("GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505)] {
        let mut client = server.client();
        client.send(request).unwrap();
        assert_eq!(client.response().unwrap().status, status);
        until("a line about what is no request", || line(status).is_some());
        let line = line(status).unwrap();
        assert_eq!((&line["method"], &line["target"], &line["client"]), (&().into(), &().into(), &"127.0.0.1".into()));
    }
    let mut clients = [server.client(), server.client()];
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/hello.txt").status, 200));
    assert_eq!(server.client().response().unwrap().status, 503);
    until("a line about one too many", || line(503).is_some());
    // More than fits between the two.
    let [mut download, _other] = clients;
    download.send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    download.wait_for_response();
    drop(download);
    let big = || lines().into_iter().find(|line| line["target"] == "/big");
    until("a line about a download", || big().is_some());
    let big = big().unwrap();
    assert_eq!((&big["status"], &big["cut"]), (&200.into(), &true.into()), "{big}");
    assert!(big["bytes"].as_u64().unwrap() < 20 << 20, "{big}");
    assert!(lines().iter().filter(|line| line["target"] == "/hello.txt").all(|line| line["cut"] == false));
    server.signal(rustix::process::Signal::TERM);
    assert!(server.wait().success());
}

#[test]
fn a_download_goes_on_only_with_the_same_file() {
    let server = Server::start_with(&[], prepare);
    let (head, _) = ask(&server, "GET /ten.txt", "");
    let (tag, date) = (field(&head, "etag").unwrap().to_owned(), field(&head, "last-modified").unwrap().to_owned());
    assert!(!tag.starts_with("w/"), "{tag}");
    let ask_range =
        |range_if: &str| ask(&server, "GET /ten.txt", &format!("Range: bytes=5-\r\nIf-Range: {range_if}\r\n"));
    let dated = date
        .split_once(", ")
        .map(|(day, rest)| {
            titled(day) + ", " + &rest.split(' ').map(titled).collect::<Vec<_>>().join(" ").replace("Gmt", "GMT")
        })
        .unwrap();
    assert_eq!(ask_range(&tag).1, b"56789");
    assert_eq!(ask_range(&dated).1, b"56789");
    // Another file of the same length takes its place.
    std::fs::write(server.path("new"), "abcdefghij").unwrap();
    std::fs::rename(server.path("new"), server.path("www/ten.txt")).unwrap();
    for old in [&tag, &dated] {
        let (head, body) = ask_range(old);
        assert!(head.starts_with("http/1.1 200 ") && body == b"abcdefghij", "{old}: {head}");
    }
    let (head, body) = ask(&server, "GET /ten.txt", &format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"));
    assert!(head.starts_with("http/1.1 200 ") && body == b"abcdefghij", "{head}");
    let (head, _) = ask(&server, "GET /ten.txt", "");
    let tag = field(&head, "etag").unwrap();
    let (head, body) = ask(&server, "GET /ten.txt", &format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n"));
    assert!(head.starts_with("http/1.1 304 ") && body.is_empty(), "{head}");
    assert_eq!(field(&head, "etag"), Some(tag));
}

/// A word as dates have it.
fn titled(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}

#[test]
fn several_ranges_come_in_parts() {
    let server = Server::start_with(&[], prepare);
    let (head, body) = ask(&server, "GET /ten.txt", "Range: bytes=0-1,8-\r\n");
    let boundary = field(&head, "content-type").unwrap().split_once("boundary=").unwrap().1;
    assert_eq!(field(&head, "content-length").unwrap(), body.len().to_string());
    let body = String::from_utf8(body).unwrap();
    let parts: Vec<_> = body.split(&format!("--{boundary}")).collect();
    assert_eq!(parts.len(), 4, "{body}");
    assert!(parts[1].contains("Content-Range: bytes 0-1/10\r\n\r\n01\r\n"), "{body}");
    assert!(parts[2].contains("Content-Range: bytes 8-9/10\r\n\r\n89\r\n"), "{body}");
    assert_eq!(parts[3], "--\r\n");
}

#[test]
fn what_is_no_file_holds_no_thread() {
    let server = Server::start_with(&["--workers", "1"], prepare);
    let worker = server.get("/hello.txt").worker();
    for path in ["/fifo", "/sock", "/zero"] {
        for _ in 0..30 {
            assert_eq!(server.get(path).status, 404, "{path}");
        }
    }
    // What takes the place of a file that was just served is looked at anew.
    let path = server.path("www/turns");
    for (make, status) in [("echo >", 200), ("mkfifo", 404), ("mkdir", 301), ("ln -s /dev/zero", 404), ("echo >", 200)]
    {
        let script = format!("rm -rf turns && {make} turns");
        assert!(
            std::process::Command::new("sh")
                .args(["-c", &script])
                .current_dir(path.parent().unwrap())
                .status()
                .unwrap()
                .success()
        );
        for _ in 0..2 {
            assert_eq!(server.get("/turns").status, status, "{make}");
        }
    }
    // One that waited for a writer would have a thread that is in the middle of opening it.
    let waits = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("wchan")).unwrap_or_default();
    let tasks = std::fs::read_dir(format!("/proc/{worker}/task")).unwrap();
    let waiting: Vec<_> = tasks
        .map(|task| waits(task.unwrap()))
        .filter(|wchan| wchan.contains("fifo") || wchan.contains("wait_for_partner"))
        .collect();
    assert_eq!(waiting, Vec::<String>::new());
    assert_eq!(server.get("/hello.txt").worker(), worker);
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let server = Server::start(&[]);
    let request = format!("GET /hello.txt HTTP/1.1\r\nHost: test\r\nX: {}\r\n\r\n", "a".repeat(57 << 10));
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    // It may close before all of it is sent.
    let _ = stream.write_all(request.as_bytes());
    let mut head = [0; 12];
    match stream.read_exact(&mut head) {
        Ok(()) => assert_eq!(&head, b"HTTP/1.1 431"),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn a_client_that_goes_on_sending_gets_the_whole_of_its_last_answer() {
    let big = |www: &Path| std::fs::write(www.join("big"), vec![7; 4 << 20]).unwrap();
    let server = Server::start_with(&["--workers", "1"], big);
    for last in ["HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.0\r\n\r\n"] {
        let mut client = server.client();
        client.send(&format!("GET /big {last}")).unwrap();
        client.wait_for_response();
        client.send("and more that nobody reads").unwrap();
        // So that the worker ends the connection while most of the answer is on its way.
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(client.response().unwrap().body.len(), 4 << 20);
        assert!(client.is_closed());
    }
}
