//! Who is in a domain, from the names there, and what waits for them, from `/proc`.

use super::directory::{DESCRIPTORS, is_receiver, split_name};
use crate::domain::Domain;
use crate::error::Result;
use crate::members::Member;
use crate::process::{Process, Who};
use crate::provider::linux::mail::{QUEUE_NAME, living, refuses};
use std::collections::{BTreeMap, HashMap};
use std::fs;

pub(crate) fn members(domain: &Domain) -> Result<Vec<Member>> {
    let mut found = BTreeMap::<Who, Member>::new();
    for name in domain.names() {
        let Some((who, suffix)) = split_name(&name) else { continue };
        let member = found.entry(who).or_insert_with(|| unseen(who));
        member.endpoint |= suffix.is_empty();
        member.answers_claims |= suffix == "-claims";
        member.receiver |= is_receiver(suffix);
        member.stale |= member.process.is_none() && refuses(domain, &name);
    }
    Ok(found.into_values().map(with_waiting).collect())
}

/// The processes that are seen to live and have a receiver of this name.
pub(crate) fn processes_with_receiver(domain: &Domain, name: &str) -> Result<Vec<Process>> {
    let is_such = |suffix: &str| suffix.strip_prefix("-hand-off-") == Some(name);
    let names = domain.names();
    let found = names.iter().filter_map(|name| split_name(name).filter(|(_, suffix)| is_such(suffix)));
    Ok(found.filter_map(|(who, _)| living(who)).collect())
}

fn unseen(who: Who) -> Member {
    Member {
        pid: who.0,
        tag: who.1,
        process: living(who),
        endpoint: false,
        answers_claims: false,
        receiver: false,
        unredeemed: None,
        unreceived: None,
        stale: false,
    }
}

/// What a queue belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Queue {
    Endpoint,
    Receiver,
}

fn with_waiting(mut member: Member) -> Member {
    if member.process.is_some() {
        let waiting = waiting((member.pid, member.tag));
        let of = |wanted| waiting.as_ref().map(|(endpoint, receiver)| if wanted { *endpoint } else { *receiver });
        member.unredeemed = of(true).filter(|_| member.endpoint);
        member.unreceived = of(false).filter(|_| member.receiver);
    }
    member
}

/// How many descriptors lie in the queues of a process: of its endpoints, and of its receivers.
fn waiting(who: Who) -> Option<(u32, u32)> {
    let pid = who.0;
    let queues = queues(&fs::read_to_string(format!("/proc/{pid}/net/unix")).ok()?, who);
    let (mut endpoint, mut receiver) = (0, 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten() {
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        let Some(queue) = inode.and_then(|inode: u64| queues.get(&inode)) else { continue };
        let number = entry.file_name();
        let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{}", number.to_string_lossy())).unwrap_or_default();
        let count =
            info.lines().find_map(|line| line.strip_prefix("scm_fds:")?.trim().parse::<u32>().ok()).unwrap_or(0);
        match queue {
            Queue::Endpoint => endpoint += count,
            Queue::Receiver => receiver += count,
        }
    }
    Some((endpoint, receiver))
}

/// By inode, the sockets of `/proc/<pid>/net/unix` that listen in a domain or were accepted there, which have the address of
/// their listener in the private directory in which it was born, and the queues for what is handed off to the process, which
/// have a name that says so.
fn queues(table: &str, who: Who) -> HashMap<u64, Queue> {
    let queue = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(6);
        let inode = fields.next()?.parse().ok()?;
        let address = fields.next()?;
        if let Some(name) = address.strip_prefix('@').and_then(|name| name.strip_prefix(QUEUE_NAME)) {
            let to = split_name(name.split_once('/')?.0)?;
            return (to.0 == who && is_receiver(to.1)).then_some((inode, Queue::Receiver));
        }
        let (_, name) = address.strip_prefix(DESCRIPTORS)?.split_once('/')?;
        let queue = match split_name(name)?.1 {
            "" => Queue::Endpoint,
            _ => return None,
        };
        Some((inode, queue))
    };
    table.lines().filter_map(queue).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_told_by_their_address() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0005 01 11 /proc/thread-self/fd/3/77-0000abcd\n\
            0000000000000000: 00000003 00000000 00000000 0005 03 12 @sharesock/77-0000abcd-hand-off/4711\n\
            0000000000000000: 00000003 00000000 00000000 0005 03 17 @sharesock/78-0000abcd-hand-off/4712\n\
            0000000000000000: 00000003 00000000 00000000 0005 03 18 @sharesock/77-0000abcd-hand-off-web/4713\n\
            0000000000000000: 00000003 00000000 00000000 0005 03 13 /proc/thread-self/fd/9/78-0000abce\n\
            0000000000000000: 00000003 00000000 00000000 0005 03 14 /proc/thread-self/fd/9/77-0000abcd-claims\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 15 /run/systemd/notify\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 16\n\
            noise\n";
        let found = queues(table, (77, 0xabcd));
        assert_eq!((found.len(), found[&18]), (4, Queue::Receiver));
        assert_eq!([11, 12, 13].map(|inode| found[&inode]), [Queue::Endpoint, Queue::Receiver, Queue::Endpoint]);
    }
}
