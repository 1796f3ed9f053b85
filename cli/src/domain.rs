//! The domain of a command.

use anyhow::Result;
use sharesock::Domain;
use std::path::PathBuf;

/// The domain that was named, or the one that is meant when none is.
pub(crate) fn open_domain(path: Option<&PathBuf>) -> Result<Domain> {
    Ok(match path {
        Some(path) => Domain::at(path)?,
        None => Domain::open()?,
    })
}
