//! The rows of the table: each measures its floor and the library in turn, so that both see the same machine.

use super::baselines;
use super::measure::{Figure, each};
use super::roles::{Actor, MOST_A_MESSAGE, Role};
use super::{Bench, connections, events};
use anyhow::{Context, Result};
use sharesock::{Domain, Endpoint, Parcel, Socket};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::Stdio;
use std::time::Instant;

/// One line of the table.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Row {
    /// What is done.
    pub(crate) work: String,
    /// The same by bare system calls, or at another size.
    pub(crate) floor: Option<Figure>,
    /// What that is.
    pub(crate) floor_is: &'static str,
    pub(crate) ours: Figure,
    /// The ratio of the medians.
    pub(crate) ratio: Option<f64>,
    /// What the ratio must not exceed, and what is aimed at.
    pub(crate) bound: Option<(f64, f64)>,
    /// The same work done in other ways, for comparison.
    pub(crate) beside: Vec<Beside>,
}

/// Another way to do the work of a row.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Beside {
    pub(crate) way: &'static str,
    pub(crate) figure: Figure,
}

/// A measurement of one round: microseconds for one operation.
pub(super) type Round<'a> = &'a dyn Fn() -> Result<f64>;

impl Bench {
    pub(super) fn count(&self, full: u32) -> u32 {
        (full / self.divisor).max(1)
    }

    pub(super) fn endpoint(&self) -> Result<Endpoint> {
        Ok(Endpoint::open(&Domain::at(&self.domain)?)?)
    }

    /// Measures floor and library in turn.
    pub(super) fn row(
        &self,
        work: &str,
        floor_is: &'static str,
        bound: (f64, f64),
        floor: Round<'_>,
        ours: Round<'_>,
    ) -> Result<Row> {
        let (mut times, mut figures) = (Vec::new(), Vec::new());
        for round in 1..=self.rounds {
            self.progress.say(work, round, self.rounds);
            if baselines::MEASURED {
                times.push(floor().with_context(|| format!("measuring the floor of: {work}"))?);
            }
            figures.push(ours().with_context(|| format!("measuring: {work}"))?);
        }
        let (floor, ours) = (baselines::MEASURED.then(|| Figure::of(times)), Figure::of(figures));
        let ratio = floor.as_ref().map(|floor| ours.median_us / floor.median_us);
        Ok(Row { work: work.to_owned(), floor, floor_is, ours, ratio, bound: Some(bound), beside: Vec::new() })
    }
}

