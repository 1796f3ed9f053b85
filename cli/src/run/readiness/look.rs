//! One look at the workers that start.

use super::judge::Evidence;
use super::trial::{At, Trial};
use super::{Served, Serves, Target};
use crate::address::resolve;
use crate::procfs::connections::{Fate, listening_at};
use crate::procfs::processes::{Processes, waited};
use crate::procfs::waits::Waits;
use crate::run::machine::WorkerId;
use rustix::process::Pid;
use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Time for a connection to wake a worker, and number of connections in one look.
const WAKE: Duration = Duration::from_millis(10);
const WAKES: u32 = 16;
/// Most requests to a worker in one look.
const MOST_ASKED: usize = 16;

/// Adds what is seen of each worker now.
pub(super) fn look(targets: &[Target], evidence: &mut HashMap<WorkerId, Evidence>) {
    let processes = Processes::look();
    let families: Vec<_> = targets
        .iter()
        .map(|target| Pid::from_raw(target.pid).map(|pid| processes.family(pid)).unwrap_or_default())
        .collect();
    let mut to_be_tried = Vec::new();
    for (target, family) in targets.iter().zip(&families) {
        let seen = evidence.entry(target.worker).or_insert_with(|| Evidence::new(Instant::now()));
        look_at(target, family, seen);
        ask(target, family, seen, targets.len());
        let left = seen.unserved(&target.serves).into_iter();
        let left: Vec<_> = left.filter_map(|listener| Some((listener.inode, listener.at.clone()?))).collect();
        if !left.is_empty() && seen.is_to_be_tried(Instant::now()) {
            to_be_tried.push((target, family, left));
        }
    }
    // One trial serves for all.
    let listeners: HashMap<u64, At> = to_be_tried.iter().flat_map(|(_, _, left)| left).cloned().collect();
    for (inode, at) in listeners {
        let of_it = |(_, _, left): &&(&Target, &Vec<i32>, Vec<(u64, At)>)| left.iter().any(|(one, _)| *one == inode);
        let tried: Vec<_> = to_be_tried.iter().filter(of_it).map(|(target, family, _)| (*target, *family)).collect();
        try_listener(inode, &at, &tried, evidence);
    }
}

/// Adds what one worker is seen to wait for.
fn look_at(target: &Target, family: &[i32], seen: &mut Evidence) {
    let wanted: HashSet<u64> = match &target.serves {
        Serves::Listeners(listeners) | Serves::Http(listeners, _) | Serves::Exec(listeners, _) => {
            listeners.iter().map(|listener| listener.inode).chain(target.ignored.iter().copied()).collect()
        }
        Serves::Address(address) => {
            if seen.addresses.is_empty() {
                seen.addresses = resolve(address).unwrap_or_default();
            }
            seen.addresses.iter().copied().flat_map(listening_at).collect()
        }
    };
    let (mut waits_for, mut is_hidden, mut is_main_hidden) = (HashSet::new(), false, false);
    for pid in family {
        match Waits::of(*pid, &wanted) {
            Ok(waits) => waits_for.extend(waits.sockets),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                is_hidden = true;
                is_main_hidden |= *pid == target.pid;
            }
            // It has ended meanwhile.
            Err(_) => {}
        }
    }
    seen.also.extend(target.ignored.iter().filter(|inode| waits_for.remove(inode)));
    seen.note(&waits_for, is_hidden, is_main_hidden);
    if let Serves::Address(_) = target.serves {
        seen.answers = seen.serves_any();
    }
}

