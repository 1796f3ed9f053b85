//! Security descriptors, and the user of this process.
#![allow(unsafe_code)]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr::null_mut;
use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetKernelObjectSecurity, GetLengthSid, GetTokenInformation, IsValidSid,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, SECURITY_DESCRIPTOR, TOKEN_QUERY,
    TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// A security descriptor that was made from its text.
#[derive(Debug)]
pub(crate) struct Descriptor(PSECURITY_DESCRIPTOR);

impl Descriptor {
    /// Reads the text, which is of the language SDDL.
    pub(crate) fn new(text: &str) -> io::Result<Self> {
        let text: Vec<u16> = text.encode_utf16().chain([0]).collect();
        let mut made = null_mut();
        // SAFETY: `text` ends with a zero, and `made` is writable; its length is not asked for.
        super::checked(unsafe {
            let (revision, length) = (SDDL_REVISION_1, null_mut());
            ConvertStringSecurityDescriptorToSecurityDescriptorW(text.as_ptr(), revision, &raw mut made, length)
        })?;
        Ok(Descriptor(made))
    }

    /// For objects that the user of this process, SYSTEM and Administrators may use, and nobody else.
    pub(crate) fn of_this_user() -> io::Result<Self> {
        let me = sid_text(&user()?).ok_or(io::ErrorKind::InvalidData)?;
        Self::new(&format!("D:P(A;;GA;;;{me})(A;;GA;;;SY)(A;;GA;;;BA)"))
    }

    /// For making one object with it, which children do not inherit; it points into `self`.
    pub(super) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: super::size_of_u32::<SECURITY_ATTRIBUTES>(),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }

    /// Where it lies, for as long as it is borrowed.
    pub(super) fn as_ptr(&self) -> *const SECURITY_DESCRIPTOR {
        self.0.cast_const().cast()
    }
}

// SAFETY: the descriptor is memory of its own that is never written to after it was made.
unsafe impl Send for Descriptor {}
// SAFETY: as above.
unsafe impl Sync for Descriptor {}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the system allocated it so for its caller, and this is its only owner.
        unsafe { LocalFree(self.0) };
    }
}

/// The owner and the access list of what `handle` is of, in the self-relative form.
pub(super) fn of(handle: &OwnedHandle) -> io::Result<Vec<u8>> {
    let wanted = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
    grown(|bytes, size, needed| {
        // SAFETY: the handle is open, with the right to read this; `bytes` is writable for `size` bytes.
        super::checked(unsafe { GetKernelObjectSecurity(handle.as_raw_handle(), wanted, bytes.cast(), size, needed) })
    })
    .map(|words| words.into_iter().flat_map(usize::to_ne_bytes).collect())
}

/// The SID of the user whom this process belongs to, as it lies in memory.
pub(crate) fn user() -> io::Result<Vec<u8>> {
    let mut token = null_mut();
    // SAFETY: the pseudo handle is always open, and `token` is writable.
    super::checked(unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) })?;
    // SAFETY: the handle was just opened, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    let words = grown(|bytes, size, needed| {
        // SAFETY: the token is open, with the right to query; `bytes` is writable for `size` bytes.
        super::checked(unsafe { GetTokenInformation(token.as_raw_handle(), TokenUser, bytes.cast(), size, needed) })
    })?;
    // SAFETY: the system has put the structure at the front of `words`, which is aligned for it and long enough, for
    // it did not ask for more; the SID that it points to lies in `words`, too, which is alive below.
    unsafe {
        let sid = (*words.as_ptr().cast::<TOKEN_USER>()).User.Sid;
        if IsValidSid(sid) == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = usize::try_from(GetLengthSid(sid)).unwrap_or(0);
        Ok(std::slice::from_raw_parts(sid.cast::<u8>(), length).to_vec())
    }
}

/// What `ask` writes, into memory that grows until it suffices: words, so that structures may lie there.
fn grown(ask: impl Fn(*mut usize, u32, *mut u32) -> io::Result<()>) -> io::Result<Vec<usize>> {
    let mut words = vec![0_usize; 128];
    loop {
        let size = u32::try_from(size_of_val(&*words)).map_err(|_| io::ErrorKind::OutOfMemory)?;
        let mut needed = 0;
        match ask(words.as_mut_ptr(), size, &raw mut needed) {
            Ok(()) => return Ok(words),
            Err(error) if error.raw_os_error() == Some(ERROR_INSUFFICIENT_BUFFER.cast_signed()) && needed > size => {
                words.resize(usize::try_from(needed).unwrap_or(0).div_ceil(size_of::<usize>()), 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// The text of a SID, such as `S-1-5-18`.
pub(crate) fn sid_text(sid: &[u8]) -> Option<String> {
    let (head, parts) = sid.split_first_chunk::<8>()?;
    let [revision, _, authority @ ..] = *head;
    let authority = authority.into_iter().fold(0_u64, |number, byte| number << 8 | u64::from(byte));
    let parts = parts.chunks_exact(4).filter_map(|part| part.try_into().ok().map(u32::from_le_bytes));
    Some(parts.fold(format!("S-{revision}-{authority}"), |text, part| format!("{text}-{part}")))
}
