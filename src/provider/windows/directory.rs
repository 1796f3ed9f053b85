//! The directory of a domain.

use super::sys::{Descriptor, Folder, sid_text, user};
use super::trust::distrust;
use crate::digest::digest32;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// What Win32 says when the last part of a path is a file.
const NOT_A_DIRECTORY: i32 = 267;

/// The directory, held open: its files are found by it, whatever becomes of its path.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// The same, wherever the process goes.
    absolute: PathBuf,
    folder: Folder,
    digest: u32,
}

impl Directory {
    /// The default: a folder of the user's own profile, the same for all of the user's processes.
    pub(crate) fn open_default() -> Result<Self> {
        let set = |name| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
        let local = set("LOCALAPPDATA").or_else(|| Some(set("USERPROFILE")?.join("AppData").join("Local")));
        let missing = Error::UntrustedDomain {
            path: PathBuf::from(r"%LOCALAPPDATA%\sharesock"),
            why: "this user has no profile: set SHARESOCK_DOMAIN to a directory of its own".into(),
        };
        Self::open(local.ok_or(missing)?.join("sharesock"))
    }

    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let refused = Error::io("opening the domain's directory");
        let untrusted = |why: &'static str| Error::UntrustedDomain { path: path.clone(), why: why.into() };
        let absolute = std::path::absolute(&path).map_err(&refused)?;
        let me = user().map_err(Error::io("asking who this user is"))?;
        // Protected from what the directory above would hand down; its own files inherit it.
        let mine = sid_text(&me).ok_or_else(|| untrusted("this user has no name that the system knows"))?;
        let text = format!("O:{mine}D:P(A;OICI;FA;;;{mine})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)");
        let descriptor = Descriptor::new(&text).map_err(&refused)?;
        let folder = Folder::open_or_create(&absolute, &descriptor).map_err(|error| match error.raw_os_error() {
            Some(NOT_A_DIRECTORY) => untrusted("it is not a real directory: name one, or remove what is there"),
            Some(5) => untrusted("this user may not enter it: ask its owner, or name another domain"),
            _ => refused(error),
        })?;
        if folder.leads_elsewhere().map_err(&refused)? {
            return Err(untrusted("it is a link or a mount point: name the directory that it leads to"));
        }
        if let Some(why) = distrust(&folder.security().map_err(&refused)?, &me) {
            return Err(untrusted(why));
        }
        let (volume, number) = folder.identity().map_err(&refused)?;
        let digest = digest32(&[&volume.to_le_bytes(), &number]);
        Ok(Directory { path, absolute, folder, digest })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn digest(&self) -> u32 {
        self.digest
    }

    pub(crate) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// All names in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.absolute).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    }
}
