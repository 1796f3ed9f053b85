//! Signals: their names, and those that the supervisor receives.

use super::machine::End;
use anyhow::{Context as _, Result};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Arg, Command};
use nix::sys::signal::SigSet;
use rustix::process::{Signal, WaitStatus};
use std::ffi::OsStr;
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

/// Reads a signal of an option; completions offer the names.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignalParser;

impl TypedValueParser for SignalParser {
    type Value = Signal;

    fn parse_ref(&self, command: &Command, argument: Option<&Arg>, value: &OsStr) -> Result<Signal, clap::Error> {
        let by_text: fn(&str) -> Result<Signal, String> = parse;
        by_text.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(NAMES.iter().map(|(name, _)| PossibleValue::new(*name))))
    }
}

/// The name of a signal, or its number.
pub(super) fn name(signal: Signal) -> String {
    let known = NAMES.iter().find(|(_, known)| *known == signal);
    known.map_or_else(|| format!("signal {}", signal.as_raw()), |(name, _)| format!("SIG{name}"))
}

/// End of a process, from the status that the kernel gives.
pub(super) fn end_of(status: WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Code(code),
        (_, Some(number)) => End::Signal(match Signal::from_named_raw(number) {
            Some(signal) => format!("{signal:?}").replace("Signal::", "SIG").trim_matches('"').to_owned(),
            None => format!("signal {number}"),
        }),
        _ => End::Untold,
    }
}

/// Meaning of a signal to the supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignalEvent {
    End,
    Reload,
    /// Meant for the workers.
    Forward(Signal),
    /// A child has ended.
    Child,
}

/// The signals of a supervisor.
#[derive(Debug)]
pub(crate) struct SignalStream(Vec<(SignalEvent, Stream)>);

impl SignalStream {
    pub(crate) fn open() -> Result<Self> {
        let watched = [
            (SignalEvent::Child, SignalKind::child()),
            (SignalEvent::End, SignalKind::terminate()),
            (SignalEvent::End, SignalKind::interrupt()),
            (SignalEvent::End, SignalKind::quit()),
            (SignalEvent::Reload, SignalKind::hangup()),
            (SignalEvent::Forward(Signal::USR1), SignalKind::user_defined1()),
            (SignalEvent::Forward(Signal::USR2), SignalKind::user_defined2()),
            (SignalEvent::Forward(Signal::WINCH), SignalKind::window_change()),
        ];
        let open = |(event, kind)| Ok((event, signal(kind).context("watching for signals")?));
        watched.into_iter().map(open).collect::<Result<_>>().map(SignalStream)
    }

    pub(crate) async fn next(&mut self) -> SignalEvent {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// One that has come already.
    pub(crate) async fn now(&mut self) -> Option<SignalEvent> {
        std::future::poll_fn(|context| match self.poll(context) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<SignalEvent> {
        let event =
            self.0.iter_mut().find_map(|(event, stream)| stream.poll_recv(context).is_ready().then_some(*event));
        event.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Signals that must not be lost while the supervisor becomes another program.
fn kept() -> SigSet {
    use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH].into_iter().collect()
}

/// Blocks them: from here on they wait, also while this thread's process executes another program.
pub(crate) fn block() {
    let _ = kept().thread_block();
}

/// Unblocks all, also what whoever started this had blocked: those that waited come now.
pub(crate) fn unblock() {
    let _ = SigSet::empty().thread_set_mask();
}

/// Blocks signals while threads are spawned, so that only the main thread receives them; one lost to another thread would
/// vanish when this program is replaced.
pub(crate) fn with_signals_blocked<T>(start: impl FnOnce() -> T) -> T {
    let before = SigSet::thread_get_mask();
    block();
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
        assert_eq!((name(Signal::TERM), name(Signal::SYS)), ("SIGTERM".to_owned(), "signal 31".to_owned()));
        for wrong in ["", "SIG", "TERMINATE", "0", "-1", "999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
