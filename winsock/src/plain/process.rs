//! What a process has: its endpoint, its name, what it holds for others.
#![allow(unsafe_code)]

use super::failure::plain;
use super::{put_text, wait};
use crate::memory::{In, Out};
use crate::state;

/// `SHARESOCK_VERSION`, as the header has it.
const VERSION: i32 = 0x0000_0100;

plain! {
    /// `sharesock_version`: the version of this interface that the library has.
    fn sharesock_version() {
        Ok(VERSION)
    }

    /// `sharesock_open`: opens the endpoint of the process, or counts one more user of it.
    fn sharesock_open(domain: In<i8>) {
        state::open(domain.text_if().as_deref())?;
        Ok(0)
    }

    /// `sharesock_close`: one user less; the last closes the endpoint.
    fn sharesock_close() {
        state::close();
        Ok(0)
    }

    /// `sharesock_after_fork`: closes what a forked child inherited.
    fn sharesock_after_fork() {
        state::close_inherited();
        Ok(0)
    }

    /// `sharesock_domain`: the directory in which this process meets others.
    fn sharesock_domain(text: Out<u8>, size: usize) {
        put_text(&state::shared()?.0.path().display().to_string(), text, size)
    }

    /// `sharesock_process`: how this process is named to others.
    fn sharesock_process(text: Out<u8>, size: usize) {
        put_text(&state::shared()?.1.process()?.to_string(), text, size)
    }

    /// `sharesock_flush`: waits until nothing is held for others any more.
    fn sharesock_flush(timeout_ms: i64) {
        state::shared()?.1.flush(wait(timeout_ms))?;
        Ok(0)
    }
}
