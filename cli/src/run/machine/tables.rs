//! Situations and their consequences: one a test.

use super::reload::MOST_DRAINING;
use super::world::{READY_TIMEOUT, STOP_TIMEOUT, World, rules};
use super::{End, Event, Machine, ReadyRule, Reply, Rules, Sign, Workers};
use crate::run::report::Report;
use crate::status::SupervisorState;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A world in which this many workers serve.
fn serving(slots: u32) -> World {
    let mut world = World::new(rules(slots));
    world.serve_all();
    assert_eq!(world.machine.state(), SupervisorState::Running);
    world
}

fn failed() -> End {
    End::Code(1)
}

#[test]
fn a_planned_end_is_followed_at_once_however_often() {
    let mut world = serving(1);
    for _ in 0..50 {
        world.pass(2 * SECOND);
        let [worker] = world.of(1)[..] else { panic!("one worker") };
        world.end(worker, End::Code(0), false);
        world.pass(Duration::ZERO);
        world.serve_all();
    }
    assert_eq!((world.machine.counts().restarts, world.machine.counts().last_failure.as_ref()), (50, None));
    assert!(world.said.iter().any(|report| matches!(report, Report::WorkerEnded { another_in_ms: Some(0), .. })));
}

#[test]
fn replaced_workers_have_their_own_time_and_so_many_generations() {
    assert_eq!(MOST_DRAINING, 8, "what docs/supervisor.md says");
    let mut world = World::new(Rules { drain_timeout: Duration::MAX, ..rules(1) });
    world.serve_all();
    let told = |world: &World| {
        let is_told =
            |report: &&Report| matches!(report, Report::Trouble { why } if why.contains("it is killed in 30 s"));
        world.said.iter().filter(is_told).count()
    };
    for generation in 2..=MOST_DRAINING as u32 + 2 {
        assert_eq!(told(&world), 0);
        world.reload();
        world.plan(Ok(Rules { drain_timeout: Duration::MAX, ..rules(1) }));
        world.serve_all();
        world.pass(2 * STOP_TIMEOUT);
        let oldest = generation.saturating_sub(MOST_DRAINING as u32).max(1);
        assert!((oldest..=generation).all(|generation| world.of(generation).len() == 1), "generation {generation}");
    }
    assert_eq!((told(&world), world.of(1).len()), (1, 0), "the oldest has no more than its stop timeout");
    world.tell(Event::Stop { asker: None });
    world.pass(STOP_TIMEOUT + SECOND);
    assert!(world.processes.is_empty(), "and when everything ends, none has");
}

#[test]
fn one_slot_that_fails_for_ever_ends_nobody_else() {
    let mut world = serving(2);
    let keeps = world.of(1)[0];
    for _ in 0..40 {
        let other = world.of(1).into_iter().find(|worker| *worker != keeps);
        other.into_iter().for_each(|worker| world.end(worker, failed(), false));
        world.pass(11 * SECOND);
    }
    assert_eq!(world.machine.state(), SupervisorState::Degraded);
    assert!(world.machine.counts().last_failure.as_ref().is_some_and(|failure| failure.why.contains("code 1")));
    assert!(world.processes.contains_key(&keeps));
    world.serve_all();
    assert_eq!(world.machine.state(), SupervisorState::Running);
    assert!(world.machine.counts().last_failure.is_some());
    world.reload();
    world.plan(Ok(rules(2)));
    world.pass(3 * SECOND);
    world.serve_all();
    let counts = world.machine.counts();
    assert_eq!((counts.last_failure.as_ref(), counts.last_reload), (None, Some((world.now, 3 * SECOND))));
}

