//! A test in a process of its own: this same test program, which runs that test alone.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Set in the process that runs one test alone.
const ALONE: &str = "SHARESOCK_TEST_ALONE";
/// Bounds hangs: a test that prints nothing for so long is ended.
const SILENCE: Duration = Duration::from_secs(600);

/// First in a test: runs it in another process and returns, unless this is that process.
macro_rules! in_a_process_of_its_own {
    () => {{
        fn here() {}
        if $crate::process::ran_elsewhere(std::any::type_name_of_val(&here)) {
            return;
        }
    }};
}

/// Runs the test that has the function `here` in it in another process, and tells whether it did.
pub(crate) fn ran_elsewhere(here: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    // Without the name of the program, and of the function.
    let (_, test) = here.split_once("::").unwrap();
    let (test, _) = test.rsplit_once("::").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ALONE, "1");
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut ran = false;
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                ran |= line.starts_with("test result: ok. 1 passed");
                println!("{line}");
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let _ = child.kill();
                panic!("{test}: process {} printed nothing for {SILENCE:?}, and was killed", child.id());
            }
        }
    }
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > SILENCE {
            let _ = child.kill();
            panic!("{test}: process {} closed its output and did not end for {SILENCE:?}; it was killed", child.id());
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ran && status.success(), "{test}, in a process of its own: {status}");
    true
}
