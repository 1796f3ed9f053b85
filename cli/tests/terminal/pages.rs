//! What `status` prints: for people and for Prometheus.

use super::samples::{self, busy, check, crowd, hostile};
use crate::status::Status;
use crate::views::{prometheus, text, units};
use std::collections::{BTreeMap, HashMap, HashSet};

#[test]
fn text_for_people() {
    let mut status = busy(0);
    status.workers[0].output = vec!["started".to_owned(), "\u{1b}[31mwarning\u{1b}[0m: slow".to_owned()];
    let page = text(&status, false);
    check("status.txt", &page);
    assert!(page.lines().all(|line| units::width(line) <= 80));
    check("status-new.txt", &text(&samples::new(), false));
    check("status-crowd.txt", &text(&crowd(3), false));
}

#[test]
fn text_has_colours_only_if_asked() {
    assert!(!text(&busy(0), false).contains('\u{1b}'));
    let coloured = text(&busy(0), true);
    assert!(coloured.contains("\u{1b}[32mready"));
    let mut bare = coloured;
    for code in ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[35m"] {
        bare = bare.replace(code, "");
    }
    assert_eq!(bare, text(&busy(0), false), "colours change nothing else");
}

#[test]
fn no_word_of_a_stranger_is_a_command() {
    let page = text(&hostile(), false);
    assert!(page.chars().all(|letter| letter == '\n' || !letter.is_control()), "{page:?}");
    assert_eq!(page.lines().count(), text(&busy(0), false).lines().count() + 1, "only the line of output is more");
}

#[test]
fn numbers_have_units() {
    let duration = |seconds| units::duration(seconds);
    assert_eq!([0.9, 59.9, 60.0, 3599.0].map(duration), ["0s", "59s", "1m 00s", "59m 59s"]);
    assert_eq!([3600.0, 86_400.0, 1e30, f64::NAN].map(duration)[..2], ["1h 00m", "1d 00h"]);
    assert_eq!(
        [0, 1023, 1024, 1_048_575, 1 << 40, u64::MAX].map(units::bytes),
        ["0 B", "1023 B", "1.00 KiB", "1.00 MiB", "1.00 TiB", "16.0 EiB"]
    );
    assert_eq!([0, 999, 1000, 1_234_567].map(units::count), ["0", "999", "1,000", "1,234,567"]);
    assert_eq!([0.0, 0.04, 3.44, 9.96, 1234.5].map(units::rate), ["0", "0.0", "3.4", "10", "1,235"]);
    assert_eq!(
        [0, 999, 1000, 12_345, 1_000_000].map(units::microseconds),
        ["0 µs", "999 µs", "1.00 ms", "12.3 ms", "1.00 s"]
    );
    assert_eq!(units::cut("abcdef", 4), "abc…");
    assert_eq!(units::cut("日本語", 5), "日本…");
    assert_eq!(units::cut("abc", 0), "");
}

/// A family: its kind, and its samples by their labels.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    samples: Vec<(BTreeMap<String, String>, f64)>,
}

/// Reads the exposition format as strictly as its description is.
fn parsed(page: &str) -> HashMap<String, Family> {
    assert!(page.is_empty() || page.ends_with('\n'), "the last line has to end");
    let mut families: HashMap<String, Family> = HashMap::new();
    let (mut current, mut seen) = (String::new(), HashSet::new());
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split_once(' ').unwrap().0.to_owned();
            assert!(!families.contains_key(&current), "{current} is in two parts");
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').unwrap();
            assert_eq!(name, current, "HELP and TYPE belong together");
            families.insert(current.clone(), Family { kind: kind.to_owned(), samples: Vec::new() });
        } else {
            let (name, labels, value) = sample(line);
            assert_eq!(name, current, "a sample belongs below its HELP and TYPE");
            assert!(seen.insert((name, labels.clone())), "twice: {line}");
            families.get_mut(&current).unwrap().samples.push((labels, value));
        }
    }
    families
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let (name, rest) = line.split_once('{').unwrap();
    assert!(name.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_'), "{name}");
    let (mut labels, mut letters) = (BTreeMap::new(), rest.chars());
    loop {
        let label: String = letters.by_ref().take_while(|&letter| letter != '=').collect();
        assert!(label.chars().all(|letter| letter.is_ascii_lowercase()), "{label}");
        assert_eq!(letters.next(), Some('"'));
        let mut text = String::new();
        loop {
            match letters.next().unwrap() {
                '"' => break,
                '\\' => text.push(match letters.next().unwrap() {
                    'n' => '\n',
                    letter @ ('"' | '\\') => letter,
                    letter => panic!("\\{letter} is no escape"),
                }),
                letter => text.push(letter),
            }
        }
        assert!(labels.insert(label, text).is_none(), "a label twice");
        match letters.next() {
            Some(',') => {}
            Some('}') => break,
            other => panic!("{other:?} after a label"),
        }
    }
    let value = letters.as_str().strip_prefix(' ').unwrap();
    (name.to_owned(), labels, value.parse().unwrap())
}