#[test]
fn one_that_hangs_is_replaced_and_one_at_a_time() {
    let mut world = serving(3);
    let [first, second, third] = world.of(1)[..] else { panic!("three workers") };
    world.pass(60 * SECOND);
    [first, second, third].into_iter().for_each(|worker| world.hang(worker));
    assert_eq!(world.settling.iter().copied().collect::<Vec<_>>(), [first]);
    world.end(first, End::Code(0), false);
    world.pass(SECOND);
    assert_eq!((world.of(1).len(), world.machine.state()), (3, SupervisorState::Degraded));
    // Not before the one that took its slot serves, too.
    world.hang(second);
    assert!(world.settling.is_empty());
    world.serve_all();
    world.hang(second);
    assert!(world.settling.contains(&second));
    // One that does not end when it is asked to is killed, and replaced.
    world.pass(STOP_TIMEOUT + SECOND);
    assert!(!world.processes.contains_key(&second) && world.of(1).len() == 3);
}

#[test]
fn the_only_one_is_replaced_when_it_hangs() {
    let mut world = serving(1);
    world.pass(60 * SECOND);
    world.hang(1);
    world.end(1, End::Code(0), false);
    world.pass(SECOND);
    assert_eq!(world.of(1).len(), 1);
}

#[test]
fn a_reload_that_would_mend_things_is_not_ended_by_what_it_mends() {
    let mut world = serving(1);
    let asker = world.reload();
    world.plan(Ok(rules(1)));
    for _ in 0..8 {
        world.of(1).into_iter().for_each(|worker| world.end(worker, failed(), false));
        world.pass(SECOND);
    }
    world.of(2).into_iter().for_each(|worker| world.serve(worker));
    assert!(matches!(world.last_reply(asker), Some(Reply::Done(_))));
}

#[test]
fn a_reload_begins_though_a_first_worker_fails_again_and_again() {
    let mut world = World::new(rules(2));
    world.serve(1);
    let asker = world.reload();
    assert!(world.planning.is_empty());
    world.end(2, failed(), false);
    world.plan(Ok(rules(2)));
    world.serve_all();
    assert!(matches!(world.last_reply(asker), Some(Reply::Done(_))));
}

#[test]
fn options_that_are_never_read_end_the_reload() {
    let mut world = serving(1);
    let asker = world.reload();
    world.pass(60 * SECOND);
    assert!(matches!(world.last_reply(asker), Some(Reply::Failed(why)) if why.contains("could not be read")));
    // They come too late.
    world.plan(Ok(rules(1)));
    assert_eq!((world.machine.state(), world.of(1).len()), (SupervisorState::Running, 1));
}

#[test]
fn when_nothing_serves_too_many_failures_end_everything() {
    let mut world = serving(1);
    while world.finished.is_none() {
        world.of(1).into_iter().for_each(|worker| world.end(worker, failed(), false));
        world.pass(SECOND);
    }
    assert!(world.finished.unwrap().unwrap().contains("--restart-limit"));
}

#[test]
fn a_command_that_cannot_be_run_ends_at_once() {
    let mut world = World::new(rules(1));
    world.end(1, End::Code(127), false);
    assert!(world.finished.unwrap().unwrap().contains("cannot be run"));
}

#[test]
fn a_reload_takes_over_when_all_new_workers_serve() {
    let mut world = serving(2);
    let asker = world.reload();
    world.plan(Ok(rules(3)));
    let new = world.of(2);
    assert_eq!(new.len(), 3);
    new[..2].iter().for_each(|worker| world.serve(*worker));
    assert_eq!((world.machine.state(), world.last_reply(asker)), (SupervisorState::Reloading, None));
    world.serve(new[2]);
    assert_eq!(world.last_reply(asker), Some(&Reply::Done("generation 2 has taken over".to_owned())));
    assert_eq!(world.settling.iter().copied().collect::<Vec<_>>(), world.of(1));
}

