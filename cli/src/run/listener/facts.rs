//! A listener as it was made and as it is now, and the steps that put the difference right.
//!
//! Its state is common to all processes that have it: one that changes it changes it for all of them.

use nix::libc;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Options that a worker may set and that others inherit: name, level and number.
pub(super) const SETTINGS: &[(&str, i32, i32)] = &[
    ("SO_REUSEADDR", libc::SOL_SOCKET, libc::SO_REUSEADDR),
    ("SO_REUSEPORT", libc::SOL_SOCKET, libc::SO_REUSEPORT),
    ("SO_KEEPALIVE", libc::SOL_SOCKET, libc::SO_KEEPALIVE),
    ("SO_LINGER", libc::SOL_SOCKET, libc::SO_LINGER),
    ("SO_RCVTIMEO", libc::SOL_SOCKET, libc::SO_RCVTIMEO),
    ("SO_SNDTIMEO", libc::SOL_SOCKET, libc::SO_SNDTIMEO),
    ("SO_RCVLOWAT", libc::SOL_SOCKET, libc::SO_RCVLOWAT),
    (SNDBUF, libc::SOL_SOCKET, libc::SO_SNDBUF),
    (RCVBUF, libc::SOL_SOCKET, libc::SO_RCVBUF),
    (BUF_LOCK, libc::SOL_SOCKET, 72),
    ("SO_PRIORITY", libc::SOL_SOCKET, libc::SO_PRIORITY),
    ("SO_MARK", libc::SOL_SOCKET, libc::SO_MARK),
    ("SO_OOBINLINE", libc::SOL_SOCKET, libc::SO_OOBINLINE),
    ("SO_DONTROUTE", libc::SOL_SOCKET, libc::SO_DONTROUTE),
    ("SO_BINDTODEVICE", libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
    ("SO_PASSCRED", libc::SOL_SOCKET, libc::SO_PASSCRED),
    ("TCP_NODELAY", libc::IPPROTO_TCP, libc::TCP_NODELAY),
    ("TCP_CORK", libc::IPPROTO_TCP, libc::TCP_CORK),
    ("TCP_KEEPIDLE", libc::IPPROTO_TCP, libc::TCP_KEEPIDLE),
    ("TCP_KEEPINTVL", libc::IPPROTO_TCP, libc::TCP_KEEPINTVL),
    ("TCP_KEEPCNT", libc::IPPROTO_TCP, libc::TCP_KEEPCNT),
    ("TCP_LINGER2", libc::IPPROTO_TCP, libc::TCP_LINGER2),
    ("TCP_DEFER_ACCEPT", libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT),
    ("TCP_CONGESTION", libc::IPPROTO_TCP, libc::TCP_CONGESTION),
    ("TCP_USER_TIMEOUT", libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT),
    ("TCP_FASTOPEN", libc::IPPROTO_TCP, libc::TCP_FASTOPEN),
    ("IP_TOS", libc::IPPROTO_IP, libc::IP_TOS),
    ("IP_TTL", libc::IPPROTO_IP, libc::IP_TTL),
    ("IPV6_TCLASS", libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    ("IPV6_UNICAST_HOPS", libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
];
/// Sizes of buffers, which the kernel tells doubled; and whether it may change them.
pub(super) const SNDBUF: &str = "SO_SNDBUF";
pub(super) const RCVBUF: &str = "SO_RCVBUF";
pub(super) const BUF_LOCK: &str = "SO_BUF_LOCK";
/// Flags of the open file: they are shared like the options.
pub(super) const NONBLOCK: &str = "O_NONBLOCK";
pub(super) const ASYNC: &str = "O_ASYNC";
/// A program that drops what comes.
pub(super) const FILTER: &str = "SO_ATTACH_FILTER";

/// A listener at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Facts {
    pub(super) state: ListenerState,
    /// Options, flags and whether there is a filter, by name.
    pub(super) settings: BTreeMap<String, Vec<u8>>,
    /// The file at its path.
    pub(super) file: Option<PathFacts>,
}

/// State of a listener, as a client meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ListenerState {
    Listens,
    /// Datagrams of everybody come in, or it is no listener.
    Bound,
    /// It does not listen any more, and may again.
    Closed,
    /// Datagrams of one peer alone come in.
    Connected,
    /// It was shut down, which nothing undoes.
    Shut,
}

/// A path: which file it is, and who may do what with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PathFacts {
    pub(super) file: (u64, u64),
    pub(super) mode: u32,
    pub(super) owner: (u32, u32),
}

