//! The process that a fault is injected into, and its partner: this test program, obeying commands.
//!
//! It reads and writes by `readv` and `writev`, which the library never calls, so that its own calls are not counted.

use super::{ANSWER, VARIABLE};
use sharesock::{
    Domain, DuplicateOptions, Endpoint, Parcel, ProtocolInfo, Receiver, Revocation, Sender, Socket, SpawnExt,
};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What an actor has.
struct Actor {
    domain: Domain,
    /// Sockets of which it has the only descriptor.
    own: VecDeque<Socket>,
    duplicates: Vec<Socket>,
    endpoint: Option<Endpoint>,
    receiver: Option<Receiver>,
    sender: Option<Sender>,
    revocation: Option<Revocation>,
    children: Vec<Child>,
    files: Vec<File>,
}

/// Not a test of its own: what an actor runs. Without the variable it has nothing to do.
#[test]
fn actor() {
    let Some(domain) = std::env::var_os(VARIABLE) else { return };
    let mut actor = Actor {
        domain: Domain::at(domain).unwrap(),
        own: VecDeque::new(),
        duplicates: Vec::new(),
        endpoint: None,
        receiver: None,
        sender: None,
        revocation: None,
        children: Vec::new(),
        files: Vec::new(),
    };
    let file = |descriptor: BorrowedFd<'_>| File::from(descriptor.try_clone_to_owned().unwrap());
    let (mut input, mut output) = (file(std::io::stdin().as_fd()), file(std::io::stdout().as_fd()));
    let mut say = |text: &str| {
        let line = format!("{ANSWER}{text}\n");
        assert_eq!(output.write_vectored(&[IoSlice::new(line.as_bytes())]).unwrap(), line.len());
    };
    say("ok");
    let mut pending = Vec::new();
    loop {
        let mut bytes = [0; 4096];
        let count = input.read_vectored(&mut [IoSliceMut::new(&mut bytes)]).unwrap();
        if count == 0 {
            return;
        }
        pending.extend_from_slice(&bytes[..count]);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = pending.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            match actor.obey(line.trim_end()) {
                Ok(text) => say(format!("ok {text}").trim_end()),
                Err(error) => say(&format!("error {}", error.to_string().replace('\n', " "))),
            }
        }
    }
}

