//! Randomness of the system.
#![allow(unsafe_code)]

use std::io;
use windows_sys::Win32::Security::Cryptography::ProcessPrng;

/// Bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the buffer is ours and has `N` bytes.
    match unsafe { ProcessPrng(bytes.as_mut_ptr(), N) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(bytes),
    }
}
