//! The plain C interface (`sharesock.h`): descriptors in and out, no Winsock types, results that are 0 or more, or a negative
//! number that says what failed.
//!
//! `failure` has those numbers, `object` the objects that C holds by pointer, the others the functions.

mod errnos;
mod errors;
mod events;
mod failure;
mod hand_off;
mod look;
mod object;
mod offer;
mod process;
mod redeem;
mod seat;
mod share;

use failure::{Failure, Result};

/// How long to wait, in milliseconds; a negative number is for ever. A signal handler that runs ends the wait.
fn wait(milliseconds: i64) -> sharesock::Wait {
    let limit = u64::try_from(milliseconds).ok().map(std::time::Duration::from_millis);
    sharesock::Wait::from(limit).interruptible()
}

/// Writes a text and a null to a place of so many bytes; its length.
fn put_text(text: &str, place: crate::memory::Out<u8>, size: usize) -> Result<i32> {
    let bytes = [text.as_bytes(), b"\0"].concat();
    if bytes.len() > size {
        return Err(Failure::of(libc::ERANGE, format!("the text needs {} bytes, and there are {size}", bytes.len())));
    }
    place.put_many(&bytes)?;
    Ok(i32::try_from(text.len()).unwrap_or(i32::MAX))
}
