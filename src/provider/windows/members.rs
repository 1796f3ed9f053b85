//! Who is in a domain.

use crate::domain::Domain;
use crate::error::{Error, Result};
use crate::members::Member;
use crate::process::Process;

pub(crate) fn members(_domain: &Domain) -> Result<Vec<Member>> {
    Err(Error::NotOnThisSystem { what: "what waits for whom in a domain", instead: "ask each of its processes" })
}

pub(crate) fn processes_with_receiver(_domain: &Domain, _name: &str) -> Result<Vec<Process>> {
    Err(Error::NotOnThisSystem { what: "who keeps offers", instead: "duplicate for a target, or hand off to one" })
}
