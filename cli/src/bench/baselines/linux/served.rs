//! Connections served by two workers, with bare system calls.

use super::{Watch, link, receive_each, send};
use crate::bench::Bench;
use crate::bench::connections::{self, Service, WORKERS, stated_port};
use crate::bench::roles::{Actor, Role};
use anyhow::{Context, Result};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::sockopt::socket_linger;
use rustix::process::{Resource, getrlimit};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

/// How much a front and its workers ask the kernel, beside what they need to move a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    /// Nothing. A worker can hear one front.
    Nothing,
    /// What the library asks, for a worker that can hear many fronts, and loses nothing whatever a front sends.
    Everything,
}

/// A front process that sends each connection to a worker by SCM_RIGHTS, and closes it at once.
pub(crate) fn handing(bench: &Bench) -> Result<Service> {
    start(bench, Asking::Nothing)
}

/// The same, and all the questions to the kernel that the library asks.
pub(crate) fn asking(bench: &Bench) -> Result<Service> {
    start(bench, Asking::Everything)
}

fn start(bench: &Bench, asking: Asking) -> Result<Service> {
    let count = u32::from(asking == Asking::Everything);
    let mut links = Vec::new();
    let mut workers = Vec::new();
    for _ in 0..WORKERS {
        let (front, worker) = link()?;
        workers.push(Actor::start(Role::FloorServe, count, bench.domain(), worker, None)?);
        links.push(Stdio::from(front));
    }
    let second = links.pop();
    let first = links.pop().context("a front without workers")?;
    let mut front = Actor::start(Role::FloorFront, count, bench.domain(), first, second)?;
    let port = stated_port(&mut front)?;
    Ok(Service::new(port, front, workers))
}

/// No front: both workers accept from one listener.
pub(crate) fn accepting(bench: &Bench) -> Result<Service> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let worker = || -> Result<Actor> {
        let listener = OwnedFd::from(listener.try_clone()?);
        Actor::start(Role::FloorAccept, 0, bench.domain(), listener, None)
    };
    let workers = (1..WORKERS).map(|_| worker()).collect::<Result<_>>()?;
    Ok(Service::new(port, worker()?, workers))
}

/// The processes of these; they end when they are killed.
pub(super) fn play(role: Role, count: u32, say: impl Fn(&str) -> Result<()>) -> Result<()> {
    let asking = if count == 0 { Asking::Nothing } else { Asking::Everything };
    let input = std::io::stdin().as_fd().try_clone_to_owned()?;
    say("ready")?;
    match role {
        Role::FloorFront => {
            let links = [input, std::io::stderr().as_fd().try_clone_to_owned()?];
            let listener = TcpListener::bind("127.0.0.1:0")?;
            say(&listener.local_addr()?.port().to_string())?;
            for (connection, link) in listener.incoming().zip(links.iter().cycle()) {
                let connection = connection?;
                send(link, &[0; 12], &[connection.as_fd()])?;
                if asking == Asking::Everything {
                    // Whether closing it may wait.
                    socket_linger(&connection)?;
                }
            }
        }
        Role::FloorServe if asking == Asking::Everything => serve_asking(&input)?,
        Role::FloorServe => {
            let mut served = Ok(());
            while served.is_ok() && receive_each(&input, &mut [0; 64], |one| served = serve(one.into()))? > 0 {}
            served?;
        }
        _ => {
            let listener = TcpListener::from(input);
            for connection in listener.incoming() {
                serve(connection?)?;
            }
        }
    }
    Ok(())
}

/// Waits for all fronts at once.
fn serve_asking(link: &OwnedFd) -> Result<()> {
    fcntl_setfl(link, OFlags::NONBLOCK)?;
    let watch = Watch::new()?;
    watch.add(link)?;
    loop {
        watch.wait()?;
        // Whether descriptors find a place.
        getrlimit(Resource::Nofile);
        let mut served = Ok(());
        match receive_each(link, &mut [0; 64], |one| served = serve(one.into())) {
            Ok(0) => return Ok(()),
            Err(error) if error.downcast_ref() != Some(&Errno::AGAIN) => return Err(error),
            _ => served?,
        }
    }
}

fn serve(connection: TcpStream) -> Result<()> {
    connections::answer(&connection)
}
