//! Other processes for the tests: this same test program, obeying commands.

use sharesock::{Direction, Domain, Endpoint, ProtocolInfo, Socket, Turn};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

const VARIABLE: &str = "SHARESOCK_TEST_PEER_DOMAIN";
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
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "peer::peer", "--nocapture"])
            .env(VARIABLE, place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut peer = Peer { child, input, output };
        assert_eq!(peer.answer(), "ready");
        peer
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ask(&mut self, command: &str) -> String {
        writeln!(self.input, "{command}").unwrap();
        self.answer()
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    fn answer(&mut self) -> String {
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

/// Not a test of its own: what a peer runs. Without the variable it has nothing to do.
#[test]
fn peer() {
    let Some(domain) = std::env::var_os(VARIABLE) else { return };
    let endpoint = Endpoint::open(&Domain::at(domain).unwrap()).unwrap();
    let (mut held, mut turn) = (None, None);
    println!("{ANSWER}ready");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        println!(
            "{ANSWER}{}",
            obey(&endpoint, &mut held, &mut turn, &line).unwrap_or_else(|error| format!("error {error}"))
        );
    }
}

fn obey(
    endpoint: &Endpoint,
    held: &mut Option<Socket>,
    turn: &mut Option<Turn>,
    line: &str,
) -> Result<String, Box<dyn std::error::Error>> {
    let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
    match verb {
        "redeem" | "redeem-file" => {
            let info: ProtocolInfo = match verb {
                "redeem" => rest.parse()?,
                _ => ProtocolInfo::from_bytes(&std::fs::read(rest)?)?,
            };
            let socket = endpoint.redeem(&info)?;
            let id = socket.id()?.as_u64();
            *held = Some(socket);
            return Ok(format!("ok {id}"));
        }
        "duplicate" => {
            let info = endpoint.duplicate(held.as_ref().ok_or("holds no socket")?, rest.parse::<u32>()?)?;
            return Ok(format!("ok {info}"));
        }
        "send" => held.as_mut().ok_or("holds no socket")?.write_all(rest.as_bytes())?,
        "keepalive" => held.as_ref().ok_or("holds no socket")?.as_socket().set_keepalive(rest == "true")?,
        "turn" => {
            *turn = Turn::try_take(&Domain::at(rest)?, held.as_ref().ok_or("holds no socket")?, Direction::Send)?;
            return Ok(if turn.is_some() { "taken" } else { "refused" }.to_owned());
        }
        "close" => drop(held.take()),
        _ => return Err("unknown command".into()),
    }
    Ok("ok".to_owned())
}
