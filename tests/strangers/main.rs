//! Processes that do not keep to the protocol: they pose as others, flood, take what others need, and keep others waiting.
#![cfg(target_os = "linux")]

mod floods;
mod hostile;
mod impostors;
#[path = "../needs/mod.rs"]
mod needs;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../peer/mod.rs"]
mod peer;
mod quotas;
#[path = "../stranger/mod.rs"]
mod stranger;
mod waiting;
