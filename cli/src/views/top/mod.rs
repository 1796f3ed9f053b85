//! `sharesock top`: a supervisor, live.

pub(crate) mod draw;
mod screen;
mod sections;
pub(crate) mod view;
mod workers;

use crate::seconds;
use crate::status::Status;
use anyhow::{Context, Result};
use screen::Screen;
use std::time::{Duration, Instant};
use view::{Next, View};

/// Options of the live view.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Options {
    /// How often the supervisor is asked, in seconds: 0.1 to 3600.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    seconds::parse(text, 0.1..=3600.0).map_err(|_| "give seconds from 0.1 to 3600".to_owned())
}

/// Shows what `fetch` gives until the user has seen enough.
///
/// The first answer has to be one: then the error is returned, and the terminal stays as it is. Later errors are shown
/// and `fetch` is tried again. It should not take longer than a second or so: meanwhile keys do nothing.
pub(crate) fn top(fetch: &mut dyn FnMut() -> Result<Status>, options: Options) -> Result<()> {
    screen::check()?;
    let mut view = View::new(options.interval);
    view.take(Ok(fetch()?), Instant::now());
    let mut screen = Screen::open().context("preparing the terminal")?;
    let shown = show(&mut screen, &mut view, fetch);
    let closed = screen.close().context("restoring the terminal");
    shown.and(closed)
}

fn show(screen: &mut Screen, view: &mut View, fetch: &mut dyn FnMut() -> Result<Status>) -> Result<()> {
    let mut due = Instant::now() + view.interval;
    loop {
        let now = Instant::now();
        if !view.paused && now >= due {
            view.take(fetch(), now);
            due = Instant::now() + view.interval;
        }
        screen.draw(|frame| draw::draw(frame, view, now)).context("drawing")?;
        let until = (!view.paused).then_some(due);
        match screen.wait(until).context("reading keys")? {
            screen::Happened::Ended => return Ok(()),
            screen::Happened::Keys(keys) => {
                for key in keys {
                    match view.press(key) {
                        Next::Quit => return Ok(()),
                        Next::Fetch => due = Instant::now(),
                        Next::Draw => {}
                    }
                }
            }
        }
    }
}
