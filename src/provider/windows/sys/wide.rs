//! Names and times as the system takes them.

/// `text` in UTF-16, with its end marked.
pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// How many milliseconds to wait, rounded up so that nobody who waits spins; for ever without a timeout.
pub(super) fn milliseconds(timeout: Option<std::time::Duration>) -> u32 {
    const FOREVER: u32 = windows_sys::Win32::System::Threading::INFINITE;
    match timeout {
        None => FOREVER,
        Some(timeout) => {
            u32::try_from(timeout.as_nanos().div_ceil(1_000_000)).map_or(FOREVER - 1, |ms| ms.min(FOREVER - 1))
        }
    }
}
