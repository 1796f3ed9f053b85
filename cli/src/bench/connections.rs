//! Connections that a front process accepts and two workers serve: what the clients feel.

use super::Bench;
use super::baselines;
use super::measure::{Figure, each, quantile};
use super::roles::{Actor, Role};
use super::rows::{Beside, Row};
use anyhow::{Context, Result, bail};
use sharesock::{Domain, Endpoint};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Processes that serve.
pub(crate) const WORKERS: usize = 2;

/// A server on the loopback interface; its processes are killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    port: u16,
    /// First, for it is killed first: a front whose workers are gone would complain.
    _front: Actor,
    _workers: Vec<Actor>,
}

impl Service {
    pub(crate) fn new(port: u16, front: Actor, workers: Vec<Actor>) -> Self {
        Service { port, _front: front, _workers: workers }
    }
}

/// Serves a connection: reads a byte, answers with the time, and closes.
pub(crate) fn answer(mut connection: impl Read + Write) -> Result<()> {
    connection.read_exact(&mut [0])?;
    // The client takes this for the moment of the close, which comes next.
    Ok(connection.write_all(&baselines::clock().to_ne_bytes())?)
}

/// The port that a front says it listens on.
pub(crate) fn stated_port(front: &mut Actor) -> Result<u16> {
    let line = front.line()?;
    line.trim_end().parse().with_context(|| format!("a front said {line:?} instead of its port"))
}

/// A front that hands each connection off through the library.
fn handing(bench: &Bench) -> Result<Service> {
    let worker = || Actor::start(Role::Serve, 0, bench.domain(), Stdio::null(), None);
    let workers = (0..WORKERS).map(|_| worker()).collect::<Result<Vec<_>>>()?;
    let mut front = Actor::start(Role::Front, 0, bench.domain(), Stdio::piped(), None)?;
    let mut input = front.input()?;
    for worker in &workers {
        writeln!(input, "{}", worker.pid())?;
    }
    drop(input);
    let port = stated_port(&mut front)?;
    Ok(Service::new(port, front, workers))
}

/// The processes of a server that uses the library; they end when they are killed.
pub(super) fn play(role: Role, folder: &Path, say: impl Fn(&str) -> Result<()>) -> Result<()> {
    let endpoint = Endpoint::open(&Domain::at(folder)?)?;
    if role == Role::Serve {
        let receiver = endpoint.receiver()?;
        say("ready")?;
        loop {
            answer(receiver.receive()?.into_parts().0)?;
        }
    }
    say("ready")?;
    let workers = std::io::read_to_string(std::io::stdin())?;
    let senders = workers.lines().map(|pid| Ok(endpoint.sender(pid.parse::<u32>()?)?)).collect::<Result<Vec<_>>>()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    say(&listener.local_addr()?.port().to_string())?;
    for (connection, sender) in listener.incoming().zip(senders.iter().cycle()) {
        sender.hand_off(sharesock::Socket::from(connection?))?;
    }
    Ok(())
}

/// Connects and waits for the end of the stream; microseconds from the worker's close to that.
fn visit(port: u16) -> Result<f64> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting")?;
    // The client's close resets the connection, so that its port can be used again at once.
    SockRef::from(&connection).set_linger(Some(Duration::ZERO))?;
    connection.write_all(b"x")?;
    let mut closed = [0; 8];
    connection.read_exact(&mut closed).context("waiting for an answer")?;
    if connection.read(&mut [0])? != 0 {
        bail!("a worker said more than it should");
    }
    let took = baselines::clock().saturating_sub(u64::from_ne_bytes(closed));
    Ok(Duration::from_nanos(took).as_secs_f64() * 1e6)
}

/// Microseconds for each of `count` connections of so many clients at a time.
fn load(service: &Service, clients: u32, count: u32) -> Result<f64> {
    let port = service.port;
    // Opens what a process opens at first use.
    for _ in 0..4 * WORKERS {
        visit(port)?;
    }
    let share = count.div_ceil(clients);
    let client = move || (0..share).try_for_each(|_| visit(port).map(drop));
    let started = Instant::now();
    let running: Vec<_> = (0..clients).map(|_| std::thread::spawn(client)).collect();
    for client in running {
        client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
    }
    Ok(each(started.elapsed(), share * clients))
}

/// A way to serve, and how it is called.
type Way<'a> = (&'static str, &'a dyn Fn(&Bench) -> Result<Service>);

/// Measures the library, bare system calls and other ways in turn.
fn in_turn(
    bench: &Bench,
    work: &str,
    bound: Option<(f64, f64)>,
    ways: &[Way<'_>],
    measure: &dyn Fn(&Service) -> Result<f64>,
) -> Result<Row> {
    let (mut ours, mut bare) = (Vec::new(), vec![Vec::new(); ways.len()]);
    for round in 1..=bench.rounds {
        bench.progress.say(work, round, bench.rounds);
        if baselines::MEASURED {
            for ((way, start), times) in ways.iter().zip(&mut bare) {
                times.push(
                    start(bench).and_then(|service| measure(&service)).with_context(|| format!("{work}: {way}"))?,
                );
            }
        }
        ours.push(handing(bench).and_then(|service| measure(&service)).with_context(|| format!("measuring: {work}"))?);
    }
    let ours = Figure::of(ours);
    let names = ways.iter().map(|(way, _)| *way);
    let mut figures = names.zip(bare).filter(|_| baselines::MEASURED).map(|(way, times)| (way, Figure::of(times)));
    let floor = figures.next();
    let beside = figures.map(|(way, figure)| Beside { way, figure }).collect();
    let ratio = floor.as_ref().map(|(_, floor)| ours.median_us / floor.median_us);
    let (floor_is, floor) = floor.map_or(("", None), |(way, figure)| (way, Some(figure)));
    Ok(Row { work: work.to_owned(), floor, floor_is, ours, ratio, bound, beside })
}

const BARE: Way<'static> = ("accept, sendmsg, close | recvmsg, read, write, close", &baselines::handing);
const ASKING: Way<'static> = ("the floor, with all that the library asks the kernel", &baselines::asking);

/// What a connection takes when so many clients come again and again.
pub(super) fn served(bench: &Bench, work: &str, clients: u32) -> Result<Row> {
    let count = bench.count(6000 * clients.min(4));
    let shared: Way<'_> = ("no front: both workers accept from one listener", &baselines::accepting);
    in_turn(bench, work, Some((1.05, 1.0)), &[BARE, ASKING, shared], &|service| load(service, clients, count))
}

/// How long after a worker's close its client reads the end of the stream.
pub(super) fn ending(bench: &Bench, work: &str, part: f64) -> Result<Row> {
    let count = bench.count(4000);
    let measure = |service: &Service| {
        let times = (0..count).map(|_| visit(service.port)).collect::<Result<Vec<_>>>()?;
        Ok(quantile(times, part))
    };
    in_turn(bench, work, None, &[BARE], &measure)
}
