//! Signals: their names, and those that the supervisor hears.

use anyhow::{Context as _, Result};
use nix::sys::signal::SigSet;
use rustix::process::{Signal, WaitStatus};
use std::task::{Context, Poll};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

const NAMES: [(&str, Signal); 9] = [
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("USR2", Signal::USR2),
    ("TERM", Signal::TERM),
    ("CONT", Signal::CONT),
    ("WINCH", Signal::WINCH),
];

/// A signal by its name, with or without SIG, or by its number.
pub(crate) fn parse(text: &str) -> Result<Signal, String> {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let named = NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal);
    let numbered = || text.parse().ok().and_then(Signal::from_named_raw);
    named.or_else(numbered).ok_or_else(|| "give a signal's name, such as TERM, QUIT, INT or USR1".to_owned())
}

/// How a process has ended.
pub(super) fn describe(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (_, Some(number)) => match Signal::from_named_raw(number) {
            Some(signal) => {
                format!("was ended by {}", format!("{signal:?}").replace("Signal::", "SIG").trim_matches('"'))
            }
            None => format!("was ended by signal {number}"),
        },
        _ => "ended".to_owned(),
    }
}

/// What the supervisor hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    End,
    Reload,
    /// Meant for the workers.
    Forward(Signal),
    /// A child has ended.
    Child,
}

/// The signals of a supervisor.
#[derive(Debug)]
pub(crate) struct Ears(Vec<(Heard, Stream)>);

impl Ears {
    pub(crate) fn open() -> Result<Self> {
        let heard = [
            (Heard::Child, SignalKind::child()),
            (Heard::End, SignalKind::terminate()),
            (Heard::End, SignalKind::interrupt()),
            (Heard::End, SignalKind::quit()),
            (Heard::Reload, SignalKind::hangup()),
            (Heard::Forward(Signal::USR1), SignalKind::user_defined1()),
            (Heard::Forward(Signal::USR2), SignalKind::user_defined2()),
            (Heard::Forward(Signal::WINCH), SignalKind::window_change()),
        ];
        let open = |(heard, kind)| Ok((heard, signal(kind).context("watching for signals")?));
        heard.into_iter().map(open).collect::<Result<_>>().map(Ears)
    }

    pub(crate) async fn next(&mut self) -> Heard {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// What has been heard already.
    pub(crate) async fn now(&mut self) -> Option<Heard> {
        std::future::poll_fn(|context| match self.poll(context) {
            Poll::Ready(heard) => Poll::Ready(Some(heard)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Heard> {
        let heard =
            self.0.iter_mut().find_map(|(heard, stream)| stream.poll_recv(context).is_ready().then_some(*heard));
        heard.map_or(Poll::Pending, Poll::Ready)
    }
}

/// What a supervisor that becomes another program must not miss.
fn kept() -> SigSet {
    use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH].into_iter().collect()
}

/// From here on they wait, also while this thread's process executes another program.
pub(crate) fn hold() {
    let _ = kept().thread_block();
}

/// Those that waited come now.
pub(crate) fn release() {
    let _ = kept().thread_unblock();
}

/// Threads that this starts do not hear them: one would, and then the program be replaced that knows of it.
pub(crate) fn unheard<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::thread_get_mask();
    hold();
    let started = start();
    let _ = before.map(|before| before.thread_set_mask());
    started
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["TERM", "SIGTERM", "term", "15"] {
            assert_eq!(parse(text), Ok(Signal::TERM));
        }
        for wrong in ["", "SIG", "TERMINATE", "0", "-1", "999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
