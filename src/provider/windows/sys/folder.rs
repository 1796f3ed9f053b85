//! A directory that is held open, and files in it, which are found by the directory and not by its path.
#![allow(unsafe_code)]

use super::Descriptor;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Component, Path, Prefix};
use std::ptr::null;
use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem::{
    FILE_CREATE, FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE, FILE_NON_DIRECTORY_FILE, FILE_OPEN, FILE_OPEN_IF,
    FILE_OPEN_REPARSE_POINT, FILE_SYNCHRONOUS_IO_NONALERT, NTCREATEFILE_CREATE_DISPOSITION,
    NTCREATEFILE_CREATE_OPTIONS, NtCreateFile,
};
use windows_sys::Win32::Foundation::{HANDLE, OBJ_CASE_INSENSITIVE, UNICODE_STRING};
use windows_sys::Win32::Storage::FileSystem::{
    DELETE, FILE_ACCESS_RIGHTS, FILE_ATTRIBUTE_NORMAL, FILE_ATTRIBUTE_REPARSE_POINT, FILE_BASIC_INFO,
    FILE_DISPOSITION_INFO, FILE_GENERIC_READ, FILE_GENERIC_WRITE, FILE_ID_INFO, FILE_INFO_BY_HANDLE_CLASS,
    FILE_LIST_DIRECTORY, FILE_READ_ATTRIBUTES, FILE_SHARE_DELETE, FILE_SHARE_MODE, FILE_SHARE_NONE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, FILE_TRAVERSE, FileBasicInfo, FileDispositionInfo, FileIdInfo, GetFileInformationByHandleEx,
    READ_CONTROL, SYNCHRONIZE, SetFileInformationByHandle,
};
use windows_sys::Win32::System::IO::IO_STATUS_BLOCK;

/// A file of a domain that its processes have open at the same time.
pub(crate) type SharedFile = File;

/// A directory that is open.
#[derive(Debug)]
pub(crate) struct Folder(OwnedHandle);

/// How a file or a directory is opened.
struct Way {
    access: FILE_ACCESS_RIGHTS,
    share: FILE_SHARE_MODE,
    disposition: NTCREATEFILE_CREATE_DISPOSITION,
    options: NTCREATEFILE_CREATE_OPTIONS,
}

const SHARED: FILE_SHARE_MODE = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;

impl Folder {
    /// Opens the directory at an absolute path, itself and not what it may link to; creates it, with `descriptor`,
    /// when it does not exist. What contains it must exist.
    pub(crate) fn open_or_create(path: &Path, descriptor: &Descriptor) -> io::Result<Self> {
        let way = Way {
            access: FILE_LIST_DIRECTORY | FILE_TRAVERSE | FILE_READ_ATTRIBUTES | READ_CONTROL | SYNCHRONIZE,
            share: SHARED,
            disposition: FILE_OPEN_IF,
            options: FILE_DIRECTORY_FILE,
        };
        open(std::ptr::null_mut(), &kernel_path(path)?, &way, Some(descriptor)).map(Folder)
    }

    /// Whether it is a link, a mount point, or anything else that leads elsewhere.
    pub(crate) fn leads_elsewhere(&self) -> io::Result<bool> {
        let basic: FILE_BASIC_INFO = self.ask(FileBasicInfo)?;
        Ok(basic.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT != 0)
    }

    /// Which directory of all it is: the serial number of its volume, and its number there.
    pub(crate) fn identity(&self) -> io::Result<(u64, [u8; 16])> {
        let id: FILE_ID_INFO = self.ask(FileIdInfo)?;
        Ok((id.VolumeSerialNumber, id.FileId.Identifier))
    }

    /// Who owns it and whom it admits, as the bytes of a security descriptor.
    pub(crate) fn security(&self) -> io::Result<Vec<u8>> {
        super::security::of(&self.0)
    }

    /// Opens the file `name` for reading, writing and deleting by many; makes it when it does not exist.
    pub(crate) fn open_shared(&self, name: &str) -> io::Result<SharedFile> {
        self.open_file(name, FILE_GENERIC_READ | FILE_GENERIC_WRITE, SHARED, FILE_OPEN_IF, 0)
    }

    /// Makes the file `name`, which nobody else can open until this is closed.
    pub(crate) fn create_alone(&self, name: &str) -> io::Result<File> {
        self.open_file(name, FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE, FILE_SHARE_NONE, FILE_CREATE, 0)
    }

