//! The server that is supervised: this very test program, started anew to run one test that is ignored otherwise.

use super::styles;
use crate::patience::OutputInTime;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use serde_json::{Value, json};
use sharesock::{Domain, Endpoint, ProtocolInfo};
use signal_hook::consts::{SIGTERM, SIGUSR1};
use socket2::{SockFilter, Socket, Type};
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

/// Names a file of words that say what the server does.
pub(crate) const PLAY: &str = "SHARESOCK_TEST_PLAY";

/// Connections that are being served.
static BUSY: AtomicUsize = AtomicUsize::new(0);
/// Held while a connection is taken; and whether none is to be taken any more.
static TAKING: Mutex<()> = Mutex::new(());
static ENDING: AtomicBool = AtomicBool::new(false);
/// What this server plays.
static WORDS: OnceLock<String> = OnceLock::new();

/// The server as a command.
pub(crate) fn arguments() -> Vec<OsString> {
    let mut words = vec![std::env::current_exe().unwrap().into_os_string()];
    words.extend(["--exact", "running::server::serve", "--ignored", "--nocapture", "--test-threads=1"].map(Into::into));
    words
}

#[test]
#[ignore = "is run by other tests, under a supervisor"]
fn serve() {
    let Some(file) = std::env::var_os(PLAY) else { return };
    // Another play may be written for those that start later.
    let words = WORDS.get_or_init(|| std::fs::read_to_string(file).unwrap());
    // The test harness has begun a line.
    say("");
    say(&format!("plays {words}"));
    let says = |word: &str| words.split_whitespace().any(|there| there == word);
    if says("fail") {
        say("this is the reason");
        exit(7);
    }
    let (end, end_in) = UnixStream::pair().unwrap();
    if says("stubborn") {
        signal_hook::flag::register(SIGTERM, Arc::default()).unwrap();
    } else {
        signal_hook::low_level::pipe::register(SIGTERM, end_in.try_clone().unwrap()).unwrap();
    }
    let (user, user_in) = UnixStream::pair().unwrap();
    signal_hook::low_level::pipe::register(SIGUSR1, user_in).unwrap();
    if says("child") {
        say(&format!("child {}", start_child("exec sleep 1000")));
    }
    if says("stubborn-child") {
        say(&format!("child {}", start_child("trap '' TERM; exec sleep 1000")));
    }
    if says("count") {
        std::thread::spawn(|| (0..u64::MAX).for_each(|number| say(&format!("line {number}"))));
    }
    if says("flood") {
        std::thread::spawn(|| (0..u64::MAX).for_each(|number| say(&format!("flood {number}"))));
    }
    if says("counts") {
        count(0);
    }
    if says("receiver") {
        receive();
    }
    if says("info") {
        redeem();
    }
    if says("dead") {
        std::thread::sleep(Duration::from_millis(50));
        exit(7);
    }
    if says("liar") {
        notify("READY=1");
    }
    if says("deaf") || says("liar") {
        let _ = { &end }.read(&mut [0]);
        exit(0);
    }
    if says("ready") {
        notify("READY=1");
    }
    serve_until(&end, &user);
    ENDING.store(true, Ordering::SeqCst);
    drop(TAKING.lock());
    while BUSY.load(Ordering::SeqCst) > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    exit(0);
}

