//! Whether a directory may be a domain: whose it is, and whom it lets in.

use crate::error::{Error, Result};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Gid, getegid, geteuid, getgroups};
use std::borrow::Cow;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A directory that is trusted.
#[derive(Debug)]
pub(super) struct Trusted {
    pub(super) folder: OwnedFd,
    /// Device and inode: the same however the directory was named.
    pub(super) identity: (u64, u64),
    /// The group whose members are admitted.
    pub(super) group: Option<Gid>,
}

/// Opens the directory `path`, which is made for this user alone when it does not exist.
pub(super) fn open(path: &Path) -> Result<Trusted> {
    let refused = |doing: &'static str| {
        move |errno: Errno| Error::Directory { doing, path: path.to_owned(), os_code: errno.raw_os_error() }
    };
    match fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(refused("creating the domain")(errno)),
    }
    let untrusted = |why: Cow<'static, str>| Error::UntrustedDomain { path: path.to_owned(), why };
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = fs::open(path, flags, Mode::empty()).map_err(|errno| match errno {
        Errno::NOTDIR | Errno::LOOP => {
            untrusted(format!("{}it is not a real directory: {REPLACE}", owned(path)).into())
        }
        Errno::ACCESS => untrusted(format!("{}this user may not enter it: {REPLACE}", owned(path)).into()),
        errno => refused("opening the domain")(errno),
    })?;
    let stat = fs::fstat(&folder).map_err(refused("looking at the domain"))?;
    let group = Gid::from_raw(stat.st_gid);
    let in_group = getegid() == group || getgroups().is_ok_and(|groups| groups.contains(&group));
    let me = Me { uid: geteuid().as_raw(), in_group };
    if let Some(why) = distrust(stat.st_uid, Mode::from_raw_mode(stat.st_mode), &me) {
        return Err(untrusted(why));
    }
    let admits = Mode::from_raw_mode(stat.st_mode).contains(Mode::RWXG);
    Ok(Trusted { folder, identity: (stat.st_dev, stat.st_ino), group: admits.then_some(group) })
}

/// What to do about a directory that somebody else made.
const REPLACE: &str = "let its owner or root remove it, or name another domain (SHARESOCK_DOMAIN)";

/// Who holds the name `path`, for a message.
fn owned(path: &Path) -> String {
    match fs::statat(fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if stat.st_uid != geteuid().as_raw() => format!("user {} owns it, and ", stat.st_uid),
        _ => String::new(),
    }
}

/// The user that asks.
struct Me {
    uid: u32,
    in_group: bool,
}

/// What is wrong with a directory of this owner and mode.
fn distrust(owner: u32, mode: Mode, me: &Me) -> Option<Cow<'static, str>> {
    let admits_group = mode.contains(Mode::RWXG);
    if mode.intersects(Mode::RWXO) {
        return Some("it is open to everybody: chmod o-rwx it".into());
    }
    if owner != me.uid && !admits_group {
        return Some(format!("user {owner} owns it, and it admits no group: {REPLACE}").into());
    }
    if owner != me.uid && !me.in_group {
        return Some(format!("user {owner} owns it, and this user is not in its group: {REPLACE}").into());
    }
    if mode.intersects(Mode::RWXG) && !admits_group {
        return Some("its group may enter it, but not use it: chmod 700 it, or chmod 3770 to admit the group".into());
    }
    if admits_group && !mode.contains(Mode::SVTX) {
        return Some("its members could remove and replace each other's names: chmod 3770 it".into());
    }
    if admits_group && !mode.contains(Mode::SGID) && !me.in_group && me.uid != 0 {
        return Some("names that this user makes would not get its group: chmod 3770 it, or join the group".into());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_a_group_needs_the_sticky_bit_and_one_of_a_user_is_closed_to_others() {
        let why = |owner, mode, uid, in_group| {
            let why = distrust(owner, Mode::from_raw_mode(mode), &Me { uid, in_group });
            why.map_or_else(String::new, Cow::into_owned)
        };
        assert_eq!(why(1, 0o700, 1, false), "");
        assert_eq!(why(1, 0o3770, 2, true), "");
        assert_eq!(why(1, 0o1770, 2, true), "");
        assert_eq!(why(1, 0o3770, 1, false), "");
        for mode in [0o770, 0o2770] {
            assert!(why(1, mode, 2, true).contains("chmod 3770"));
            assert!(why(1, mode, 1, true).contains("chmod 3770"));
        }
        for mode in [0o750, 0o730, 0o710, 0o3750] {
            assert!(why(1, mode, 1, true).contains("chmod 700"));
        }
        assert!(why(1, 0o1770, 1, false).contains("join the group"));
        assert!(why(1, 0o3770, 2, false).contains("user 1 owns it"));
        assert!(why(1, 0o700, 2, false).contains("user 1 owns it"));
        assert!(why(1, 0o777, 1, true).contains("everybody"));
        assert!(why(1, 0o1771, 1, true).contains("everybody"));
    }
}
