//! The real `sharesock top`, of a real supervisor, in a terminal emulator.

use crate::emulator::Terminal;
use crate::patience::OutputInTime;
use crate::running::{self, PROGRAM, Setup};
use rustix::process::Signal;

#[test]
fn it_shows_what_a_supervisor_has_and_what_becomes_of_it() {
    let options = ["--listen", "web=127.0.0.1:0", "--name", "shop", "--workers", "2"];
    let mut supervisor = Setup::new(&options).start();
    let domain = supervisor.path("domain");
    let top = pty_process::blocking::Command::new(PROGRAM);
    let top = top.args(["top", "--interval", "0.1", "--domain"]).arg(domain).env("TERM", "xterm-256color");
    let mut terminal = Terminal::run(top, 100, 30);
    let (address, workers) = (supervisor.address("web"), supervisor.workers());
    terminal.until("the supervisor, its listener and its workers", |screen| {
        let pids = workers.iter().all(|pid| screen.contains(&pid.to_string()));
        screen.contains("shop") && screen.contains("generation 1") && screen.contains(&address) && pids
    });
    supervisor.do_it(&["reload"]);
    terminal.until("the next generation", |screen| screen.contains("generation 2") && screen.contains("1 reload"));
    supervisor.do_it(&["upgrade"]);
    terminal.until("the upgrade", |screen| screen.contains("1 upgrade "));
    supervisor.signal(Signal::TERM);
    assert!(supervisor.wait().success());
    terminal.until("that nobody answers", |screen| screen.contains("no answer"));
    terminal.press("q");
    assert!(terminal.wait().success());
    terminal.assert_as_before();
}

#[test]
fn without_a_supervisor_there_is_nothing_to_show() {
    let folder = tempfile::tempdir().unwrap();
    let mut top = std::process::Command::new(PROGRAM);
    let top = top.args(["top", "nobody", "--domain"]).arg(folder.path().join("domain")).output_in_time();
    assert_eq!(top.status.code(), Some(4));
    assert!(running::text(&top.stderr).contains("no supervisor named nobody"));
}