#[test]
fn a_new_version_that_fails_changes_nothing() {
    type Fail = fn(&mut World);
    let ways: [(&str, Fail, &str); 5] = [
        (
            "it ends",
            |world| world.end(world.of(2)[0], failed(), false),
            "exited with code 1, after printing:\n  a line",
        ),
        ("it ends as planned, but never served", |world| world.end(world.of(2)[0], End::Code(0), false), "code 0"),
        ("it hangs", |world| world.pass(READY_TIMEOUT), "nobody accepts within 60 s"),
        (
            "it serves, and then ends",
            |world| {
                world.serve(world.of(2)[0]);
                world.end(world.of(2)[0], End::Signal("SIGSEGV".to_owned()), false);
            },
            "SIGSEGV",
        ),
        (
            "it says that it is ready",
            |world| {
                let workers = world.of(2);
                workers.into_iter().for_each(|worker| world.tell(Event::Sign { worker, sign: Sign::Said }));
                world.pass(READY_TIMEOUT);
            },
            "nobody accepts",
        ),
    ];
    for (name, fail, told) in ways {
        let mut world = serving(2);
        let old = world.of(1);
        let asker = world.reload();
        world.plan(Ok(rules(2)));
        fail(&mut world);
        let reply = world.last_reply(asker);
        assert!(matches!(reply, Some(Reply::Failed(why)) if why.contains(told)), "{name}: {reply:?}");
        assert_eq!((world.machine.state(), world.of(1)), (SupervisorState::Running, old), "{name}");
        assert!(world.settling.is_disjoint(&world.of(1).into_iter().collect()), "{name}");
        assert_eq!(world.machine.counts().failed_reloads, 1, "{name}");
    }
}

#[test]
fn options_that_cannot_be_read_change_nothing() {
    let mut world = serving(1);
    let asker = world.reload();
    world.plan(Err("run.toml: there is no option workrs".to_owned()));
    let told = "the reload failed, the old workers go on: run.toml: there is no option workrs".to_owned();
    assert_eq!(world.last_reply(asker), Some(&Reply::Failed(told)));
    assert_eq!(world.machine.state(), SupervisorState::Running);
}

#[test]
fn one_reload_at_a_time_and_a_signal_is_not_forgotten() {
    let mut world = serving(1);
    let first = world.reload();
    let second = world.reload();
    assert!(matches!(world.last_reply(second), Some(Reply::Busy(why)) if why.contains("under way")));
    world.tell(Event::Reload { asker: None });
    world.plan(Ok(rules(1)));
    world.serve_all();
    assert!(matches!(world.last_reply(first), Some(Reply::Done(_))));
    assert_eq!((world.machine.state(), world.planning.first()), (SupervisorState::Reloading, Some(&3)));
}

#[test]
fn a_reload_can_be_given_up() {
    let mut world = serving(1);
    let cancel = |world: &mut World| {
        let asker = world.asker();
        world.tell(Event::CancelReload { asker });
        world.last_reply(asker).cloned().unwrap()
    };
    assert_eq!(cancel(&mut world), Reply::Failed("no reload is under way".to_owned()));
    let asker = world.reload();
    world.plan(Ok(rules(1)));
    world.tell(Event::Reload { asker: None });
    assert!(matches!(cancel(&mut world), Reply::Done(what) if what.contains("generation 1 goes on")));
    assert!(matches!(world.last_reply(asker), Some(Reply::Failed(why)) if why.contains("cancelled")));
    assert_eq!(
        (world.machine.state(), world.settling.clone()),
        (SupervisorState::Running, world.of(2).into_iter().collect())
    );
    // One that waits for the first workers.
    let mut world = World::new(rules(1));
    let asker = world.reload();
    assert!(matches!(cancel(&mut world), Reply::Done(_)));
    world.serve_all();
    assert!(matches!(world.last_reply(asker), Some(Reply::Failed(_))) && world.planning.is_empty());
}

#[test]
fn a_reload_before_the_first_workers_serve_waits_for_them() {
    let mut world = World::new(rules(1));
    let asker = world.reload();
    assert!(world.planning.is_empty());
    world.serve_all();
    world.plan(Ok(rules(1)));
    world.serve_all();
    assert!(matches!(world.last_reply(asker), Some(Reply::Done(_))));
}

