//! Tickets: what makes a duplicate single-use, and bound to its target.
//!
//! Winsock puts a handle into the target's table and asks no more. So each duplicate has a file in the domain, with what
//! Winsock needs to make a socket of the handle. Who has the file open has it alone, and decides what becomes of it: it is
//! redeemed, or revoked, or discarded. With it goes what else is to be known of the duplicate.

use super::sys::{Folder, GENUINE, delete_on_close};
use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::process::Who;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// The first bytes of a ticket, and its version.
const MAGIC: [u8; 8] = *b"shtick\0\x01";
/// Where the state lies.
const STATE: u64 = 8;
const SIZE: usize = 8 + 4 + 4 + 8 + 8 + GENUINE;
/// Others have a ticket open for microseconds.
pub(crate) const BUSY_AT_MOST: Duration = Duration::from_secs(5);

/// 128 random bits that name a duplicate.
pub(crate) type Token = [u8; 16];

/// What a ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) revoked: bool,
    /// When it expires, in nanoseconds since boot; 0 is never.
    pub(crate) expires: u64,
    /// Identity of the underlying socket.
    pub(crate) socket: u64,
    /// What Winsock itself wrote of the duplicate.
    pub(crate) genuine: [u8; GENUINE],
}

impl Ticket {
    fn to_bytes(self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let parts = [
            &MAGIC[..],
            &u32::from(self.revoked).to_le_bytes(),
            &[0; 4],
            &self.expires.to_le_bytes(),
            &self.socket.to_le_bytes(),
            &self.genuine,
        ];
        for (place, byte) in bytes.iter_mut().zip(parts.into_iter().flatten()) {
            *place = *byte;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; SIZE]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk()?;
        let (state, rest) = rest.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<4>()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (socket, genuine) = rest.split_first_chunk()?;
        let revoked = match u32::from_le_bytes(*state) {
            0 => false,
            1 => true,
            _ => return None,
        };
        let [expires, socket] = [expires, socket].map(|word| u64::from_le_bytes(*word));
        (*magic == MAGIC).then_some(Ticket { revoked, expires, socket, genuine: genuine.try_into().ok()? })
    }
}

/// A ticket that is open: nobody else can look at it.
#[derive(Debug)]
pub(crate) struct Taken(File);

impl Taken {
    /// Waits while others have it open, for at most `patience`; nothing when there is none, or none any more.
    pub(crate) fn open(domain: &Domain, name: &str, patience: Duration) -> Result<Option<Self>> {
        let started = Instant::now();
        loop {
            match domain.0.folder().open_alone(name) {
                Ok(file) => return Ok(Some(Taken(file))),
                Err(error) if is_missing(&error) => return Ok(None),
                // One that goes is waited for, too: what became of it is known when it is gone.
                Err(error) if (is_busy(&error) || is_going(&error)) && started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_micros(200));
                }
                Err(error) if is_going(&error) => return Ok(None),
                Err(error) => return Err(Error::io("looking for a duplicate")(error)),
            }
        }
    }

    /// What it says; nothing when it is none that was written to its end.
    pub(crate) fn read(&mut self) -> Option<Ticket> {
        let mut bytes = Vec::with_capacity(SIZE + 1);
        (&self.0).take(SIZE as u64 + 1).read_to_end(&mut bytes).ok()?;
        Ticket::from_bytes(bytes.as_slice().try_into().ok()?)
    }

    /// From now on it cannot be redeemed.
    pub(crate) fn revoke(&mut self) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(STATE))?;
        self.0.write_all(&1_u32.to_le_bytes())
    }

    /// It is gone when it is closed.
    pub(crate) fn use_up(&self) -> io::Result<()> {
        delete_on_close(&self.0, true)
    }

    /// It stays after all.
    pub(crate) fn spare(&self) -> io::Result<()> {
        delete_on_close(&self.0, false)
    }
}

/// A ticket that says nothing yet. It is gone when it is closed, by whatever, unless it was written to its end; and it has
/// its room on the disk already, so that it can be.
#[derive(Debug)]
pub(crate) struct Blank(File);

impl Blank {
    pub(crate) fn create(folder: &Folder, name: &str) -> io::Result<Self> {
        let mut file = folder.create_alone(name)?;
        delete_on_close(&file, true)?;
        file.write_all(&[0; SIZE])?;
        Ok(Blank(file))
    }

    pub(crate) fn write(mut self, ticket: &Ticket) -> io::Result<()> {
        self.0.rewind()?;
        self.0.write_all(&ticket.to_bytes())?;
        delete_on_close(&self.0, false)
    }
}

/// What begins the names of all that is of one process.
pub(crate) fn prefix((pid, tag): Who) -> String {
    format!("{pid}-{tag:08x}")
}

/// The name of a ticket.
pub(crate) fn name_of(target: Who, token: &Token) -> String {
    let token = token.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    format!("{}-{token}.ticket", prefix(target))
}

/// The process whose a name of the domain is; and the token, if it is a ticket's.
pub(crate) fn parse_name(name: &str) -> Option<(Who, Option<Token>)> {
    let (pid, rest) = name.split_once('-')?;
    let (tag, rest) = rest.split_at_checked(8)?;
    let token = match rest {
        ".endpoint" => None,
        rest => Some(parse_token(rest.strip_prefix('-')?.strip_suffix(".ticket")?)?),
    };
    Some(((pid.parse().ok()?, u32::from_str_radix(tag, 16).ok()?), token))
}

fn parse_token(text: &str) -> Option<Token> {
    (text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(())?;
    Some(u128::from_str_radix(text, 16).ok()?.to_be_bytes())
}

/// There is no such file.
fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// There is, but who has it open has removed it.
fn is_going(error: &io::Error) -> bool {
    const DELETE_PENDING: i32 = 303;
    error.raw_os_error() == Some(DELETE_PENDING)
}

/// Somebody has the file open.
pub(crate) fn is_busy(error: &io::Error) -> bool {
    const SHARING_VIOLATION: i32 = 32;
    error.raw_os_error() == Some(SHARING_VIOLATION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_ticket_comes_back_the_same(revoked: bool, expires: u64, socket: u64, byte: u8) {
            let ticket = Ticket { revoked, expires, socket, genuine: [byte; GENUINE] };
            prop_assert_eq!(Ticket::from_bytes(&ticket.to_bytes()), Some(ticket));
        }

        #[test]
        fn a_name_tells_whose_it_is(pid: u32, tag: u32, token: [u8; 16]) {
            prop_assert_eq!(parse_name(&name_of((pid, tag), &token)), Some(((pid, tag), Some(token))));
            prop_assert_eq!(parse_name(&format!("{}.endpoint", prefix((pid, tag)))), Some(((pid, tag), None)));
        }

        #[test]
        fn no_name_harms(name: String) {
            let _ = parse_name(&name);
        }
    }
}