/// Something to be done about a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Let it listen again, at the same address.
    Reopen,
    /// Make another at the same address.
    Replace(&'static str),
    RestorePermissions,
    /// Set these again.
    Restore(Vec<String>),
    /// Say that these have changed, and stay so.
    Leave(Vec<String>),
}

/// Steps for a listener that was `born` so and is so `now`; `in_use` says whether workers have it.
pub(super) fn steps(born: &Facts, now: &Facts, in_use: bool) -> Vec<Step> {
    let replaced = match (now.state, born.file, now.file) {
        (ListenerState::Shut, _, _) if born.state != ListenerState::Shut => Some("was shut down"),
        (_, Some(_), None) => Some("has lost its path, which was removed"),
        (_, Some(before), Some(after)) if before.file != after.file => Some("has lost its path to another file"),
        _ => None,
    };
    if let Some(why) = replaced {
        return vec![Step::Replace(why)];
    }
    let mut steps = Vec::new();
    if now.state != born.state && matches!(now.state, ListenerState::Closed | ListenerState::Connected) {
        steps.push(Step::Reopen);
    }
    if now.file != born.file {
        steps.push(Step::RestorePermissions);
    }
    let changed = |(name, value): &(&String, &Vec<u8>)| now.settings.get(*name).is_some_and(|now| now != *value);
    let mut changed: Vec<_> = born.settings.iter().filter(changed).map(|(name, _)| name.clone()).collect();
    if in_use {
        // Nearly all servers wait for several things, and set it; those that do not can ask for it to be so from the start.
        changed.retain(|name| name != NONBLOCK);
    }
    if !changed.is_empty() {
        steps.push(if in_use { Step::Leave(changed) } else { Step::Restore(changed) });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(state: ListenerState, settings: &[(&str, u8)], file: Option<(u64, u32)>) -> Facts {
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), vec![*value])).collect();
        Facts { state, settings, file: file.map(|(file, mode)| PathFacts { file: (1, file), mode, owner: (0, 0) }) }
    }

    #[test]
    fn what_to_do_follows_from_what_has_changed() {
        use ListenerState::{Bound, Closed, Connected, Listens, Shut};
        use Step::{Leave, Reopen, Replace, Restore, RestorePermissions};
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let at = Some((7, 0o600));
        let cases = [
            ("nothing", facts(Listens, &[(NONBLOCK, 0)], at), facts(Listens, &[(NONBLOCK, 0)], at), false, vec![]),
            ("closed", facts(Listens, &[], None), facts(Closed, &[], None), true, vec![Reopen]),
            ("never opened", facts(Closed, &[], None), facts(Closed, &[], None), false, vec![]),
            ("connected", facts(Bound, &[], None), facts(Connected, &[], None), false, vec![Reopen]),
            ("shut", facts(Listens, &[], at), facts(Shut, &[], at), true, vec![Replace("was shut down")]),
            (
                "removed",
                facts(Listens, &[("a", 1)], at),
                facts(Listens, &[("a", 2)], None),
                false,
                vec![Replace("has lost its path, which was removed")],
            ),
            (
                "replaced",
                facts(Listens, &[], at),
                facts(Listens, &[], Some((8, 0o600))),
                false,
                vec![Replace("has lost its path to another file")],
            ),
            ("mode", facts(Listens, &[], at), facts(Listens, &[], Some((7, 0))), true, vec![RestorePermissions]),
            (
                "option",
                facts(Listens, &[("a", 1), ("b", 1), (NONBLOCK, 0)], None),
                facts(Listens, &[("a", 2), ("b", 1), (NONBLOCK, 1)], None),
                false,
                vec![Restore(names(&[NONBLOCK, "a"]))],
            ),
            (
                "option in use",
                facts(Listens, &[("a", 1), (NONBLOCK, 0)], None),
                facts(Closed, &[("a", 2), (NONBLOCK, 1)], None),
                true,
                vec![Reopen, Leave(names(&["a"]))],
            ),
            ("flag in use", facts(Bound, &[(NONBLOCK, 0)], None), facts(Bound, &[(NONBLOCK, 1)], None), true, vec![]),
            // A setting that cannot be read is not known to have changed.
            ("unread", facts(Listens, &[("a", 1)], None), facts(Listens, &[], None), false, vec![]),
        ];
        for (what, born, now, in_use, todo) in cases {
            assert_eq!(steps(&born, &now, in_use), todo, "{what}");
        }
    }
}
