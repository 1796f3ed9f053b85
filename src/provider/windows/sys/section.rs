//! One page that two processes share.
#![allow(unsafe_code)]

use super::Running;
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle, RawHandle};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use windows_sys::Win32::Foundation::{ERROR_INVALID_DATA, INVALID_HANDLE_VALUE};
use windows_sys::Win32::System::Memory::{
    CreateFileMappingW, FILE_MAP_READ, FILE_MAP_WRITE, MEM_COMMIT, MEM_MAPPED, MEMORY_BASIC_INFORMATION,
    MEMORY_MAPPED_VIEW_ADDRESS, MapViewOfFile, PAGE_READWRITE, UnmapViewOfFile, VirtualQuery,
};
use windows_sys::Win32::System::ProcessStatus::K32GetMappedFileNameW;
use windows_sys::Win32::System::Threading::GetCurrentProcess;

/// Bytes of a section: a page.
const SECTION_SIZE: usize = 4096;
const ACCESS: u32 = FILE_MAP_READ | FILE_MAP_WRITE;
/// Characters of the longest name that a file has.
const LONGEST_NAME: usize = 32_768;
/// Words of the page.
const WORDS: usize = SECTION_SIZE / 8;

/// A mapped page of shared memory without a name. It stays as long as somebody maps it or has a handle to it, so the
/// one of a process that was killed is there for the other still.
#[derive(Debug)]
pub(crate) struct Section(NonNull<std::ffi::c_void>);

// SAFETY: a mapping belongs to the process, not to a thread; what lies in it is only ever used as atomics.
unsafe impl Send for Section {}
// SAFETY: as above.
unsafe impl Sync for Section {}

impl Section {
    /// A page of zeroes, and the handle by which another process adopts it.
    pub(crate) fn new() -> io::Result<(Self, OwnedHandle)> {
        let nobody = std::ptr::null();
        // SAFETY: no file and no name go with it, so no pointer is read.
        let section = unsafe {
            CreateFileMappingW(INVALID_HANDLE_VALUE, nobody, PAGE_READWRITE, 0, SECTION_SIZE as u32, std::ptr::null())
        };
        if section.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the section was made just now, and nobody else has its handle.
        let section = unsafe { OwnedHandle::from_raw_handle(section) };
        Ok((Self::map(section.as_raw_handle())?, section))
    }

    /// Gives the section to another process, and tells the number under which it lies in that process's table.
    pub(crate) fn give(handle: &OwnedHandle, target: &Running) -> io::Result<u64> {
        target.give(handle.as_handle(), ACCESS)
    }

    /// The section that another process put into this one's table as `number`, if `is_it` knows it by its words.
    ///
    /// The handle is closed then. What is not the section that was announced stays as it is: it may be anything.
    pub(crate) fn adopt(number: u64, is_it: impl FnOnce(&[AtomicU64; WORDS]) -> bool) -> io::Result<Self> {
        let unlike = || io::Error::from_raw_os_error(ERROR_INVALID_DATA as i32);
        let handle = usize::try_from(number).map_err(|_| unlike())? as RawHandle;
        let section = Self::map(handle)?;
        if !section.is_plain() || !is_it(section.words()) {
            return Err(unlike());
        }
        // SAFETY: the number names a section with the words that its maker chose at random for us alone, and the
        // maker put it into our table for us to own.
        drop(unsafe { OwnedHandle::from_raw_handle(handle) });
        Ok(section)
    }

    fn map(section: RawHandle) -> io::Result<Self> {
        // SAFETY: the system picks the address, so no memory that is in use is touched. A number that is no section,
        // or one of less than a page, is refused.
        let view = unsafe { MapViewOfFile(section, ACCESS, 0, 0, SECTION_SIZE) };
        NonNull::new(view.Value).map(Section).ok_or_else(io::Error::last_os_error)
    }

    /// Whether the page is plain memory, which is there whenever it is touched: not that of a file, and not reserved
    /// only.
    fn is_plain(&self) -> bool {
        let mut about = MEMORY_BASIC_INFORMATION::default();
        let mut name = vec![0; LONGEST_NAME];
        // SAFETY: the address is one of our mappings; the buffers are ours and as long as is said.
        let (told, named) = unsafe {
            let told = VirtualQuery(self.0.as_ptr(), &mut about, size_of::<MEMORY_BASIC_INFORMATION>());
            let room = name.len() as u32;
            (told, K32GetMappedFileNameW(GetCurrentProcess(), self.0.as_ptr(), name.as_mut_ptr(), room))
        };
        told != 0
            && about.State == MEM_COMMIT
            && about.Type == MEM_MAPPED
            && about.Protect == PAGE_READWRITE
            && about.RegionSize >= SECTION_SIZE
            && named == 0
    }

    /// The words of the page.
    pub(crate) fn words(&self) -> &[AtomicU64; WORDS] {
        // SAFETY: the page lives as long as `self`, stays committed, is aligned for anything, and any bytes are valid
        // atomics, whatever the other process writes.
        unsafe { self.0.cast().as_ref() }
    }
}

impl Drop for Section {
    fn drop(&mut self) {
        // SAFETY: the view was mapped by us, and nothing borrows from it longer than `self` lives.
        unsafe { UnmapViewOfFile(MEMORY_MAPPED_VIEW_ADDRESS { Value: self.0.as_ptr() }) };
    }
}

/// Sections that are no good for counting, put into this process's table by a peer that does not keep to the rules.
#[cfg(test)]
pub(crate) fn odd_sections() -> Vec<(&'static str, u64)> {
    use windows_sys::Win32::System::Memory::{PAGE_READONLY, SEC_RESERVE};
    let path = std::env::temp_dir().join(format!("sharesock-section-{}", std::process::id()));
    std::fs::write(&path, [0; SECTION_SIZE]).unwrap();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let make = |file: RawHandle, kind: u32, size: u32| {
        // SAFETY: the file is open, or there is none; no other pointer is read.
        let section = unsafe { CreateFileMappingW(file, std::ptr::null(), kind, 0, size, std::ptr::null()) };
        assert!(!section.is_null(), "{}", io::Error::last_os_error());
        section as u64
    };
    let none = INVALID_HANDLE_VALUE;
    vec![
        // One of less than a page has a page on Wine, and is refused on Windows.
        ("one that is only reserved", make(none, PAGE_READWRITE | SEC_RESERVE, 1 << 16)),
        ("one that cannot be written", make(none, PAGE_READONLY, 4096)),
        ("one of a file", make(file.as_raw_handle(), PAGE_READWRITE, 0)),
    ]
}
