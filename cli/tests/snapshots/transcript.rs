//! What was run and printed, as one text.

use super::redaction::Redaction;
use snapbox::Data;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// Says what becomes of texts that differ: `overwrite` writes them anew.
const BLESSING: &str = "SNAPSHOTS";

#[derive(Debug, Default)]
pub(crate) struct Transcript(String);

pub(crate) fn texts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/texts")
}

impl Transcript {
    pub(crate) fn command(&mut self, line: &str) {
        self.line(&format!("$ {line}"));
    }

    /// One more line, as it is.
    pub(crate) fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    pub(crate) fn ended(&mut self, output: &str, errors: &str, status: ExitStatus) {
        self.printed(1, output);
        self.printed(2, errors);
        match status.code() {
            Some(0) => {}
            Some(code) => self.line(&format!("= {code}")),
            None => self.line(&format!("= {status}")),
        }
    }

    pub(crate) fn printed(&mut self, stream: u8, text: &str) {
        for line in text.lines() {
            self.line(format!("{stream}| {line}").trim_end());
        }
    }

    /// Compares with the text of this name, or writes that anew.
    #[track_caller]
    pub(crate) fn compare(&self, name: &str, redaction: &Redaction) {
        if let Err(difference) = self.try_compare(name, redaction) {
            panic!("{difference}");
        }
    }

    pub(crate) fn try_compare(&self, name: &str, redaction: &Redaction) -> Result<(), String> {
        let path = texts().join(name).with_extension("txt");
        let found = Data::text(redaction.apply(&self.0)).raw();
        let expected = Data::read_from(&path, Some(snapbox::data::DataFormat::Text)).raw();
        let compare = snapbox::Assert::new().action_env(BLESSING);
        compare.try_eq(Some(&name), found, expected).map_err(|error| error.to_string())
    }
}
