//! The load generator sees what goes wrong: servers that fail on purpose, and what it says of them.
#![cfg(target_os = "linux")]

use serde_json::{Value, json};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// What a server does with a connection.
#[derive(Clone, Copy)]
enum Deed {
    Answer,
    /// Says that it keeps the connection, and then ends it when the next request is there.
    AnswerThenEnd,
    End,
    Reset,
    HalfAnswer,
    WrongByte,
    Busy,
    Hang,
}

fn start(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sharesock-proof"));
    command.args(arguments).arg("--json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
}

fn report(child: Child) -> (Value, i32) {
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    (serde_json::from_str(text.lines().last().unwrap()).unwrap(), output.status.code().unwrap())
}

fn request(stream: &mut TcpStream) -> u64 {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "the client ended its connection");
        text.extend(byte);
    }
    let text = String::from_utf8(text).unwrap();
    text.strip_prefix("GET /").unwrap().split(' ').next().unwrap().parse().unwrap()
}

fn answer(number: u64, deed: Deed) -> Vec<u8> {
    let page = format!("{number}\n").repeat(1024);
    let status = if matches!(deed, Deed::Busy) { "503 Busy" } else { "200 OK" };
    let close = if matches!(deed, Deed::AnswerThenEnd) { "" } else { "Connection: close\r\n" };
    let length = page.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nX-Pid: 77\r\n{close}\r\n{page}").into_bytes()
}

fn act(stream: &mut TcpStream, deed: Deed) {
    let number = request(stream);
    let mut whole = answer(number, deed);
    match deed {
        Deed::Answer | Deed::Busy => {}
        Deed::AnswerThenEnd => {
            stream.write_all(&whole).unwrap();
            request(stream);
            return;
        }
        Deed::End => return,
        Deed::Reset => return SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap(),
        Deed::HalfAnswer => whole.truncate(1000),
        Deed::WrongByte => *whole.last_mut().unwrap() = b'!',
        Deed::Hang => return drop(stream.read(&mut [0])),
    }
    stream.write_all(&whole).unwrap();
}

/// Ten requests at once, of which the first fails so.
fn fill(deed: Deed) -> (Value, i32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let child = start(&["fill", &address, "--connections", "10", "--patience", "2"]);
    let serving = std::thread::spawn(move || {
        let mut connections: Vec<_> = (0..10).map(|_| listener.accept().unwrap().0).collect();
        // The one that hangs is served last.
        connections.iter_mut().skip(1).for_each(|stream| act(stream, Deed::Answer));
        act(&mut connections[0], deed);
    });
    let seen = report(child);
    serving.join().unwrap();
    seen
}

#[test]
fn each_failure_is_counted_as_what_it_is() {
    let failures = [
        (Deed::End, "short"),
        (Deed::Reset, "reset"),
        (Deed::HalfAnswer, "short"),
        (Deed::WrongByte, "wrong"),
        (Deed::Busy, "wrong"),
        (Deed::Hang, "timed_out"),
    ];
    for (deed, kind) in failures {
        let (report, code) = fill(deed);
        assert_eq!((report["ok"].as_u64(), report["lost"].as_u64(), code), (Some(9), Some(1), 1), "{report}");
        for name in ["refused", "reset", "short", "wrong", "timed_out"] {
            assert_eq!(report[name], u8::from(name == kind), "{kind}: {report}");
        }
    }
    let (report, code) = fill(Deed::Answer);
    assert_eq!((report["ok"].as_u64(), code), (Some(10), 0), "{report}");
    assert_eq!(report["pids"], json!({ "77": 10 }));
}

#[test]
fn nobody_listening_is_refused() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (report, code) = report(start(&["fill", &address, "--connections", "3"]));
    assert_eq!((report["refused"].as_u64(), report["lost"].as_u64(), code), (Some(3), Some(3), 1), "{report}");
}

/// One kept connection, or one new connection a request; what the server does with each connection in turn. All after
/// them are answered.
fn load(kept: bool, deeds: &[Deed], notes: Option<&str>) -> (Value, i32) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let to = address.to_string();
    let (new, old) = if kept { ("0", "1") } else { ("1", "0") };
    let mut arguments = vec!["load", &to, "--connections", new, "--kept", old, "--rate", "0"];
    arguments.extend(notes.into_iter().flat_map(|file| ["--killed", file]));
    let mut child = start(&arguments);
    let mut deeds = deeds.iter().copied();
    let (done, all_done) = mpsc::channel();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                let (mut stream, from) = listener.accept().unwrap();
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let deed = deeds.next().unwrap_or_else(|| {
                    done.send(()).unwrap_or_default();
                    Deed::Answer
                });
                if let Some(file) = notes.filter(|_| matches!(deed, Deed::HalfAnswer)) {
                    note(file, &from.to_string());
                }
                act(&mut stream, deed);
            }
        });
        all_done.recv().unwrap();
        drop(child.stdin.take());
        let seen = report(child);
        ended.store(true, Ordering::SeqCst);
        TcpStream::connect(address).unwrap();
        seen
    })
}

/// As `kill` notes it: the process 77 had this client's connection from the beginning of time to its end.
fn note(file: &str, from: &str) {
    let line = json!({ "stopped_at": 0.0, "at": 1e12, "pids": [77], "connections": [from] });
    std::fs::write(file, format!("{line}\n")).unwrap();
}

#[test]
fn a_kept_connection_that_ends_between_requests_is_asked_again() {
    let (report, _) = load(true, &[Deed::AnswerThenEnd], None);
    assert_eq!((report["reused"].as_u64(), report["lost"].as_u64()), (Some(1), Some(0)), "{report}");
}

#[test]
fn a_kept_connection_that_ends_at_its_first_request_is_lost() {
    let (report, code) = load(true, &[Deed::End], None);
    assert_eq!((report["reused"].as_u64(), report["lost"].as_u64(), code), (Some(0), Some(1), 1), "{report}");
}

#[test]
fn only_what_a_killed_process_had_is_excused() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("notes");
    let (report, code) = load(false, &[Deed::Answer, Deed::HalfAnswer, Deed::End], notes.to_str());
    let counts = ["short", "killed", "lost"].map(|name| report[name].as_u64());
    assert_eq!((counts, code), ([Some(2), Some(1), Some(1)], 1), "{report}");
}
