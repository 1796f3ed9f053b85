//! The domain.

use super::Check;
use crate::domain::open_domain;
use crate::tools::published;
use nix::unistd::{Uid, User};
use rustix::fs::{StatFs, statfs, statvfs};
use sharesock::Domain;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// File systems in memory, and others, by the numbers that the kernel gives them.
const TMPFS: u64 = 0x0102_1994;
const RAMFS: u64 = 0x8584_58F6;
const NETWORKED: [(u64, &str); 5] =
    [(0x6969, "nfs"), (0xFF53_4D42, "cifs"), (0xFE53_4D42, "smb2"), (0x0102_1997, "9p"), (0x6573_5546, "fuse")];
/// A Unix socket's own address is no longer; the library does without.
const ADDRESS: usize = 107;
/// Largest id of a user of the system itself, whom logind leaves alone.
const LAST_OF_THE_SYSTEM: u32 = 999;

pub(super) fn checks(path: Option<&PathBuf>) -> Vec<Check> {
    let domain = match open_domain(path) {
        Ok(domain) => domain,
        Err(error) => {
            let mend = "no sockets can be shared in it: do what the line above says, or name another with --domain";
            return vec![Check::fail("domain", format!("{error:#}"), mend)];
        }
    };
    let mut checks = vec![directory(&domain)];
    checks.extend(file_system(&domain));
    checks.extend([path_length(&domain), stale_names(&domain)]);
    checks.extend(log_out(&domain));
    checks
}

/// Whether it outlives the user's log-out: then logind removes what a user who has no other session left in /dev/shm.
fn log_out(domain: &Domain) -> Option<Check> {
    let user = User::from_uid(Uid::current()).ok()??;
    let watches = Path::new("/run/systemd/seats").is_dir() && domain.path().starts_with("/dev/shm");
    let lingers = Path::new("/var/lib/systemd/linger").join(&user.name).exists();
    if !watches || lingers || user.uid.as_raw() <= LAST_OF_THE_SYSTEM || !removes_ipc() {
        return None;
    }
    let mend = format!(
        "supervisors make their names again, and all else there ends: `loginctl enable-linger {}`, RemoveIPC=no in logind.conf, \
         or a domain in /run",
        user.name
    );
    Some(Check::warn("domain after log-out", "logind removes it when the user's last session ends", mend))
}

/// What the settings of logind say; the last one holds.
fn removes_ipc() -> bool {
    let dropped = std::fs::read_dir("/etc/systemd/logind.conf.d").into_iter().flatten().flatten();
    let mut files: Vec<_> = dropped.map(|entry| entry.path()).collect();
    files.sort();
    files.insert(0, "/etc/systemd/logind.conf".into());
    let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
    does_remove_ipc(&texts.collect::<Vec<_>>().join("\n"))
}

fn does_remove_ipc(settings: &str) -> bool {
    let mut values = settings.lines().filter_map(|line| line.trim().strip_prefix("RemoveIPC=").map(str::trim));
    !values.next_back().is_some_and(|value| ["no", "false", "off", "0"].contains(&value))
}

fn directory(domain: &Domain) -> Check {
    let name = "domain";
    let path = domain.path();
    match std::fs::metadata(path) {
        Ok(found) => {
            let admits = if found.mode() & 0o070 == 0 { "its owner" } else { "its owner and its group" };
            let (owner, group, mode) = (found.uid(), found.gid(), found.mode() & 0o7777);
            Check::ok(name, format!("{}: user {owner}, group {group}, mode {mode:o}, admits {admits}", path.display()))
        }
        Err(error) => Check::fail(name, format!("{}: {error}", path.display()), "it went while it was looked at"),
    }
}

fn file_system(domain: &Domain) -> Vec<Check> {
    let name = "domain's file system";
    let kind = match statfs(domain.path()) {
        Ok(found) => kind(name, &found),
        Err(errno) => Check::warn(name, errno.to_string(), "what it is on is not known"),
    };
    let mut checks = vec![kind];
    if statvfs(domain.path()).is_ok_and(|found| found.f_files > 0 && found.f_favail == 0) {
        let mend = "no endpoint can be opened in it: remove files there, or name a domain elsewhere";
        checks.push(Check::fail(name, "has no room for another name", mend));
    }
    checks
}

fn kind(name: &'static str, found: &StatFs) -> Check {
    // The type of the number is another on each machine.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    let number = found.f_type as u64 & 0xFFFF_FFFF;
    match NETWORKED.iter().find(|(known, _)| *known == number) {
        Some((_, kind)) => Check::warn(
            name,
            *kind,
            "it may not keep the names of Unix sockets, and never reaches other machines: name a domain in /dev/shm or /run",
        ),
        None if number == TMPFS || number == RAMFS => Check::ok(name, "in memory"),
        None => Check::ok(name, "a local one"),
    }
}

fn path_length(domain: &Domain) -> Check {
    let length = domain.path().as_os_str().len();
    let longest = if length > ADDRESS { ", longer than the address of a Unix socket, which is no matter" } else { "" };
    Check::ok("domain's path", format!("{length} bytes{longest}"))
}

fn stale_names(domain: &Domain) -> Check {
    let name = "stale names";
    let members = domain.members().unwrap_or_default();
    let left = members.iter().filter(|member| member.stale).count() + published::stale(domain);
    match left {
        0 => Check::ok(name, "none"),
        left => Check::warn(
            name,
            format!("of {left} processes that were killed"),
            "they do no harm: who opens an endpoint here next removes them",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logind_removes_it_unless_it_is_told_not_to() {
        for (settings, removes) in [
            ("", true),
            ("[Login]\n#RemoveIPC=no\n", true),
            ("[Login]\n RemoveIPC=no\n", false),
            ("RemoveIPC=no\n[Login]\nRemoveIPC= yes\n", true),
        ] {
            assert_eq!(does_remove_ipc(settings), removes, "{settings}");
        }
    }
}