#[test]
fn an_upgrade_is_refused_while_something_else_is_under_way_and_gives_way_to_signals() {
    let mut world = serving(1);
    world.reload();
    let refused = world.asker();
    world.tell(Event::Upgrade { asker: refused });
    assert!(matches!(world.last_reply(refused), Some(Reply::Busy(_))));
    world.plan(Err("no".to_owned()));
    let asker = world.asker();
    world.tell(Event::Upgrade { asker });
    assert!(world.upgrading);
    world.tell(Event::Reload { asker: None });
    assert!(!world.upgrading && matches!(world.last_reply(asker), Some(Reply::Failed(_))));
    assert_eq!(world.machine.state(), SupervisorState::Reloading);
}

#[test]
fn the_first_signal_drains_and_the_second_kills() {
    let mut world = serving(2);
    let pending = world.reload();
    world.tell(Event::Stop { asker: None });
    // Nothing failed, and the old workers do not go on.
    assert!(matches!(world.last_reply(pending), Some(Reply::Busy(why)) if why.contains("asked to stop")));
    assert_eq!(world.settling.len(), 2);
    world.pass(SECOND);
    assert!(world.processes.values().all(|process| process.asked));
    let asker = world.asker();
    world.tell(Event::Stop { asker: Some(asker) });
    assert!(!world.processes.is_empty(), "who asks does not hurry");
    world.tell(Event::Stop { asker: None });
    assert_eq!(world.finished, Some(None));
    let told = "everything has ended; cut off: 4 connections".to_owned();
    assert_eq!(world.last_reply(asker), Some(&Reply::Done(told)));
}

#[test]
fn what_does_not_end_in_time_is_killed_and_what_cannot_be_killed_is_left() {
    let mut world = serving(1);
    world.is_stuck = true;
    world.tell(Event::Stop { asker: None });
    world.pass(STOP_TIMEOUT);
    assert!(world.processes.values().all(|process| process.killed) && world.finished.is_none());
    world.pass(5 * SECOND);
    assert_eq!(world.finished, Some(None));
}

#[test]
fn connections_that_are_cut_at_the_deadline_are_counted() {
    let mut world = serving(1);
    world.reload();
    world.plan(Ok(rules(1)));
    world.of(2).into_iter().for_each(|worker| world.serve(worker));
    world.pass(STOP_TIMEOUT);
    assert_eq!((world.machine.counts().cut, world.of(1).len()), (2, 0));
    let told = |report: &Report| matches!(report, Report::Killed { connections: Some(2), .. });
    assert!(world.said.iter().any(told));
}

#[test]
fn a_full_table_of_processes_degrades_and_what_serves_goes_on() {
    let mut world = serving(2);
    world.is_full = true;
    world.end(1, failed(), false);
    world.pass(60 * SECOND);
    assert_eq!((world.machine.state(), world.of(1).len()), (SupervisorState::Degraded, 1));
    let why = world.machine.counts().last_failure.clone().unwrap();
    assert_eq!(why.why, "no process can be started");
    world.is_full = false;
    world.pass(60 * SECOND);
    world.serve_all();
    assert_eq!(world.machine.state(), SupervisorState::Running);
}

#[test]
fn what_a_worker_leaves_is_ended_too() {
    let mut world = serving(1);
    world.tell(Event::Stop { asker: None });
    world.end(1, End::Code(0), true);
    assert!(world.finished.is_none());
    world.pass(STOP_TIMEOUT);
    assert_eq!((world.orphans.len(), world.finished.clone()), (0, Some(None)));
}

