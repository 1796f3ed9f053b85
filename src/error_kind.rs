//! Kinds of errors, with names and numbers that stay.

use crate::error::Error;
use std::fmt;

macro_rules! kinds {
    ($($kind:ident = $number:literal, $name:literal, $text:literal;)+) => {
        /// What kind of error an [`Error`] is: the variant without its details, with a name and a number that never change.
        ///
        /// For logs, metrics and other languages: the numbers and names are those that the C interface has.
        ///
        /// ```
        /// use sharesock::{ErrorKind, Process};
        /// let error = Process::from_pid(0).unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::NoSuchProcess);
        /// assert_eq!(error.kind().name(), "NO_SUCH_PROCESS");
        /// assert_eq!(ErrorKind::from_number(error.kind().number()), Some(error.kind()));
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $(#[doc = concat!("As [`Error::", stringify!($kind), "`]: ", $text, ".")] $kind,)+
        }

        impl ErrorKind {
            /// All kinds, by number.
            pub const ALL: &'static [ErrorKind] = &[$(ErrorKind::$kind),+];

            /// Its number, which is positive. A number that was given once never means anything else.
            #[must_use]
            pub fn number(self) -> u16 {
                match self { $(ErrorKind::$kind => $number,)+ }
            }

            /// Its name, such as `NO_SUCH_PROCESS`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(ErrorKind::$kind => $name,)+ }
            }

            /// What it means, in one sentence without details.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(ErrorKind::$kind => $text,)+ }
            }
        }

        impl Error {
            /// What kind of error this is.
            #[must_use]
            pub fn kind(&self) -> ErrorKind {
                match self { $(Error::$kind { .. } => ErrorKind::$kind,)+ }
            }
        }
    };
}

kinds! {
    NotASocket = 1, "NOT_A_SOCKET", "the descriptor is not a socket";
    NoSuchProcess = 2, "NO_SUCH_PROCESS", "there is no such process, or it has ended";
    NotAProcess = 3, "NOT_A_PROCESS", "the text does not name a process";
    NoEndpoint = 4, "NO_ENDPOINT", "the target has no endpoint, or no such receiver, in this domain";
    Impostor = 5, "IMPOSTOR", "another process listens under the name of the target";
    QueueFull = 6, "QUEUE_FULL", "the queue of the target is full";
    TooManyInFlight = 7, "TOO_MANY_IN_FLIGHT", "too many descriptors of this user are in flight";
    BadInfo = 8, "BAD_INFO", "the bytes are no protocol info that this library made";
    NothingToRedeem = 9, "NOTHING_TO_REDEEM", "the protocol info names no duplicate";
    WrongProcess = 10, "WRONG_PROCESS", "the protocol info was made for another process";
    WrongDomain = 11, "WRONG_DOMAIN", "the protocol info was made in another domain";
    AlreadyRedeemed = 12, "ALREADY_REDEEMED", "the protocol info was redeemed before";
    UnknownDelivery = 13, "UNKNOWN_DELIVERY", "nothing under this protocol info reached this process";
    Expired = 14, "EXPIRED", "the protocol info has expired";
    Revoked = 15, "REVOKED", "the source revoked the protocol info";
    SourceGone = 16, "SOURCE_GONE", "the source ended while it held the duplicate";
    SourceSilent = 17, "SOURCE_SILENT", "the source holds the duplicate and did not answer in time";
    StillHeld = 18, "STILL_HELD", "duplicates are still held for their targets";
    HandOffFull = 19, "HAND_OFF_FULL", "the target has no room for more sockets now";
    TargetGone = 20, "TARGET_GONE", "the target has ended, or closed its receiver";
    TargetOutOfDescriptors = 21, "TARGET_OUT_OF_DESCRIPTORS", "the target has no free descriptor";
    TurnedAway = 22, "TURNED_AWAY", "the target accepts no more senders of this process or user";
    NotTaken = 23, "NOT_TAKEN", "the target has not taken everything that was handed off to it";
    TooManyBytes = 24, "TOO_MANY_BYTES", "too many bytes to go with one socket";
    Forked = 25, "FORKED", "the object belongs to the process that forked this one";
    TooManyUnredeemed = 26, "TOO_MANY_UNREDEEMED", "too many duplicates wait here unredeemed";
    TooManyLinks = 27, "TOO_MANY_LINKS", "too many processes have links to this one";
    Registered = 28, "REGISTERED", "the socket has an event registration";
    UnsupportedEvents = 29, "UNSUPPORTED_EVENTS", "this system cannot report these events";
    NotOnThisSystem = 30, "NOT_ON_THIS_SYSTEM", "this system cannot tell or do it";
    BoundToPort = 31, "BOUND_TO_PORT", "the socket is bound to a completion port";
    OtherDomain = 32, "OTHER_DOMAIN", "the socket shares its events in another domain";
    BadWait = 33, "BAD_WAIT", "there is nothing to wait for, or one object twice";
    TableFull = 34, "TABLE_FULL", "the table of events has no room";
    BadTable = 35, "BAD_TABLE", "the table of events cannot be used";
    UntrustedDomain = 36, "UNTRUSTED_DOMAIN", "the domain's directory cannot be trusted";
    NameTaken = 37, "NAME_TAKEN", "another user has a name that this process needs";
    Interrupted = 38, "INTERRUPTED", "a signal interrupted the wait";
    EndpointOpen = 39, "ENDPOINT_OPEN", "this process has an endpoint in the domain already";
    ReceiverOpen = 40, "RECEIVER_OPEN", "this process has a receiver of that name already";
    BadName = 41, "BAD_NAME", "the name of a receiver is not allowed";
    Directory = 42, "DIRECTORY", "the domain's directory cannot be made or used";
    System = 1000, "SYSTEM", "the operating system refused a call";
}

impl ErrorKind {
    /// The kind that has this number.
    #[must_use]
    pub fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.number() == number)
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn each_kind_has_a_number_and_a_name_of_its_own() {
        let numbers: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.number()).collect();
        let names: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!((numbers.len(), names.len()), (ErrorKind::ALL.len(), ErrorKind::ALL.len()));
        assert!(!numbers.contains(&0));
    }

    #[test]
    fn the_name_of_a_kind_is_that_of_its_variant() {
        for kind in ErrorKind::ALL {
            let spelled: String = kind.name().chars().filter(|letter| *letter != '_').collect();
            assert_eq!(spelled.to_lowercase(), format!("{kind:?}").to_lowercase());
        }
    }
}
