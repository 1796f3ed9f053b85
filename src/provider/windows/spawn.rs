//! Children that can be duplicated for from birth.

use super::endpoint::InnerEndpoint;
use crate::error::{Error, Result};
use crate::spawn::Spawn;

/// Every process that lives can be given handles, whether it has an endpoint yet or not.
pub(crate) fn spawn_with_endpoint<C: Spawn>(command: &mut C, _: &InnerEndpoint) -> Result<C::Child> {
    command.start().map_err(Error::io("spawning a child"))
}
