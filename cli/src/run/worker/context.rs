//! Things that starting and stopping workers needs.

use super::event::WorkerEvent;
use super::guard::Guard;
use super::output::Echo;
use super::plan::Plan;
use super::record::Record;
use crate::run::control::folder::Folder;
use crate::run::options::Via;
use crate::run::report::{Reporter, Source};
use sharesock::Domain;
use tokio::sync::mpsc::UnboundedSender;

/// Things that starting and stopping workers needs.
#[derive(Debug)]
pub(crate) struct WorkerContext {
    pub(crate) domain: Domain,
    pub(crate) folder: Folder,
    pub(crate) guard: Guard,
    pub(crate) reporter: Reporter,
    pub(crate) events: UnboundedSender<WorkerEvent>,
}

/// Prints its lines, with its slot before each, or its number if each serves one connection.
pub(crate) fn echo(context: &WorkerContext, plan: &Plan, record: &Record) -> Echo {
    let Record { number, pid, slot, .. } = record;
    let single = plan.options.giving() == Some(Via::Stdio);
    let prefix = if single { format!("#{number} | ") } else { format!("{slot} | ") };
    Echo { source: Source { prefix, pid: *pid, place: *slot }, reporter: context.reporter.clone() }
}
