//! Taking over an endpoint that a parent made for this process.

use super::{Listener, Purpose};
use crate::domain::Domain;
use crate::error::Result;
use crate::process::Process;
use crate::provider::linux::place::endpoint_name;
use crate::provider::linux::sys::adopt_listening;

/// Names the inherited socket: its number, its cookie, the domain's digest and the name it has there.
pub(crate) const BIRTH_VARIABLE: &str = "SHARESOCK_ENDPOINT";

/// The endpoint that was made for this process at its birth, if there is one in this domain.
pub(super) fn inherited(domain: &Domain, me: &Process) -> Result<Option<Listener>> {
    let Ok(value) = std::env::var(BIRTH_VARIABLE) else { return Ok(None) };
    let mut parts = value.splitn(4, ':');
    let mut part = || parts.next();
    let (Some(number), Some(cookie), Some(digest), Some(born)) = (part(), part(), part(), part()) else {
        return Ok(None);
    };
    let (Ok(number), Ok(cookie)) = (number.parse(), cookie.parse()) else { return Ok(None) };
    if digest.parse() != Ok(domain.digest()) || born.contains('/') {
        return Ok(None);
    }
    let Ok(socket) = adopt_listening(number, cookie) else { return Ok(None) };
    let name = endpoint_name(me.who(), Purpose::Mail.suffix());
    // The parent may have done it.
    let _ = domain.publish(born, &name);
    Listener::of(socket, domain, name).map(Some)
}
