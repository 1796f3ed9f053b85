//! Who is in a domain.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::members::Member;

pub(crate) fn members(_domain: &Domain) -> Result<Vec<Member>> {
    Err(Error::NotOnThisSystem { what: "what waits for whom in a domain", instead: "ask each of its processes" })
}
