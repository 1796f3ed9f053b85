//! Long random histories: whatever happens, in whichever order, the invariants of [`super::world`] hold.

use super::world::{World, rules};
use super::{End, Event, Rules, Sign, WorkerId, Workers};
use proptest::prelude::*;
use std::time::Duration;

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Serve(usize),
    ServeAll,
    Say(usize),
    Hang(usize),
    Settle(usize),
    End(usize, End, bool),
    OrphansGo(usize),
    Reload(bool),
    Plan(bool, u32),
    Upgrade,
    UpgradeFails,
    Stop(bool),
    Full(bool),
    Stuck(bool),
    Connections(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::{
        Connections, End as Ends, Full, Hang, OrphansGo, Pass, Plan, Reload, Say, Serve, ServeAll, Settle, Stop, Stuck,
        Upgrade, UpgradeFails,
    };
    let how = prop_oneof![
        4 => Just(End::Code(0)),
        4 => Just(End::Code(1)),
        1 => Just(End::Code(127)),
        2 => Just(End::Signal("SIGSEGV".to_owned())),
        1 => Just(End::Untold),
    ];
    let which = 0..8_usize;
    prop_oneof![
        6 => prop_oneof![0..50_u64, 0..2_000_u64, 0..100_000_u64].prop_map(Pass),
        6 => which.clone().prop_map(Serve),
        4 => Just(ServeAll),
        2 => which.clone().prop_map(Say),
        1 => which.clone().prop_map(Hang),
        4 => which.clone().prop_map(Settle),
        6 => (which.clone(), how, any::<bool>()).prop_map(|(at, how, orphans)| Ends(at, how, orphans)),
        2 => which.prop_map(OrphansGo),
        3 => any::<bool>().prop_map(Reload),
        4 => (prop::bool::weighted(0.8), 0..4_u32).prop_map(|(good, slots)| Plan(good, slots)),
        1 => Just(Upgrade),
        1 => Just(UpgradeFails),
        1 => prop::bool::weighted(0.7).prop_map(Stop),
        1 => prop::bool::weighted(0.3).prop_map(Full),
        1 => prop::bool::weighted(0.2).prop_map(Stuck),
        2 => (0..5_usize).prop_map(Connections),
    ]
}

fn happen(world: &mut World, what: Happening, kind: &dyn Fn(u32) -> Rules) {
    let nth = |ids: Vec<WorkerId>, at: usize| ids.get(at % ids.len().max(1)).copied();
    let worker = |world: &World, at| nth(world.processes.keys().copied().collect(), at);
    match what {
        Happening::Pass(time) => world.pass(Duration::from_millis(time)),
        Happening::Serve(at) => worker(world, at).into_iter().for_each(|worker| world.serve(worker)),
        Happening::ServeAll => world.serve_all(),
        Happening::Say(at) => {
            if let Some(worker) = worker(world, at) {
                world.tell(Event::Sign { worker, sign: Sign::Said });
            }
        }
        Happening::Hang(at) => worker(world, at).into_iter().for_each(|worker| world.hang(worker)),
        Happening::Settle(at) => {
            if let Some(worker) = nth(world.settling.iter().copied().collect(), at) {
                world.tell(Event::Settled { worker });
            }
        }
        Happening::End(at, how, orphans) => {
            worker(world, at).into_iter().for_each(|worker| world.end(worker, how.clone(), orphans));
        }
        Happening::OrphansGo(at) => {
            if let Some(worker) = nth(world.orphans.iter().copied().collect(), at) {
                world.orphans.remove(&worker);
                world.tell(Event::OrphansGone { worker });
            }
        }
        Happening::Reload(true) => _ = world.reload(),
        Happening::Reload(false) => world.tell(Event::Reload { asker: None }),
        Happening::Plan(good, slots) => {
            world.plan(if good { Ok(kind(slots)) } else { Err("a mistake".to_owned()) });
        }
        Happening::Upgrade => {
            let asker = world.asker();
            world.tell(Event::Upgrade { asker });
        }
        Happening::UpgradeFails if world.upgrading => {
            world.upgrading = false;
            world.tell(Event::UpgradeFailed { why: "it does not fit".to_owned() });
        }
        Happening::UpgradeFails => {}
        Happening::Stop(asks) => {
            let asker = asks.then(|| world.asker());
            world.tell(Event::Stop { asker });
        }
        Happening::Full(full) => world.is_full = full,
        Happening::Stuck(stuck) => world.is_stuck = stuck,
        Happening::Connections(more) => {
            world.waiting += more;
            let connections = world.waiting;
            world.tell(Event::Waiting { connections });
        }
    }
}

/// From here on all goes well: somebody ends everything, processes end when they are asked to or killed.
fn end_all(world: &mut World) {
    (world.is_full, world.is_stuck) = (false, false);
    if world.finished.is_none() {
        let asker = world.asker();
        world.tell(Event::Stop { asker: Some(asker) });
        // The kernel says at last that what was stuck has ended.
        for worker in world.orphans.clone() {
            world.orphans.remove(&worker);
            world.tell(Event::OrphansGone { worker });
        }
    }
    world.pass(Duration::from_secs(1000));
    assert!(world.finished.is_some(), "it never ends: {:?}", world.machine);
}

/// Checks that all is well when nothing happens any more, and whoever starts serves at once.
fn come_to_rest(world: &mut World, kind: &dyn Fn(u32) -> Rules) {
    (world.is_full, world.is_stuck, world.upgrading) = (false, false, false);
    world.tell(Event::UpgradeFailed { why: "it is over".to_owned() });
    for _ in 0..40 {
        world.plan(Ok(kind(2)));
        world.serve_all();
        world.pass(Duration::from_secs(20));
    }
    if world.stopping {
        return;
    }
    assert!(world.unanswered.is_empty(), "{:?} wait for ever", world.unanswered);
    let slots = world.machine.serving().slots.len();
    let serving = world.of(world.serving).into_iter().filter(|id| world.machine.workers()[id].is_ready()).count();
    assert_eq!(serving, slots, "every slot serves: {:?}", world.machine);
    assert_eq!(world.of(world.serving).len(), slots, "nothing is started twice: {:?}", world.machine);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_serves_is_lost(slots in 0..4_u32, what in prop::collection::vec(happening(), 0..120)) {
        let mut world = World::new(rules(slots));
        for happening in what {
            if world.finished.is_some() {
                return Ok(());
            }
            happen(&mut world, happening, &rules);
        }
        come_to_rest(&mut world, &rules);
        end_all(&mut world);
    }

    #[test]
    fn each_connection_has_its_process(most in 1..4_u32, what in prop::collection::vec(happening(), 0..120)) {
        let kind = |most: u32| Rules { workers: Workers::Single(most.max(1)), ..rules(0) };
        let mut world = World::new(kind(most));
        for happening in what {
            if world.finished.is_some() {
                return Ok(());
            }
            happen(&mut world, happening, &kind);
        }
        end_all(&mut world);
    }
}
