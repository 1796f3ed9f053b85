//! What workers print, and how the supervisor prints it.

use crate::patience::OutputInTime;
use crate::running::{PROGRAM, until};
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// Prints all that is hard to print, on both streams, and says when that is done.
const HARD: &str = r#"
letters() { i=0; while [ $i -lt 5000 ]; do printf 'é'; i=$((i + 1)); done; }
letters
printf '\nbytes \377\000 end\r\n1%%\r2%%\n'
printf 'to stderr\n' >&2
printf 'no end of line'
sleep 0.1
printf ', later\n'
> done
exec sleep 1000
"#;

struct Printed {
    output: Vec<u8>,
    errors: Vec<u8>,
}

/// What a supervisor prints from its start to its end.
fn printed(options: &[&str]) -> Printed {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("worker"), HARD).unwrap();
    let mut command = Command::new(PROGRAM);
    command.args(["run", "--name", "app", "--ready", "time=0.01", "--domain", "domain"]).args(options);
    command.args(["--", "sh", "worker"]).current_dir(folder.path());
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    until("everything to be printed", || folder.path().join("done").exists());
    stop(folder.path());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
    Printed { output: ended.stdout, errors: ended.stderr }
}

fn stop(folder: &Path) {
    let stop = ["stop", "app", "--domain", "domain"];
    assert!(Command::new(PROGRAM).args(stop).current_dir(folder).output_in_time().status.success());
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The lines of the worker, each with what is before it.
fn expected(before: &str, odd: &str) -> Vec<String> {
    let lines =
        ["é".repeat(4096), "é".repeat(904), odd.to_owned(), "1%".into(), "2%".into(), "no end of line, later".into()];
    lines.iter().map(|line| format!("{before}{line}")).collect()
}

#[test]
fn lines_have_their_place_before_them() {
    let printed = printed(&[]);
    assert_eq!(text(&printed.output).lines().collect::<Vec<_>>(), expected("0 | ", "bytes \u{fffd}\u{fffd} end"));
    let errors = text(&printed.errors);
    assert!(errors.lines().all(|line| line == "0 | to stderr" || line.starts_with("sharesock: ")), "{errors}");
}

#[test]
fn with_json_there_are_json_lines_alone() {
    let printed = printed(&["--json"]);
    assert_eq!(text(&printed.errors), "");
    let events: Vec<Value> = text(&printed.output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let times: Vec<_> = events.iter().map(|event| event["time"].as_str().unwrap()).collect();
    assert!(times.is_sorted() && times.iter().all(|time| is_time(time)), "{times:?}");
    let of = |stream: &str| -> Vec<String> {
        let lines = events.iter().filter(|event| event["event"] == "output" && event["stream"] == stream);
        lines.map(|event| event["line"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("stdout"), expected("", "bytes \u{fffd}\0 end"));
    assert_eq!(of("stderr"), ["to stderr"]);
    let started = events.iter().find(|event| event["event"] == "worker_started").unwrap();
    let same = |event: &Value| event["pid"] == started["pid"] && event["place"] == 0;
    assert!(events.iter().filter(|event| event["event"] == "output").all(same), "{events:?}");
}

#[test]
fn events_and_the_text_of_workers_can_be_had_apart() {
    let printed = printed(&["--json", "--output", "prefix"]);
    assert!(text(&printed.output).lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
    let errors: Vec<_> = text(&printed.errors).lines().filter(|line| *line != "0 | to stderr").collect();
    assert_eq!(errors, expected("0 | ", "bytes \u{fffd}\u{fffd} end"));
}

#[test]
fn raw_output_is_passed_through() {
    let printed = printed(&["--output", "raw"]);
    let expected = ["é".repeat(5000).as_bytes(), b"\nbytes \xff\0 end\r\n1%\r2%\nno end of line, later\n"].concat();
    assert!(printed.output == expected, "{}", String::from_utf8_lossy(&printed.output));
    assert!(text(&printed.errors).lines().any(|line| line == "to stderr"));
}

#[test]
fn lines_can_have_the_time() {
    let printed = printed(&["--log-time"]);
    let lines = text(&printed.output).lines().chain(text(&printed.errors).lines());
    let parts: Vec<_> = lines.map(|line| line.split_once(' ').unwrap()).collect();
    assert!(parts.iter().all(|(time, _)| is_time(time)), "{parts:?}");
    assert!(parts.iter().any(|(_, line)| *line == "0 | 2%"), "{parts:?}");
    assert!(parts.iter().any(|(_, line)| line.starts_with("sharesock: ")), "{parts:?}");
}

/// Such as `2026-01-31T23:59:59.999Z`.
fn is_time(text: &str) -> bool {
    let fits = |(byte, pattern): (u8, u8)| if pattern == b'0' { byte.is_ascii_digit() } else { byte == pattern };
    let pattern = b"0000-00-00T00:00:00.000Z";
    text.len() == pattern.len() && text.bytes().zip(*pattern).all(fits)
}
