//! Time since boot.
#![allow(unsafe_code)]

use windows_sys::Win32::System::SystemInformation::GetTickCount64;

/// Nanoseconds since boot, time asleep included: the same clock in every process. It goes in ticks.
pub(crate) fn since_boot() -> u64 {
    // SAFETY: it takes nothing and always succeeds.
    unsafe { GetTickCount64() }.saturating_mul(1_000_000)
}