    /// Opens the file `name`, unless anybody has it open; nobody else can until this is closed.
    pub(crate) fn open_alone(&self, name: &str) -> io::Result<File> {
        self.open_file(name, FILE_GENERIC_READ | FILE_GENERIC_WRITE | DELETE, FILE_SHARE_NONE, FILE_OPEN, 0)
    }

    /// Makes or opens the file `name` alone; it is gone when this is closed.
    pub(crate) fn claim(&self, name: &str) -> io::Result<File> {
        self.open_file(name, FILE_GENERIC_READ | DELETE, FILE_SHARE_NONE, FILE_OPEN_IF, FILE_DELETE_ON_CLOSE)
    }

    /// Removes the file `name`.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.open_file(name, DELETE | SYNCHRONIZE, SHARED, FILE_OPEN, FILE_DELETE_ON_CLOSE).map(drop)
    }

    fn open_file(
        &self,
        name: &str,
        access: FILE_ACCESS_RIGHTS,
        share: FILE_SHARE_MODE,
        disposition: NTCREATEFILE_CREATE_DISPOSITION,
        options: NTCREATEFILE_CREATE_OPTIONS,
    ) -> io::Result<File> {
        let way = Way { access, share, disposition, options: options | FILE_NON_DIRECTORY_FILE };
        let name: Vec<u16> = name.encode_utf16().collect();
        open(self.0.as_raw_handle(), &name, &way, None).map(File::from)
    }

    fn ask<T: Default>(&self, class: FILE_INFO_BY_HANDLE_CLASS) -> io::Result<T> {
        let mut answer = T::default();
        // SAFETY: the handle is open, and `answer` is writable for its size; it is one of the structures of plain
        // numbers above, which the class fills.
        super::checked(unsafe {
            let size = super::size_of_u32::<T>();
            GetFileInformationByHandleEx(self.0.as_raw_handle(), class, (&raw mut answer).cast(), size)
        })?;
        Ok(answer)
    }
}

/// Says whether a file that was opened alone is gone when it is closed.
pub(crate) fn delete_on_close(file: &File, gone: bool) -> io::Result<()> {
    let disposition = FILE_DISPOSITION_INFO { DeleteFile: gone };
    // SAFETY: the file is open for as long as it is borrowed, and `disposition` is readable for its size.
    super::checked(unsafe {
        let size = super::size_of_u32::<FILE_DISPOSITION_INFO>();
        SetFileInformationByHandle(file.as_raw_handle(), FileDispositionInfo, (&raw const disposition).cast(), size)
    })
}

/// An absolute path as the kernel has it.
fn kernel_path(path: &Path) -> io::Result<Vec<u16>> {
    let rest = |skip: usize| path.as_os_str().encode_wide().skip(skip);
    let in_kernel = |text: &str, rest: &mut dyn Iterator<Item = u16>| text.encode_utf16().chain(rest).collect();
    match path.components().next() {
        Some(Component::Prefix(prefix)) => match prefix.kind() {
            Prefix::Disk(_) => Ok(in_kernel(r"\??\", &mut rest(0))),
            Prefix::UNC(..) => Ok(in_kernel(r"\??\UNC\", &mut rest(2))),
            // They begin with four letters that the kernel writes differently.
            _ => Ok(in_kernel(r"\??\", &mut rest(4))),
        },
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn open(folder: HANDLE, name: &[u16], way: &Way, descriptor: Option<&Descriptor>) -> io::Result<OwnedHandle> {
    let length = u16::try_from(size_of_val(name)).map_err(|_| io::ErrorKind::InvalidInput)?;
    let name = UNICODE_STRING { Length: length, MaximumLength: length, Buffer: name.as_ptr().cast_mut() };
    let attributes = OBJECT_ATTRIBUTES {
        Length: super::size_of_u32::<OBJECT_ATTRIBUTES>(),
        RootDirectory: folder,
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: descriptor.map_or(null(), Descriptor::as_ptr),
        SecurityQualityOfService: null(),
    };
    let mut handle = std::ptr::null_mut();
    let mut status = IO_STATUS_BLOCK::default();
    // SAFETY: `folder` is none or open; the name and the security descriptor outlive the call, which is synchronous
    // because of its options, and only reads them; `handle` and `status` are writable.
    super::kernel(unsafe {
        NtCreateFile(
            &raw mut handle,
            way.access | SYNCHRONIZE,
            &raw const attributes,
            &raw mut status,
            null(),
            FILE_ATTRIBUTE_NORMAL,
            way.share,
            way.disposition,
            way.options | FILE_SYNCHRONOUS_IO_NONALERT | FILE_OPEN_REPARSE_POINT,
            null(),
            0,
        )
    })?;
    // SAFETY: the handle was just opened, and nobody else has it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}