/// Asks whether a worker is well, when it accepts.
fn ask(target: &Target, family: &[i32], seen: &mut Evidence, starting: usize) {
    if seen.is_well || !seen.accepts(&target.serves) {
        return;
    }
    let pid = target.pid;
    match &target.serves {
        Serves::Exec(_, command) => {
            let command = command.clone();
            seen.is_well = seen.attempt.look(move || command.check(pid));
        }
        Serves::Http(listeners, check) => {
            let Some(at) = asked_at(listeners).cloned() else { return };
            // As often as it may take until it is this one that answers.
            let others = usize::try_from(target.rivals).unwrap_or(usize::MAX).saturating_add(starting);
            let times = others.saturating_mul(2).min(MOST_ASKED);
            // The request of a hidden worker must be held by a hidden process.
            let (check, family) = (check.clone(), if seen.is_hidden() { Vec::new() } else { family.to_vec() });
            let ask = move || {
                let mut answers = (0..times).filter_map(|_| check.answer(&at, &family));
                let first = answers.next().unwrap_or_else(|| Err("it took no request".to_owned()));
                first.or_else(|why| answers.find_map(Result::ok).ok_or(why))
            };
            seen.is_well = seen.attempt.look(ask);
        }
        Serves::Listeners(_) | Serves::Address(_) => {}
    }
}

/// Place at which it is asked over HTTP.
pub(super) fn asked_at(listeners: &[Served]) -> Option<&At> {
    let mut places = listeners.iter().filter_map(|listener| listener.at.as_ref());
    places.clone().find(|at| at.ip().is_some()).or_else(|| places.next())
}

/// Tries who takes a connection, for workers of which that was not seen.
fn try_listener(inode: u64, at: &At, tried: &[(&Target, &Vec<i32>)], evidence: &mut HashMap<WorkerId, Evidence>) {
    let fate = Trial::begin(at).map_or(Fate::Waiting, |trial| trial.outcome());
    let mut hidden = Vec::new();
    for (target, family) in tried {
        let Some(seen) = evidence.get_mut(&target.worker) else { continue };
        let is_alone = target.rivals == 0;
        match &fate {
            Fate::Taken(by) if by.iter().any(|pid| family.contains(pid)) => seen.has_served(inode),
            // Nobody is seen to have it, or it was closed before it was looked for.
            Fate::Taken(by) if by.is_empty() && is_alone => _ = seen.taken.insert(inode),
            Fate::Over if is_alone => _ = seen.taken.insert(inode),
            Fate::Taken(_) | Fate::Over if seen.is_hidden() => hidden.push((*target, *family)),
            Fate::Taken(_) | Fate::Over | Fate::Waiting => {}
        }
    }
    if hidden.is_empty() {
        return;
    }
    for _ in 0..WAKES {
        wake(inode, at, &hidden, evidence);
    }
    for (target, _) in &hidden {
        if let Some(seen) = evidence.get_mut(&target.worker) {
            if seen.woken.get(&inode).is_some_and(|woken| woken.is_proved()) {
                seen.taken.insert(inode);
            }
        }
    }
}

/// Makes a connection, and notes whom it wakes.
fn wake(inode: u64, at: &At, hidden: &[(&Target, &Vec<i32>)], evidence: &mut HashMap<WorkerId, Evidence>) {
    let count =
        || -> Vec<u64> { hidden.iter().map(|(_, family)| family.iter().map(|pid| waited(*pid)).sum()).collect() };
    let before = count();
    std::thread::sleep(WAKE);
    let quiet = count();
    let trial = Trial::begin(at);
    std::thread::sleep(WAKE);
    let after = count();
    drop(trial);
    // Its end wakes whoever has it, too.
    std::thread::sleep(WAKE);
    // Workers that start together run one program, and take connections in turn.
    let moved = |generation: u32, from: &[u64], to: &[u64]| {
        let of_it = hidden.iter().zip(from.iter().zip(to)).filter(|((target, _), _)| target.generation == generation);
        of_it.into_iter().any(|(_, (from, to))| from != to)
    };
    for (target, _) in hidden {
        let by_itself = moved(target.generation, &before, &quiet);
        let by_connection = moved(target.generation, &quiet, &after);
        if let Some(seen) = evidence.get_mut(&target.worker) {
            seen.woken.entry(inode).or_default().note(by_itself, by_connection, target.rivals);
            seen.is_tried_again_soon();
        }
    }
}
