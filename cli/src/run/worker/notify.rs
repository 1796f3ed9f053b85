//! The messages of `sd_notify`, by which a worker says how it is.

/// The part of a message that means something here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NotifyMessage {
    pub(crate) ready: bool,
    pub(crate) status: Option<String>,
    /// Connections that it has open, and those that it has received from the supervisor since it started.
    pub(crate) open: Option<u64>,
    pub(crate) received: Option<u64>,
}

/// Names of the counts in a message.
pub(crate) const OPEN: &str = "X_SHARESOCK_OPEN";
pub(crate) const RECEIVED: &str = "X_SHARESOCK_RECEIVED";

/// Most characters of a status that are kept.
const LONGEST_STATUS: usize = 200;

/// Reads a message: lines of `NAME=VALUE`, of which what is unknown is left out.
pub(crate) fn read(message: &[u8]) -> NotifyMessage {
    let mut found = NotifyMessage::default();
    for line in String::from_utf8_lossy(message).lines() {
        match line.split_once('=') {
            Some(("READY", "1")) => found.ready = true,
            Some(("STATUS", text)) => {
                found.status = Some(text.chars().filter(|letter| !letter.is_control()).take(LONGEST_STATUS).collect());
            }
            Some((OPEN, count)) => found.open = count.parse().ok(),
            Some((RECEIVED, count)) => found.received = count.parse().ok(),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_taken_from_whatever_comes() {
        let message =
            read(b"STATUS=warming up\x1b[31m\nREADY=1\nX_OTHER=2\nX_SHARESOCK_OPEN=3\nX_SHARESOCK_RECEIVED=10");
        let status = Some("warming up[31m".to_owned());
        assert_eq!(message, NotifyMessage { ready: true, status, open: Some(3), received: Some(10) });
        let nothing = b"READY=0\nREADY\n\xff\xfe=\n=\nX_SHARESOCK_OPEN=-1\nX_SHARESOCK_RECEIVED=";
        assert_eq!(read(nothing), NotifyMessage::default());
        let long = [b"STATUS=".as_slice(), &[b'a'; 1000]].concat();
        assert_eq!(read(&long).status.map(|status| status.len()), Some(LONGEST_STATUS));
    }
}
