//! The terminal: taken for the live view, and given back however that ends.

use anyhow::{Result, bail};
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use ratatui::{DefaultTerminal, Frame};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::{SigId, consts::TERM_SIGNALS, flag, low_level};
use std::io::{IsTerminal, stdin, stdout};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A signal that comes just before one waits is noticed after this long.
const LONGEST_WAIT: Duration = Duration::from_millis(250);

/// What one waited for.
pub(crate) enum Happened {
    /// Perhaps none: time is up, or the terminal has another size.
    Keys(Vec<KeyEvent>),
    /// A signal asks to end, or the terminal is gone.
    Ended,
}

/// Whether there is a terminal to show and to ask.
pub(crate) fn check() -> Result<()> {
    if !stdout().is_terminal() || !stdin().is_terminal() {
        bail!("top needs a terminal as its standard input and output; for a program to read: status --json");
    }
    Ok(())
}

/// The terminal, in our hands.
pub(crate) struct Screen {
    /// None when it was given back.
    terminal: Option<DefaultTerminal>,
    ended: Arc<AtomicBool>,
    signals: Vec<SigId>,
    gone: bool,
}

impl Screen {
    pub(crate) fn open() -> Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut signals = Vec::new();
        for signal in TERM_SIGNALS {
            signals.push(flag::register(*signal, Arc::clone(&ended))?);
        }
        // It also has a panic give the terminal back before it prints.
        let terminal = ratatui::try_init().inspect_err(|_| {
            let _ = ratatui::try_restore();
        })?;
        Ok(Screen { terminal: Some(terminal), ended, signals, gone: false })
    }

    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> Result<()> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        match terminal.draw(draw).map(drop) {
            // That it is gone is noticed where one waits for keys.
            Err(_) if self.look(Duration::ZERO)? => Ok(()),
            done => Ok(done?),
        }
    }

    /// Waits for keys, but not beyond that time if there is one.
    pub(crate) fn wait(&mut self, until: Option<Instant>) -> Result<Happened> {
        let left = until.map_or(LONGEST_WAIT, |until| until.saturating_duration_since(Instant::now()));
        let gone = self.look(left.min(LONGEST_WAIT))?;
        if gone || self.ended.load(Ordering::Relaxed) {
            return Ok(Happened::Ended);
        }
        let mut keys = Vec::new();
        while event::poll(Duration::ZERO)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => keys.push(key),
                _ => {}
            }
        }
        Ok(Happened::Keys(keys))
    }

    /// Waits for keys at most that long, and tells whether the terminal is gone.
    ///
    /// Waiting here and not where keys are read: there a terminal that is gone would be read for ever.
    fn look(&mut self, longest: Duration) -> Result<bool> {
        let longest = Timespec::try_from(longest).ok();
        let input = stdin();
        let mut ready = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut ready, longest.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.gone = ready[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL);
        Ok(self.gone)
    }

    pub(crate) fn close(mut self) -> Result<()> {
        self.give_back()
    }

    /// Once: leaving the alternate screen a second time would move the cursor over what was printed since.
    fn give_back(&mut self) -> Result<()> {
        let Some(mut terminal) = self.terminal.take() else { return Ok(()) };
        let shown = terminal.show_cursor();
        // In a panic this was done before the panic was told.
        let restored = if std::thread::panicking() { Ok(()) } else { ratatui::try_restore() };
        if shown.is_err() {
            // To drop it would print a complaint, and that fails, too, where the terminal is gone.
            std::mem::forget(terminal);
        }
        if self.gone { Ok(()) } else { Ok(shown.and(restored)?) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // If this fails, nothing is left to try.
        let _ = self.give_back();
        for signal in self.signals.drain(..) {
            low_level::unregister(signal);
        }
    }
}
