//! The other processes of the tour: the same program, obeying commands line by line.

use anyhow::{Context, Result, bail, ensure};
use sharesock::{Domain, Endpoint, Event, Message, MessageQueue, NetworkEvents, ProtocolInfo, Socket};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Another process.
#[derive(Debug)]
pub(super) struct Actor {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Actor {
    pub(super) fn start(domain: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.arg("tour-actor").arg(domain).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("starting another process")?;
        let (input, output) =
            (child.stdin.take().context("no standard input")?, child.stdout.take().context("no standard output")?);
        let mut actor = Actor { child, input, output: BufReader::new(output) };
        ensure!(actor.answer()? == "ready", "the other process did not start");
        Ok(actor)
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it do something; what it answers. A refusal is an error.
    pub(super) fn ask(&mut self, command: &str) -> Result<String> {
        let answer = self.try_ask(command)?;
        answer.map_err(|refusal| anyhow::anyhow!("process {} answered to {command:.20}: {refusal}", self.pid()))
    }

    /// The same, when a refusal is what is looked for.
    pub(super) fn try_ask(&mut self, command: &str) -> Result<Result<String, String>> {
        writeln!(self.input, "{command}").context("another process ended")?;
        let answer = self.answer()?;
        Ok(match answer.strip_prefix("error ") {
            Some(refusal) => Err(refusal.to_owned()),
            None => Ok(answer),
        })
    }

    pub(super) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    fn answer(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.output.read_line(&mut line)? > 0, "another process ended");
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What such a process does until its standard input ends.
pub(crate) fn act(domain: &Path) -> Result<()> {
    let domain = Domain::at(domain)?;
    let (endpoint, event, queue) = (Endpoint::open(&domain)?, Event::manual(&domain)?, MessageQueue::new(&domain)?);
    let mut state = ActorState { endpoint, event, queue, socket: None, receiver: None };
    let say = |text: &str| writeln!(std::io::stdout(), "{text}");
    say("ready")?;
    for line in std::io::stdin().lines() {
        match state.obey(&line?) {
            Ok(answer) => say(&answer)?,
            Err(error) => say(&format!("error {error:#}"))?,
        }
    }
    Ok(())
}

struct ActorState {
    endpoint: Endpoint,
    event: Event,
    queue: MessageQueue,
    socket: Option<Socket>,
    receiver: Option<sharesock::Receiver>,
}

impl ActorState {
    fn obey(&mut self, line: &str) -> Result<String> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let socket = || self.socket.as_ref().context("it holds no socket");
        match verb {
            "redeem" => return self.redeem(rest.parse()?),
            "redeem-file" => return self.redeem(ProtocolInfo::from_bytes(&std::fs::read(rest)?)?),
            "redeem-tcp" => {
                let mut bytes = [0; 628];
                std::net::TcpStream::connect(rest)?.read_exact(&mut bytes)?;
                return self.redeem(ProtocolInfo::from_bytes(&bytes)?);
            }
            "send" => (&mut socket()?).write_all(rest.as_bytes())?,
            "receive" => {
                let mut bytes = vec![0; rest.parse()?];
                (&mut socket()?).read_exact(&mut bytes)?;
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            "keepalive" => return Ok(socket()?.as_socket().keepalive()?.to_string()),
            "set-keepalive" => socket()?.as_socket().set_keepalive(rest == "true")?,
            "event-select" => socket()?.event_select(&self.event, events(rest)?)?,
            "async-select" => socket()?.async_select(&self.queue, 1, events(rest)?)?,
            // What it is told, by whichever means, within so many milliseconds.
            "told" => {
                let time = Duration::from_millis(rest.parse()?);
                let until = std::time::Instant::now() + time;
                loop {
                    if self.event.wait(Some(Duration::ZERO))? {
                        return Ok(socket()?.enum_network_events(Some(&self.event))?.events().to_string());
                    }
                    if let Some(Message::Network { event, .. }) = self.queue.get_within(Duration::from_millis(1))? {
                        return Ok(format!("message {event}"));
                    }
                    if std::time::Instant::now() > until {
                        return Ok("nothing".to_owned());
                    }
                }
            }
            "close" => self.socket = None,
            "open-receiver" => self.receiver = Some(self.endpoint.receiver()?),
            "take" => {
                let parcel = self.receiver.as_ref().context("it has no receiver")?.receive()?;
                let (socket, bytes) = parcel.into_parts();
                self.socket = Some(socket);
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            _ => bail!("unknown command {verb}"),
        }
        Ok("done".to_owned())
    }

    fn redeem(&mut self, info: ProtocolInfo) -> Result<String> {
        let socket = self.endpoint.redeem(&info)?;
        let id = socket.id()?.as_u64();
        self.socket = Some(socket);
        Ok(id.to_string())
    }
}

fn events(names: &str) -> Result<NetworkEvents> {
    let events =
        names.split(' ').map(NetworkEvents::from_name).collect::<Option<Vec<_>>>().context("unknown events")?;
    Ok(events.into_iter().collect())
}
