//! Between C and us: errors become codes, and no panic goes through.

use crate::code::{Code, Result};
use crate::memory::Out;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static LAST: Cell<i32> = const { Cell::new(0) };
}

/// The code of the last call that failed in this thread.
pub(crate) fn last_error() -> i32 {
    LAST.get()
}

pub(crate) fn set_last_error(code: i32) {
    LAST.set(code);
}

fn guarded<T>(act: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or(Err(Code::SYSCALLFAILURE))
}

/// Runs a function whose code is kept for the thread.
pub(crate) fn wsa<T>(failed: T, act: impl FnOnce() -> Result<T>) -> T {
    guarded(act).unwrap_or_else(|code| {
        set_last_error(code.0);
        failed
    })
}

/// Runs a function of a provider, whose code goes to `lpErrno`.
pub(crate) fn spi<T>(errno: Out<i32>, failed: T, act: impl FnOnce() -> Result<T>) -> T {
    guarded(act).unwrap_or_else(|code| {
        // A caller that does not ask for the code does not get it.
        let _ = errno.put(code.0);
        failed
    })
}

/// Runs a function that returns its code.
pub(crate) fn returned(act: impl FnOnce() -> Result<()>) -> i32 {
    match guarded(act) {
        Ok(()) => 0,
        Err(code) => code.0,
    }
}

/// Defines functions that C programs call: each is exported under its name, keeps its code for the thread and returns
/// what stands behind `else` when it fails.
macro_rules! winsock {
    ($($(#[$doc:meta])* $export:literal fn $name:ident($($argument:ident: $type:ty),* $(,)?) -> $result:ty, else $failed:expr; $body:block)+) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            /// As for every function of the interface: what the arguments point to is as long as they say, and stays
            /// as it is during the call.
            #[unsafe(export_name = $export)]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
                $crate::boundary::wsa($failed, || -> $crate::code::Result<$result> { $body })
            }
        )+
    };
}
pub(crate) use winsock;
