//! How fast things go, told from successive answers.

use super::samples::{busy, crowd};
use crate::status::{HandOffs, Status};
use crate::views::rates::Rates;
use proptest::prelude::*;

fn handed(uptime_s: f64, total: u64) -> Status {
    let hand_offs = Some(HandOffs { total, waiting: 0, median_us: None, slowest_percent_us: None });
    Status { uptime_s, hand_offs, ..crowd(0) }
}

fn near(rate: Option<f64>, expected: f64) {
    assert!(rate.is_some_and(|rate| (rate - expected).abs() < 1e-6), "{rate:?} is not {expected}");
}

#[test]
fn nothing_is_known_after_one_answer() {
    let mut rates = Rates::default();
    rates.take(busy(0));
    assert_eq!(rates.hand_offs(), None);
    assert_eq!(rates.worker(&busy(0).workers[0]).processor, None);
    assert!(rates.history(60, 1).iter().all(Option::is_none));
}

#[test]
fn the_supervisors_own_time_counts() {
    let mut rates = Rates::default();
    rates.take(handed(100.0, 50));
    rates.take(handed(104.0, 70));
    near(rates.hand_offs(), 5.0);
    rates.take(handed(104.0, 70));
    near(rates.hand_offs(), 5.0);
    assert_eq!(rates.history(3, 1), [Some(5.0), Some(5.0), Some(5.0)]);
}

#[test]
fn a_worker_that_is_new_is_measured_since_it_started() {
    let mut rates = Rates::default();
    let mut before = busy(0);
    let mut new = before.workers.remove(0);
    rates.take(before);
    let mut after = busy(2);
    (new.uptime_s, new.cpu_s, new.handed_off) = (0.5, Some(0.25), 10);
    after.workers[0] = new.clone();
    rates.take(after.clone());
    near(rates.worker(&new).processor, 0.5);
    near(rates.worker(&new).hand_offs, 20.0);
    near(rates.worker(&after.workers[1]).processor, 0.2);
    near(rates.worker(&after.workers[1]).hand_offs, 226.0);
}

#[test]
fn another_worker_with_the_same_id_does_not_count_as_the_first() {
    let mut rates = Rates::default();
    rates.take(busy(0));
    let mut after = busy(1);
    (after.workers[0].uptime_s, after.workers[0].cpu_s) = (0.5, Some(0.1));
    rates.take(after.clone());
    near(rates.worker(&after.workers[0]).processor, 0.2);
}

#[test]
fn processor_time_that_shrinks_is_none() {
    let mut rates = Rates::default();
    rates.take(busy(0));
    let mut after = busy(1);
    after.workers[0].cpu_s = Some(1.0);
    rates.take(after.clone());
    near(rates.worker(&after.workers[0]).processor, 0.0);
}

#[test]
fn another_supervisor_begins_anew_and_an_upgraded_one_does_not() {
    let mut rates = Rates::default();
    rates.take(handed(100.0, 50));
    rates.take(Status { version: "0.2.0".to_owned(), upgrades: 1, ..handed(101.0, 60) });
    near(rates.hand_offs(), 10.0);
    rates.take(Status { pid: 9, ..handed(102.0, 70) });
    assert_eq!(rates.hand_offs(), None);
    rates.take(Status { pid: 9, ..handed(103.0, 70) });
    near(rates.hand_offs(), 0.0);
    rates.take(Status { pid: 9, ..handed(1.0, 5) });
    assert_eq!(rates.hand_offs(), None, "started anew with the same id");
    assert!(rates.history(60, 1).iter().all(Option::is_none));
}

#[test]
fn bars_keep_their_heights_as_time_goes_on() {
    let mut rates = Rates::default();
    let mut seen = Vec::new();
    for second in 0..200_u32 {
        let uptime = f64::from(second) * 1.003;
        rates.take(handed(uptime, u64::from(second * second)));
        seen.push((uptime.floor() as usize, rates.history(60, 1)));
    }
    for (pair, next) in seen.iter().zip(seen.iter().skip(1)) {
        let moved = next.0 - pair.0;
        for bar in moved..60 {
            if let Some(before) = pair.1[bar] {
                near(next.1[bar - moved], before);
            }
        }
    }
    assert!(seen.last().unwrap().1.iter().all(Option::is_some), "a whole minute is known");
}

proptest! {
    #[test]
    fn bars_hold_as_many_as_were_handed_off(
        steps in prop::collection::vec((0.01_f64..30.0, 0_u64..100_000), 2..300),
        seconds in 1_usize..7,
    ) {
        let mut rates = Rates::default();
        let (mut at, mut total) = (5.0, 0);
        rates.take(handed(at, total));
        for (pause, more) in steps {
            (at, total) = (at + pause, total + more);
            rates.take(handed(at, total));
            prop_assert!(rates.hand_offs().unwrap() >= 0.0);
        }
        let bars = rates.history(60 / seconds, seconds);
        prop_assert_eq!(bars.len(), 60 / seconds);
        let shown: f64 = bars.iter().flatten().map(|rate| rate * seconds as f64).sum();
        prop_assert!(shown <= total as f64 * (1.0 + 1e-9) + 1e-6, "{} of {}", shown, total);
        prop_assert!(bars.iter().flatten().all(|rate| rate.is_finite() && *rate >= 0.0));
        // What is known is known without a hole, up to now.
        let first = bars.iter().position(Option::is_some).unwrap_or(bars.len());
        prop_assert!(bars[first..].iter().all(Option::is_some));
    }
}