/// All rows that need nothing but the library.
pub(crate) fn all(bench: &Bench) -> Result<Vec<Row>> {
    let endpoint = bench.endpoint()?;
    let socket = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
    type Measure<'a> = &'a dyn Fn(&'static str) -> Result<Row>;
    let rows: [(_, Measure<'_>); 18] = [
        ("hand off, one socket a message", &|work| single(bench, work, &endpoint, &socket)),
        ("hand off, 252 sockets a message", &|work| batch(bench, work, &endpoint, &socket)),
        ("connections through a front to 2 workers, 1 client", &|work| connections::served(bench, work, 1)),
        ("connections through a front to 2 workers, 8 clients", &|work| connections::served(bench, work, 8)),
        ("connections through a front to 2 workers, 64 clients", &|work| connections::served(bench, work, 64)),
        ("worker's close to client's end of stream, median", &|work| connections::ending(bench, work, 0.5)),
        ("worker's close to client's end, 99th percentile", &|work| connections::ending(bench, work, 0.99)),
        ("duplicate, 628 bytes through a pipe, redeem", &|work| redeem(bench, work, &endpoint, &socket)),
        ("send, then recv through a shared descriptor", &|work| io(bench, work, &endpoint)),
        ("recv of a socket for which nobody is registered", &|work| events::unregistered(bench, work, &endpoint)),
        ("wait, enumerate, recv", &|work| events::harvest(bench, work, events::ROOM, (1.15, 1.10))),
        ("wait, enumerate, recv that fills its buffer", &|work| events::harvest(bench, work, 1, (1.15, 1.10))),
        ("the same with 10,000 sockets on one event object", &|work| events::many(bench, work)),
        ("registering a socket", &|work| events::registering(bench, work)),
        ("taking a registration over from another process", &|work| events::taking_over(bench, work, &endpoint)),
        ("waking the owner by receiving elsewhere", &|work| events::waking(bench, work, &endpoint)),
        ("duplicate among 64 processes sharing 10", &|work| crowd(bench, work, &endpoint, 64, 10)),
        ("duplicate among 64 processes sharing 100,000", &|work| crowd(bench, work, &endpoint, 64, 100_000)),
    ];
    let wanted = rows.into_iter().filter(|(work, _)| bench.only.as_ref().is_none_or(|only| work.contains(only)));
    wanted.map(|(work, measure)| measure(work)).collect()
}

fn single(bench: &Bench, work: &str, endpoint: &Endpoint, socket: &Socket) -> Result<Row> {
    let count = bench.count(200_000);
    let floor = || baselines::single(bench, count, socket);
    let ours = || {
        let mut sink = Actor::start(Role::Sink, count, bench.domain(), Stdio::null(), None)?;
        let sender = endpoint.sender(sink.pid())?;
        let started = Instant::now();
        for _ in 0..count {
            sender.hand_off(Parcel::new(socket.try_clone()?))?;
        }
        sink.expect("done")?;
        Ok(each(started.elapsed(), count))
    };
    let floor_is = "dup, sendmsg, close | recvmsg, close";
    bench.row(work, floor_is, (1.10, 1.05), &floor, &ours)
}

fn batch(bench: &Bench, work: &str, endpoint: &Endpoint, socket: &Socket) -> Result<Row> {
    let messages = bench.count(4000);
    let count = messages * u32::try_from(MOST_A_MESSAGE)?;
    let copies = || (0..MOST_A_MESSAGE).map(|_| socket.try_clone()).collect::<Result<Vec<_>, _>>();
    let floor = || baselines::batch(bench, messages, socket);
    let ours = || {
        let mut sink = Actor::start(Role::SinkMany, count, bench.domain(), Stdio::null(), None)?;
        let sender = endpoint.sender(sink.pid())?;
        let started = Instant::now();
        for _ in 0..messages {
            let mut parcels: VecDeque<_> = copies()?.into_iter().map(Parcel::new).collect();
            sender.hand_off_many(&mut parcels)?;
        }
        sink.expect("done")?;
        Ok(each(started.elapsed(), count))
    };
    let floor_is = "252 a message: dup, sendmsg, close | recvmsg, close";
    bench.row(work, floor_is, (1.05, 1.02), &floor, &ours)
}

fn redeem(bench: &Bench, work: &str, endpoint: &Endpoint, socket: &Socket) -> Result<Row> {
    let count = bench.count(100_000);
    let floor = || baselines::redeem(bench, count, socket);
    let ours = || redeem_round(bench, endpoint, socket, count);
    let floor_is = "sendmsg, write 628 | read 628, recvmsg, getsockopt SO_COOKIE, close";
    bench.row(work, floor_is, (1.20, 1.15), &floor, &ours)
}

fn io(bench: &Bench, work: &str, endpoint: &Endpoint) -> Result<Row> {
    let count = bench.count(300_000);
    let (one, two) = baselines::pair()?;
    let info = endpoint.duplicate(&Socket::from(two.try_clone()?), std::process::id())?;
    let shared = endpoint.redeem(&info)?;
    let exchange = |sender: &mut dyn Write, receiver: &mut dyn Read| {
        let started = Instant::now();
        let mut byte = [0; 1];
        for _ in 0..count {
            sender.write_all(b"x")?;
            receiver.read_exact(&mut byte)?;
        }
        Ok(each(started.elapsed(), count))
    };
    let floor = || exchange(&mut &one, &mut &two);
    let ours = || exchange(&mut &one, &mut &shared);
    bench.row(work, "send, recv", (1.03, 1.01), &floor, &ours)
}

/// What one more duplicate costs when so many sockets are shared with so many processes, beside a pair of processes
/// that share ten.
fn crowd(bench: &Bench, work: &str, endpoint: &Endpoint, processes: u32, sockets: u32) -> Result<Row> {
    let start = |processes: u32, sockets: u32| -> Result<Vec<_>> {
        let share = sockets.div_ceil(processes);
        let mut crowd = Vec::new();
        for _ in 0..processes {
            let mut target = Actor::start(Role::Keep, share, bench.domain(), Stdio::piped(), None)?;
            let (mut pipe, pid) = (target.input()?, process_of(&target)?);
            for _ in 0..share {
                let socket = baselines::plain_socket()?;
                pipe.write_all(&endpoint.duplicate(&socket, pid)?.to_wide_bytes())?;
            }
            target.expect("done")?;
            crowd.push((target, pipe));
        }
        Ok(crowd)
    };
    let count = bench.count(60_000);
    let socket = Socket::from(UdpSocket::bind("127.0.0.1:0")?);
    let measure = || redeem_round(bench, endpoint, &socket, count);
    let (mut small, mut large) = (Vec::new(), Vec::new());
    for round in 1..=bench.rounds {
        bench.progress.say(work, round, bench.rounds);
        let few = start(1, 10)?;
        small.push(measure()?);
        drop(few);
        let many = start(processes, sockets / bench.divisor)?;
        large.push(measure()?);
        drop(many);
    }
    let (floor, ours) = (Figure::of(small), Figure::of(large));
    let ratio = Some(ours.median_us / floor.median_us);
    Ok(Row {
        work: work.to_owned(),
        floor: Some(floor),
        floor_is: "the same, 10 shared",
        ours,
        ratio,
        bound: baselines::MEASURED.then_some((1.20, 1.0)),
        beside: Vec::new(),
    })
}

/// Duplicates so often for one new process, which redeems what it reads from a pipe.
fn redeem_round(bench: &Bench, endpoint: &Endpoint, socket: &Socket, count: u32) -> Result<f64> {
    let mut target = Actor::start(Role::Redeem, count, bench.domain(), Stdio::piped(), None)?;
    let (mut pipe, pid) = (target.input()?, process_of(&target)?);
    let started = Instant::now();
    for _ in 0..count {
        pipe.write_all(&endpoint.duplicate(socket, pid)?.to_wide_bytes())?;
    }
    target.expect("done")?;
    Ok(each(started.elapsed(), count))
}

/// Looked up once, as a program does that duplicates often for the same process.
fn process_of(actor: &Actor) -> Result<sharesock::Process> {
    Ok(sharesock::Process::from_pid(actor.pid())?)
}
