//! The work of the benchmark with bare calls: not measured here, for Winsock's own calls are what the library makes.

use crate::bench::connections::Service;
use crate::bench::{Bench, Role};
use anyhow::{Result, bail};
use sharesock::Socket;
use std::io::Read;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Each measurement does so many times less: a call costs more here, and much more under Wine.
pub(crate) const LESS: u32 = 50;
/// Whether there are baselines here.
pub(crate) const MEASURED: bool = false;

fn none<T>() -> Result<T> {
    bail!("no floor is measured on Windows")
}

pub(crate) fn single(_: &Bench, _: u32, _: &Socket) -> Result<f64> {
    none()
}

pub(crate) fn batch(_: &Bench, _: u32, _: &Socket) -> Result<f64> {
    none()
}

pub(crate) fn redeem(_: &Bench, _: u32, _: &Socket) -> Result<f64> {
    none()
}

pub(crate) fn answered(_: &Bench, _: u32, _: &Socket, _: impl Read) -> Result<Instant> {
    none()
}

pub(crate) fn handing(_: &Bench) -> Result<Service> {
    none()
}

pub(crate) fn asking(_: &Bench) -> Result<Service> {
    none()
}

pub(crate) fn accepting(_: &Bench) -> Result<Service> {
    none()
}

pub(crate) fn play(_: Role, _: u32, _: impl Fn(&str) -> Result<()>) -> Result<()> {
    none()
}

/// A plain event loop has no one shape here.
#[derive(Debug)]
pub(crate) struct Watch;

impl Watch {
    pub(crate) fn new() -> Result<Self> {
        Ok(Watch)
    }

    pub(crate) fn add<T>(&self, _: T) -> Result<()> {
        none()
    }

    pub(crate) fn remove<T>(&self, _: T) -> Result<()> {
        none()
    }

    pub(crate) fn wait(&self) -> Result<()> {
        none()
    }
}

/// Nanoseconds of a clock that all processes of the machine share.
pub(crate) fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Two ends of a stream.
pub(crate) fn pair() -> Result<(socket2::Socket, socket2::Socket)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let one = TcpStream::connect(listener.local_addr()?)?;
    one.set_nodelay(true)?;
    Ok((one.into(), listener.accept()?.0.into()))
}

/// A socket that costs as little as one can.
pub(crate) fn plain_socket() -> Result<Socket> {
    Ok(UdpSocket::bind("127.0.0.1:0")?.into())
}

/// Descriptors, threads and bytes of memory of this process, where that can be told.
pub(crate) fn usage() -> Result<Option<[u64; 3]>> {
    Ok(None)
}
