//! How what was observed is written down.

use sharesock::{Error, InfoError, Message, NetworkEvents, Socket, winsock_code};
use std::io;

/// Writes a line of the trace.
pub(crate) fn see(what: &str, seen: impl Seen) {
    println!("  {what}: {}", seen.seen());
}

/// Something that was observed, in one line and without what differs from run to run.
pub(crate) trait Seen {
    fn seen(&self) -> String;
}

impl<T: Seen + ?Sized> Seen for &T {
    fn seen(&self) -> String {
        (**self).seen()
    }
}

impl Seen for str {
    fn seen(&self) -> String {
        self.to_owned()
    }
}

impl Seen for String {
    fn seen(&self) -> String {
        self.clone()
    }
}

impl Seen for () {
    fn seen(&self) -> String {
        "done".to_owned()
    }
}

impl Seen for bool {
    fn seen(&self) -> String {
        if *self { "yes" } else { "no" }.to_owned()
    }
}

impl Seen for usize {
    fn seen(&self) -> String {
        self.to_string()
    }
}

impl Seen for Socket {
    fn seen(&self) -> String {
        "a descriptor".to_owned()
    }
}

impl<T: Seen> Seen for Option<T> {
    fn seen(&self) -> String {
        self.as_ref().map_or_else(|| "nothing".to_owned(), Seen::seen)
    }
}

impl<T: Seen> Seen for Vec<T> {
    fn seen(&self) -> String {
        if self.is_empty() { "nothing".to_owned() } else { self.iter().map(Seen::seen).collect::<Vec<_>>().join(", ") }
    }
}

impl<T: Seen, E: Refusal> Seen for Result<T, E> {
    fn seen(&self) -> String {
        match self {
            Ok(seen) => seen.seen(),
            Err(error) => format!("refused, {}", error.refusal()),
        }
    }
}

/// An error: its name and Winsock's code. The system's own code would differ from system to system.
pub(crate) trait Refusal {
    fn refusal(&self) -> String;
}

impl Refusal for Error {
    fn refusal(&self) -> String {
        match self {
            Error::BadInfo(error) => format!("BadInfo, {}", error.refusal()),
            _ => format!("{} ({})", variant(self), self.winsock_code()),
        }
    }
}

impl Refusal for InfoError {
    fn refusal(&self) -> String {
        let code = Error::BadInfo(self.clone()).winsock_code();
        match self {
            InfoError::Member { member, .. } => format!("Member {member} ({code})"),
            _ => format!("{} ({code})", variant(self)),
        }
    }
}

impl Refusal for io::Error {
    fn refusal(&self) -> String {
        match (self.raw_os_error(), self.get_ref().and_then(|inner| inner.downcast_ref::<Error>())) {
            (Some(code), _) => winsock_code(code).to_string(),
            (None, Some(error)) => error.refusal(),
            (None, None) => variant(&self.kind()),
        }
    }
}

impl Refusal for Box<sharesock::Refused> {
    fn refusal(&self) -> String {
        self.error.refusal()
    }
}

/// The name of the variant.
fn variant(error: &impl std::fmt::Debug) -> String {
    format!("{error:?}").split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default().to_owned()
}

/// What was received: none at the end of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Seen for Bytes {
    fn seen(&self) -> String {
        match self.0.len() {
            0 => "the end".to_owned(),
            1..=100 => format!("{:?}", String::from_utf8_lossy(&self.0)),
            length => format!("{length} bytes"),
        }
    }
}

/// One network event with its code, which is left out when it is 0.
pub(crate) fn event(event: NetworkEvents, code: i32) -> String {
    if code == 0 { event.to_string() } else { format!("{event} ({code})") }
}

impl Seen for Message {
    fn seen(&self) -> String {
        match self {
            Message::Network { id, event: about, code, .. } => format!("{id} {}", event(*about, *code)),
            Message::TakenOver { id, .. } => format!("{id} taken over"),
            Message::Posted { id, first, second } => format!("{id} posted {first} {second}"),
            _ => "another message".to_owned(),
        }
    }
}
