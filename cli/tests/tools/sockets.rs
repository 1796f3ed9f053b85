//! `sharesock listen` and `sharesock connect`.

use crate::stage::{DESCRIPTORS, LONG, PROGRAM, Place, exchange, exchange_tcp, start, text};
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Stdio;

/// The address after `sharesock: listening on `.
fn address(line: &str) -> String {
    line.strip_prefix("sharesock: listening on ").unwrap_or_else(|| panic!("{line}")).to_owned()
}

#[test]
fn a_listener_is_passed_as_systemd_does() {
    let place = Place::new();
    let script =
        format!("echo $LISTEN_FDS $LISTEN_PID $LISTEN_FDNAMES; readlink /proc/$$/fd/3; ulimit -n; {DESCRIPTORS}; cat");
    let mut command = place.command(PROGRAM);
    // What was passed to the tool itself is not passed on.
    command.args(["listen", "127.0.0.1:0", "-v", "--", "sh", "-c", &script]).env("LISTEN_FDNAMES", "old:older");
    let mut listening = start(&mut command, Stdio::piped());
    let address = address(&listening.error_line());
    assert_eq!(listening.line(), format!("1 {} listener\n", listening.pid()));
    assert!(listening.line().starts_with("socket:["));
    let mut direct = start(place.command("sh").args(["-c", &format!("ulimit -n; {DESCRIPTORS}")]), Stdio::null());
    assert_eq!(listening.line(), direct.line(), "the limit of open files is what it was");
    let (mut found, direct) = (listening.line(), direct.line());
    found = found.split(' ').filter(|number| *number != "3").collect::<Vec<_>>().join(" ");
    assert_eq!(found, direct, "nothing else is passed");
    TcpStream::connect(address).unwrap();
    listening.end().expect(0, "");
}

#[test]
fn one_connection_is_served_and_nobody_listens_then() {
    let place = Place::new();
    let mut served =
        place.tool_with(&["listen", "tcp:127.0.0.1:0", "-v", "--accept", "--", "tr", "a-z", "A-Z"], Stdio::null());
    let address = address(&served.error_line());
    let stream = TcpStream::connect(&address).unwrap();
    assert_eq!(exchange_tcp(&stream, "hello\n"), "HELLO\n");
    assert!(TcpStream::connect(address).is_err());
    served.end().expect(0, "");
}

#[test]
fn unix_paths_are_served_and_removed() {
    let place = Place::new();
    let path = place.folder.path().join("socket");
    let address = format!("unix:{}", path.display());
    // Somebody ended and left it.
    drop(UnixListener::bind(&path).unwrap());
    let mut served = place.tool_with(&["listen", &address, "-v", "--accept", "--", "tr", "a-z", "A-Z"], Stdio::null());
    assert_eq!(served.error_line(), format!("sharesock: listening on {address}"));
    let stream = UnixStream::connect(&path).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(exchange(&stream, || stream.shutdown(std::net::Shutdown::Write).unwrap(), "hello"), "HELLO");
    assert!(!path.exists());
    served.end().expect(0, "");
    let _taken = UnixListener::bind(&path).unwrap();
    place.run(&["listen", &address, "--", "true"], "").expect(1, "is in use by process");
}

#[test]
fn any_descriptor_can_be_named() {
    let place = Place::new();
    for (number, listener) in [("5", "5"), ("0", "0"), ("stdio", "1")] {
        let script = format!("found=$(readlink /proc/$$/fd/{listener}); echo $found >&2; echo \"$LISTEN_FDS\" >&2");
        let ended = place.run(&["listen", "udp:127.0.0.1:0", "--as", number, "--", "sh", "-c", &script], "");
        ended.expect(0, "socket:[");
        assert!(ended.errors.ends_with("]\n\n"), "{ended:?}");
    }
    let script = "echo $LISTEN_FDS $LISTEN_FDNAMES";
    let mut served = place.tool(&["listen", "127.0.0.1:0", "-v", "--accept", "--as", "3", "--", "sh", "-c", script]);
    let _stream = TcpStream::connect(address(&served.error_line())).unwrap();
    assert_eq!(served.line(), "1 connection\n");
}

#[test]
fn connections_are_made_to_every_kind_of_address() {
    let place = Place::new();
    let hello = ["--", "sh", "-c", "echo hello; read answer; echo $answer >&2"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connected = place.tool(&[&["connect", &address][..], &hello].concat());
    let stream = listener.accept().unwrap().0;
    assert_eq!(exchange_tcp(&stream, "and you\n"), "hello\n");
    connected.end().expect(0, "and you");

    let path = place.folder.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let connected = place.tool(&[&["connect", &format!("unix:{}", text(&path))][..], &hello].concat());
    let stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(exchange(&stream, || stream.shutdown(std::net::Shutdown::Write).unwrap(), "and you\n"), "hello\n");
    connected.end().expect(0, "and you");

    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let connected = place.tool(&[
        "connect",
        &format!("udp:{}", socket.local_addr().unwrap()),
        "--as",
        "4",
        "--",
        "sh",
        "-c",
        "echo hello >&4",
    ]);
    let mut received = [0; 16];
    let length = socket.recv(&mut received).unwrap();
    assert_eq!(&received[..length], b"hello\n");
    connected.end().expect(0, "");
}

#[test]
fn a_connection_reaches_its_end_when_the_command_ends() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = place.tool(&["connect", &listener.local_addr().unwrap().to_string(), "--", "true"]);
    let mut stream = listener.accept().unwrap().0;
    stream.set_read_timeout(Some(LONG)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    connected.end().expect(0, "");
}

#[test]
fn mistakes_are_explained() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    for (options, code, says) in [
        (&["listen", "127.0.0.1:0"][..], 2, "-- <COMMAND>..."),
        (&["listen", "8080", "--", "true"], 2, "or :8080 for all"),
        (&["listen", "unix:", "--", "true"], 2, "needs a path"),
        (&["listen", "127.0.0.1:0", "--as", "five", "--", "true"], 2, "or stdio"),
        (&["listen", "127.0.0.1:0", "--as=-1", "--", "true"], 2, "number of a descriptor"),
        (&["listen", "udp:127.0.0.1:0", "--accept", "--", "true"], 2, "no connections to accept"),
        (&["listen", &taken, "--", "true"], 1, "cannot listen on"),
        (&["listen", "unix:/etc/passwd", "--", "true"], 1, "is a file, not a socket"),
        (&["listen", "127.0.0.1:0", "--", "/no/such/program"], 127, "cannot run /no/such/program"),
        (&["listen", "127.0.0.1:0", "--", "/etc/passwd"], 126, "cannot run /etc/passwd"),
        (&["connect", &free], 2, "-- <COMMAND>..."),
        (&["connect", &free, "--", "true"], 1, "cannot connect to"),
        (&["connect", "unix:/no/such/socket", "--", "true"], 1, "cannot connect to unix:/no/such/socket"),
    ] {
        place.run(options, "").expect(code, says);
    }
}
