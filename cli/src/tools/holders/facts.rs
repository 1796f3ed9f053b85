//! What is so at one moment, as a set: what changed is the difference of two.

use super::look::{HolderView, MemberView, SocketView, View};
use serde::Serialize;
use std::collections::BTreeSet;

/// One thing that is so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub(super) enum Fact {
    /// A process holds a socket.
    Holds { socket: String, inode: u64, pid: u32, command: String, descriptor: u32 },
    /// A process is registered for a socket's events.
    Registered { socket: String, inode: u64, pid: u32, events: String, by: &'static str },
    /// A process has an endpoint in the domain.
    Endpoint { pid: u32, command: String },
    /// So many descriptors are delivered to a process and not redeemed.
    Unredeemed { pid: u32, descriptors: u32 },
    /// So many descriptors are handed off to a process and did not reach it.
    Unreceived { pid: u32, descriptors: u32 },
    /// A process answers claims, and may hold duplicates for others.
    AnswersClaims { pid: u32 },
    /// A process left names when it was killed.
    Stale { pid: u32 },
}

pub(super) fn facts_of(view: &View) -> BTreeSet<Fact> {
    let sockets = view.sockets.iter().flat_map(of_socket);
    sockets.chain(view.endpoints.iter().flat_map(of_member)).collect()
}

fn of_socket(socket: &SocketView) -> Vec<Fact> {
    let held = |holder: &HolderView| {
        let (name, inode, pid, command) = (socket.name(), socket.inode, holder.pid, holder.command.clone());
        let one = move |descriptor: &u32| Fact::Holds {
            socket: name.clone(),
            inode,
            pid,
            command: command.clone(),
            descriptor: *descriptor,
        };
        holder.descriptors.iter().map(one).collect::<Vec<_>>()
    };
    let mut facts = socket.holders.iter().flat_map(held).collect::<Vec<_>>();
    if let Some(registration) = &socket.registration {
        facts.push(Fact::Registered {
            socket: socket.name(),
            inode: socket.inode,
            pid: registration.pid,
            events: registration.events.clone(),
            by: registration.by,
        });
    }
    facts
}

fn of_member(member: &MemberView) -> Vec<Fact> {
    let pid = member.pid;
    let some = |count: Option<u32>| count.filter(|count| *count > 0);
    [
        member.endpoint.then(|| Fact::Endpoint { pid, command: member.command.clone() }),
        some(member.unredeemed_descriptors).map(|descriptors| Fact::Unredeemed { pid, descriptors }),
        some(member.unreceived_descriptors).map(|descriptors| Fact::Unreceived { pid, descriptors }),
        member.answers_claims.then_some(Fact::AnswersClaims { pid }),
        member.stale.then_some(Fact::Stale { pid }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Fact {
    pub(super) fn describe(&self) -> String {
        match self {
            Fact::Holds { socket, pid, command, descriptor, .. } => {
                format!("{socket}: process {pid} ({command}) holds it as descriptor {descriptor}")
            }
            Fact::Registered { socket, pid, events, by, .. } => {
                format!("{socket}: process {pid} is registered for {events}, by {by}")
            }
            Fact::Endpoint { pid, command } => format!("process {pid} ({command}) has an endpoint"),
            Fact::Unredeemed { pid, descriptors } => {
                format!("process {pid} has not redeemed {descriptors} descriptors that were delivered to it")
            }
            Fact::Unreceived { pid, descriptors } => {
                format!("{descriptors} descriptors that were handed off to process {pid} did not reach it")
            }
            Fact::AnswersClaims { pid } => format!("process {pid} answers claims: it may hold duplicates for others"),
            Fact::Stale { pid } => format!("process {pid} was killed, and left names in the domain"),
        }
    }
}
