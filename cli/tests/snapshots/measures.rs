//! What depends on the machine: `doctor`, `tour` and `bench`.

use super::redaction::Redaction;
use super::stage::Stage;
use super::transcript::Transcript;

#[test]
fn the_doctor_looks_at_the_same_things() {
    let stage = Stage::new();
    let mut transcript = Transcript::default();
    stage.play(&mut transcript, "sharesock doctor | grep -v '^   '");
    stage.play(&mut transcript, "sharesock doctor --json");
    let redaction = Redaction::of(stage.folder())
        .and(r"^(1\| )(?:ok  |warn|FAIL) (.{25}[^ ]* ).*", "${1}[STATUS] ${2}[FOUND]")
        .and(r#""ok":(?:true|false)"#, r#""ok":[OK]"#)
        .and(r#""status":"[a-z]+""#, r#""status":"[STATUS]""#)
        .and(r#"("found"):"(?:[^"\\]|\\.)*""#, r#"$1:"[FOUND]""#)
        .and(r#"("mend"):(?:null|"(?:[^"\\]|\\.)*")"#, r#"$1:[MEND]"#);
    transcript.compare("sessions/doctor", &redaction);
}

#[test]
fn the_tour_tells_what_was_seen() {
    let stage = Stage::new();
    let mut transcript = Transcript::default();
    stage.play(&mut transcript, "sharesock tour");
    stage.play(&mut transcript, "sharesock tour --json");
    transcript.compare("sessions/tour", &Redaction::of(stage.folder()));
}

#[test]
fn the_table_of_the_benchmark_has_its_shape() {
    let stage = Stage::new();
    let mut transcript = Transcript::default();
    stage.play(&mut transcript, "sharesock bench --quick --rounds 1");
    let redaction = Redaction::of(stage.folder())
        .and(r" *\d+\.\d\d \d+\.\d\d–\d+\.\d\d", " [FIGURE]")
        .and(r"(\[FIGURE\]) +\d+\.\d\d\b", "$1 [RATIO]")
        .and(r"( / \d\.\d\d) (?:aim|holds|MISSED)$", "$1 [VERDICT]")
        .and(r"-?\d+ descriptors, -?\d+ threads, -?\d+ bytes", "[NUMBER] descriptors, [NUMBER] threads, [NUMBER] bytes")
        .and(r"64: (?:holds|MISSED)", "64: [VERDICT]")
        .and(r"([^|]) {2,}", "$1  ");
    transcript.compare("sessions/bench", &redaction);
}
