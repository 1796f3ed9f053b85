//! What a test needs of the machine. One that lacks it says so past the test harness, which keeps what tests print that
//! pass, and is counted when the program ends. With `SHARESOCK_TEST_ALL` set, as in CI, it fails.
#![allow(dead_code, unsafe_code)] // Each test program uses its part.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Mutex;

static LACKING: Mutex<Vec<String>> = Mutex::new(Vec::new());

unsafe extern "C" {
    fn atexit(act: extern "C" fn()) -> i32;
}

extern "C" fn tell() {
    let Ok(lacking) = LACKING.lock() else { return };
    let _ = writeln!(std::io::stderr(), "\nNOT RUN: {} tests\n{}", lacking.len(), lacking.join("\n"));
}

/// Whether what a test needs is not there.
#[track_caller]
pub(crate) fn lacks(what: &str, is_there: bool) -> bool {
    if is_there {
        return false;
    }
    let line = format!("  {}: it needs {what}", std::panic::Location::caller());
    assert!(std::env::var_os("SHARESOCK_TEST_ALL").is_none(), "every test is to be run{line}");
    let mut lacking = LACKING.lock().unwrap();
    if lacking.is_empty() {
        // SAFETY: the function may be called at any time, and unwinds out of nothing.
        assert_eq!(unsafe { atexit(tell) }, 0);
    }
    lacking.push(line);
    true
}

/// Whether a command works here that tests need.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[track_caller]
pub(crate) fn lacks_root() -> bool {
    // Whom the kernel takes for the owner of what this process makes.
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    lacks("root", root)
}

/// Whether no PID namespace can be made here, as in some containers.
#[track_caller]
pub(crate) fn lacks_namespaces() -> bool {
    let made = works("unshare", &["--pid", "--fork", "--mount-proc", "true"]);
    lacks("PID namespaces (`unshare --pid --fork --mount-proc`)", made)
}
