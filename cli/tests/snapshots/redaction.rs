//! Puts names for what differs from run to run.

use regex::{Captures, Regex};
use std::path::Path;

/// Where process ids stand; there are none of more than seven digits. The status of workers has them in its second column.
const PIDS: &str = r#"(?x)
    (?<before> \b(?:process(?:es)?|workers?|supervisor|pid)[\ ]\[? | "pid":[\ ]? | "workers":\[ | ^1\|[\ ]+\d+[\ ]{2,} )
    (?<pids> \d{1,7}\b (?: (?:,[\ ]?|[\ ]and[\ ]|[\ ]) \d{1,7}\b )* )"#;

/// Rules, in their order; each sees a line of what was printed. Commands stay as they are.
#[derive(Debug)]
pub(crate) struct Redaction(Vec<(Regex, String)>);

/// How a command goes is printed only when it takes long, as on a busy machine.
const PROGRESS: &str = r"^2\| sharesock: (generation \d+ is starting: \d+ of \d+ workers? ready|waiting for \d+ workers? to finish)( \(.*\))?$";

impl Redaction {
    /// What varies anywhere: the folder, the version, ports that the system picked.
    pub(crate) fn of(folder: &Path) -> Self {
        Redaction(Vec::new())
            .and(&regex::escape(folder.to_str().unwrap()), "[FOLDER]")
            .and(&regex::escape(env!("CARGO_BIN_EXE_sharesock")), "[PROGRAM]")
            .and(&format!(r"\b{}\b", regex::escape(env!("CARGO_PKG_VERSION"))), "[VERSION]")
            .and(r"\b\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", "[NOW]")
            .and(r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:[PORT]")
            .and(r"\(snapshots-[0-9a-f]+\)", "([THE TEST])")
            .and(r"as user (\S+ \(\d+\)|\d+)", "as user [USER]")
    }

    pub(crate) fn and(mut self, pattern: &str, name: &str) -> Self {
        self.0.push((Regex::new(pattern).unwrap(), name.to_owned()));
        self
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let replace = |text: String, (pattern, name): &(Regex, String)| pattern.replace_all(&text, name).into_owned();
        let mut processes = Processes::new();
        let line = |line: &str| match line.starts_with("$ ") {
            true => line.to_owned(),
            false => processes.name_all(&self.0.iter().fold(line.to_owned(), replace)),
        };
        let progress = Regex::new(PROGRESS).unwrap();
        text.lines().filter(|line| !progress.is_match(line)).map(line).map(|line| line + "\n").collect()
    }
}

/// The processes that were named: the first is `[PID-1]`, wherever it is named.
struct Processes {
    known: Vec<String>,
    places: Regex,
    number: Regex,
}

impl Processes {
    fn new() -> Self {
        Processes { known: Vec::new(), places: Regex::new(PIDS).unwrap(), number: Regex::new(r"\d+").unwrap() }
    }

    fn name_all(&mut self, line: &str) -> String {
        let Processes { known, places, number } = self;
        let mut name = |found: &Captures<'_>| {
            let place = known.iter().position(|pid| *pid == found[0]).unwrap_or_else(|| {
                known.push(found[0].to_owned());
                known.len() - 1
            });
            format!("[PID-{}]", place + 1)
        };
        let named =
            |found: &Captures<'_>| format!("{}{}", &found["before"], number.replace_all(&found["pids"], &mut name));
        places.replace_all(line, named).into_owned()
    }
}

#[test]
fn how_a_command_goes_is_left_out() {
    let text = "$ sharesock reload app\n2| sharesock: generation 2 is starting: 0 of 1 worker ready (goes on)\n\
        2| sharesock: starting generation 2\n2| sharesock: waiting for 1 workers to finish\n1| done\n";
    let expected = "$ sharesock reload app\n2| sharesock: starting generation 2\n1| done\n";
    assert_eq!(Redaction::of(Path::new("/nowhere")).apply(text), expected);
}

#[test]
fn processes_keep_their_names() {
    for (text, expected) in [
        ("process 30 is ready, with workers [41, 42]", "process [PID-1] is ready, with workers [[PID-2], [PID-3]]"),
        ("{\"pid\":42,\"workers\":[41,43]}", "{\"pid\":[PID-1],\"workers\":[[PID-2],[PID-3]]}"),
        ("1|   0   43  1  ready", "1|   0   [PID-1]  1  ready"),
        ("workers 1 2; process 2 and 1", "workers [PID-1] [PID-2]; process [PID-2] and [PID-1]"),
        ("in 100 ms, process 4294900001", "in 100 ms, process 4294900001"),
        ("$ sharesock serve --workers 1", "$ sharesock serve --workers 1"),
    ] {
        assert_eq!(Redaction::of(Path::new("/nowhere")).apply(text), format!("{expected}\n"));
    }
}
