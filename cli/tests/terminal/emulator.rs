//! A program in a terminal that is emulated: what it shows, what it leaves.

use crate::patience::WaitInTime;
use pty_process::blocking::{Command, Pty};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{Termios, tcgetattr};
use std::io::{Read, Write};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// A bound on hangs; nothing waits for it to pass.
const LONG: Duration = Duration::from_secs(60);

/// A terminal and the program in it, which is killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    pty: Option<Pty>,
    screen: vt100::Parser,
    before: Termios,
}

impl Terminal {
    /// Runs a program as a shell would: with the terminal as its controlling one.
    pub(crate) fn run(command: Command, columns: u16, rows: u16) -> Self {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(pty_process::Size::new(rows, columns)).unwrap();
        let before = tcgetattr(&pty).unwrap();
        let child = command.env("TERM", "xterm-256color").env_remove("NO_COLOR").spawn(pts).unwrap();
        Terminal { child, pty: Some(pty), screen: vt100::Parser::new(rows, columns, 0), before }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn text(&self) -> String {
        self.screen.screen().contents()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.pty().write_all(keys.as_bytes()).unwrap();
    }

    pub(crate) fn resize(&mut self, columns: u16, rows: u16) {
        self.screen.set_size(rows, columns);
        self.pty().resize(pty_process::Size::new(rows, columns)).unwrap();
    }

    /// Shows what the program writes until its text is so.
    pub(crate) fn until(&mut self, what: &str, is_so: impl Fn(&str) -> bool) {
        self.until_screen(what, |screen| is_so(&screen.contents()));
    }

    /// Shows what the program writes until the screen is so.
    pub(crate) fn until_screen(&mut self, what: &str, is_so: impl Fn(&vt100::Screen) -> bool) {
        let started = Instant::now();
        while !is_so(self.screen.screen()) {
            assert!(started.elapsed() < LONG, "waiting for {what}; the screen shows:\n{}", self.text());
            assert!(self.read(), "the program ended before {what}; the screen shows:\n{}", self.text());
        }
    }

    /// Shows what comes next; nothing comes after the program has ended.
    fn read(&mut self) -> bool {
        let bound = Timespec::try_from(LONG).unwrap();
        let mut ready = [PollFd::new(self.pty(), PollFlags::IN)];
        if poll(&mut ready, Some(&bound)).unwrap() == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        // A terminal that nobody has open any more is an error to read.
        let count = self.pty().read(&mut bytes).unwrap_or(0);
        self.screen.process(&bytes[..count]);
        count > 0
    }

    /// Waits for the end of the program, and tells how it ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        while self.read() {
            assert!(started.elapsed() < LONG, "it goes on; the screen shows:\n{}", self.text());
        }
        self.child.wait_in_time()
    }

    /// Has the terminal go away, as when its window is closed, and tells how the program ended.
    pub(crate) fn hang_up(mut self) -> ExitStatus {
        self.pty = None;
        let started = Instant::now();
        loop {
            if let Some(ended) = self.child.try_wait().unwrap() {
                return ended;
            }
            assert!(started.elapsed() < LONG, "it goes on without a terminal");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn pty(&self) -> &Pty {
        self.pty.as_ref().unwrap()
    }

    /// After the program has ended: nothing of it is left in the terminal.
    pub(crate) fn assert_as_before(&self) {
        let screen = self.screen.screen();
        assert!(!screen.alternate_screen(), "the alternate screen was not left");
        assert!(!screen.hide_cursor(), "the cursor is still hidden");
        assert!(!screen.bracketed_paste() && !screen.application_cursor() && !screen.application_keypad());
        let (before, after) = (&self.before, tcgetattr(self.pty()).unwrap());
        assert_eq!(before.input_modes, after.input_modes);
        assert_eq!(before.output_modes, after.output_modes);
        assert_eq!(before.local_modes, after.local_modes);
        assert_eq!(before.control_modes, after.control_modes);
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