/// The value of the sample with these labels, among others.
fn value(families: &HashMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has = |sample: &&(BTreeMap<String, String>, f64)| labels.iter().all(|(label, text)| sample.0[*label] == *text);
    let found: Vec<_> = families[name].samples.iter().filter(has).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0].1
}

#[test]
fn prometheus_reads_what_it_expects() {
    check("status.prom", &prometheus(&busy(0)));
    let families = parsed(&prometheus(&busy(0)));
    for (name, family) in &families {
        assert!(name.starts_with("sharesock_"));
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
        assert!(!name.ends_with("_count") && !name.ends_with("_sum") && !name.ends_with("_bucket"));
        assert!(!family.samples.is_empty(), "{name} has no samples");
        assert!(family.samples.iter().all(|(labels, _)| labels["supervisor"] == "site"));
    }
    let worker = [("place", "1"), ("generation", "3")];
    assert_eq!(value(&families, "sharesock_worker_cpu_seconds_total", &worker), 12.5);
    assert_eq!(value(&families, "sharesock_worker_memory_bytes", &worker), f64::from((34 << 20) + 2 * 777_777));
    assert_eq!(value(&families, "sharesock_worker_info", &[("pid", "4721"), ("generation", "2")]), 1.0);
    assert_eq!(value(&families, "sharesock_hand_off_duration_seconds", &[("quantile", "0.99")]), 0.00123);
    assert_eq!(value(&families, "sharesock_state", &[("state", "reloading")]), 1.0);
    assert_eq!(value(&families, "sharesock_workers", &[("state", "draining")]), 1.0);
    assert_eq!(value(&families, "sharesock_listener_backlog_connections", &[("listener", "http")]), 4096.0);
    assert_eq!(families["sharesock_listener_backlog_connections"].samples.len(), 2, "one does not tell");
}

#[test]
fn no_process_id_is_in_any_other_series() {
    for (name, family) in parsed(&prometheus(&busy(0))) {
        assert_eq!(family.samples[0].0.contains_key("pid"), name == "sharesock_worker_info");
    }
}

#[test]
fn prometheus_reads_strange_names_and_numbers() {
    let status = hostile();
    let families = parsed(&prometheus(&status));
    assert!(!families.contains_key("sharesock_evil"));
    assert_eq!(families["sharesock_generation"].samples[0].0["supervisor"], status.name);
    assert_eq!(families["sharesock_listener_backlog_connections"].samples[0].0["address"], status.listeners[0].address);
    // Two of a kind are one, and what is not a number is told as such.
    let mut status = Status { uptime_s: f64::INFINITY, ..busy(0) };
    status.workers.push(status.workers[0].clone());
    status.listeners.push(status.listeners[0].clone());
    status.workers[0].cpu_s = Some(f64::NAN);
    let page = prometheus(&status);
    assert!(page.contains("sharesock_uptime_seconds{supervisor=\"site\"} +Inf\n"), "{page}");
    assert!(page.contains("} NaN\n"), "{page}");
    parsed(&page);
    parsed(&prometheus(&samples::new()));
    parsed(&prometheus(&crowd(500)));
}
