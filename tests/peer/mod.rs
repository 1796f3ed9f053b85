//! Other processes for the tests: this same test program, obeying commands.
#![allow(dead_code)] // Each test program uses its part.

mod endings;
mod fork;
mod obey;
mod occurrences;
mod ring;

use crate::patience::WaitInTime;
use obey::Obedient;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sharesock::{Domain, Endpoint, Socket};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const VARIABLE: &str = "SHARESOCK_TEST_PEER_DOMAIN";
/// Set when the peer opens its endpoint only when it is told to.
const LATER: &str = "SHARESOCK_TEST_PEER_LATER";
/// Marks a peer's answers among the lines that the test harness prints.
const ANSWER: &str = "peer> ";
/// Hangs are bounded by this; nothing waits for it to pass.
const PATIENCE: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// A domain of one test, removed with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        // Some tests fill queues, with a descriptor for each message.
        let hard = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
        let raised = rustix::process::Rlimit { current: hard, maximum: hard };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).unwrap();
        // Tests of one program may use one name at the same time.
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sharesock-test-{name}-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Domain::at(&path).unwrap();
        Place(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn domain(&self) -> Domain {
        Domain::at(&self.0).unwrap()
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::open(&self.domain()).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another process with an endpoint in the domain of the test; killed when dropped.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    pub(crate) fn start(place: &Place) -> Self {
        Self::from_command(&mut Self::command(place), Command::spawn)
    }

    /// A peer that has no endpoint until it is asked to `open`.
    pub(crate) fn start_without_endpoint(place: &Place) -> Self {
        Self::from_command(Self::command(place).env(LATER, "1"), Command::spawn)
    }

    pub(crate) fn command(place: &Place) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "peer::peer", "--nocapture"]).env(VARIABLE, place.path());
        command
    }

    /// The command of a peer that is started by another program with these arguments.
    pub(crate) fn command_by(place: &Place, program: &str, arguments: &[&str]) -> Command {
        let peer = Self::command(place);
        let mut command = Command::new(program);
        command.args(arguments).arg(peer.get_program()).args(peer.get_args());
        command.envs(peer.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }

    pub(crate) fn from_command<E: std::fmt::Debug>(
        command: &mut Command,
        spawn: impl FnOnce(&mut Command) -> Result<Child, E>,
    ) -> Self {
        let mut child = spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped())).unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peer = Peer { child, input, output };
        assert_eq!(peer.answer(), "ready");
        peer
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.answer()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait_in_time();
    }

    /// Lets its program return from `main`.
    pub(crate) fn finish(&mut self) {
        self.tell("return");
        self.child.wait_in_time();
    }

    /// Sends a command without waiting for its answer.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    /// Its answer; hangs are bounded by the minutes that this waits.
    pub(crate) fn answer(&mut self) -> String {
        loop {
            if self.output.buffer().is_empty() {
                let mut output = [PollFd::new(self.output.get_ref(), PollFlags::IN)];
                assert_ne!(poll(&mut output, Some(&PATIENCE)).unwrap(), 0, "the peer does not answer");
            }
            let mut line = String::new();
            assert_ne!(self.output.read_line(&mut line).unwrap(), 0, "the peer ended");
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return answer.trim_end().to_owned();
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A copy of this test program that every user can run; it is to be removed.
///
/// Another program copies: a descriptor for writing that a child of another test inherits would keep the copy from running.
pub(crate) fn program_for_all(place: &Place) -> String {
    let copy = place.path().with_extension("program");
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap().success());
    std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    copy.to_str().unwrap().to_owned()
}

/// One socket of each kind that the rules are shown with.
pub(crate) fn sockets() -> Vec<Socket> {
    use socket2::{Domain, Type};
    let mut sockets = vec![
        Socket::from(std::net::TcpListener::bind("127.0.0.1:0").unwrap()),
        Socket::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap()),
        Socket::from(std::net::UdpSocket::bind("[::1]:0").unwrap()),
        Socket::from(std::os::unix::net::UnixStream::pair().unwrap().0),
    ];
    for kind in [Type::STREAM, Type::DGRAM, Type::SEQPACKET] {
        sockets.push(Socket::new(Domain::UNIX, kind, None).unwrap());
    }
    sockets
}

/// What arrives at a socket: on a listener, over the next connection that says anything. Empty datagrams are passed
/// over: with them, and with connections that say nothing, the tests see whether a socket is open.
pub(crate) fn hear(mut socket: &Socket, length: usize) -> std::io::Result<String> {
    let mut bytes = vec![0; length];
    if socket.as_socket().is_listener()? {
        while socket.as_socket().accept()?.0.read_exact(&mut bytes).is_err() {}
    } else if socket.as_socket().r#type()? == socket2::Type::DGRAM {
        while socket.read(&mut bytes)? == 0 {}
    } else {
        socket.read_exact(&mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A connection of TCP: the client's side, and the descriptor to share.
pub(crate) fn pair() -> (TcpStream, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, Socket::from(listener.accept().unwrap().0))
}

/// Whether the other side has closed its last descriptor: the end of the stream is there now, and nothing before it.
pub(crate) fn at_end(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let read = client.read(&mut [0; 1]);
    client.set_nonblocking(false).unwrap();
    matches!(read, Ok(0))
}

/// Waits for the end of the stream.
pub(crate) fn wait_for_end(client: &mut TcpStream) {
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

/// How many descriptors this process has open.
pub(crate) fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

/// Not a test of its own: what a peer runs. Without the variable it has nothing to do.
#[test]
fn peer() {
    let Some(domain) = std::env::var_os(VARIABLE) else { return };
    if let Some(path) = std::env::var_os("SHARESOCK_TEST_CONNECT") {
        // It is to be kept out: it goes past the library.
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::SEQPACKET, None).unwrap();
        let connected = socket.connect(&socket2::SockAddr::unix(path).unwrap());
        return println!("connected: {:?}", connected.map_err(|error| error.kind()));
    }
    let mut state = Obedient::new(Domain::at(domain).unwrap());
    if std::env::var_os(LATER).is_none() {
        state.open().unwrap();
    }
    println!("{ANSWER}ready");
    for line in std::io::stdin().lines() {
        if line.as_ref().is_ok_and(|line| line == "return") {
            break;
        }
        println!("{ANSWER}{}", state.obey(&line.unwrap()).unwrap_or_else(|error| format!("error {error}")));
    }
}
