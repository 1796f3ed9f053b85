//! Plays the live view in a terminal of a test, in place of a supervisor that is asked: this very test program, started
//! anew to run one test that is ignored otherwise.

use crate::status::Status;
use crate::views::{TopOptions, top};
use anyhow::{Context, bail};
use clap::Parser;
use std::io::{BufRead, BufReader};

/// Names a file of answers, one a line: a status as JSON, `error WORDS`, or `panic`. Each is given once, the last again
/// and again until the test writes another.
pub(crate) const ANSWERS: &str = "SHARESOCK_TEST_ANSWERS";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: TopOptions,
}

#[test]
#[ignore = "is run by other tests, in their terminals"]
fn play() {
    let Some(file) = std::env::var_os(ANSWERS) else { return };
    let mut answers = BufReader::new(std::fs::File::open(file).unwrap());
    let (mut last, mut next) = (String::new(), String::new());
    let mut fetch = || {
        answers.read_line(&mut next)?;
        // The test may be in the middle of writing a line.
        if next.ends_with('\n') {
            last = std::mem::take(&mut next);
        }
        answer(&last)
    };
    let arguments = Arguments::parse_from(["top", "--interval", "0.1"]);
    if let Err(error) = top(&mut fetch, arguments.options) {
        eprintln!("sharesock: {error:#}");
        std::process::exit(1);
    }
    // Not by way of the test harness, which prints something, even where the terminal is gone.
    std::process::exit(0);
}

fn answer(line: &str) -> anyhow::Result<Status> {
    match line.trim_end().split_once(' ') {
        Some(("error", words)) => bail!("{words}"),
        _ if line.trim_end() == "panic" => panic!("as the test asks"),
        _ => serde_json::from_str(line).context("a line of the answers"),
    }
}

#[test]
fn the_interval_is_checked() {
    for (text, fine) in [("0.1", true), ("3600", true), ("0", false), ("-1", false), ("NaN", false), ("4000", false)] {
        let argument = format!("--interval={text}");
        assert_eq!(Arguments::try_parse_from(["top", &argument]).is_ok(), fine, "{text}");
    }
}
