//! Plan of a generation of workers: its options and listeners.

use crate::run::listener::{Listener, Resolved};
use crate::run::machine::{ReadyRule, Rules, Workers};
use crate::run::options::{Options, Pass, Ready, Via};
use crate::run::spec::Spec;
use crate::views::units::of;
use anyhow::Result;
use std::rc::Rc;
use std::time::Duration;

/// A worker that has lived this long is ready, if nothing else tells.
const ALIVE_IS_READY: Duration = Duration::from_secs(1);

/// Options and listeners with which workers are started.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) options: Options,
    pub(crate) listeners: Vec<Rc<Listener>>,
}

impl Plan {
    /// Makes the plan that options ask for, with the existing listeners, and new ones for the rest.
    pub(crate) fn make(options: Options, resolved: &Resolved, there: &[Rc<Listener>]) -> Result<Self> {
        // Several may have been passed under one name.
        let of_spec = |spec: &Spec| -> Result<Vec<Rc<Listener>>> {
            let same: Vec<_> = there.iter().filter(|listener| listener.spec == *spec).map(Rc::clone).collect();
            if !same.is_empty() {
                return Ok(same);
            }
            let like = there.iter().filter(|listener| listener.spec.is_same_socket(spec));
            let again: Vec<_> = like.map(|listener| listener.again(spec).map(Rc::new)).collect::<Result<_>>()?;
            if !again.is_empty() {
                return Ok(again);
            }
            Ok(vec![Rc::new(Listener::bind(spec, resolved)?)])
        };
        let mut listeners: Vec<Rc<Listener>> = Vec::new();
        for spec in &options.listen {
            match of_spec(spec) {
                Ok(made) => listeners.extend(made),
                Err(error) => {
                    // A listener that was bound for nothing leaves no path.
                    let new = |made: &&Rc<Listener>| !there.iter().any(|old| old.address == made.address);
                    listeners.iter().filter(new).for_each(|made| made.remove_path());
                    return Err(error);
                }
            }
        }
        Ok(Plan { options, listeners })
    }

    pub(crate) fn listens_at(&self, listener: &Listener) -> bool {
        self.listeners.iter().any(|ours| ours.address == listener.address)
    }

    /// The rules by which the machine decides about its workers.
    pub(crate) fn rules(&self) -> Rules {
        let options = &self.options;
        let (giving, workers) = (options.giving(), u32::from(options.workers));
        let hands_off = giving == Some(Via::HandOff);
        let names: Vec<_> = self.observed().map(|listener| listener.spec.name.as_str()).collect();
        Rules {
            workers: if giving == Some(Via::Stdio) { Workers::Single(workers) } else { Workers::Slots(workers) },
            ready: match &options.ready {
                Ready::Notify => ReadyRule::Said,
                Ready::Time(time) => ReadyRule::Alive(*time),
                Ready::Connect(_) | Ready::Http(_) | Ready::Exec(_) => ReadyRule::Serves,
                Ready::Auto | Ready::Accept if !names.is_empty() => ReadyRule::Serves,
                Ready::Auto if hands_off => ReadyRule::Linked,
                Ready::Auto | Ready::Accept => ReadyRule::SaidOrAlive(ALIVE_IS_READY),
            },
            unserved: match &options.ready {
                Ready::Connect(address) => format!("it did not listen on {address}, or did not accept there,"),
                Ready::Http(check) => {
                    format!("it did not accept from {}, or did not answer {check},", names.join(" and "))
                }
                Ready::Exec(command) => {
                    format!("it did not accept from its listeners, or `{command}` did not succeed,")
                }
                _ => format!("it did not accept from {}", names.join(" and ")),
            },
            unwell: match &options.live {
                Some(Ready::Http(check)) => {
                    format!("it neither answered {check} nor accepted, {}", of(options.live_failures.into(), "time"))
                }
                Some(Ready::Exec(command)) => {
                    format!("`{command}` failed {}", of(options.live_failures.into(), "time"))
                }
                _ => "it hangs".to_owned(),
            },
            hands_off,
            ready_timeout: options.ready_timeout,
            stop_timeout: options.stop_timeout,
            drain_timeout: options.drain_timeout.unwrap_or(options.stop_timeout),
            restart_limit: options.restart_limit,
        }
    }

    /// The listeners that workers themselves accept from.
    pub(crate) fn observed(&self) -> impl Iterator<Item = &Rc<Listener>> {
        let passed = self.options.pass == Pass::Listener;
        self.listeners.iter().filter(move |listener| passed && listener.accepts())
    }
}
