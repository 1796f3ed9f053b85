//! One look at all processes.

use super::Which;
use crate::procfs::descriptors::sockets;
use crate::procfs::processes::{command, net_namespace, pids, started};
use crate::procfs::sockets::{Listed, of_namespace};
use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use serde::Serialize;
use sharesock::{Domain, Member, Socket};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// What is so at one moment.
#[derive(Debug, Serialize)]
pub(super) struct View {
    pub(super) sockets: Vec<SocketView>,
    /// Of the processes that have something in the domain.
    pub(super) endpoints: Vec<MemberView>,
    pub(super) domain: PathBuf,
    /// Processes that could not be looked at, because they belong to other users.
    pub(super) hidden_processes: usize,
}

/// One underlying socket.
#[derive(Debug, Serialize)]
pub(super) struct SocketView {
    pub(super) inode: u64,
    /// What `SocketId` is; not known when this process may not take a descriptor from a holder.
    id: Option<u64>,
    kind: &'static str,
    local: String,
    peer: Option<String>,
    state: Option<&'static str>,
    pub(super) holders: Vec<HolderView>,
    /// Who is registered for its events; nobody, unless `registration_known` is false.
    pub(super) registration: Option<RegistrationView>,
    registration_known: bool,
}

/// A process that holds a socket.
#[derive(Debug, Serialize)]
pub(super) struct HolderView {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) descriptors: Vec<u32>,
    /// A descriptor was opened since.
    process_started_unix: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(super) struct RegistrationView {
    pub(super) pid: u32,
    pub(super) events: String,
    pub(super) by: &'static str,
}

/// A process that has something in the domain.
#[derive(Debug, Serialize)]
pub(super) struct MemberView {
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) endpoint: bool,
    pub(super) receiver: bool,
    /// Not known of processes that cannot be looked at.
    pub(super) unredeemed_descriptors: Option<u32>,
    pub(super) unreceived_descriptors: Option<u32>,
    pub(super) answers_claims: bool,
    pub(super) stale: bool,
}

impl View {
    pub(super) fn look(which: Which, domain: &Domain) -> Result<Self> {
        let (held, namespaces, hidden_processes) = descriptors()?;
        let mut listed = HashMap::new();
        namespaces.values().for_each(|pid| of_namespace(*pid, &mut listed));
        let is_meant = |inode: &u64, holders: &BTreeMap<u32, Vec<u32>>| match which {
            Which { pid: Some(pid), .. } => holders.contains_key(&pid),
            Which { port: Some(port), .. } => listed.get(inode).is_some_and(|listed| listed.port == Some(port)),
            Which { all: true, .. } => true,
            _ => holders.len() > 1,
        };
        let meant = held.into_iter().filter(|(inode, holders)| is_meant(inode, holders));
        let sockets: Vec<_> =
            meant.map(|(inode, holders)| SocketView::of(inode, &holders, listed.get(&inode), domain)).collect();
        let of_holders: BTreeSet<u32> =
            sockets.iter().flat_map(|socket| &socket.holders).map(|holder| holder.pid).collect();
        let members = domain.members()?.into_iter().filter(|member| match which {
            Which { pid: Some(pid), .. } => member.pid == pid,
            Which { port: Some(_), .. } => of_holders.contains(&member.pid),
            _ => true,
        });
        let endpoints = members.map(MemberView::of).collect();
        Ok(View { sockets, endpoints, domain: domain.path().to_owned(), hidden_processes })
    }
}

/// By inode and process, the numbers of descriptors; a process of each network namespace; and how many are hidden.
type Seen = (BTreeMap<u64, BTreeMap<u32, Vec<u32>>>, BTreeMap<PathBuf, u32>, usize);

fn descriptors() -> Result<Seen> {
    let (mut held, mut namespaces, mut hidden) = (BTreeMap::<_, BTreeMap<_, Vec<_>>>::new(), BTreeMap::new(), 0);
    for pid in pids().context("reading /proc")? {
        // What this process itself has open only now is of no interest.
        if pid.unsigned_abs() == std::process::id() {
            continue;
        }
        let sockets = match sockets(pid) {
            Ok(sockets) => sockets,
            Err(error) => {
                hidden += usize::from(error.kind() == ErrorKind::PermissionDenied);
                continue;
            }
        };
        let pid = pid.unsigned_abs();
        if let Ok(namespace) = net_namespace(pid) {
            namespaces.entry(namespace).or_insert(pid);
        }
        for (number, inode) in sockets {
            held.entry(inode).or_default().entry(pid).or_default().push(number);
        }
    }
    Ok((held, namespaces, hidden))
}

