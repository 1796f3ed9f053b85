//! The listeners, from the supervisor's side: saying where they are, and mending them.

use super::Supervisor;
use crate::run::listener::{Listener, Use};
use crate::run::options::Pass;
use crate::run::systemd::Manager;
use crate::run::worker::orphan::Orphan;
use crate::run::worker::plan::Plan;
use std::rc::Rc;

impl Supervisor {
    pub(super) fn say_listening(&self, listener: &Listener) {
        self.reporter.say(&listener.report(self.options().is_web));
        listener.partly().into_iter().for_each(|why| self.reporter.trouble(&why));
    }

    /// Whether workers that were asked to end have listeners that others serve.
    pub(super) fn may_be_closing_listeners(&self) -> bool {
        self.options().pass == Pass::Listener
            && !self.machine.is_stopping()
            && self.machine.workers().values().any(|worker| !worker.is_wanted())
    }

    /// Puts right what workers did to listeners, and to their options if these are to be looked at: it would strike those
    /// after them.
    pub(super) fn mend_listeners(&mut self, options: bool) {
        if self.machine.is_stopping() {
            return;
        }
        let passed_on = self.options().pass == Pass::Listener;
        let has_some = !self.workers.is_empty() || self.orphans.values().any(Orphan::lives);
        let how = Use { options: options && passed_on, in_use: passed_on && has_some };
        let listeners: Vec<_> = self.plans.values().flat_map(|plan| &plan.listeners).map(Rc::clone).collect();
        let mut replaced = false;
        for listener in listeners {
            let before = listener.inode();
            let mended = listener.mend(how);
            mended.said.iter().for_each(|said| self.reporter.trouble(said));
            if mended.replaced {
                replaced = true;
                if before.is_some_and(|inode| self.ignored.remove(&inode)) {
                    self.ignored.extend(listener.inode());
                }
                self.store_anew(&listener);
            }
        }
        if replaced {
            self.watch();
            self.accept();
        }
    }

    /// Lets the service manager keep the new socket of a listener instead of the old one.
    fn store_anew(&mut self, listener: &Rc<Listener>) {
        let count = self.stored.len();
        self.stored.retain(|stored| !Rc::ptr_eq(stored, listener));
        if self.stored.len() < count {
            self.tell_manager(|manager: &Manager| manager.forget(&listener.spec.name));
            self.store_listeners();
        }
    }

    /// Removes the paths at which nobody listens any more.
    pub(super) fn forget_listeners(&self, old: &Plan, new: &Plan) {
        for listener in old.listeners.iter().filter(|listener| !new.listens_at(listener)) {
            if let Some(path) = listener.path() {
                listener.remove_path();
                self.context.guard.path(path, false);
            }
        }
    }
}
