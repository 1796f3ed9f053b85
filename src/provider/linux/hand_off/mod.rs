//! Links for parcels. The two ends count in memory that they share what the receiver's program has taken.

mod intake;
mod outbox;
mod outlet;

pub(crate) use intake::Intake;
pub(crate) use outlet::Outlet;
