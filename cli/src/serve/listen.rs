//! Listening: addresses, sockets, accepting.

use crate::system::LocalListener;
use anyhow::{Context, Result};
use serde::Serialize;
use sharesock::Socket;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    Tcp(String),
    Unix(PathBuf),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.is_empty() {
                true => Err("unix: needs a path behind it".to_owned()),
                false => Ok(Address::Unix(path.into())),
            };
        }
        let port = text.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        port.map(|_| Address::Tcp(text.to_owned()))
            .ok_or_else(|| "give HOST:PORT, such as 127.0.0.1:8080, or unix:PATH".to_owned())
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
                let listener = tokio::net::TcpListener::bind(text).await;
                let listener = listener.with_context(|| format!("cannot listen on {text}; is the port in use?"))?;
                let bound = Bound::Address(listener.local_addr().context("asking for the bound address")?);
                Ok(Listener { kind: Kind::Tcp(listener), bound })
            }
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
    fn addresses_are_checked_when_they_are_given() {
        assert_eq!("unix:/a/b".parse(), Ok(Address::Unix("/a/b".into())));
        assert_eq!("[::1]:0".parse(), Ok(Address::Tcp("[::1]:0".to_owned())));
        for wrong in ["", "8080", "localhost", "unix:", "a:99999", "a:b"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
