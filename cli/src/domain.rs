//! The domain of a command.

use anyhow::{Context, Result};
use sharesock::Domain;
use std::path::PathBuf;

/// The domain that was named, or the one that is meant when none is.
pub(crate) fn open_domain(path: Option<&PathBuf>) -> Result<Domain> {
    Ok(match path {
        // Other processes are told of it, and may be anywhere.
        Some(path) => Domain::at(std::path::absolute(path).context("finding the domain")?)?,
        None => Domain::open()?,
    })
}
