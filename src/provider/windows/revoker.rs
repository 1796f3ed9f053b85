//! Revoking a duplicate.

use super::ticket::{BUSY_AT_MOST, Taken};
use crate::domain::Domain;
use crate::error::{Error, Result};

/// The ticket that decides between redeeming and revoking: who has it open.
#[derive(Debug)]
pub(crate) struct Revoker {
    domain: Domain,
    name: String,
}

impl Revoker {
    pub(crate) fn new(domain: Domain, name: String) -> Self {
        Revoker { domain, name }
    }

    /// Its ticket is there, and not marked.
    pub(crate) fn is_open(&self) -> Result<bool> {
        let ticket = Taken::open(&self.domain, &self.name, BUSY_AT_MOST)?.and_then(|mut taken| taken.read());
        Ok(ticket.is_some_and(|ticket| !ticket.revoked))
    }

    /// The handle stays in the target, which closes it when it next looks: nobody else can.
    pub(crate) fn revoke(self) -> Result<()> {
        let mut taken = Taken::open(&self.domain, &self.name, BUSY_AT_MOST)?.ok_or(Error::AlreadyRedeemed)?;
        taken.revoke().map_err(Error::io("revoking a duplicate"))
    }
}
