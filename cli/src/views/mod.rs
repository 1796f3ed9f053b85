//! What a supervisor says of itself, shown: as text, for Prometheus, and live.

pub(crate) mod fields;
mod prometheus;
pub(crate) mod rates;
mod text;
pub(crate) mod top;
pub(crate) mod trends;
pub(crate) mod units;

pub(crate) use prometheus::prometheus;
pub(crate) use text::text;
pub(crate) use top::{Options as TopOptions, top};
