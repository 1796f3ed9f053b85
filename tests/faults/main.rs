//! Every system call of the protocols fails, or is the last of its process: nothing is lost, doubled or left over, and
//! nothing hangs.
//!
//! Two actors play a scenario; `strace` watches one of them. First it lists the calls; then each of them fails once with
//! each of its likely errors, and once the process is killed there. The test does a sample of that, which
//! `SHARESOCK_SEED` repeats and `SHARESOCK_FAULTS` makes larger; `all` is everything (`proof/faults`).
#![cfg(target_os = "linux")]

mod actor;
mod finding;
#[path = "../needs/mod.rs"]
mod needs;
#[path = "../patience/mod.rs"]
mod patience;
#[path = "../peer/mod.rs"]
mod peer;
mod run;
mod scenarios;
mod stage;
mod steps;
mod strace;

use run::{Case, Outcome, run};
use scenarios::SCENARIOS;
use std::collections::BTreeMap;
use std::sync::Mutex;
use strace::Injection;

const VARIABLE: &str = "SHARESOCK_TEST_ACTOR_DOMAIN";
/// Marks an actor's answers among the lines that the test harness prints.
const ANSWER: &str = "actor> ";
/// How many faults the test injects unless it is told.
const SAMPLE: usize = 300;
/// Runs at a time.
const WORKERS: usize = 2;

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// Whether processes may be watched here; why not, else.
fn may_trace() -> Result<(), String> {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let log = std::env::temp_dir().join(format!("sharesock-test-strace-{}", std::process::id()));
    let attached = strace::Strace::attach(child.id(), &log, None).map(drop);
    let _ = child.kill();
    let _ = child.wait();
    attached
}

#[test]
fn whatever_call_fails_nothing_is_lost_doubled_or_left_over() {
    if std::env::var_os(VARIABLE).is_some() {
        return;
    }
    let traced = may_trace();
    let why = traced.as_ref().err().map_or("", |why| why.trim());
    if needs::lacks(&format!("strace, and to trace other processes: {why}"), traced.is_ok()) {
        return;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = variable("SHARESOCK_SEED").and_then(|text| text.parse().ok());
    let mut seed = seed.unwrap_or(u64::from(now.subsec_nanos()) | 1);
    let scope = variable("SHARESOCK_FAULTS").unwrap_or(SAMPLE.to_string());
    let only = variable("SHARESOCK_SCENARIO");
    println!("SHARESOCK_SEED={seed} SHARESOCK_FAULTS={scope}");

    // Without a fault everything must go well; this lists the calls.
    let mut cases = Vec::new();
    for scenario in SCENARIOS {
        for role in scenario.watched {
            if only.as_ref().is_some_and(|only| only != scenario.name) {
                continue;
            }
            let outcome = run(&Case { scenario, role: *role, injection: None });
            let clean = outcome.finding.is_none() && outcome.cut.is_none();
            assert!(clean, "{} {role:?}: {:?} {:?}", scenario.name, outcome.cut, outcome.finding);
            let faults = strace::faults_of(&outcome.log, *role);
            println!("{} {role:?}: {} faults", scenario.name, faults.len());
            cases.extend(faults.into_iter().map(|fault| Case { scenario, role: *role, injection: Some(fault) }));
        }
    }
    let possible = cases.len();
    if let Ok(most) = scope.parse::<usize>() {
        // What a system may lack is always among them.
        cases.sort_by_key(|case| !case.injection.as_ref().is_some_and(Injection::is_lack));
        let lacks = cases.iter().filter(|case| case.injection.as_ref().is_some_and(Injection::is_lack)).count();
        for n in lacks..most.min(cases.len()) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let other = n + usize::try_from(seed).unwrap() % (cases.len() - n);
            cases.swap(n, other);
        }
        cases.truncate(most.max(lacks));
    }
    if let Some(one) = variable("SHARESOCK_FAULT") {
        cases.retain(|case| case.injection.as_ref().is_some_and(|fault| fault.to_string() == one));
        assert!(!cases.is_empty(), "no call of the scenario can have the fault {one}");
    }
    println!("{} of {possible} faults are injected", cases.len());
    let tally = inject(&cases);
    println!("{tally}");
    assert!(tally.findings.is_empty(), "{} faults were not survived", tally.findings.values().sum::<usize>());
}

#[derive(Default)]
struct Tally {
    injected: usize,
    not_reached: usize,
    /// How often an error stayed, and the scenario ended.
    refused: usize,
    findings: BTreeMap<finding::Kind, usize>,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        use finding::Kind;
        let of = |kind| self.findings.get(&kind).copied().unwrap_or(0);
        let survived = self.injected - self.findings.values().sum::<usize>().min(self.injected);
        write!(f, "injected {}, survived {survived}", self.injected)?;
        write!(f, ", lost {}, doubled {}", of(Kind::Lost), of(Kind::Doubled))?;
        write!(f, ", hangs {}, leaks {}, panics {}", of(Kind::Hang), of(Kind::Leak), of(Kind::Panic))?;
        write!(
            f,
            ", other {} ({} calls did not come; {} errors stayed)",
            of(Kind::Wrong),
            self.not_reached,
            self.refused
        )
    }
}

fn inject(cases: &[Case]) -> Tally {
    let tally = Mutex::new(Tally::default());
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(case) = cases.get(n) else { return };
                    let outcome = run(case);
                    let mut tally = tally.lock().unwrap();
                    tally.note(case, outcome);
                    if (n + 1) % 100 == 0 {
                        println!("{}/{}: {tally}", n + 1, cases.len());
                    }
                }
            });
        }
    });
    tally.into_inner().unwrap()
}

impl Tally {
    fn note(&mut self, case: &Case, outcome: Outcome) {
        match outcome.injected {
            true => self.injected += 1,
            false => {
                self.not_reached += 1;
                if variable("SHARESOCK_VERBOSE").is_some() {
                    println!("not reached: {case}");
                }
            }
        }
        if let Some(finding) = outcome.finding {
            *self.findings.entry(finding.kind).or_default() += 1;
            println!("FOUND {:?}: {}\n    {case}", finding.kind, finding.text);
        }
        if let Some(cut) = outcome.cut {
            self.refused += 1;
            println!("REFUSED: {cut}\n    {case}");
        }
    }
}