impl SocketView {
    fn of(inode: u64, holders: &BTreeMap<u32, Vec<u32>>, listed: Option<&Listed>, domain: &Domain) -> Self {
        let taken = holders.iter().find_map(|(pid, numbers)| take(*pid, *numbers.first()?, inode));
        let registration = taken.as_ref().map(|socket| socket.join(domain).and_then(|()| socket.registration()));
        let (registration, registration_known) = match registration {
            Some(Ok(registration)) => (registration, true),
            _ => (None, false),
        };
        SocketView {
            inode,
            id: taken.and_then(|socket| socket.id().ok()).map(sharesock::SocketId::as_u64),
            kind: listed.map_or("another kind", |listed| listed.kind),
            local: listed.map(|listed| listed.local.clone()).unwrap_or_default(),
            peer: listed.and_then(|listed| listed.peer.clone()),
            state: listed.and_then(|listed| listed.state),
            holders: holders.iter().map(|(pid, numbers)| HolderView::of(*pid, numbers)).collect(),
            registration: registration.map(|registration| RegistrationView {
                pid: registration.process.pid(),
                events: registration.events.to_string(),
                by: if registration.messages { "messages" } else { "an event object" },
            }),
            registration_known,
        }
    }

    /// What people know it by.
    pub(super) fn name(&self) -> String {
        let mut name = format!("{} {}", self.kind, if self.local.is_empty() { "without a name" } else { &self.local });
        if let Some(peer) = &self.peer {
            name += &format!(" with {peer}");
        }
        if let Some(state) = self.state {
            name += &format!(", {state}");
        }
        format!("{name} [{}]", self.inode)
    }
}

/// One more descriptor of a socket of another process, for a moment.
fn take(pid: u32, number: u32, inode: u64) -> Option<Socket> {
    let process = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
    let taken: OwnedFd = pidfd_getfd(process, i32::try_from(number).ok()?, PidfdGetfdFlags::empty()).ok()?;
    // The number may have become another's.
    rustix::fs::fstat(&taken).is_ok_and(|stat| stat.st_ino == inode).then_some(())?;
    Socket::try_from(taken).ok()
}

impl HolderView {
    fn of(pid: u32, numbers: &[u32]) -> Self {
        let mut descriptors = numbers.to_vec();
        descriptors.sort_unstable();
        HolderView {
            pid,
            command: command(pid),
            descriptors,
            process_started_unix: i32::try_from(pid).ok().and_then(started),
        }
    }
}

impl MemberView {
    fn of(member: Member) -> Self {
        MemberView {
            pid: member.pid,
            command: member.process.map(|process| command(process.pid())).unwrap_or_default(),
            endpoint: member.endpoint && !member.stale,
            receiver: member.receiver && !member.stale,
            unredeemed_descriptors: member.unredeemed,
            unreceived_descriptors: member.unreceived,
            answers_claims: member.answers_claims && !member.stale,
            stale: member.stale,
        }
    }
}

impl View {
    pub(super) fn describe(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        for socket in &self.sockets {
            lines.push(socket.name());
            lines.extend(socket.holders.iter().map(HolderView::describe));
            match (&socket.registration, socket.registration_known) {
                (Some(RegistrationView { pid, events, by }), _) => {
                    lines.push(format!("  events {events}: process {pid} is registered, by {by}"));
                }
                (None, false) => lines.push("  events: not known, as it may not be looked at".to_owned()),
                (None, true) => {}
            }
        }
        if self.sockets.is_empty() {
            lines.push("no such socket is held".to_owned());
        }
        if !self.endpoints.is_empty() {
            lines.push(format!("in the domain {}", self.domain.display()));
            lines.extend(self.endpoints.iter().map(MemberView::describe));
        }
        if self.hidden_processes > 0 {
            lines.push(format!("{} processes of other users could not be looked at", self.hidden_processes));
        }
        lines.join("\n")
    }
}

impl HolderView {
    fn describe(&self) -> String {
        let numbers = self.descriptors.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let age = self.process_started_unix.map(|started| (now.as_secs_f64() - started).max(0.0));
        let age = age.map(|age| format!(", which began {age:.0} s ago")).unwrap_or_default();
        format!("  process {} ({}){age}: descriptor {numbers}", self.pid, self.command)
    }
}

impl MemberView {
    fn describe(&self) -> String {
        let mut says = Vec::new();
        if self.stale {
            says.push("was killed: its names go when somebody opens an endpoint".to_owned());
        }
        if self.endpoint {
            says.push(match self.unredeemed_descriptors {
                Some(0) => "has redeemed all that was delivered".to_owned(),
                Some(count) => format!("has not redeemed {count} descriptors that were delivered"),
                None => "has an endpoint".to_owned(),
            });
        }
        if self.receiver {
            says.push(match self.unreceived_descriptors {
                Some(0) => "has received all that was handed off".to_owned(),
                Some(count) => format!("has not received {count} descriptors that were handed off"),
                None => "has a receiver".to_owned(),
            });
        }
        if self.answers_claims {
            says.push("may hold duplicates for others".to_owned());
        }
        if says.is_empty() {
            says.push("is registered for events".to_owned());
        }
        let command = if self.command.is_empty() { String::new() } else { format!(" ({})", self.command) };
        format!("  process {}{command} {}", self.pid, says.join("; "))
    }
}
