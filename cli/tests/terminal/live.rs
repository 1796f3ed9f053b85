//! The live view in a terminal: what it shows, what keys do, and that the terminal is given back however it ends.

use super::emulator::Terminal;
use super::player::ANSWERS;
use super::samples::busy;
use crate::patience::OutputInTime;
use crate::status::{Status, SupervisorState};
use pty_process::blocking::Command;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;

const PLAY: [&str; 5] = ["--exact", "player::play", "--ignored", "--nocapture", "--test-threads=1"];

/// What the supervisor answers.
struct Answers(tempfile::NamedTempFile);

impl Answers {
    fn new(first: &str) -> Self {
        let mut answers = Answers(tempfile::NamedTempFile::new().unwrap());
        answers.add(first);
        answers
    }

    fn add(&mut self, answer: &str) {
        self.0.write_all(format!("{answer}\n").as_bytes()).unwrap();
    }

    fn command(&self) -> Command {
        Command::new(std::env::current_exe().unwrap()).args(PLAY).env(ANSWERS, self.0.path()).env("RUST_BACKTRACE", "0")
    }

    fn show(&self, columns: u16, rows: u16) -> Terminal {
        Terminal::run(self.command(), columns, rows)
    }
}

fn json(status: &Status) -> String {
    serde_json::to_string(status).unwrap()
}

/// A view of a busy supervisor that shows it.
fn shown() -> (Answers, Terminal) {
    let answers = Answers::new(&json(&busy(0)));
    let mut terminal = answers.show(80, 24);
    terminal.until("the view", |text| text.contains("q quit"));
    (answers, terminal)
}

fn selected(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("› "))?.split_whitespace().nth(1)
}

#[test]
fn it_ends_with_each_of_its_keys() {
    for key in ["q", "\u{1b}", "\u{3}"] {
        let (_answers, mut terminal) = shown();
        terminal.until_screen("a screen of its own, without a cursor", |screen| {
            screen.alternate_screen() && screen.hide_cursor()
        });
        terminal.press(key);
        assert!(terminal.wait().success(), "{key:?}: {}", terminal.text());
        terminal.assert_as_before();
        assert!(!terminal.text().contains("q quit"), "{}", terminal.text());
    }
}

#[test]
fn it_goes_on_with_what_the_supervisor_says() {
    let (mut answers, mut terminal) = shown();
    assert!(terminal.text().contains("reloading"), "{}", terminal.text());
    answers.add(&json(&Status { state: SupervisorState::Running, ..busy(2) }));
    terminal.until("the next state", |text| text.contains("running"));
    terminal.until("a rate", |text| text.contains("1,389/s"));
    // Trouble comes and goes.
    answers.add("error connecting to site: no such file");
    terminal.until("the reason", |text| text.contains("connecting to site: no such file"));
    assert!(terminal.text().contains("no answer"));
    assert!(terminal.text().contains("4731"), "what was known stays");
    answers.add(&json(&Status { generation: 4, ..busy(3) }));
    terminal.until("that it goes on", |text| text.contains("generation 4") && !text.contains("no answer"));
    terminal.press("q");
    assert!(terminal.wait().success());
}

#[test]
fn keys_select_sort_pause_and_help() {
    let (mut answers, mut terminal) = shown();
    terminal.press("\u{1b}[B\u{1b}[B");
    terminal.until("the second worker", |text| selected(text) == Some("4721"));
    terminal.press("\u{1b}[A");
    terminal.until("the first worker", |text| selected(text) == Some("4730"));
    terminal.press("s");
    terminal.until("another order", |text| text.contains("sort: pid"));
    terminal.press("?");
    terminal.until("help", |text| text.contains("select a worker"));
    // Closes the help, not the view.
    terminal.press("\u{1b}");
    terminal.until("no help", |text| !text.contains("select a worker"));

    terminal.press("p");
    terminal.until("a pause", |text| text.contains("paused"));
    answers.add(&json(&Status { generation: 9, ..busy(1) }));
    for _ in 0..50 {
        terminal.press("?");
        terminal.until("help", |text| text.contains("select a worker"));
        terminal.press("?");
        terminal.until("no help", |text| !text.contains("select a worker"));
        assert!(!terminal.text().contains("generation 9"), "it was paused");
    }
    terminal.press("p");
    terminal.until("what is new", |text| text.contains("generation 9"));
    terminal.press("q");
    assert!(terminal.wait().success());
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let (_answers, mut terminal) = shown();
    assert!(terminal.text().contains("memory"));
    terminal.resize(40, 12);
    let narrow = |text: &str| text.contains("conns") && !text.contains("memory") && text.contains("q quit");
    terminal.until("a narrow table, and keys in the last line", narrow);
    terminal.resize(3, 1);
    terminal.resize(1, 1);
    terminal.resize(120, 40);
    terminal.until("a wide table", |text| text.contains("hand-offs/s") && text.contains("serving 31 requests"));
    terminal.press("q");
    assert!(terminal.wait().success());
    terminal.assert_as_before();
}

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let (_answers, mut terminal) = shown();
        kill_process(Pid::from_raw(i32::try_from(terminal.pid()).unwrap()).unwrap(), signal).unwrap();
        assert!(terminal.wait().success(), "{}", terminal.text());
        terminal.assert_as_before();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_is_told() {
    let (mut answers, mut terminal) = shown();
    answers.add("panic");
    assert_eq!(terminal.wait().code(), Some(101));
    terminal.assert_as_before();
    assert!(terminal.text().contains("as the test asks"), "{}", terminal.text());
}

#[test]
fn it_does_not_outlive_its_terminal() {
    // `nohup` lets the program ignore the signal: then it notices that its terminal is gone.
    for (disposition, ends) in
        [("--default-signal=HUP", (Some(Signal::HUP.as_raw()), None)), ("--ignore-signal=HUP", (None, Some(0)))]
    {
        let answers = Answers::new(&json(&busy(0)));
        let player = std::env::current_exe().unwrap();
        // Whatever the test itself was started with.
        let command = Command::new("env").arg(disposition).arg(player).args(PLAY);
        let mut terminal = Terminal::run(command.env(ANSWERS, answers.0.path()), 80, 24);
        terminal.until("the view", |text| text.contains("q quit"));
        let ended = terminal.hang_up();
        assert_eq!((ended.signal(), ended.code()), ends, "{disposition}");
    }
}

#[test]
fn without_a_first_answer_the_terminal_is_not_touched() {
    let answers = Answers::new("error there is no supervisor named site");
    let mut terminal = answers.show(80, 24);
    assert_eq!(terminal.wait().code(), Some(1));
    terminal.assert_as_before();
    assert!(terminal.text().contains("sharesock: there is no supervisor named site"), "{}", terminal.text());
    assert!(terminal.text().contains("running 1 test"), "what was printed before is still there: {}", terminal.text());
}

#[test]
fn where_there_is_no_terminal_it_says_what_to_do() {
    let answers = Answers::new(&json(&busy(0)));
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(PLAY)
        .env(ANSWERS, answers.0.path())
        .output_in_time();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("terminal") && error.contains("status --json"), "{error}");
}
