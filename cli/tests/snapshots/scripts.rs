//! What is said of commands that end at once: most of them are wrong in some way.

use super::redaction::Redaction;
use super::stage::Stage;
use super::transcript::{Transcript, texts};

#[test]
fn every_script_prints_what_it_did() {
    let mut differences = Vec::new();
    for entry in std::fs::read_dir(texts().join("scripts")).unwrap() {
        let path = entry.unwrap().path();
        let stage = Stage::new();
        let mut transcript = Transcript::default();
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            match line.strip_prefix("$ ") {
                Some(command) => stage.play(&mut transcript, command),
                None if line.starts_with('#') || line.is_empty() => transcript.line(line),
                None => {}
            }
        }
        let name = format!("scripts/{}", path.file_stem().unwrap().to_str().unwrap());
        differences.extend(transcript.try_compare(&name, &Redaction::of(stage.folder())).err());
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
