//! The commands that an actor obeys; to each it answers in one line what it observed.

use crate::observe::{Bytes, Seen};
use crate::options;
use crate::stage::{BRIEF, LONG, address_of, begin_connect, fill, loopback, patiently, take, udp};
use crate::watch::{ID, enumerated, messages, no_message, told, untold};
use anyhow::{Context, Result, bail};
use sharesock::{
    Direction, Domain, Endpoint, Event, MessageQueue, NetworkEvents, Parcel, ProtocolInfo, Receiver, Sender, Socket,
    Turn,
};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;

/// What an actor does until its standard input ends.
pub(crate) fn act(domain: &Path) -> Result<()> {
    let mut actor = Obedient::new(Domain::at(domain)?)?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let answer = match actor.obey(&line) {
            Ok(seen) => format!("seen {seen}"),
            Err(error) => format!("{line:.30}: {error:#}"),
        };
        writeln!(std::io::stdout(), "{answer}")?;
    }
    Ok(())
}

/// What an actor has.
struct Obedient {
    domain: Domain,
    event: Event,
    queue: MessageQueue,
    endpoint: Option<Endpoint>,
    sockets: HashMap<String, Socket>,
    receiver: Option<Receiver>,
    sender: Option<Sender>,
    turn: Option<Turn>,
}

impl Obedient {
    fn new(domain: Domain) -> Result<Self> {
        let (event, queue) = (Event::manual(&domain)?, MessageQueue::new(&domain)?);
        let sockets = HashMap::new();
        Ok(Obedient { domain, event, queue, endpoint: None, sockets, receiver: None, sender: None, turn: None })
    }

