//! The signal state that a program is started with.
#![allow(unsafe_code)]

use nix::libc::{SIG_DFL, SIGRTMAX, signal};
use nix::sys::signal::SigSet;

/// Has every signal do what it does by default, and blocks none: whoever started this program may have had it otherwise.
pub(crate) fn reset() {
    for number in 1..=SIGRTMAX() {
        // SAFETY: no handler is installed, and what a signal does by default needs nothing of this program. Those that
        // cannot be changed are refused.
        let _ = unsafe { signal(number, SIG_DFL) };
    }
    let _ = SigSet::empty().thread_set_mask();
}
