//! Children that can be duplicated for from birth.

use super::mailbox::Mailbox;
use crate::error::{Error, Result};
use std::process::{Child, Command};

/// Every process that lives can be given handles, whether it has an endpoint yet or not.
pub(crate) fn spawn_with_endpoint(command: &mut Command, _: &Mailbox) -> Result<Child> {
    command.spawn().map_err(Error::io("spawning a child"))
}
