//! The rest of the program: the tour, the benchmark, help, completions, manual pages.
#![cfg(target_os = "linux")]

use std::process::{Command, Output};

fn run(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sharesock")).args(options).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_tour_shows_that_every_rule_holds() {
    let lines = text(&run(&["tour"]));
    for rule in ["R1", "R2", "R3", "R4", "R5", "R6", "R7", "R8", "R9", "R10", "R11", "R12"] {
        assert!(lines.lines().any(|line| line.starts_with(&format!("ok   {rule} "))), "{lines}");
    }
    let whole: serde_json::Value = serde_json::from_str(&text(&run(&["tour", "--json"]))).unwrap();
    assert_eq!(whole["holds"], true);
    assert_eq!(whole["rules"].as_array().unwrap().len(), 12);
}

#[test]
fn the_benchmark_measures_every_row_beside_its_floor() {
    let whole: serde_json::Value =
        serde_json::from_str(&text(&run(&["bench", "--json", "--quick", "--rounds", "1"]))).unwrap();
    let rows = whole["rows"].as_array().unwrap();
    assert!(rows.len() >= 12);
    for row in rows {
        assert!(row["ours"]["median_us"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
}

#[test]
fn every_command_explains_itself_with_examples() {
    let whole = text(&run(&["--help"]));
    for command in ["serve", "tour", "bench", "completions", "man"] {
        assert!(whole.contains(command));
        let help = text(&run(&[command, "--help"]));
        assert!(help.contains("Example"), "{help}");
    }
    assert!(!whole.contains("serve-worker"));
}

#[test]
fn completions_and_manual_pages_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(text(&run(&["completions", shell])).contains("serve"));
    }
    let folder = tempfile::tempdir().unwrap();
    text(&run(&["man", folder.path().to_str().unwrap()]));
    assert!(folder.path().join("sharesock-serve.1").is_file());
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
}
