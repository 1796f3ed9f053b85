//! The rest of the program: the tour, the benchmark, completions, manual pages. What they print is compared in `snapshots`.

use crate::patience::OutputInTime;
use std::process::{Command, Output};

fn run(options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sharesock")).args(options).output_in_time()
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

/// That there are all rows is seen in the table, which `snapshots` has.
#[test]
fn the_benchmark_measures_every_row_beside_its_floor() {
    let options = ["bench", "--json", "--quick", "--rounds", "1", "--only", "hand off"];
    let whole: serde_json::Value = serde_json::from_str(&text(&run(&options))).unwrap();
    let rows = whole["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for row in rows {
        assert!(row["floor"]["median_us"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["ours"]["median_us"].as_f64().unwrap() > 0.0, "{row}");
        assert!(row["ratio"].as_f64().unwrap() > 0.0, "{row}");
    }
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
