//! Revoking a duplicate.

use crate::error::{Error, Result};
use crate::provider::linux::mail::{Held, Token};
use crate::provider::linux::sys::{gate_is_open, take_gate};
use std::os::fd::OwnedFd;
use std::sync::Weak;

/// The gate that decides between redeeming and revoking; and where the duplicate is held, if it is.
#[derive(Debug)]
pub(crate) struct Revoker {
    pub(super) gate: OwnedFd,
    pub(super) held: Option<(Weak<Held>, Token)>,
}

impl Revoker {
    /// Nobody has taken the gate.
    pub(crate) fn is_open(&self) -> Result<bool> {
        gate_is_open(&self.gate).map_err(Error::system("looking at a duplicate that can be revoked"))
    }

    pub(crate) fn revoke(self) -> Result<()> {
        match take_gate(&self.gate) {
            Ok(true) => {}
            Ok(false) => return Err(Error::AlreadyRedeemed),
            Err(errno) => return Err(Error::system("revoking a duplicate")(errno)),
        }
        if let Some((held, token)) = self.held.and_then(|(held, token)| Some((held.upgrade()?, token))) {
            held.revoke(&token);
        }
        Ok(())
    }
}