impl Actor {
    fn obey(&mut self, line: &str) -> Result<String, Failure> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = || rest.parse::<usize>();
        match verb {
            "ping" => {}
            "connect" => return self.connect(rest),
            "open" if self.endpoint.is_none() => self.endpoint = Some(Endpoint::open(&self.domain)?),
            "receiver" if self.receiver.is_none() => self.receiver = Some(self.endpoint()?.receiver()?),
            "sender" if self.sender.is_none() => self.sender = Some(self.endpoint()?.sender(rest.parse::<u32>()?)?),
            "open" | "receiver" | "sender" => {}
            "hand-off" => return self.hand_off(),
            "hand-off-many" => return self.hand_off_many(number()?),
            "outstanding" => return Ok(self.sender()?.outstanding().to_string()),
            "flush-sender" => self.sender()?.flush(Duration::from_millis(rest.parse()?))?,
            "reclaim" => return self.reclaim(),
            "receive" => return self.receive(Duration::from_millis(rest.parse()?)),
            "receive-forever" => {
                let parcel = self.receiver()?.receive()?;
                return self.keep([parcel]);
            }
            "receive-many" => {
                let parcels = self.receiver()?.receive_many(number()?)?;
                return self.keep(parcels);
            }
            "drain" => {
                let mut ids = String::new();
                while self.receiver.is_some() {
                    let id = self.receive(Duration::from_millis(20))?;
                    if id.is_empty() {
                        break;
                    }
                    ids = format!("{ids} {id}");
                }
                return Ok(ids);
            }
            "duplicate" => return Ok(self.endpoint()?.duplicate(self.first()?, rest.parse::<u32>()?)?.to_string()),
            "duplicate-expired" => {
                let options = DuplicateOptions::new().expires_in(Duration::from_nanos(1));
                let info = self.endpoint()?.duplicate_with(self.first()?, rest.parse::<u32>()?, &options)?;
                return Ok(info.to_string());
            }
            "duplicate-revocable" => {
                let options = DuplicateOptions::new();
                let made = self.endpoint()?.duplicate_revocable(self.first()?, rest.parse::<u32>()?, &options)?;
                self.revocation = Some(made.1);
                return Ok(made.0.to_string());
            }
            "revoke" => self.revocation.take().ok_or("has nothing to revoke")?.revoke()?,
            "redeem" => {
                let socket = self.endpoint()?.redeem(&rest.parse::<ProtocolInfo>()?)?;
                let id = socket.id()?.as_u64().to_string();
                self.duplicates.push(socket);
                return Ok(id);
            }
            "flush" => self.endpoint()?.flush(Duration::from_millis(rest.parse()?))?,
            "spawn" => {
                let mut command = Command::new("cat");
                command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
                let child = command.spawn_with_endpoint(self.endpoint()?)?;
                let pid = child.id().to_string();
                self.children.push(child);
                return Ok(pid);
            }
            "few-descriptors" => {
                let limit = rustix::process::Rlimit { current: Some(64), maximum: Some(64) };
                rustix::process::setrlimit(rustix::process::Resource::Nofile, limit)?;
                while let Ok(file) = File::open("/dev/null") {
                    self.files.push(file);
                }
                self.files.truncate(self.files.len().saturating_sub(number()?));
            }
            "free-descriptors" => self.files.clear(),
            "have" => return ids(self.own.iter()),
            "drop-sender" => self.sender = None,
            "drop-receiver" => self.receiver = None,
            "drop-endpoint" => self.endpoint = None,
            "clear" => self.clear(),
            _ => return Err("unknown command".into()),
        }
        Ok(String::new())
    }

    fn endpoint(&self) -> Result<&Endpoint, Failure> {
        Ok(self.endpoint.as_ref().ok_or("has no endpoint")?)
    }

    fn receiver(&self) -> Result<&Receiver, Failure> {
        Ok(self.receiver.as_ref().ok_or("has no receiver")?)
    }

    fn sender(&self) -> Result<&Sender, Failure> {
        Ok(self.sender.as_ref().ok_or("has no sender")?)
    }

    fn first(&self) -> Result<&Socket, Failure> {
        Ok(self.own.front().ok_or("has no socket")?)
    }

    fn connect(&mut self, rest: &str) -> Result<String, Failure> {
        let (port, count) = rest.split_once(' ').ok_or("needs a port and a count")?;
        for _ in 0..count.parse::<u32>()? {
            self.own.push_back(TcpStream::connect((Ipv4Addr::LOCALHOST, port.parse()?))?.into());
        }
        ids(self.own.iter())
    }

    fn hand_off(&mut self) -> Result<String, Failure> {
        self.sender()?;
        let id = self.first()?.id()?.as_u64().to_string();
        let socket = self.own.pop_front().ok_or("has no socket")?;
        let sent = self.sender()?.hand_off(Parcel::new(socket).with_bytes(id.clone()));
        match sent {
            Ok(()) => Ok(id),
            Err(refused) => {
                self.own.push_front(refused.parcel.into_parts().0);
                Err(refused.error.into())
            }
        }
    }

    /// Answers with those that were accepted, also when then an error came.
    fn hand_off_many(&mut self, count: usize) -> Result<String, Failure> {
        self.sender()?;
        let mut parcels: VecDeque<Parcel> = VecDeque::new();
        for socket in self.own.drain(..count.min(self.own.len())) {
            let id = socket.id()?.as_u64().to_string();
            parcels.push_back(Parcel::new(socket).with_bytes(id));
        }
        let all = ids(parcels.iter().map(Parcel::socket))?;
        let sender = self.sender.as_ref().ok_or("has no sender")?;
        let sent = sender.hand_off_many(&mut parcels);
        let left = parcels.len();
        self.own.extend(parcels.into_iter().map(|parcel| parcel.into_parts().0));
        let all: Vec<_> = all.split_whitespace().collect();
        match sent {
            Err(error) if all.len() == left => Err(error.into()),
            _ => Ok(all[..all.len() - left].join(" ")),
        }
    }

    /// Takes everything back, and gives the sender up.
    fn reclaim(&mut self) -> Result<String, Failure> {
        let mut back = VecDeque::new();
        if let Some(sender) = &self.sender {
            loop {
                match sender.reclaim_some() {
                    Ok(some) if some.is_empty() => break,
                    Ok(some) => back.extend(some),
                    Err(error) if back.is_empty() => return Err(error.into()),
                    Err(_) => break,
                }
            }
        }
        // It is asked once more when something came and then an error.
        if back.is_empty() {
            self.sender = None;
        }
        self.keep(back)
    }

    fn receive(&mut self, within: Duration) -> Result<String, Failure> {
        let parcel = self.receiver()?.receive_within(within)?;
        self.keep(parcel)
    }

    /// Keeps what came, in whose bytes its identity is.
    fn keep(&mut self, parcels: impl IntoIterator<Item = Parcel>) -> Result<String, Failure> {
        let mut came = Vec::new();
        for parcel in parcels {
            let (socket, bytes) = parcel.into_parts();
            let id = socket.id()?.as_u64().to_string();
            if !bytes.is_empty() && bytes != id.as_bytes() {
                return Err("DAMAGED: the bytes are those of another socket".into());
            }
            came.push(id);
            self.own.push_back(socket);
        }
        Ok(came.join(" "))
    }

    fn clear(&mut self) {
        for mut child in self.children.drain(..) {
            let _ = child.kill();
            let _ = child.wait();
        }
        self.revocation = None;
        self.sender = None;
        self.receiver = None;
        self.endpoint = None;
        self.own.clear();
        self.duplicates.clear();
        self.files.clear();
    }
}

fn ids<'a>(sockets: impl Iterator<Item = &'a Socket>) -> Result<String, Failure> {
    let ids = sockets.map(|socket| Ok(socket.id()?.as_u64().to_string()));
    Ok(ids.collect::<Result<Vec<_>, sharesock::Error>>()?.join(" "))
}
