//! What a failed call returns, and the text that is kept for the thread.

use crate::code::Code;
use sharesock::{Error, InfoError};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers of our own lie below this: its negative, less the number of the kind.
pub(super) const OWN: i32 = -1000;

/// Why a call failed: a negative `errno` or a negative number of our own, with a text.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: i32,
    pub(super) text: String,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    pub(super) fn of(errno: i32, text: impl Into<String>) -> Self {
        Failure { code: -errno, text: text.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match error.os_code() {
            Some(errno) => -errno,
            None => OWN - i32::from(error.kind().number()),
        };
        Failure { code, text: error.to_string() }
    }
}

impl From<InfoError> for Failure {
    fn from(error: InfoError) -> Self {
        Error::from(error).into()
    }
}

/// Null where a pointer is needed: nothing else of the caller's memory is refused.
impl From<Code> for Failure {
    fn from(_: Code) -> Self {
        Failure::of(libc::EFAULT, "a pointer is null that must not be")
    }
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Failure::of(errno.raw_os_error(), errno.to_string())
    }
}

thread_local! {
    static LAST: RefCell<(i32, String)> = const { RefCell::new((0, String::new())) };
}

/// The text of the last call of this thread that failed, if it failed with `code`.
pub(super) fn last_text(code: i32) -> Option<String> {
    // A thread that ends has none any more.
    LAST.try_with(|last| last.try_borrow().ok().filter(|last| last.0 == code).map(|last| last.1.clone())).ok().flatten()
}

/// Runs a function: its result, or the number of its failure. No panic goes through.
pub(super) fn run(act: impl FnOnce() -> Result<i32>) -> i32 {
    let panicked = |_| Err(Failure::of(libc::ENOTRECOVERABLE, "a fault in the library: please report it"));
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(panicked).unwrap_or_else(|failure| {
        let code = failure.code;
        let _ = LAST.try_with(|last| last.try_borrow_mut().map(|mut last| *last = (code, failure.text)));
        code
    })
}

/// Defines functions that C programs call, each exported under its name.
macro_rules! plain {
    ($($(#[$doc:meta])* fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As for every function of the interface: what the arguments point to is as long as they say, and stays
            /// as it is during the call.
            #[unsafe(no_mangle)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> i32 {
                $crate::plain::failure::run(|| -> $crate::plain::failure::Result<i32> { $body })
            }
        )+
    };
}
pub(super) use plain;
