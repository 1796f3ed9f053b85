//! The commands that a peer obeys.

use super::occurrences::Occurrences;
use super::ring::{Failure, Ring};
use super::{fork, hear, open_descriptors};
use sharesock::{Direction, Domain, Endpoint, Parcel, Process, ProtocolInfo, Receiver, Sender, Socket, Turn};
use std::io::{Read, Write};
use std::net::TcpStream;

/// What a peer has, and does when it is told to.
pub(super) struct Obedient {
    pub(super) domain: Domain,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) held: Option<Socket>,
    turn: Option<Turn>,
    pub(super) receiver: Option<Receiver>,
    pub(super) senders: Vec<Sender>,
    files: Vec<std::fs::File>,
    ring: Option<Ring>,
    pub(super) attic: Vec<Socket>,
    /// What it listens on past the library.
    pub(super) strange: Vec<socket2::Socket>,
    occurrences: Occurrences,
}

impl Obedient {
    pub(super) fn new(domain: Domain) -> Self {
        Obedient {
            domain,
            endpoint: None,
            held: None,
            turn: None,
            receiver: None,
            senders: Vec::new(),
            files: Vec::new(),
            ring: None,
            attic: Vec::new(),
            strange: Vec::new(),
            occurrences: Occurrences::default(),
        }
    }

    pub(super) fn open(&mut self) -> Result<(), sharesock::Error> {
        self.endpoint = Some(Endpoint::open(&self.domain)?);
        Ok(())
    }

    pub(super) fn obey(&mut self, line: &str) -> Result<String, Failure> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let endpoint = || self.endpoint.as_ref().ok_or("has no endpoint");
        let held = || self.held.as_ref().ok_or("holds no socket");
        match verb {
            "open" => self.open()?,
            "close-endpoint" => self.endpoint = None,
            "open-often" => {
                for _ in 0..rest.parse::<u32>()? {
                    self.endpoint = None;
                    self.open()?;
                }
            }
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
            "discard" => endpoint()?.discard(&rest.parse()?)?,
            "duplicate" => return Ok(format!("ok {}", endpoint()?.duplicate(held()?, rest.parse::<u32>()?)?)),
            "offer-kept" => {
                let options = sharesock::OfferOptions::expiring_in(std::time::Duration::from_secs(60));
                return Ok(format!("ok {}", endpoint()?.offer_kept(held()?, rest.parse::<Process>()?, &options)?));
            }
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
            "socket" => self.held = Some(Socket::new(socket2::Domain::UNIX, socket2::Type::DGRAM, None)?),
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
                sender.hand_off(parcel.with_bytes(text))?;
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
            // So many, or all.
            "free-descriptors" => {
                let count = if rest.is_empty() { usize::MAX } else { rest.parse()? };
                self.files.truncate(self.files.len().saturating_sub(count));
            }
            "process" => return Ok(endpoint()?.process()?.to_string()),
            "duplicate-for" => return Ok(format!("ok {}", endpoint()?.duplicate(held()?, rest.parse::<Process>()?)?)),
            "hand-off-to" => {
                let sender = endpoint()?.sender(rest.parse::<Process>()?)?;
                sender.hand_off(self.held.take().ok_or("holds no socket")?)?;
                self.senders.push(sender);
            }
            "hand-off-copies" => {
                let (pid, count) = rest.split_once(' ').ok_or("needs a process and a count")?;
                let sender = endpoint()?.sender(pid.parse::<u32>()?)?;
                let (mut accepted, mut full) = (0, false);
                for _ in 0..count.parse::<u32>()? {
                    match sender.try_hand_off(held()?.try_clone()?) {
                        Ok(()) => accepted += 1,
                        Err(refused) => full |= matches!(refused.error, sharesock::Error::HandOffFull { .. }),
                    }
                }
                self.senders.push(sender);
                return Ok(format!("ok {accepted} {full}"));
            }
            "flush-hand-offs" => {
                for sender in self.senders.drain(..) {
                    sender.flush(std::time::Duration::from_secs(60))?;
                }
            }
            "descriptors" => return Ok(open_descriptors().to_string()),
            "threads" => return Ok(std::fs::read_dir("/proc/self/task")?.count().to_string()),
            "ring" => {
                let (next, seed) = rest.split_once(' ').ok_or("needs a process and a seed")?;
                let receiver = self.receiver.take().ok_or("has no receiver")?;
                self.ring = Some(Ring::start(endpoint()?.clone(), receiver, next.parse()?, seed.parse()?));
            }
            "halt" => {
                self.attic = self.ring.take().ok_or("is in no ring")?.halt()?;
                self.endpoint = None;
                let ids = self.attic.iter().map(|socket| Ok(socket.id()?.as_u64().to_string()));
                return Ok(format!("ok {}", ids.collect::<Result<Vec<_>, sharesock::Error>>()?.join(" ")));
            }
            "clear-attic" => self.attic.clear(),
            "fork" => return Ok(format!("ok {}", fork::fork(endpoint()?, rest)?)),
            _ => {
                if let Some(answer) = self.obey_ending(verb, rest)? {
                    return Ok(answer);
                }
                let answer = self.occurrences.obey(&self.domain, verb, rest, self.held.as_ref())?;
                return answer.ok_or_else(|| "unknown command".into());
            }
        }
        Ok("ok".to_owned())
    }
}