    /// A command is a verb, for most of them the name of a socket, and what the verb needs.
    fn obey(&mut self, line: &str) -> Result<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "open" => {
                let opened = Endpoint::open(&self.domain);
                Ok(opened.map(|endpoint| self.endpoint = Some(endpoint)).seen())
            }
            "discard" => Ok(self.endpoint()?.discard(&rest.parse()?).seen()),
            "flush" => Ok(self.endpoint()?.flush(LONG).seen()),
            "take-turn" | "try-turn" | "end-turn" => self.take_turn(verb, rest),
            "receiver" | "take" | "try-take" | "sender" | "hand-off" => self.hand_off(verb, rest),
            "is-set" => Ok(self.event.wait(Some(BRIEF)).seen()),
            "wait" => Ok(self.event.wait(Some(LONG)).seen()),
            "messages" => Ok(messages(&self.queue, rest.parse()?).seen()),
            "no-message" => Ok(no_message(&self.queue).seen()),
            "hear-losses" => Ok(self.event.hear_losses(true).and_then(|()| self.queue.hear_losses(true)).seen()),
            "losses" => {
                self.event.wait(Some(LONG))?;
                Ok(self.event.losses().map(|lost| lost.len()).seen())
            }
            _ => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                match verb {
                    "redeem" => self.redeem(name, &rest.parse()?),
                    "redeem-file" => self.redeem(name, &ProtocolInfo::from_bytes(&std::fs::read(rest)?)?),
                    "redeem-tcp" => {
                        let mut bytes = [0; 628];
                        TcpStream::connect(rest)?.read_exact(&mut bytes)?;
                        self.redeem(name, &ProtocolInfo::from_bytes(&bytes)?)
                    }
                    "redeem-udp" => {
                        let (socket, mut bytes) = (UdpSocket::bind(loopback())?, [0; 629]);
                        socket.set_read_timeout(Some(LONG))?;
                        socket.send_to(b"ready", rest)?;
                        let length = socket.recv(&mut bytes)?;
                        self.redeem(name, &ProtocolInfo::from_bytes(bytes.get(..length).unwrap_or_default())?)
                    }
                    "udp" => {
                        self.keep(name, udp()?.0);
                        Ok(().seen())
                    }
                    "close" => Ok(self.sockets.remove(name).map(drop).seen()),
                    "clone" => {
                        let cloned = self.socket(name)?.try_clone();
                        Ok(cloned.map(|clone| self.keep(rest, clone)).seen())
                    }
                    "accept" => {
                        let accepted = patiently(|| self.socket(name).map_err(std::io::Error::other)?.accept());
                        Ok(accepted.map(|(socket, _)| self.keep(rest, socket)).seen())
                    }
                    "duplicate" => {
                        Ok(self.endpoint()?.duplicate(self.socket(name)?, rest.parse::<u32>()?)?.to_string())
                    }
                    _ => self.use_socket(verb, name, rest),
                }
            }
        }
    }

    /// What is done through a descriptor and leaves it where it is.
    fn use_socket(&self, verb: &str, name: &str, rest: &str) -> Result<String> {
        let socket = self.socket(name)?;
        Ok(match verb {
            "send" => socket.send(rest.as_bytes()).seen(),
            "receive" => take(socket, rest.parse()?).seen(),
            "receive-now" => {
                let mut bytes = vec![0; rest.parse()?];
                let received = socket.recv(&mut bytes);
                received.map(|length| Bytes(bytes.into_iter().take(length).collect())).seen()
            }
            "fill" => {
                let (sent, refused) = fill(socket)?;
                format!("{sent} {}", refused.seen())
            }
            "option" => options::get(socket, rest)?.seen(),
            "set-option" => {
                let (option, value) = rest.split_once(' ').context("an option and its value")?;
                options::set(socket, option, value)?.seen()
            }
            "blocking" => socket.set_nonblocking(rest != "true").seen(),
            "shutdown" => {
                let how = match rest {
                    "read" => Shutdown::Read,
                    "write" => Shutdown::Write,
                    _ => Shutdown::Both,
                };
                socket.shutdown(how).seen()
            }
            "local-address" => address_of(socket)?.to_string(),
            "peer-address" => {
                let address = socket.as_socket().peer_addr();
                address.map(|address| address.as_socket().map(|address| address.to_string())).seen()
            }
            "bind" => socket.bind(&rest.parse::<SocketAddr>()?.into()).seen(),
            "listen" => socket.as_socket().listen(5).seen(),
            "connect" => begin_connect(socket, rest.parse()?).seen(),
            "connection" => format!("{:?}", socket.connection()),
            "id" => socket.id()?.as_u64().to_string(),
            "select" => socket.event_select(&self.event, events(rest)?).seen(),
            "async" => socket.async_select(&self.queue, ID, events(rest)?).seen(),
            "cancel" => socket.cancel_select().seen(),
            "told" => told(socket, &self.event, events(rest)?).seen(),
            "untold" => untold(socket, &self.event).seen(),
            "enumerate" => enumerated(socket).seen(),
            "registrant" => match socket.registration() {
                Ok(Some(registration)) => registration.process.pid().to_string(),
                Ok(None) => "nobody".to_owned(),
                Err(error) => Err::<(), _>(error).seen(),
            },
            _ => bail!("unknown command"),
        })
    }

    fn redeem(&mut self, name: &str, info: &ProtocolInfo) -> Result<String> {
        let redeemed = self.endpoint()?.redeem(info);
        Ok(redeemed.map(|socket| self.keep(name, socket)).seen())
    }

    fn take_turn(&mut self, verb: &str, rest: &str) -> Result<String> {
        if verb == "end-turn" {
            return Ok(self.turn.take().map(drop).seen());
        }
        let (name, direction) = rest.split_once(' ').context("a socket and a direction")?;
        let direction = if direction == "send" { Direction::Send } else { Direction::Receive };
        let turn = match verb {
            "take-turn" => Turn::take_within(&self.domain, self.socket(name)?, direction, LONG),
            _ => Turn::try_take(&self.domain, self.socket(name)?, direction),
        };
        Ok(turn
            .map(|turn| {
                let taken = turn.is_some();
                self.turn = turn.or(self.turn.take());
                taken
            })
            .seen())
    }

    fn hand_off(&mut self, verb: &str, rest: &str) -> Result<String> {
        match verb {
            "receiver" if rest == "close" => Ok(self.receiver.take().map(drop).seen()),
            "receiver" => {
                let opened = self.endpoint()?.receiver();
                Ok(opened.map(|receiver| self.receiver = Some(receiver)).seen())
            }
            "take" | "try-take" => {
                let receiver = self.receiver.as_ref().context("it has no receiver")?;
                let parcel = match verb {
                    "take" => receiver.receive_within(LONG),
                    _ => receiver.receive_within(BRIEF),
                };
                let parts = parcel.map(|parcel| parcel.map(Parcel::into_parts));
                let bytes = parts.map(|parts| {
                    parts.map(|(socket, bytes)| {
                        self.keep(rest, socket);
                        String::from_utf8_lossy(&bytes).into_owned()
                    })
                });
                Ok(bytes.seen())
            }
            "sender" => {
                let opened = self.endpoint()?.sender(rest.parse::<u32>()?);
                Ok(opened.map(|sender| self.sender = Some(sender)).seen())
            }
            _ => {
                let (name, text) = rest.split_once(' ').unwrap_or((rest, ""));
                let socket = self.sockets.remove(name).context("it has no such socket")?;
                let sender = self.sender.as_ref().context("it has no sender")?;
                Ok(sender.hand_off(Parcel::new(socket).with_bytes(text)).seen())
            }
        }
    }

    fn endpoint(&self) -> Result<&Endpoint> {
        self.endpoint.as_ref().context("it has no endpoint")
    }

    fn socket(&self, name: &str) -> Result<&Socket> {
        self.sockets.get(name).with_context(|| format!("it has no socket {name}"))
    }

    fn keep(&mut self, name: &str, socket: Socket) {
        self.sockets.insert(name.to_owned(), socket);
    }
}

/// Network events by their names, such as `READ|CLOSE`.
fn events(names: &str) -> Result<NetworkEvents> {
    names.split('|').filter(|name| !name.is_empty()).try_fold(NetworkEvents::empty(), |events, name| {
        Ok(events | NetworkEvents::from_name(name).with_context(|| format!("no event {name}"))?)
    })
}
