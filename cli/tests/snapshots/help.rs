//! Help: of the program and of every command that it lists.

use super::redaction::Redaction;
use super::stage::Stage;
use super::transcript::{Transcript, texts};
use crate::patience::OutputInTime;
use std::collections::BTreeSet;

/// The width at which help is shown where no terminal says another.
const WIDTH: usize = 100;
/// At which no line is broken.
const UNBROKEN: usize = 10_000;

/// The commands that the program lists, and the program itself, which has none.
fn commands(stage: &Stage) -> Vec<String> {
    let whole = stage.help("--help", WIDTH);
    let listed = whole.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let commands: Vec<_> = named.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect();
    assert!(commands.len() > 10, "{whole}");
    std::iter::once(String::new()).chain(commands).collect()
}

#[test]
fn every_help_is_as_it_was() {
    let stage = Stage::new();
    let mut differences = Vec::new();
    let mut names = BTreeSet::new();
    for command in commands(&stage) {
        let [short, long] = ["-h", "--help"].map(|flag| [command.as_str(), flag].join(" ").trim().to_owned());
        let [short_help, long_help] = [&short, &long].map(|line| stage.help(line, WIDTH));
        let mut transcript = Transcript::default();
        transcript.command(&format!("sharesock {short}"));
        if short_help == long_help {
            transcript.line("# The same as:");
        } else {
            transcript.printed(1, &short_help);
        }
        transcript.command(&format!("sharesock {long}"));
        transcript.printed(1, &long_help);
        let wide = short_help.lines().chain(long_help.lines()).find(|line| line.chars().count() > WIDTH);
        differences.extend(wide.map(|line| format!("wider than {WIDTH} columns: {line}")));
        let name = if command.is_empty() { "sharesock".to_owned() } else { command };
        differences.extend(transcript.try_compare(&format!("help/{name}"), &Redaction::of(stage.folder())).err());
        names.insert(format!("{name}.txt"));
    }
    let there = std::fs::read_dir(texts().join("help")).unwrap();
    let there: BTreeSet<_> = there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let gone: Vec<_> = there.difference(&names).collect();
    assert!(gone.is_empty(), "there are texts of commands that are gone: remove {gone:?}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Each command of an example is asked for its help, behind everything else: what is before that must be understood.
#[test]
fn every_example_is_a_command_line() {
    let stage = Stage::new();
    for command in commands(&stage).iter().filter(|command| !command.is_empty()) {
        let help = stage.help(&format!("{command} --help"), UNBROKEN);
        let examples: Vec<_> = help.lines().filter(|line| line.starts_with("  sharesock ")).collect();
        assert!(!examples.is_empty(), "there is no example of {command}");
        for example in examples {
            let ours = example.split(['|', '<', '>', '&', '#']).map(str::trim);
            // The first is all that is needed of `sharesock listen … -- sharesock give`, and the rest has a line of its own.
            for part in ours.flat_map(|part| part.split(" -- ")).filter(|part| part.starts_with("sharesock ")) {
                let ended = stage.shell(&format!("{} --help", part.replace("$!", "$$"))).output_in_time();
                let printed = String::from_utf8_lossy(&ended.stdout);
                assert!(ended.status.success() && printed.contains("Usage: "), "{part}, of {example}: {ended:?}");
            }
        }
    }
}

/// But for those whose exit codes are the program's own.
#[test]
fn every_help_tells_its_exit_codes() {
    let stage = Stage::new();
    for command in commands(&stage).iter().filter(|command| !["completions", "man"].contains(&command.as_str())) {
        let help = stage.help(&format!("{command} --help"), UNBROKEN);
        assert!(help.contains("Exit codes: "), "{help}");
    }
}