fn say(text: &str) {
    // Whoever printed is gone: so is this.
    if writeln!(std::io::stdout(), "{text}").is_err() {
        exit(9);
    }
    if text.starts_with("line ") {
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn start_child(script: &str) -> u32 {
    Command::new("sh").args(["-c", script]).spawn().unwrap().id()
}

fn notify(text: &str) {
    let to = std::env::var_os("NOTIFY_SOCKET").unwrap();
    UnixDatagram::unbound().unwrap().send_to(text.as_bytes(), to).unwrap();
}

/// The listeners that were passed.
fn listeners() -> Vec<Socket> {
    let count = std::env::var("LISTEN_FDS").map_or(0, |count| count.parse().unwrap());
    let me = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    let take = |number| Socket::from(pidfd_getfd(&me, number, PidfdGetfdFlags::empty()).unwrap());
    (3..3 + count).map(take).collect()
}

/// A listener of its own, which others may have, too.
fn listen_at(address: &str) -> Socket {
    let listener = Socket::new(socket2::Domain::IPV4, Type::STREAM, None).unwrap();
    listener.set_reuse_port(true).unwrap();
    listener.bind(&address.parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    listener.listen(8).unwrap();
    listener
}

fn serve_until(end: &UnixStream, user: &UnixStream) {
    let mut listeners = listeners();
    let words = WORDS.get().unwrap();
    listeners.extend(words.split_whitespace().filter_map(|word| word.strip_prefix("also=")).map(listen_at));
    if words.contains("half") {
        listeners.truncate(1);
    }
    if words.contains("blocking") {
        styles::block(&listeners, 3, begin);
        listeners.clear();
    }
    if words.contains("naps") {
        styles::nap(&listeners, begin);
        listeners.clear();
    }
    if words.contains("exclusive") {
        styles::loop_exclusively(&listeners, begin);
        listeners.clear();
    }
    listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
    loop {
        let mut sources = vec![PollFd::new(end, PollFlags::IN), PollFd::new(user, PollFlags::IN)];
        sources.extend(listeners.iter().map(|listener| PollFd::new(listener, PollFlags::IN)));
        if poll(&mut sources, None).is_err() {
            continue;
        }
        let ready: Vec<_> = sources.iter().map(|source| !source.revents().is_empty()).collect();
        if ready[0] {
            return;
        }
        if ready[1] {
            let _ = { user }.read(&mut [0; 64]);
            say("heard USR1");
        }
        for listener in listeners.iter().zip(&ready[2..]).filter(|(_, ready)| **ready).map(|(listener, _)| listener) {
            if listener.r#type().unwrap() == Type::DGRAM {
                answer_datagram(listener);
            } else if let Ok((connection, _)) = listener.accept() {
                connection.set_nonblocking(false).unwrap();
                begin(connection.into());
            }
        }
    }
}

fn answer_datagram(socket: &Socket) {
    let mut question = Vec::with_capacity(1024);
    if let Ok((_, from)) = socket.recv_from(question.spare_capacity_mut()) {
        socket.send_to(who().to_string().as_bytes(), &from).unwrap();
    }
}

/// What is handed off to this process is served as well.
fn receive() {
    let endpoint = Endpoint::open(&Domain::open().unwrap()).unwrap();
    let receiver = endpoint.receiver().unwrap();
    std::thread::spawn(move || {
        loop {
            // Between taking one and beginning to serve it this process may not end.
            let _taking = TAKING.lock().unwrap();
            if ENDING.load(Ordering::SeqCst) {
                return;
            }
            if let Some(parcel) = receiver.receive_within(Duration::from_millis(5)).unwrap() {
                begin(parcel.into_parts().0.into());
            }
        }
    });
}

/// So is what comes as protocol info; the end of those ends the server.
fn redeem() {
    let endpoint = Endpoint::open(&Domain::open().unwrap()).unwrap();
    std::thread::spawn(move || {
        let mut bytes = [0; 628];
        while std::io::stdin().read_exact(&mut bytes).is_ok() {
            begin(endpoint.redeem(&ProtocolInfo::from_bytes(&bytes).unwrap()).unwrap().into());
        }
        while BUSY.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        exit(0);
    });
}

fn begin(connection: OwnedFd) {
    let words = WORDS.get().unwrap();
    if words.contains("resets") {
        Socket::from(connection.try_clone().unwrap()).set_linger(Some(Duration::ZERO)).unwrap();
    }
    if words.contains("resets") || words.contains("closes") {
        // Nobody sees who it was.
        return;
    }
    BUSY.fetch_add(1, Ordering::SeqCst);
    count(1);
    std::thread::spawn(move || {
        serve_one(connection.into());
        BUSY.fetch_sub(1, Ordering::SeqCst);
        count(0);
    });
}

/// Says what is open and was received, as many more as this among it, if that is to be said.
fn count(more: usize) {
    static RECEIVED: Mutex<usize> = Mutex::new(0);
    if WORDS.get().unwrap().contains("counts") {
        // What is said last is what was so last.
        let mut received = RECEIVED.lock().unwrap();
        *received += more;
        let open = BUSY.load(Ordering::SeqCst);
        notify(&format!("X_SHARESOCK_OPEN={open}\nX_SHARESOCK_RECEIVED={received}"));
    }
}

/// One question, one answer. (The kind of stream does not matter for reading and writing.)
fn serve_one(mut stream: UnixStream) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let Some(Ok(line)) = lines.next() else { return };
    let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
    if word == "GET" {
        say("was asked whether it is well");
        // What is not read would make the end a reset.
        for _ in lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()) {}
        let status = if WORDS.get().unwrap().contains("ill") { "503 Service Unavailable" } else { "200 OK" };
        let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    let answer = match word {
        "hold" => {
            let _ = writeln!(stream, "held");
            lines.next();
            who()
        }
        "environment" => std::env::vars().collect(),
        "listeners" => listeners().iter().map(describe).collect(),
        "limit" => json!(rustix::process::getrlimit(rustix::process::Resource::Nofile).current),
        "spoil-later" => {
            let _ = writeln!(stream, "held");
            lines.next();
            spoil(&listeners()[0], rest);
            let _ = writeln!(stream, "spoilt");
            lines.next();
            who()
        }
        "spoil" | "spoil-last" => {
            let listeners = listeners();
            spoil(&listeners[if word == "spoil" { 0 } else { listeners.len() - 1 }], rest);
            who()
        }
        "child" => json!(start_child("exec sleep 1000")),
        "exit" => exit(rest.parse().unwrap()),
        // Its parent ends at once.
        "orphan" => {
            let script = "sleep 1000 < /dev/null > /dev/null 2>&1 & echo $!";
            let output = Command::new("sh").args(["-c", script]).output_in_time();
            serde_json::from_slice(&output.stdout).unwrap()
        }
        "say" => {
            say(rest);
            who()
        }
        "complain" => {
            let _ = writeln!(std::io::stderr(), "{rest}");
            who()
        }
        "notify" => {
            notify(rest);
            who()
        }
        _ => who(),
    };
    let _ = writeln!(stream, "{answer}");
}

/// What a worker can do to a listener that others have, too.
fn spoil(listener: &Socket, how: &str) {
    match how {
        "shutdown" => listener.shutdown(std::net::Shutdown::Both).unwrap(),
        "disconnect" => rustix::net::connect_unspec(listener).unwrap(),
        "connect" => listener.connect(&"127.0.0.1:9".parse::<std::net::SocketAddr>().unwrap().into()).unwrap(),
        "options" => {
            listener.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
            listener.set_linger(Some(Duration::from_secs(1))).unwrap();
            listener.set_keepalive(true).unwrap();
            listener.set_recv_buffer_size(4096).unwrap();
            listener.set_tcp_nodelay(true).unwrap();
        }
        "backlog" => listener.listen(3).unwrap(),
        "filter" => {
            // It takes nothing.
            listener.attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
        }
        _ => panic!("{how}"),
    }
}

fn who() -> Value {
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    json!({
        "pid": std::process::id(),
        "place": variable("SHARESOCK_WORKER"),
        "generation": variable("SHARESOCK_GENERATION"),
    })
}

fn describe(socket: &Socket) -> Value {
    let address = socket.local_addr().unwrap();
    json!({
        "address": address.as_socket().map(|address| address.to_string()),
        "datagrams": socket.r#type().unwrap() == Type::DGRAM,
        "reuse_port": socket.reuse_port().ok(),
        "only_v6": socket.only_v6().ok(),
        "buffer": socket.recv_buffer_size().unwrap(),
        "keepalive": socket.keepalive().unwrap(),
        "timeout": socket.read_timeout().unwrap().is_some(),
        "linger": socket.linger().unwrap().is_some(),
        "nodelay": socket.tcp_nodelay().ok(),
        "cookie": rustix::net::sockopt::socket_cookie(socket).unwrap(),
    })
}
