//! The other processes of the benchmark: the same program in another role.
//!
//! A role says `ready` when it can begin and `done` when it has finished; bytes and descriptors reach it over its
//! standard input.

use super::baselines;
use super::{connections, events};
use anyhow::{Context, Result, bail};
use sharesock::{Domain, Endpoint, ProtocolInfo};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What a process of the benchmark does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Role {
    /// Receives so many descriptors by bare system calls from the link that is its standard input.
    FloorSink,
    /// The same, with 628 bytes from a pipe before each; the link is its standard error.
    FloorRedeem,
    /// Receives so many parcels, one at a time.
    Sink,
    /// Receives so many parcels, as many at a time as go into one message.
    SinkMany,
    /// Redeems so many protocol infos that come over its standard input.
    Redeem,
    /// As `Redeem`, and keeps the sockets until its input ends.
    Keep,
    /// As `FloorSink`, and writes one byte to each socket.
    FloorAnswer,
    /// As `Sink`, and writes one byte to each socket.
    Answer,
    /// As `Redeem`, and writes one byte to each socket.
    RedeemAnswer,
    /// Redeems one socket, and for each byte from standard input registers for it, and says so.
    Registers,
    /// Redeems one socket, registers for it, and says whenever it is told of input.
    Told,
    /// Says whenever a byte comes over standard input.
    FloorTold,
    /// Accepts connections and hands each off to one of two workers in turn; their ids come over standard input.
    Front,
    /// Receives connections and answers each.
    Serve,
    /// As `Front`, by bare system calls; the links to the workers are its standard input and standard error.
    FloorFront,
    /// As `Serve`, by bare system calls from the link that is its standard input.
    FloorServe,
    /// Accepts connections from the listener that is its standard input, and answers each.
    FloorAccept,
}

/// The most sockets in one message.
pub(super) const MOST_A_MESSAGE: usize = 252;

/// Plays a role to its end.
pub(crate) fn play(role: Role, count: u32, folder: &Path) -> Result<()> {
    let say = |word: &str| writeln!(std::io::stdout(), "{word}").context("reporting");
    match role {
        Role::FloorSink | Role::FloorRedeem | Role::FloorAnswer => baselines::play(role, count, say)?,
        Role::FloorFront | Role::FloorServe | Role::FloorAccept => baselines::play(role, count, say)?,
        Role::Front | Role::Serve => connections::play(role, folder, say)?,
        Role::Sink => {
            let endpoint = Endpoint::open(&Domain::at(folder)?)?;
            let receiver = endpoint.receiver()?;
            say("ready")?;
            for _ in 0..count {
                drop(receiver.receive()?);
            }
        }
        Role::SinkMany => {
            let endpoint = Endpoint::open(&Domain::at(folder)?)?;
            let receiver = endpoint.receiver()?;
            say("ready")?;
            let mut left = count as usize;
            while left > 0 {
                left = left.saturating_sub(receiver.receive_many(MOST_A_MESSAGE)?.len());
            }
        }
        Role::Redeem | Role::Keep => {
            let endpoint = Endpoint::open(&Domain::at(folder)?)?;
            let mut pipe = std::io::stdin().lock();
            say("ready")?;
            let mut info = [0; 628];
            let mut kept = Vec::new();
            for _ in 0..count {
                pipe.read_exact(&mut info)?;
                let socket = endpoint.redeem(&ProtocolInfo::from_bytes(&info)?)?;
                if role == Role::Keep {
                    kept.push(socket);
                }
            }
            say("done")?;
            // Kept until the benchmark closes the pipe.
            let _ = pipe.read(&mut [0; 1])?;
            return Ok(());
        }
        Role::Registers | Role::Told => return events::play(role, count, folder),
        Role::FloorTold => {
            let mut pipe = std::io::stdin().lock();
            say("ready")?;
            for _ in 0..count {
                pipe.read_exact(&mut [0])?;
                say("told")?;
            }
        }
        Role::Answer => {
            let endpoint = Endpoint::open(&Domain::at(folder)?)?;
            let receiver = endpoint.receiver()?;
            say("ready")?;
            for _ in 0..count {
                receiver.receive()?.into_parts().0.write_all(b"x")?;
            }
        }
        Role::RedeemAnswer => {
            let endpoint = Endpoint::open(&Domain::at(folder)?)?;
            let mut pipe = std::io::stdin().lock();
            say("ready")?;
            let mut info = [0; 628];
            for _ in 0..count {
                pipe.read_exact(&mut info)?;
                endpoint.redeem(&ProtocolInfo::from_bytes(&info)?)?.write_all(b"x")?;
            }
        }
    }
    say("done")
}

/// A process in a role; it is killed when dropped.
#[derive(Debug)]
pub(crate) struct Actor {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Actor {
    /// Starts a process in a role, with a standard input and, if need be, a link as its standard error.
    pub(crate) fn start(
        role: Role,
        count: u32,
        folder: &Path,
        input: impl Into<Stdio>,
        link: Option<Stdio>,
    ) -> Result<Self> {
        let name = clap::ValueEnum::to_possible_value(&role).context("a role without a name")?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command.args(["bench-role", name.get_name(), &count.to_string()]).arg(folder);
        command.stdin(input).stdout(Stdio::piped());
        if let Some(link) = link {
            command.stderr(link);
        }
        let mut child = command.spawn().context("starting a process of the benchmark")?;
        let output = BufReader::new(child.stdout.take().context("a process without output")?);
        let mut actor = Actor { child, output };
        actor.expect("ready")?;
        Ok(actor)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn input(&mut self) -> Result<ChildStdin> {
        self.child.stdin.take().context("a process without input")
    }

    /// The next line that the process says.
    pub(crate) fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line)
    }

    /// Waits until the process says `word`.
    pub(crate) fn expect(&mut self, word: &str) -> Result<()> {
        let line = self.line()?;
        match line.trim_end() == word {
            true => Ok(()),
            false => bail!("a process of the benchmark said {line:?} instead of {word:?}"),
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
