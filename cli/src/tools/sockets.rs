//! The sockets that are made for addresses.

use crate::address::{Address, resolve};
use crate::system::{explain_bind, is_abstract, listen_at, unix_address};
use anyhow::{Context, Result, bail};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

/// A socket to which others come.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener),
    Udp(UdpSocket),
    /// The path goes when nobody listens there any more.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    pub(super) fn bind(address: &Address) -> Result<Self> {
        let failed = || format!("cannot listen on {address}");
        Ok(match address {
            Address::Tcp(address) => Listener::Tcp(bound(address, |all| TcpListener::bind(all)).with_context(failed)?),
            Address::Udp(address) => {
                Listener::Udp(bound(&format!("udp:{address}"), |all| UdpSocket::bind(all)).with_context(failed)?)
            }
            Address::Unix(path) => Listener::Unix(listen_at(path).with_context(failed)?, path.clone()),
        })
    }

    /// Its address, with the port that was picked.
    pub(super) fn bound(&self) -> Result<Address> {
        let unknown = "asking for the bound address";
        Ok(match self {
            Listener::Tcp(listener) => Address::Tcp(listener.local_addr().context(unknown)?.to_string()),
            Listener::Udp(socket) => Address::Udp(socket.local_addr().context(unknown)?.to_string()),
            Listener::Unix(_, path) => Address::Unix(path.clone()),
        })
    }

    /// One connection; then nobody listens any more.
    pub(super) fn accept_one(self) -> Result<OwnedFd> {
        let failed = "accepting a connection";
        match self {
            Listener::Tcp(listener) => Ok(listener.accept().context(failed)?.0.into()),
            Listener::Udp(_) => bail!("a UDP socket has no connections to accept: leave --accept out"),
            Listener::Unix(listener, path) => {
                let accepted = listener.accept();
                if !is_abstract(&path) {
                    let _ = std::fs::remove_file(path);
                }
                Ok(accepted.context(failed)?.0.into())
            }
        }
    }
}

impl From<Listener> for OwnedFd {
    fn from(listener: Listener) -> Self {
        match listener {
            Listener::Tcp(listener) => listener.into(),
            Listener::Udp(socket) => socket.into(),
            Listener::Unix(listener, _) => listener.into(),
        }
    }
}

/// What is bound to `HOST:PORT`, at the first of its addresses that can be had.
fn bound<T>(address: &str, bind: impl Fn(&[SocketAddr]) -> std::io::Result<T>) -> Result<T> {
    resolve(address.trim_start_matches("udp:")).and_then(|all| bind(&all)).map_err(|error| explain_bind(error, address))
}

/// Connects; a UDP socket then exchanges datagrams with that address alone.
pub(super) fn connect(address: &Address) -> Result<OwnedFd> {
    let failed = || format!("cannot connect to {address}");
    Ok(match address {
        Address::Tcp(address) => resolve(address.trim_start_matches("udp:"))
            .and_then(|all| TcpStream::connect(&all[..]))
            .with_context(failed)?
            .into(),
        Address::Unix(path) => {
            unix_address(path).and_then(|at| UnixStream::connect_addr(&at)).with_context(failed)?.into()
        }
        Address::Udp(address) => connect_udp(address).with_context(failed)?.into(),
    })
}

fn connect_udp(address: &str) -> std::io::Result<UdpSocket> {
    let mut failure = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for peer in resolve(address)? {
        let any = if peer.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        match UdpSocket::bind(any).and_then(|socket| socket.connect(peer).map(|()| socket)) {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
