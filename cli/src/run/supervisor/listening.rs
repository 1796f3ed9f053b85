//! The listeners, from the supervisor's side: saying where they are, and mending them.

use super::Supervisor;
use crate::run::listener::{Listener, Use};
use crate::run::options::Pass;
use crate::run::systemd::Manager;
use crate::run::worker::plan::Plan;
use std::rc::Rc;

impl Supervisor {
    pub(super) fn say_listening(&self, listener: &Listener) {
        self.reporter.say(&listener.report());
        listener.partly().into_iter().for_each(|why| self.reporter.trouble(&why));
    }

    /// Puts right what workers did to listeners: it would strike those after them.
    pub(in crate::run) fn mend_listeners(&mut self) {
        if self.machine.is_stopping() {
            return;
        }
        let passed_on = self.options().pass == Pass::Listener;
        let how = Use { passed_on, in_use: !self.workers.is_empty() || !self.orphans.is_empty() };
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
