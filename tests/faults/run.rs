//! One run of a scenario, and what must hold after it.

use super::finding::{Finding, Halt, Kind, found};
use super::scenarios::{Closes, Scenario};
use super::stage::{Answer, Role, Stage, is_closed};
use super::steps::reclaim;
use super::strace::{Injection, was_injected};
use crate::peer::at_end;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Bounds how long a thread that closes something may take.
const SETTLES_WITHIN: Duration = Duration::from_secs(10);

/// One fault in one scenario.
pub(crate) struct Case {
    pub(crate) scenario: &'static Scenario,
    /// Who it happens to.
    pub(crate) role: Role,
    pub(crate) injection: Option<Injection>,
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fault = self.injection.as_ref().map(ToString::to_string).unwrap_or_default();
        write!(f, "proof/faults --scenario {} --fault {fault} (in the {:?})", self.scenario.name, self.role)
    }
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) injected: bool,
    /// Why the scenario was not played to its end.
    pub(crate) cut: Option<String>,
    pub(crate) finding: Option<Finding>,
    pub(crate) log: Vec<String>,
}

pub(crate) fn run(case: &Case) -> Outcome {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("faults-{}", COUNT.fetch_add(1, Ordering::SeqCst));
    let Scenario { sockets, born, closes, play, .. } = case.scenario;
    let mut stage = Stage::new(&name, *sockets, *born, case.role);
    if let Err(why) = stage.watch(case.injection.as_ref()) {
        let finding = Some(Finding { kind: Kind::Wrong, text: format!("strace: {why}") });
        return Outcome { injected: false, cut: None, finding, log: Vec::new() };
    }
    stage.has_no_thread = case.injection.as_ref().is_some_and(Injection::starts_no_thread);
    let (mut cut, mut finding) = (None, None);
    match play(&mut stage) {
        Ok(()) => {}
        Err(Halt::Cut(why)) => cut = Some(why),
        Err(Halt::Found(what)) => finding = Some(what),
    }
    if finding.is_none() {
        match finish(&mut stage, *closes) {
            Ok(()) => {}
            Err(Halt::Cut(why)) => finding = Some(Finding { kind: Kind::Wrong, text: why }),
            Err(Halt::Found(what)) => finding = Some(what),
        }
    }
    let log = stage.unwatch();
    if let Some(path) = std::env::var_os("SHARESOCK_LOG") {
        let _ = std::fs::write(path, log.join("\n"));
    }
    // Of one that was killed the other has errors that stay.
    cut = cut.filter(|_| stage.source.alive && stage.target.alive);
    // There is another way to all that a system may lack.
    if let (Some(why), None, true) = (&cut, &finding, case.injection.as_ref().is_some_and(Injection::is_lack)) {
        finding = Some(Finding { kind: Kind::Wrong, text: format!("refused: {why}") });
    }
    let injected = was_injected(&log) || !stage.actor(case.role).alive;
    if finding.is_none() {
        finding = names(&mut stage);
    }
    Outcome { injected, cut, finding, log }
}

/// Each socket is with one of those who live, or was closed with who had it; then everything is dropped.
fn finish(stage: &mut Stage, closes: Closes) -> Result<(), Halt> {
    while stage.source.alive {
        match reclaim(stage) {
            Err(Halt::Cut(_)) if !stage.source.alive => {}
            other => {
                other?;
                break;
            }
        }
    }
    let mut held = Vec::new();
    for command in ["drain", "have"] {
        if stage.target.alive {
            collect(stage, Role::Target, command, &mut held)?;
        }
    }
    if stage.source.alive {
        collect(stage, Role::Source, "have", &mut held)?;
    }
    let mut once = HashSet::new();
    if let Some(id) = held.iter().find(|id| !once.insert((*id).clone())) {
        return found(Kind::Doubled, format!("socket {id} is there twice"));
    }
    let closes = closes == Closes::Always || (closes == Closes::WithSource && !stage.source.alive);
    let both = stage.source.alive && stage.target.alive;
    let mut missing = 0;
    for (id, client) in &mut stage.connections {
        if once.contains(id) {
            if at_end(client) {
                return found(Kind::Lost, format!("socket {id} was closed although somebody has it"));
            }
            continue;
        }
        if !closes {
            // What is nobody's: closed by the death of who had it last.
            let accepted = stage.accepted.contains(id);
            let received = stage.received.contains(id);
            if both {
                return found(
                    Kind::Lost,
                    format!("socket {id} is nobody's (accepted {accepted}, received {received})"),
                );
            }
            if stage.target.alive && accepted {
                return found(Kind::Lost, format!("socket {id} was accepted and did not arrive"));
            }
            if stage.source.alive && !received {
                missing += 1;
            }
        }
        // Of this one the target may have a duplicate.
        let duplicated = stage.target.alive && stage.duplicated.contains(id);
        if !duplicated && !stage.has_no_thread && !is_closed(client) {
            return found(Kind::Leak, format!("socket {id} is nobody's and open"));
        }
    }
    if missing > stage.receiving {
        return found(Kind::Lost, format!("{missing} sockets did not come back from a target that was killed"));
    }
    dropped(stage)
}

fn collect(stage: &mut Stage, role: Role, command: &str, held: &mut Vec<String>) -> Result<(), Halt> {
    for _ in 0..4 {
        match stage.ask(role, command)? {
            Answer::Ok(ids) if command == "have" => {
                held.extend(ids.split_whitespace().map(str::to_owned));
                return Ok(());
            }
            Answer::Ok(_) | Answer::Died => return Ok(()),
            Answer::Error(_) => {}
        }
    }
    found(Kind::Wrong, format!("{role:?}: {command} fails again and again"))
}

/// Nothing is left over in those who live, when they drop everything.
fn dropped(stage: &mut Stage) -> Result<(), Halt> {
    stage.waker = None;
    let no_thread = stage.has_no_thread;
    for role in [Role::Source, Role::Target] {
        stage.ask(role, "clear")?;
    }
    for role in [Role::Source, Role::Target] {
        let until = Instant::now() + SETTLES_WITHIN;
        let actor = stage.actor(role);
        let before = (actor.descriptors, actor.threads);
        loop {
            let now = (actor.count("fd"), actor.count("task"));
            if !actor.alive || actor.was_killed_late() || now == before {
                break;
            }
            // What cannot be closed without a thread waits until something else is closed.
            if no_thread && now.1 == before.1 {
                return Ok(());
            }
            if Instant::now() > until {
                return found(Kind::Leak, format!("{role:?}: {before:?} descriptors and threads, now {now:?}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    for client in stage.connections.iter_mut().map(|(_, client)| client).chain(&mut stage.wakers) {
        if !is_closed(client) {
            return found(Kind::Leak, "a socket that everybody dropped is open");
        }
    }
    Ok(())
}

/// Whoever comes next removes the names of those who have ended.
fn names(stage: &mut Stage) -> Option<Finding> {
    stage.source.kill();
    stage.target.kill();
    stage.waker = None;
    let until = Instant::now() + SETTLES_WITHIN;
    let left = loop {
        drop(stage.place.endpoint());
        let entries = std::fs::read_dir(stage.place.path()).unwrap();
        let left: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        // A child of one that was killed may be about to end.
        if left.is_empty() || Instant::now() > until {
            break left;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let text = format!("names are left: {left:?}");
    (!left.is_empty()).then_some(Finding { kind: Kind::Leak, text })
}
