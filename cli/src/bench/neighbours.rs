//! How others pass a socket between processes, measured in the same run.

use super::Bench;
use super::rows::Row;
use anyhow::Result;

pub(crate) fn all(_bench: &Bench) -> Result<Vec<Row>> {
    Ok(Vec::new())
}
