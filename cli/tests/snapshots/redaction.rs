//! Puts names for what differs from run to run.

use regex::{Captures, Regex};
use std::cell::RefCell;
use std::path::Path;

/// Where process ids stand; there are none of more than seven digits. The status of workers has them in its second column.
const PIDS: &str = r#"(?mx)
    (?<before> \b(?:process(?:es)?|workers?|supervisor|pid)[\ ]\[? | "pid":[\ ]? | "workers":\[ | ^1\|[\ ]+\d+[\ ]{2,} )
    (?<pids> \d{1,7}\b (?: (?:,[\ ]?|[\ ]and[\ ]|[\ ]) \d{1,7}\b )* )"#;

#[derive(Debug)]
pub(crate) struct Redaction(Vec<(Regex, String)>);

impl Redaction {
    /// What varies anywhere: the folder, the version, ports that the system picked.
    pub(crate) fn of(folder: &Path) -> Self {
        Redaction(Vec::new())
            .and(&regex::escape(folder.to_str().unwrap()), "[FOLDER]")
            .and(&format!(r"\b{}\b", regex::escape(env!("CARGO_PKG_VERSION"))), "[VERSION]")
            .and(r"127\.0\.0\.1:\d{5}\b", "127.0.0.1:[PORT]")
    }

    pub(crate) fn and(mut self, pattern: &str, name: &str) -> Self {
        self.0.push((Regex::new(pattern).unwrap(), name.to_owned()));
        self
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let replace = |text: String, (pattern, name): &(Regex, String)| pattern.replace_all(&text, name).into_owned();
        self.0.iter().fold(number_processes(text), replace)
    }
}

/// The first process that is named is `[PID-1]`, wherever it is named.
fn number_processes(text: &str) -> String {
    let known = RefCell::new(Vec::new());
    let name = |found: &Captures<'_>| {
        let mut known = known.borrow_mut();
        let place = known.iter().position(|pid| *pid == found[0]).unwrap_or_else(|| {
            known.push(found[0].to_owned());
            known.len() - 1
        });
        format!("[PID-{}]", place + 1)
    };
    let number = Regex::new(r"\d+").unwrap();
    let named = |found: &Captures<'_>| format!("{}{}", &found["before"], number.replace_all(&found["pids"], &name));
    Regex::new(PIDS).unwrap().replace_all(text, named).into_owned()
}

#[test]
fn processes_keep_their_names() {
    let text = "process 30 is ready, with workers [41, 42]\n{\"pid\":42,\"workers\":[41,43]}\n1|   0   43  1  ready\n";
    let expected = "process [PID-1] is ready, with workers [[PID-2], [PID-3]]\n{\"pid\":[PID-3],\"workers\":[[PID-2],[PID-4]]}\n1|   0   [PID-4]  1  ready\n";
    assert_eq!(number_processes(text), expected);
    assert_eq!(number_processes("in 100 ms, process 4294900001"), "in 100 ms, process 4294900001");
}
