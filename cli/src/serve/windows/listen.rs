//! Listening: addresses, sockets, accepting.

use crate::address::{Address, resolve};
use anyhow::{Context, Result};
use serde::Serialize;
use sharesock::Socket;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Where to listen: this serves streams.
pub(crate) fn address(text: &str) -> Result<String, String> {
    match text.parse()? {
        Address::Tcp(address) => Ok(address),
        Address::Udp(_) => Err("files are not served over UDP: give HOST:PORT, such as 127.0.0.1:8080".to_owned()),
        Address::Unix(_) => Err("Unix sockets are not served on Windows: give HOST:PORT".to_owned()),
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    listener: TcpListener,
    pub(crate) bound: Bound,
}

/// Where a listener is bound.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Bound {
    pub(crate) address: SocketAddr,
}

impl Listener {
    pub(crate) fn bind(address: &str) -> Result<Self> {
        let listen = || {
            let listener = std::net::TcpListener::bind(&resolve(address)?[..])?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let listener = listen().with_context(|| format!("cannot listen on {address}; is the port in use?"))?;
        let bound = Bound { address: listener.local_addr().context("asking for the bound address")? };
        Ok(Listener { listener, bound })
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> std::io::Result<Socket> {
        Ok(self.listener.accept().await?.0.into_std()?.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_tcp() {
        assert_eq!(address("[::1]:0"), Ok("[::1]:0".to_owned()));
        assert!(address("unix:/a/b").is_err() && address("udp:127.0.0.1:1").is_err());
    }
}
