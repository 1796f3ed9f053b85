//! Other processes for the tests of Windows: this same test program, obeying commands; killed by `TerminateProcess`.
#![allow(dead_code)] // Each test program uses its part.

mod parcels;

use parcels::Parcels;
use sharesock::{Direction, Domain, Endpoint, Error, ProtocolInfo, Socket, Turn};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::windows::io::AsRawSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const VARIABLE: &str = "SHARESOCK_TEST_PEER_DOMAIN";
const ANSWER: &str = "peer> ";

/// A domain of one test, removed with it.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
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

    /// The names of tickets that lie there.
    pub(crate) fn tickets(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".ticket"))
            .collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Another process; killed when dropped.
pub(crate) struct Peer {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Peer {
    /// A peer with an endpoint.
    pub(crate) fn start(place: &Place) -> Self {
        let mut peer = Self::start_without_endpoint(place);
        assert_eq!(peer.ask("open"), "ok");
        peer
    }

    pub(crate) fn start_without_endpoint(place: &Place) -> Self {
        // Wine now and then does not start a program.
        (0..5).find_map(|_| Self::attempt(place)).expect("the peer does not start")
    }

    fn attempt(place: &Place) -> Option<Self> {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "peer::peer", "--nocapture"]).env(VARIABLE, place.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peer = Peer { child, input, output };
        (peer.listen()? == "ready").then_some(peer)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.listen().expect("the peer ended")
    }

    pub(crate) fn tell(&mut self, command: &str) {
        writeln!(self.input, "{command}").unwrap();
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    pub(crate) fn listen(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if let Some((_, answer)) = line.split_once(ANSWER) {
                return Some(answer.trim_end().to_owned());
            }
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection of TCP: the client's side, and the descriptor to share.
pub(crate) fn pair() -> (TcpStream, Socket) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, Socket::from(listener.accept().unwrap().0))
}

/// Whether bytes go from one to the other and back.
pub(crate) fn talk(client: &mut TcpStream, socket: &Socket) {
    let (mut bytes, mut stream) = ([0; 4], socket.as_socket());
    client.write_all(b"ping").unwrap();
    stream.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
    stream.write_all(b"pong").unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong");
}

/// Waits for the end of the stream.
pub(crate) fn wait_for_end(client: &mut TcpStream) {
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
}

/// Whether the stream has not ended, and nothing has come.
pub(crate) fn is_open(client: &TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let peeked = client.peek(&mut [0; 1]);
    client.set_nonblocking(false).unwrap();
    peeked.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

struct Obedient {
    domain: Domain,
    endpoint: Option<Endpoint>,
    sockets: Vec<Socket>,
    turns: Vec<Turn>,
    made: Option<(TcpStream, Socket)>,
    parcels: Parcels,
}

impl Obedient {
    fn obey(&mut self, line: &str) -> Result<String, Error> {
        let words: Vec<_> = line.split_whitespace().collect();
        let endpoint = self.endpoint.as_ref();
        Ok(match words[..] {
            ["open"] => {
                self.endpoint = Some(Endpoint::open(&self.domain)?);
                "ok".into()
            }
            ["close-endpoint"] => {
                self.endpoint = None;
                "ok".into()
            }
            ["redeem", info] => {
                let socket = endpoint.unwrap().redeem(&info.parse::<ProtocolInfo>()?)?;
                let id = socket.id()?.as_u64();
                self.sockets.push(socket);
                format!("ok {id}")
            }
            ["redeem-file", path] => {
                let bytes = std::fs::read(path).unwrap();
                let socket = endpoint.unwrap().redeem(&ProtocolInfo::from_bytes(&bytes)?)?;
                let id = socket.id()?.as_u64();
                self.sockets.push(socket);
                format!("ok {id}")
            }
            ["discard", info] => {
                endpoint.unwrap().discard(&info.parse::<ProtocolInfo>()?)?;
                "ok".into()
            }
            ["say", text] => {
                let mut socket = self.sockets.last().unwrap();
                socket.write_all(text.as_bytes()).map_or_else(|error| format!("error {error}"), |()| "ok".into())
            }
            ["hear", length] => {
                let mut bytes = vec![0; length.parse().unwrap()];
                let mut socket = self.sockets.last().unwrap();
                socket.read_exact(&mut bytes).unwrap();
                String::from_utf8(bytes).unwrap()
            }
            ["accept-and-say", text] => {
                let (accepted, _) = self.sockets.last().unwrap().as_socket().accept().unwrap();
                (&accepted).write_all(text.as_bytes()).unwrap();
                "ok".into()
            }
            ["close"] => {
                self.parcels.close();
                self.sockets.clear();
                "ok".into()
            }
            // Makes a connection of its own and duplicates it; the client's side stays here.
            ["duplicate-own", pid] => {
                let pair = pair();
                let info = endpoint.unwrap().duplicate(&pair.1, pid.parse::<u32>().unwrap())?;
                self.made = Some(pair);
                format!("ok {info}")
            }
            ["duplicate", pid] => {
                let socket = self.sockets.last().unwrap();
                format!("ok {}", endpoint.unwrap().duplicate(socket, pid.parse::<u32>().unwrap())?)
            }
            ["turn"] => {
                let socket = self.sockets.last().unwrap();
                match Turn::try_take(&self.domain, socket, Direction::Receive)? {
                    Some(turn) => {
                        self.turns.push(turn);
                        "taken".into()
                    }
                    None => "refused".into(),
                }
            }
            ["next-handle"] => format!("ok {}", next_handle()),
            _ => return self.parcels.obey(endpoint.unwrap(), &words),
        })
    }
}

/// The number of a handle that is made now: numbers are given again, so that it grows only with handles that stay open.
pub(crate) fn next_handle() -> u64 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().as_raw_socket()
}

/// Not a test of its own: what a peer runs. Without the variable it has nothing to do.
#[test]
fn peer() {
    let Some(domain) = std::env::var_os(VARIABLE) else { return };
    let domain = Domain::at(domain).unwrap();
    let mut state = Obedient {
        domain,
        endpoint: None,
        sockets: Vec::new(),
        turns: Vec::new(),
        made: None,
        parcels: Parcels::default(),
    };
    println!("{ANSWER}ready");
    for line in std::io::stdin().lines() {
        println!("{ANSWER}{}", state.obey(&line.unwrap()).unwrap_or_else(|error| format!("error {error}")));
    }
}
