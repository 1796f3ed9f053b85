//! What the library uses, tried out.

use super::Check;
use crate::system::folder_in_memory;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use sharesock::{Direction, Domain, Endpoint, Event, NetworkEvents, Parcel, Socket, Turn};
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Time for what happens at once in this process, if it happens.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn checks() -> Vec<Check> {
    vec![
        watching(),
        tried("SO_COOKIE", identity(), "sockets have no identity, so nothing will work: the kernel must have it"),
        tried("duplicate and redeem", in_a_domain(redeem), "allow Unix sockets, and descriptors in their messages"),
        tried("hand off", in_a_domain(hand_off), "allow Unix sockets, eventfd, and descriptors in messages"),
        tried(
            "events in shared memory",
            in_a_domain(register),
            "network events will not work: allow shmget and shmat; free segments (ipcs -m), or raise kernel.shmmni",
        ),
        tried(
            "OFD locks",
            in_a_domain(turn),
            "turns, and the table of events, will not work: allow fcntl(F_OFD_SETLK)",
        ),
        waiting(),
        taking(),
    ]
}

fn tried(name: &'static str, tried: Result<()>, mend: &str) -> Check {
    match tried {
        Ok(()) => Check::ok(name, "works"),
        Err(error) => Check::fail(name, format!("{error:#}"), mend),
    }
}

fn watch_myself() -> Result<OwnedFd> {
    let me = i32::try_from(std::process::id()).ok().and_then(Pid::from_raw).context("this process has no id")?;
    Ok(pidfd_open(me, PidfdFlags::empty())?)
}

fn socket() -> Result<Socket> {
    Ok(UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::1]:0"))?.into())
}

fn identity() -> Result<()> {
    Ok(socket()?.id().map(drop)?)
}

/// Calls `act` in a domain that nobody else knows.
fn in_a_domain<T>(act: impl FnOnce(&Domain) -> Result<T>) -> Result<T> {
    let folder = tempfile::Builder::new().prefix("sharesock-doctor-").tempdir_in(folder_in_memory());
    let folder = folder.context("making a domain to try it in")?;
    // The library makes it as it must be.
    act(&Domain::at(folder.path().join("domain"))?)
}

fn redeem(domain: &Domain) -> Result<()> {
    let endpoint = Endpoint::open(domain)?;
    let socket = socket()?;
    let info = endpoint.duplicate(&socket, std::process::id())?;
    ensure!(endpoint.redeem(&info)? == socket, "what was redeemed is another socket");
    Ok(())
}

fn hand_off(domain: &Domain) -> Result<()> {
    let endpoint = Endpoint::open(domain)?;
    let receiver = endpoint.receiver()?;
    endpoint.sender(std::process::id())?.hand_off(Parcel::new(socket()?))?;
    let parcel = receiver.receive_within(TRIAL_TIMEOUT)?;
    ensure!(parcel.is_some(), "what was handed off did not arrive");
    Ok(())
}

fn register(domain: &Domain) -> Result<()> {
    let event = Event::manual(domain)?;
    let socket = socket()?;
    socket.event_select(&event, NetworkEvents::WRITE)?;
    ensure!(event.wait(Some(TRIAL_TIMEOUT))?, "an event was not told");
    Ok(())
}

fn turn(domain: &Domain) -> Result<()> {
    let socket = socket()?;
    let _turn = Turn::take(domain, &socket, Direction::Receive)?;
    ensure!(Turn::try_take(domain, &socket, Direction::Receive)?.is_none(), "two had one turn");
    Ok(())
}

/// Whether the kernel counts what lies in a queue that was not accepted yet.
fn waiting() -> Check {
    let name = "scm_fds in fdinfo";
    let counted = in_a_domain(|domain| {
        let endpoint = Endpoint::open(domain)?;
        endpoint.duplicate(&socket()?, std::process::id())?;
        let me = domain.members()?.into_iter().find(|member| member.pid == std::process::id());
        Ok(me.and_then(|me| me.unredeemed))
    });
    match counted {
        Ok(Some(1)) => Check::ok(name, "works"),
        Ok(_) => Check::warn(
            name,
            "does not count what was not accepted",
            "`sharesock holders` shows fewer unredeemed duplicates than there are: a newer kernel counts all",
        ),
        Err(error) => Check::warn(name, format!("{error:#}"), "`sharesock holders` cannot show unredeemed duplicates"),
    }
}

/// Whether the kernel tells the end of a process.
fn watching() -> Check {
    match watch_myself() {
        Ok(_) => Check::ok("pidfd", "works"),
        Err(error) => Check::warn(
            "pidfd",
            format!("{error:#}"),
            "the end of a process is looked for in /proc, once a second: allow pidfd_open",
        ),
    }
}

/// Whether descriptors can be taken from processes that allow it.
fn taking() -> Check {
    let name = "pidfd_getfd";
    match watch_myself().and_then(|me| Ok(pidfd_getfd(me, 0, PidfdGetfdFlags::empty())?)) {
        Ok(_) => Check::ok(name, "works"),
        Err(error) => Check::warn(
            name,
            format!("{error:#}"),
            "`sharesock holders` cannot tell who is registered for events; nothing else needs it: allow pidfd_getfd",
        ),
    }
}
