//! The system's codes, and Winsock's for them.

pub(crate) const NOT_A_SOCKET: i32 = 10038;
/// `ERROR_INVALID_PARAMETER`: what opening a process that does not exist gives.
pub(crate) const NO_PROCESS: i32 = 87;
pub(crate) const WOULD_BLOCK: i32 = 10035;
/// `ERROR_BROKEN_PIPE`.
pub(crate) const BROKEN: i32 = 109;
pub(crate) const NO_DESCRIPTORS: i32 = 10024;
pub(crate) const TOO_LONG: i32 = 10040;
pub(crate) const TOO_MANY_IN_FLIGHT: i32 = 10055;
pub(crate) const INTERRUPTED: i32 = 10004;
/// `ERROR_GEN_FAILURE`.
pub(crate) const IO: i32 = 31;

const UNKNOWN: i32 = 10107;

/// Winsock's own codes stay; those of Win32 become what Winsock has for the same mistake.
pub(crate) fn winsock_code(os_code: i32) -> i32 {
    match os_code {
        10004..=11031 => os_code,
        // A path at which nobody is, a connection that was refused.
        2 | 3 | 1225 => 10061,
        // Too many open files.
        4 => 10024,
        // Access denied, a sharing or a lock violation, a required privilege.
        5 | 32 | 33 | 1314 => 10013,
        6 => 10038,
        // No memory, no room on the disk, no resources, no quota.
        8 | 14 | 112 | 1450 | 1455 | 1816 => 10055,
        50 | 120 => 10045,
        87 => 10022,
        // Pipes: broken, being closed, not connected. What overlapped operations tell: reset, nobody at a port.
        109 | 232 | 233 | 64 | 1234 => 10054,
        // What else overlapped operations tell: aborted, no way to a network, to a host.
        1236 => 10053,
        1231 => 10051,
        1232 => 10065,
        // Time: a semaphore's, any.
        121 | 1460 => 10060,
        183 => 10048,
        // Operations: cancelled, going on.
        995 => 10004,
        997 => 10036,
        _ => UNKNOWN,
    }
}
