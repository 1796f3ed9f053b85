//! How others pass a socket between processes and get an answer, measured in the same run.

use super::Bench;
use super::baselines;
use super::measure::{Figure, each};
use super::roles::{Actor, Role};
use anyhow::{Context, Result};
use sharesock::Socket;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A way to pass a socket, one at a time, each answered before the next.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Peer {
    pub(crate) way: &'static str,
    /// Nothing when it is not installed.
    pub(crate) figure: Option<Figure>,
}

/// Prints one median a line: microseconds from sending a socket to reading a byte that the other process wrote to it.
const PYTHON: &str = r#"
import socket, sys, time
from multiprocessing import Pipe, Process, reduction
def child(pipe, way):
    while True:
        one = socket.socket(fileno=reduction.recv_handle(pipe)) if way == "handle" else pipe.recv()
        one.send(b"x"); one.close()
mine, theirs = Pipe(True)
process = Process(target=child, args=(theirs, sys.argv[1]), daemon=True); process.start()
outside, inside = socket.socketpair()
for round in range(int(sys.argv[2])):
    count = int(sys.argv[3]); started = time.perf_counter()
    for _ in range(count):
        if sys.argv[1] == "handle": reduction.send_handle(mine, inside.fileno(), process.pid)
        else: mine.send(inside)
        outside.recv(1)
    print((time.perf_counter() - started) * 1e6 / count, flush=True)
process.terminate()
"#;

/// The same for Node, answered by a message of the child.
const NODE: &str = r#"
const net = require("net"), { fork } = require("child_process");
if (process.argv[2] === "child") { process.on("message", (m, socket) => process.send("x")); return; }
const [rounds, count] = process.argv.slice(2).map(Number), child = fork(__filename, ["child"]);
const server = net.createServer((socket) => {
  let left = count, round = 0, started = process.hrtime.bigint();
  const next = () => child.send("s", socket, { keepOpen: true });
  child.on("message", () => {
    if (--left === 0) {
      console.log(Number(process.hrtime.bigint() - started) / 1e3 / count);
      if (++round === rounds) process.exit(0);
      left = count; started = process.hrtime.bigint();
    }
    next();
  });
  next();
}).listen(0, "127.0.0.1", () => net.connect(server.address().port, "127.0.0.1"));
"#;

pub(crate) fn all(bench: &Bench) -> Result<Vec<Peer>> {
    let mut peers = Vec::new();
    if baselines::MEASURED {
        peers.push(Peer { way: "bare sendmsg and recvmsg", figure: Some(bare(bench)?) });
    }
    peers.extend([
        Peer { way: "sharesock: hand off", figure: Some(hand_off(bench)?) },
        Peer { way: "sharesock: duplicate, info over a pipe, redeem", figure: Some(redeem(bench)?) },
    ]);
    for (way, kind, count) in [
        ("Python: multiprocessing, send_handle", "handle", 2000),
        ("Python: multiprocessing, pickled socket", "pickle", 500),
    ] {
        let numbers = [bench.rounds.to_string(), bench.count(count).to_string()];
        bench.progress.say(way, 1, 1);
        let figure = foreign(Command::new("python3").args(["-c", PYTHON, kind]).args(numbers))?;
        peers.push(Peer { way, figure });
    }
    let script = bench.domain.with_file_name("node.js");
    std::fs::write(&script, NODE).context("writing Node's script")?;
    let numbers = [bench.rounds.to_string(), bench.count(1000).to_string()];
    let way = "Node: child.send(socket)";
    bench.progress.say(way, 1, 1);
    let figure = foreign(Command::new("node").arg(script).args(numbers))?;
    peers.push(Peer { way, figure });
    Ok(peers)
}

/// Runs a program that prints one time a line; nothing when it is not installed.
fn foreign(command: &mut Command) -> Result<Option<Figure>> {
    let output = match command.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        output => output.with_context(|| format!("running {:?}", command.get_program()))?,
    };
    let complaint = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{:?} failed: {complaint}", command.get_program());
    let times = String::from_utf8_lossy(&output.stdout).lines().map(str::parse).collect::<Result<_, _>>();
    Ok(Some(Figure::of(times.context("reading a time")?)))
}

/// One round: sends the inner socket so often, and reads what the other process answers over it.
fn rounds(
    bench: &Bench,
    what: &str,
    mut round: impl FnMut(u32, &Socket, &mut socket2::Socket) -> Result<Instant>,
) -> Result<Figure> {
    let count = bench.count(10_000);
    let (mut outside, inside) = baselines::pair()?;
    let inside = Socket::from(inside);
    let mut times = Vec::new();
    for number in 1..=bench.rounds {
        bench.progress.say(what, number, bench.rounds);
        let started = round(count, &inside, &mut outside)?;
        times.push(each(started.elapsed(), count));
    }
    Ok(Figure::of(times))
}

fn bare(bench: &Bench) -> Result<Figure> {
    rounds(bench, "bare system calls, answered", |count, inside, outside| {
        baselines::answered(bench, count, inside, outside)
    })
}

fn hand_off(bench: &Bench) -> Result<Figure> {
    let endpoint = bench.endpoint()?;
    rounds(bench, "handing off, answered", |count, inside, outside| {
        let actor = Actor::start(Role::Answer, count, bench.domain(), Stdio::null(), None)?;
        let sender = endpoint.sender(actor.pid())?;
        let started = Instant::now();
        for _ in 0..count {
            sender.hand_off(inside.try_clone()?)?;
            outside.read_exact(&mut [0; 1])?;
        }
        Ok(started)
    })
}

fn redeem(bench: &Bench) -> Result<Figure> {
    let endpoint = bench.endpoint()?;
    rounds(bench, "redeeming, answered", |count, inside, outside| {
        let mut actor = Actor::start(Role::RedeemAnswer, count, bench.domain(), Stdio::piped(), None)?;
        let (mut pipe, target) = (actor.input()?, sharesock::Process::from_pid(actor.pid())?);
        let started = Instant::now();
        for _ in 0..count {
            pipe.write_all(&endpoint.duplicate(inside, target)?.to_wide_bytes())?;
            outside.read_exact(&mut [0; 1])?;
        }
        Ok(started)
    })
}
