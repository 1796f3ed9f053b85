//! Descriptors that whoever started this process has passed to it: socket activation, as systemd does it.
//!
//! The plan is made from the environment alone; each descriptor is taken once, by number, and owned from then on.
#![allow(unsafe_code)]

use crate::activation::{FIRST, LISTEN_FDNAMES, LISTEN_FDS, LISTEN_PID};
use crate::procfs::descriptors::{flags, numbers};
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_setfd};
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Nobody passes more; a service manager stores at most as many.
const MAXIMUM: RawFd = 4096;
/// A longer name is none, says systemd.
const LONGEST_NAME: usize = 255;
/// The name of what has none.
const UNNAMED: &str = "unknown";

/// A descriptor that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Announced {
    /// Several may have the same.
    pub(crate) name: String,
    pub(crate) number: RawFd,
}

/// What the environment announces for this process.
pub(crate) fn announced() -> Result<Vec<Announced>> {
    plan(|name| std::env::var_os(name), std::process::id())
}

/// What these variables announce for the process of this id: nothing, if they are meant for another one.
fn plan(variable: impl Fn(&str) -> Option<OsString>, me: u32) -> Result<Vec<Announced>> {
    let text = |name: &str| variable(name).map(|value| as_text(name, value)).transpose();
    let (Some(pid), Some(count)) = (text(LISTEN_PID)?, text(LISTEN_FDS)?) else { return Ok(Vec::new()) };
    let pid: u32 = pid.parse().with_context(|| format!("{LISTEN_PID} is {pid:?}, which is no process id"))?;
    if pid != me {
        return Ok(Vec::new());
    }
    let number = count.parse().ok().filter(|number| (0..=MAXIMUM).contains(number));
    let number: RawFd = number.with_context(|| format!("{LISTEN_FDS} is {count:?}, not a number up to {MAXIMUM}"))?;
    let numbers = FIRST..FIRST + number;
    let names = text(LISTEN_FDNAMES)?;
    let names: Vec<_> = match &names {
        Some(names) if number > 0 => names.split(':').collect(),
        _ => numbers.clone().map(|_| UNNAMED).collect(),
    };
    ensure!(
        names.len() == numbers.len(),
        "{LISTEN_FDNAMES} has {} names, and {LISTEN_FDS} announces {number} descriptors",
        names.len()
    );
    if let Some(wrong) = names.iter().find(|name| !is_name(name)) {
        bail!("{LISTEN_FDNAMES} has the name {wrong:?}: names are up to {LONGEST_NAME} printable characters");
    }
    let announced = names.into_iter().zip(numbers);
    Ok(announced.map(|(name, number)| Announced { name: name.to_owned(), number }).collect())
}

fn as_text(name: &str, value: OsString) -> Result<String> {
    value.into_string().map_err(|value| anyhow::anyhow!("{name} is {value:?}, which is no text"))
}

/// Whether descriptors can have it, for a service manager as well as here.
pub(crate) fn is_name(name: &str) -> bool {
    let printable = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(|byte| printable(byte) && byte != b':')
}