#[test]
fn each_rule_has_its_signs() {
    let is = |ready: ReadyRule, hands_off: bool, signs: &[Sign], after: Duration| {
        let mut world = World::new(Rules { ready, hands_off, ..rules(1) });
        signs.iter().for_each(|sign| world.tell(Event::Sign { worker: 1, sign: *sign }));
        world.pass(after);
        world.machine.state() == SupervisorState::Running
    };
    use Sign::{Hidden, Linked, Nothing, Said, Serves, ServesSome, Unseen};
    let cases: &[(ReadyRule, bool, &[Sign], u64, bool)] = &[
        (ReadyRule::Said, false, &[Said], 0, true),
        (ReadyRule::Said, false, &[Serves], 50, false),
        (ReadyRule::Serves, false, &[Serves], 0, true),
        (ReadyRule::Serves, false, &[Said], 50, false),
        (ReadyRule::Serves, false, &[Unseen], 50, false),
        (ReadyRule::Serves, false, &[ServesSome], 50, false),
        (ReadyRule::Serves, false, &[Unseen, Said], 50, false),
        (ReadyRule::Serves, false, &[Hidden, Said], 0, true),
        (ReadyRule::Serves, false, &[Hidden, Nothing, Said], 50, false),
        (ReadyRule::SaidOrAlive(SECOND), false, &[Said], 0, true),
        (ReadyRule::SaidOrAlive(SECOND), false, &[], 0, false),
        (ReadyRule::SaidOrAlive(SECOND), false, &[], 1, true),
        (ReadyRule::Alive(SECOND), false, &[Said], 0, false),
        (ReadyRule::Alive(SECOND), false, &[], 1, true),
        (ReadyRule::Alive(SECOND), true, &[], 50, false),
        (ReadyRule::Linked, true, &[Linked], 0, true),
        (ReadyRule::Said, true, &[Said], 50, false),
        (ReadyRule::Said, true, &[Linked, Said], 0, true),
    ];
    for (rule, hands_off, signs, after, ready) in cases {
        assert_eq!(is(*rule, *hands_off, signs, Duration::from_secs(*after)), *ready, "{rule:?} {hands_off} {signs:?}");
    }
}

#[test]
fn what_may_serve_is_not_killed_unless_something_better_would_go_on() {
    for sign in [Sign::Unseen, Sign::Hidden, Sign::ServesSome] {
        let mut world = World::new(rules(1));
        world.tell(Event::Sign { worker: 1, sign });
        world.pass(READY_TIMEOUT);
        assert_eq!(world.machine.state(), SupervisorState::Running, "{sign:?}");
        let told = |report: &Report| matches!(report, Report::Trouble { why } if why.contains("is taken for ready"));
        assert!(world.said.iter().any(told));
        let asker = world.reload();
        world.plan(Ok(rules(1)));
        let worker = world.of(2)[0];
        world.tell(Event::Sign { worker, sign });
        world.pass(READY_TIMEOUT);
        assert!(matches!(world.last_reply(asker), Some(Reply::Failed(_))), "{sign:?}");
    }
}

#[test]
fn connections_with_a_process_each_wait_for_room() {
    let mut world = World::new(Rules { workers: Workers::Single(2), ..rules(0) });
    world.waiting = 5;
    world.tell(Event::Waiting { connections: 5 });
    assert_eq!((world.processes.len(), world.waiting), (2, 3));
    world.is_full = true;
    world.end(1, failed(), false);
    world.tell(Event::Waiting { connections: 3 });
    assert_eq!((world.processes.len(), world.waiting), (1, 3), "it waits until there is room");
    world.end(2, failed(), false);
    world.tell(Event::Waiting { connections: 3 });
    assert_eq!(world.waiting, 2, "what would wait for nothing is dropped");
    assert_eq!(world.machine.state(), SupervisorState::Degraded);
    world.is_full = false;
    world.tell(Event::Waiting { connections: 2 });
    assert_eq!(world.machine.state(), SupervisorState::Running);
}

#[test]
fn a_successor_goes_on_with_everything() {
    let mut world = serving(2);
    world.end(1, failed(), true);
    let carried = world.machine.carry();
    let text = serde_json::to_string(&carried).unwrap();
    world.machine = Machine::resume(serde_json::from_str(&text).unwrap(), rules(2));
    assert_eq!(world.machine.counts().upgrades, 1);
    world.pass(SECOND);
    assert_eq!(world.of(1).len(), 2);
    world.pass(STOP_TIMEOUT);
    assert!(world.orphans.is_empty());
}
