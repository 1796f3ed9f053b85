//! Listening: addresses, sockets, accepting.

use crate::address::{Address, resolve};
use crate::system::LocalListener;
use anyhow::{Context, Result};
use serde::Serialize;
use sharesock::Socket;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where to listen: this serves streams.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    match text.parse()? {
        Address::Udp(_) => {
            Err("files are not served over UDP: give HOST:PORT, such as 127.0.0.1:8080, or unix:PATH".to_owned())
        }
        address => Ok(address),
    }
}

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Listener {
    kind: Kind,
    pub(crate) bound: Bound,
}

#[derive(Debug)]
enum Kind {
    Tcp(tokio::net::TcpListener),
    Unix(LocalListener),
}

/// Where a listener is bound.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    Address(SocketAddr),
    Path(PathBuf),
}

impl Listener {
    pub(crate) async fn bind(address: &Address) -> Result<Self> {
        match address {
            Address::Tcp(text) => {
                let listen = || {
                    let listener = std::net::TcpListener::bind(&resolve(text)?[..])?;
                    listener.set_nonblocking(true)?;
                    tokio::net::TcpListener::from_std(listener)
                };
                let listener = listen().with_context(|| format!("cannot listen on {text}; is the port in use?"))?;
                let bound = Bound::Address(listener.local_addr().context("asking for the bound address")?);
                Ok(Listener { kind: Kind::Tcp(listener), bound })
            }
            Address::Udp(_) => anyhow::bail!("files are not served over UDP"),
            Address::Unix(path) => {
                let listener = LocalListener::bind(path)?;
                Ok(Listener { kind: Kind::Unix(listener), bound: Bound::Path(path.clone()) })
            }
        }
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> std::io::Result<Socket> {
        Ok(match &self.kind {
            Kind::Tcp(listener) => listener.accept().await?.0.into_std()?.into(),
            Kind::Unix(listener) => listener.accept().await?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_streams() {
        assert_eq!(address("unix:/a/b"), Ok(Address::Unix("/a/b".into())));
        assert_eq!(address("[::1]:0"), Ok(Address::Tcp("[::1]:0".to_owned())));
        assert!(address("udp:127.0.0.1:1").is_err());
    }
}
