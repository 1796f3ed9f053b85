//! What starting and stopping workers needs.

use super::event::WorkerEvent;
use super::guard::Guard;
use super::output::Prefix;
use super::plan::Plan;
use crate::run::control::folder::Folder;
use crate::run::options::Via;
use crate::run::report::printer::Printer;
use sharesock::Domain;
use tokio::sync::mpsc::UnboundedSender;

/// What starting and stopping workers needs.
#[derive(Debug)]
pub(crate) struct WorkerContext {
    pub(crate) domain: Domain,
    pub(crate) folder: Folder,
    pub(crate) guard: Guard,
    pub(crate) printer: Printer,
    pub(crate) events: UnboundedSender<WorkerEvent>,
}

/// What its lines begin with: its slot, or its number if each serves one connection.
pub(crate) fn prefix(context: &WorkerContext, plan: &Plan, number: u64, slot: u32) -> Prefix {
    let single = plan.options.giving() == Some(Via::Stdio);
    let text = if single { format!("#{number} | ") } else { format!("{slot} | ") };
    Prefix { text, printer: context.printer.clone() }
}
