//! Which network events Linux has, and in which order they are told.

use crate::network_events::NetworkEvents;

impl NetworkEvents {
    /// What does not occur at a single socket on Linux.
    pub(crate) const REFUSED: Self = Self::ROUTING_INTERFACE_CHANGE.union(Self::ADDRESS_LIST_CHANGE);
    /// What the record of a socket keeps.
    pub(crate) const RECORDED: Self =
        Self::READ.union(Self::WRITE).union(Self::OOB).union(Self::ACCEPT).union(Self::CONNECT).union(Self::CLOSE);

    /// The events one by one, in the order in which messages about them are sent: first what makes a connection,
    /// then what it brings, last what ends it.
    pub(crate) fn in_order(self) -> impl Iterator<Item = Self> {
        let order = [Self::CONNECT, Self::ACCEPT, Self::OOB, Self::READ, Self::WRITE, Self::CLOSE];
        order.into_iter().filter(move |event| self.contains(*event))
    }
}