/// Closes on exec whatever this process was started with, except the standard descriptors and those that were announced:
/// what a starter forgot to close is not for the programs that are started from here.
pub(crate) fn close_on_exec(announced: &[Announced]) -> Result<()> {
    for number in numbers("self").context("reading /proc/self/fd")?.filter_map(|number| number.try_into().ok()) {
        if number >= FIRST && !announced.iter().any(|one| one.number == number) {
            // SAFETY: it is open (the folder that is read among them), and is borrowed for this call alone, which changes
            // but a flag that every descriptor of this program has anyway.
            let open = unsafe { BorrowedFd::borrow_raw(number) };
            let _ = fcntl_setfd(open, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

/// Takes all that is announced for this process, with their names.
pub(crate) fn take_announced() -> Result<Vec<(String, OwnedFd)>> {
    announced()?.into_iter().map(|Announced { name, number }| Ok((name, take(number)?))).collect()
}

/// Takes the descriptor that was passed under this number. It is closed on exec from then on, like all others here.
pub(crate) fn take(number: RawFd) -> Result<OwnedFd> {
    ensure!(number >= FIRST, "descriptor {number} is a standard one");
    let known = flags("self", number);
    let known = known.with_context(|| format!("{LISTEN_FDS} announces descriptor {number}, which is not open"))?;
    let flags = known.context("reading /proc/self/fdinfo")?;
    ensure!(flags & OFlags::CLOEXEC.bits() == 0, "descriptor {number} was not passed, or it was taken before");
    // SAFETY: it is open, and nobody here owns it. Whatever this process opens itself is closed on exec (the standard
    // library, rustix and tokio make all descriptors so), and this one is not: so it came through exec, and nobody has
    // taken it yet, for what is taken is marked below.
    let taken = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&taken, FdFlags::CLOEXEC).context("keeping a passed descriptor to ourselves")?;
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::fd::{AsRawFd, IntoRawFd};

    const ME: u32 = 77;

    fn planned(pid: Option<&str>, count: Option<&str>, names: Option<&str>) -> Result<Vec<(String, RawFd)>> {
        let variable = |name: &str| match name {
            LISTEN_PID => pid.map(OsString::from),
            LISTEN_FDS => count.map(OsString::from),
            LISTEN_FDNAMES => names.map(OsString::from),
            _ => None,
        };
        Ok(plan(variable, ME)?.into_iter().map(|announced| (announced.name, announced.number)).collect())
    }

    #[test]
    fn what_is_announced_is_planned_by_name() {
        let two = planned(Some("77"), Some("2"), Some("web:admin site")).unwrap();
        assert_eq!(two, [("web".to_owned(), 3), ("admin site".to_owned(), 4)]);
        assert_eq!(planned(Some("77"), Some("1"), None).unwrap(), [("unknown".to_owned(), 3)]);
        assert_eq!(planned(Some("77"), Some("4096"), None).unwrap().len(), 4096);
        for nothing in [
            (None, Some("2"), None),
            (Some("77"), None, Some("a")),
            (Some("78"), Some("2"), Some("a:b")),
            (Some("78"), Some("wrong"), None),
            (Some("77"), Some("0"), None),
            (Some("77"), Some("0"), Some("")),
        ] {
            assert_eq!(planned(nothing.0, nothing.1, nothing.2).unwrap(), [], "{nothing:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let why = |pid, count, names| planned(Some(pid), Some(count), names).unwrap_err().to_string();
        assert!(why("", "1", None).contains("LISTEN_PID is \"\""));
        assert!(why("77 ", "1", None).contains("LISTEN_PID"));
        for count in ["", "-1", "4097", "99999999999999999999", "1x"] {
            assert!(why("77", count, None).contains("LISTEN_FDS"), "{count}");
        }
        assert!(why("77", "2", Some("a")).contains("has 1 names, and LISTEN_FDS announces 2"));
        assert!(why("77", "1", Some("a:b")).contains("has 2 names"));
        let long = "a".repeat(256);
        for name in ["", "a\n", "\u{e9}", &long] {
            assert!(why("77", "1", Some(name)).contains("has the name"), "{name:?}");
        }
        use std::os::unix::ffi::OsStringExt;
        let broken = |_: &str| Some(OsString::from_vec(vec![0xff]));
        assert!(plan(broken, ME).unwrap_err().to_string().contains("is no text"));
    }

    #[test]
    fn a_descriptor_is_taken_once_and_closed_by_its_owner() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        // What exec would have left: open, owned by nobody here.
        fcntl_setfd(&theirs, FdFlags::empty()).unwrap();
        let number = theirs.into_raw_fd();
        let taken = take(number).unwrap();
        assert_eq!(taken.as_raw_fd(), number);
        assert!(rustix::io::fcntl_getfd(&taken).unwrap().contains(FdFlags::CLOEXEC));
        assert!(take(number).unwrap_err().to_string().contains("taken before"));
        drop(taken);
        let mut ended = &ours;
        assert_eq!(std::io::Read::read(&mut ended, &mut [0]).unwrap(), 0);
    }

    #[test]
    fn what_nobody_passed_is_not_taken() {
        let own = std::fs::File::open("/proc/self/stat").unwrap();
        assert!(take(own.as_raw_fd()).unwrap_err().to_string().contains("was not passed"));
        assert!(take(i32::MAX).unwrap_err().to_string().contains("is not open"));
        for standard in [-1, 0, 1, 2] {
            assert!(take(standard).unwrap_err().to_string().contains("is a standard one"));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_said_gives_a_plan_or_an_error(pid in ".{0,12}", count in ".{0,8}", names in ".{0,600}") {
            for pid in [pid.as_str(), "77"] {
                let plan = planned(Some(pid), Some(&count), Some(&names)).unwrap_or_default();
                prop_assert!(plan.iter().zip(FIRST..).all(|((name, number), next)| is_name(name) && *number == next));
            }
        }
    }
}
