//! The supervisor's listeners: made once, and passed on for as long as it, or its successor, lives.

mod bind;
mod facts;
mod mend;

pub(super) use bind::try_bind;
pub(crate) use facts::Facts;
pub(crate) use mend::Use;

use super::report::Report;
use super::spec::Spec;
use crate::address::Address;
use crate::procfs::machine::setting;
use anyhow::{Context, Result, bail, ensure};
use facts::ListenerState;
use sharesock::Socket;
use socket2::{SockAddr, Type};
use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;

/// Default backlog, in connections that wait to be accepted; the system's own limit holds, too.
const BACKLOG: i32 = 4096;

/// Addresses of the listeners' hosts, by `HOST:PORT`.
pub(crate) type Resolved = BTreeMap<String, io::Result<Vec<SocketAddr>>>;

/// A socket that listens, or, of UDP, is bound.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) spec: Spec,
    /// As `--listen` spells it, with the port that was picked.
    pub(crate) address: String,
    /// It was passed to the supervisor: its path is whose who made it.
    pub(crate) passed: bool,
    /// Addresses of its host at which it does not listen.
    pub(crate) left_out: Vec<SocketAddr>,
    /// The same for all that were made from it by [`again`](Self::again).
    shared: Rc<RefCell<Shared>>,
}

/// The socket, which may be replaced, and what is known of it.
#[derive(Debug)]
struct Shared {
    socket: Rc<Socket>,
    born: Facts,
    /// Messages that were said of it, and are not said again.
    said: HashSet<String>,
}

impl Listener {
    pub(crate) fn bind(spec: &Spec, resolved: &Resolved) -> Result<Self> {
        let Some(place) = &spec.place else {
            bail!("nobody passed a listener named {}: start this by socket activation, or give an address", spec.name)
        };
        let unknown = Ok(Vec::new());
        let addresses = match place {
            Address::Tcp(address) | Address::Udp(address) => resolved.get(address).unwrap_or(&unknown),
            Address::Unix(_) => &unknown,
        };
        let (socket, left_out) = bind::bind(spec, place, addresses)
            .with_context(|| format!("cannot listen on {place} for {}", spec.name))?;
        let listener = Listener::from_socket(spec.clone(), socket.into(), false, None)?;
        Ok(Listener { left_out, ..listener })
    }

    /// One that was made by another process.
    pub(crate) fn adopt(spec: &Spec, socket: Socket) -> Result<Self> {
        let listener = Listener::from_socket(spec.clone(), socket, true, None)?;
        if let Some(Address::Tcp(wanted) | Address::Udp(wanted)) = &spec.place {
            let port = |address: &str| address.rsplit_once(':').map(|(_, port)| port.to_owned()).unwrap_or_default();
            let (wanted, found) = (port(wanted), port(&listener.address));
            ensure!(
                wanted == "0" || wanted == found,
                "the listener named {} that was passed is at {}, not at {}: make them the same, or give {}=inherited",
                spec.name,
                listener.address,
                spec.place(),
                spec.name
            );
        }
        Ok(listener)
    }

    /// One that the predecessor had; what is not known of its birth is as it is now.
    pub(crate) fn inherit(
        spec: &Spec,
        socket: Socket,
        passed: bool,
        (born, said): (Option<Facts>, HashSet<String>),
    ) -> Result<Self> {
        let listener = Listener::from_socket(spec.clone(), socket, passed, born)?;
        listener.shared.borrow_mut().said = said;
        Ok(listener)
    }

    /// The same socket, under another name, or with what can be changed of it changed.
    pub(crate) fn again(&self, spec: &Spec) -> Result<Self> {
        let context = || format!("cannot change {} at {}", self.spec.name, self.address);
        if self.accepts() && spec.backlog != self.spec.backlog {
            self.socket().as_socket().listen(spec.backlog.unwrap_or(BACKLOG)).with_context(context)?;
        }
        let permissions = |spec: &Spec| (spec.mode, spec.owner, spec.group);
        let changes = permissions(spec) != permissions(&self.spec);
        if let (Some(path), true) = (self.path(), changes) {
            bind::set_permissions(spec, path).with_context(context)?;
        }
        let listener = Listener {
            spec: spec.clone(),
            address: self.address.clone(),
            passed: self.passed,
            left_out: Vec::new(),
            shared: Rc::clone(&self.shared),
        };
        if spec.nonblock != self.spec.nonblock || changes {
            listener.set_nonblocking()?;
            listener.note_changes(changes);
        }
        Ok(listener)
    }

