//! Each promise of the documents has a test, or a reason why it has none: what `proof/promises.toml` says, compared with
//! the documents and the tests.

use crate::root;
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::fs;

/// Whose sentences are looked at.
const DOCUMENTS: [&str; 6] = [
    "README.md",
    "SECURITY.md",
    "docs/architecture/sharing.md",
    "docs/supervisor.md",
    "docs/network-events.md",
    "docs/wire.md",
];
/// Of this document the bounds alone are promises; the rest says how it is made.
const BOUNDS: (&str, &str) = ("docs/architecture/sharing.md", "## Bounds");
/// A sentence with one of these words promises something.
const WORDS: [&str; 7] = ["never", "only", "always", "at most", "refused", "refuses", "more than"];

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    promise: Vec<Promise>,
}

/// A sentence, and what shows that it holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Promise {
    document: String,
    /// A part of the sentence that no other has.
    says: String,
    /// `FILE: TEST`, or a command.
    #[serde(default)]
    shown: Vec<String>,
    /// Why nothing shows it.
    #[serde(default)]
    argued: String,
}

pub(crate) fn run() -> Result<()> {
    let text = fs::read_to_string(root().join("proof/promises.toml")).context("reading proof/promises.toml")?;
    let table: Table = toml::from_str(&text).context("proof/promises.toml")?;
    let mut wrong: Vec<String> = table.promise.iter().flat_map(faults).collect();
    let mut sentences = 0;
    for document in DOCUMENTS.iter().map(|name| (*name).to_owned()).chain(headers()?) {
        for sentence in promising(&read(&document)?, &document) {
            sentences += 1;
            let known = |promise: &&Promise| promise.document == document && sentence.contains(&promise.says);
            if !table.promise.iter().any(|promise| known(&promise)) {
                wrong.push(format!("{document}: nothing in proof/promises.toml shows: {sentence}"));
            }
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    let argued = table.promise.iter().filter(|promise| !promise.argued.is_empty()).count();
    println!("{} promises, {argued} of them argued; {sentences} sentences that must have one", table.promise.len());
    Ok(())
}

/// What is wrong with an entry.
fn faults(promise: &Promise) -> Vec<String> {
    let Promise { document, says, shown, argued } = promise;
    let mut wrong = Vec::new();
    match read(document) {
        Err(_) => wrong.push(format!("{document}: there is no such document")),
        Ok(text) if !text.contains(says.as_str()) => {
            wrong.push(format!("{document}: it does not say any more: {says}"))
        }
        Ok(_) => {}
    }
    if shown.is_empty() == argued.is_empty() {
        wrong.push(format!("{document}: give what shows it, or a reason why nothing does: {says}"));
    }
    wrong.extend(shown.iter().filter(|test| !is_there(test)).map(|test| format!("{document}: there is no {test}")));
    wrong
}

/// Whether a test or a command is there: `FILE: NAME` of a test in Rust, `FILE: TEXT` of another, or a command.
fn is_there(test: &str) -> bool {
    match test.split_once(": ") {
        None => root().join(test.split(' ').next().unwrap_or_default()).is_file(),
        Some((file, name)) if file.ends_with(".rs") => {
            let text = fs::read_to_string(root().join(file)).unwrap_or_default();
            // With what may stand between: `#[ignore]`, a comment.
            let mut tests = text.split("#[test]").skip(1);
            let begin = format!("fn {name}(");
            tests.any(|test| test.lines().take(4).any(|line| line.trim_start().starts_with(&begin)))
        }
        Some((file, text)) => fs::read_to_string(root().join(file)).is_ok_and(|all| all.contains(text)),
    }
}

/// The headers of the C library.
fn headers() -> Result<Vec<String>> {
    let folder = "winsock/include";
    let names = fs::read_dir(root().join(folder))?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect::<Result<_>>()?;
    Ok(names.iter().filter(|name| name.ends_with(".h")).map(|name| format!("{folder}/{name}")).collect())
}

/// A document with single spaces; of a header, its comments.
fn read(document: &str) -> Result<String> {
    let text = fs::read_to_string(root().join(document)).with_context(|| format!("reading {document}"))?;
    Ok(blocks(&text, document.ends_with(".h")).join("\n"))
}

/// Paragraphs, items and rows, each in a line of its own; without code.
fn blocks(text: &str, is_header: bool) -> Vec<String> {
    if is_header {
        let comments = text.split("/*").skip(1).filter_map(|rest| rest.split("*/").next());
        return comments
            .map(|comment| comment.split_whitespace().filter(|word| *word != "*").collect::<Vec<_>>().join(" "))
            .collect();
    }
    let mut blocks = vec![String::new()];
    let mut is_code = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let numbered = line.split_once(". ").is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        if line.is_empty() || line.starts_with(['|', '#', '-']) || numbered {
            blocks.push(String::new());
        }
        if let Some(block) = blocks.last_mut().filter(|_| !is_code) {
            block.push_str(if block.is_empty() { "" } else { " " });
            block.push_str(line);
        }
    }
    blocks
}

/// Sentences of a document that promise something.
fn promising(text: &str, document: &str) -> Vec<String> {
    let text = match text.split_once(BOUNDS.1).filter(|_| document == BOUNDS.0) {
        Some((_, rest)) => rest.split("\n## ").next().unwrap_or_default(),
        None => text,
    };
    let blocks = text.lines().filter(|line| !line.starts_with('#'));
    blocks.flat_map(sentences).filter(|sentence| promises(sentence)).collect()
}

/// A block in sentences: each ends with a full stop before a word that may begin one.
fn sentences(block: &str) -> Vec<String> {
    let mut sentences = vec![String::new()];
    for word in block.split(' ') {
        let ended = sentences.last().is_some_and(|last| last.ends_with(['.', '?', '!']) || last.ends_with(".)"));
        if ended && word.starts_with(|letter: char| letter.is_uppercase() || "`*([".contains(letter)) {
            sentences.push(String::new());
        }
        if let Some(last) = sentences.last_mut() {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    sentences
}

fn promises(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    let is_in_word = |letter: Option<char>| letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '-');
    WORDS.iter().any(|word| {
        lower.match_indices(word).any(|(at, _)| {
            let (before, after) = (lower[..at].chars().next_back(), lower[at + word.len()..].chars().next());
            !is_in_word(before) && !is_in_word(after)
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_that_promise_are_found() {
        let text = "# Only a heading\n\nIt works. It is\nnever late, and (as `x`) it is read-only. Refused.\n\n\
                    ```sh\nonly code\n```\n- an item only\n| a row | at most 5 |\n";
        let found = promising(&blocks(text, false).join("\n"), "README.md");
        assert_eq!(
            found,
            ["It is never late, and (as `x`) it is read-only.", "Refused.", "- an item only", "| a row | at most 5 |"]
        );
        let header = "int x; /* only\n   NULL */ int never; /* nothing */";
        assert_eq!(promising(&blocks(header, true).join("\n"), "x.h"), ["only NULL"]);
    }

    #[test]
    fn what_is_gone_is_missed() {
        let promise = |says: &str, shown: &str, argued: &str| Promise {
            document: "SECURITY.md".to_owned(),
            says: says.to_owned(),
            shown: Some(shown.to_owned()).filter(|shown| !shown.is_empty()).into_iter().collect(),
            argued: argued.to_owned(),
        };
        let here = "xtask/src/promises.rs: what_is_gone_is_missed";
        assert_eq!(faults(&promise("What is trusted", here, "")), [""; 0]);
        assert_eq!(faults(&promise("What is trusted", "proof/mutants --check", "")), [""; 0]);
        for (says, shown, argued) in [
            ("nobody says this", here, ""),
            ("What is trusted", "xtask/src/promises.rs: what_is_gone", ""),
            ("What is trusted", "xtask/src/promises.rs: faults", ""),
            ("What is trusted", "proof/nothing", ""),
            ("What is trusted", "", ""),
            ("What is trusted", here, "and a reason"),
        ] {
            assert_eq!(faults(&promise(says, shown, argued)).len(), 1, "{says}, {shown}, {argued}");
        }
    }
}
