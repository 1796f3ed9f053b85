//! Waiting for processes with an end: one that does not end is named and killed, and what it had printed is shown.
#![allow(dead_code)] // Each test program uses its part.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Hangs are bounded by this; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(120);

/// [`Command::output`] with an end.
pub(crate) trait OutputInTime {
    fn output_in_time(&mut self) -> Output;
}

/// [`Child::wait`] with an end.
pub(crate) trait WaitInTime {
    fn wait_in_time(&mut self) -> ExitStatus;
}

impl OutputInTime for Command {
    #[track_caller]
    fn output_in_time(&mut self) -> Output {
        let child = self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{self:?}: {error}"));
        let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let status = ended(&mut child);
        // What it left may hold its output open, and is not waited for for ever, either.
        let [stdout, stderr] = [out, err].map(|all| all.recv_timeout(LONG));
        let (Some(status), Ok(stdout), Ok(stderr)) = (status, &stdout, &stderr) else {
            panic!("{self:?} did not end within {LONG:?} (process {}); it printed {stdout:?} {stderr:?}", child.id());
        };
        Output { status, stdout: stdout.clone(), stderr: stderr.clone() }
    }
}

impl WaitInTime for Child {
    #[track_caller]
    fn wait_in_time(&mut self) -> ExitStatus {
        drop(self.stdin.take());
        ended(self).unwrap_or_else(|| panic!("process {} did not end within {LONG:?}, and was killed", self.id()))
    }
}

/// The end of a process; none when it had to be killed.
fn ended(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if started.elapsed() > LONG {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// All that comes, when it has come.
fn collect(output: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, all) = channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = output.map(|mut output| output.read_to_end(&mut bytes));
        let _ = sender.send(bytes);
    });
    all
}
