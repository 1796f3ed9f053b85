//! Other processes for the tests: this same test program, obeying commands.
#![allow(dead_code)] // Each test program uses its part.

use sharesock::{Direction, Domain, Endpoint, Parcel, ProtocolInfo, Receiver, Sender, Socket, Turn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const VARIABLE: &str = "SHARESOCK_TEST_PEER_DOMAIN";
/// Set when the peer opens its endpoint only when it is told to.
const LATER: &str = "SHARESOCK_TEST_PEER_LATER";
/// Marks a peer's answers among the lines that the test harness prints.
const ANSWER: &str = "peer> ";

/// A domain of one test, removed with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("sharesock-test-{name}-{}", std::process::id()));
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
        self.child.wait().unwrap();
    }

    /// Sends a command without waiting for its answer.
    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    pub(crate) fn answer(&mut self) -> String {
        loop {
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
    let mut state = Obedient::new(Domain::at(domain).unwrap());
    if std::env::var_os(LATER).is_none() {
        state.endpoint = Some(Endpoint::open(&state.domain).unwrap());
    }
    println!("{ANSWER}ready");
    for line in std::io::stdin().lines() {
        println!("{ANSWER}{}", state.obey(&line.unwrap()).unwrap_or_else(|error| format!("error {error}")));
    }
}

struct Obedient {
    domain: Domain,
    endpoint: Option<Endpoint>,
    held: Option<Socket>,
    turn: Option<Turn>,
    receiver: Option<Receiver>,
    senders: Vec<Sender>,
    files: Vec<std::fs::File>,
}

impl Obedient {
    fn new(domain: Domain) -> Self {
        Obedient {
            domain,
            endpoint: None,
            held: None,
            turn: None,
            receiver: None,
            senders: Vec::new(),
            files: Vec::new(),
        }
    }

    fn obey(&mut self, line: &str) -> Result<String, Box<dyn std::error::Error>> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let endpoint = || self.endpoint.as_ref().ok_or("has no endpoint");
        let held = || self.held.as_ref().ok_or("holds no socket");
        match verb {
            "open" => self.endpoint = Some(Endpoint::open(&self.domain)?),
            "redeem" | "redeem-file" => {
                let info: ProtocolInfo = match verb {
                    "redeem" => rest.parse()?,
                    _ => ProtocolInfo::from_bytes(&std::fs::read(rest)?)?,
                };
                let socket = endpoint()?.redeem(&info)?;
                let id = socket.id()?.as_u64();
                self.held = Some(socket);
                return Ok(format!("ok {id}"));
            }
            "duplicate" => return Ok(format!("ok {}", endpoint()?.duplicate(held()?, rest.parse::<u32>()?)?)),
            "flush" => endpoint()?.flush(std::time::Duration::from_secs(rest.parse()?))?,
            "send" => (&mut held()?).write_all(rest.as_bytes())?,
            "redeem-environment" => {
                let info: ProtocolInfo = std::env::var("SHARESOCK_TEST_INFO")?.parse()?;
                let socket = endpoint()?.redeem(&info)?;
                let id = socket.id()?.as_u64();
                self.held = Some(socket);
                return Ok(format!("ok {id}"));
            }
            "redeem-tcp" => {
                let mut bytes = [0; 628];
                TcpStream::connect(rest)?.read_exact(&mut bytes)?;
                let socket = endpoint()?.redeem(&ProtocolInfo::from_bytes(&bytes)?)?;
                let id = socket.id()?.as_u64();
                self.held = Some(socket);
                return Ok(format!("ok {id}"));
            }
            "hear" => return Ok(format!("ok {}", hear(held()?, rest.parse()?)?)),
            "is-broadcast" => return Ok(held()?.as_socket().broadcast()?.to_string()),
            "broadcast" => held()?.as_socket().set_broadcast(rest == "true")?,
            "receive-from" => {
                let mut bytes = vec![0; rest.parse()?];
                (&mut held()?).read_exact(&mut bytes)?;
                return Ok(format!("ok {}", String::from_utf8_lossy(&bytes)));
            }
            "accept" => {
                let (connection, _) = held()?.as_socket().accept()?;
                self.held = Some(connection.into());
            }
            "keepalive" => held()?.as_socket().set_keepalive(rest == "true")?,
            "turn" => {
                let turn = Turn::try_take(&self.domain, held()?, Direction::Send)?;
                self.turn = turn;
                return Ok(if self.turn.is_some() { "taken" } else { "refused" }.to_owned());
            }
            "close" => self.held = None,
            "receiver" => self.receiver = Some(endpoint()?.receiver()?),
            "receive" => {
                let (socket, bytes) = self.receiver.as_ref().ok_or("has no receiver")?.receive()?.into_parts();
                let id = socket.id()?.as_u64();
                self.held = Some(socket);
                return Ok(format!("ok {id} {}", String::from_utf8_lossy(&bytes)));
            }
            "close-receiver" => self.receiver = None,
            "hand-off" => {
                let (pid, text) = rest.split_once(' ').ok_or("needs a process and a text")?;
                let sender = endpoint()?.sender(pid.parse::<u32>()?)?;
                let parcel = Parcel::new(self.held.take().ok_or("holds no socket")?);
                sender.hand_off(parcel.with_bytes(text.into()))?;
                self.senders.push(sender);
            }
            "limit-descriptors" => {
                // Every descriptor below the limit is in use from now on.
                let rlimit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
                rustix::process::setrlimit(rustix::process::Resource::Nofile, rlimit)?;
                while let Ok(file) = std::fs::File::open("/dev/null") {
                    self.files.push(file);
                }
            }
            "free-descriptors" => self.files.clear(),
            _ => return Err("unknown command".into()),
        }
        Ok("ok".to_owned())
    }
}