    /// Backlog that was asked for, within the system's own limit, in connections.
    pub(crate) fn backlog(&self) -> u64 {
        let limit = setting("net/core/somaxconn");
        u64::from(self.spec.backlog.unwrap_or(BACKLOG).unsigned_abs()).min(limit.unwrap_or(u64::MAX))
    }

    pub(crate) fn socket(&self) -> Rc<Socket> {
        Rc::clone(&self.shared.borrow().socket)
    }

    /// State at birth, by which a successor sees what has changed.
    pub(crate) fn born(&self) -> Facts {
        self.shared.borrow().born.clone()
    }

    /// Messages that a successor must not say again.
    pub(crate) fn said(&self) -> HashSet<String> {
        self.shared.borrow().said.clone()
    }

    /// The number by which the kernel's tables name it.
    pub(crate) fn inode(&self) -> Option<u64> {
        rustix::fs::fstat(self.socket().as_fd()).ok().map(|stat| stat.st_ino)
    }

    /// Address at which it can be reached from here.
    pub(crate) fn reached_at(&self) -> Option<SocketAddr> {
        let mut address = self.socket().as_socket().local_addr().ok()?.as_socket()?;
        match address {
            SocketAddr::V4(_) if address.ip().is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            SocketAddr::V6(_) if address.ip().is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        Some(address)
    }

    /// Report of its address; `is_web` says that a browser can look at it.
    pub(crate) fn report(&self, is_web: bool) -> Report {
        let url = self.reached_at().filter(|_| is_web).map(|address| format!("http://{address}/"));
        Report::Listening { name: self.spec.name.clone(), address: self.address.clone(), url }
    }

    /// Message about addresses of its host at which it does not listen.
    pub(crate) fn partly(&self) -> Option<String> {
        let others: Vec<_> = self.left_out.iter().map(SocketAddr::to_string).collect();
        let (name, place) = (&self.spec.name, self.spec.place());
        (!others.is_empty()).then(|| {
            format!(
                "{name} listens on {} alone: {place} means {}, too; give each its own --listen",
                self.address,
                others.join(" and ")
            )
        })
    }

    fn from_socket(spec: Spec, socket: Socket, passed: bool, born: Option<Facts>) -> Result<Self> {
        let bound = socket.as_socket().local_addr().context("asking for the bound address")?;
        let datagrams = socket.as_socket().r#type().context("asking for the kind of socket")? == Type::DGRAM;
        let address = match bound.as_socket() {
            Some(address) if datagrams => format!("udp:{address}"),
            Some(address) => address.to_string(),
            None => format!("unix:{}", unix_name(&bound)),
        };
        let known = born.is_some();
        let now = Facts::of(&socket, None);
        let shared = Shared { socket: Rc::new(socket), born: born.unwrap_or(now), said: HashSet::new() };
        let shared = Rc::new(RefCell::new(shared));
        let listener = Listener { spec, address, passed, left_out: Vec::new(), shared };
        if !known {
            listener.set_nonblocking()?;
            listener.note_changes(true);
        }
        Ok(listener)
    }

    fn set_nonblocking(&self) -> Result<()> {
        if self.spec.nonblock {
            self.socket().as_socket().set_nonblocking(true).context("making a listener non-blocking")?;
        }
        Ok(())
    }

    /// Whether connections can be accepted from it, or could before it was spoilt.
    pub(crate) fn accepts(&self) -> bool {
        self.shared.borrow().born.state == ListenerState::Listens
    }

    /// The path that must go when nobody listens there any more.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.spec.place.as_ref().filter(|_| !self.passed)?.path()
    }

    /// Its path, unless that is another file by now.
    pub(crate) fn own_path(&self) -> Option<&Path> {
        self.path().filter(|path| self.shared.borrow().born.has_file(path))
    }

    pub(crate) fn remove_path(&self) {
        self.own_path().into_iter().for_each(|path| _ = std::fs::remove_file(path));
    }
}

/// The name of a Unix socket: a path, or `@` and an abstract name, in letters that can be printed.
fn unix_name(address: &SockAddr) -> String {
    match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(name)) => format!("@{}", name.escape_ascii()),
        (None, None) => String::new(),
    }
}
