//! What stands in a file, and in which lines.

use anyhow::{Context, Result, anyhow, bail};
use std::borrow::Cow;
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

/// Nobody writes as much by hand; a device has no end.
const MAXIMUM: u64 = 1 << 20;

/// A file, read.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    text: String,
}

/// A key and what it is given.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) given: Given,
}

/// What a key is given.
#[derive(Debug)]
pub(super) enum Given {
    Truth(bool),
    One(Word),
    List(Vec<Word>),
}

/// A value as a command line would spell it.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
}

impl File {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let read = || -> Result<String> {
            let mut text = String::new();
            std::fs::File::open(path)?.take(MAXIMUM + 1).read_to_string(&mut text)?;
            anyhow::ensure!(text.len() as u64 <= MAXIMUM, "it is longer than {MAXIMUM} bytes");
            Ok(text)
        };
        let text = read().with_context(|| format!("cannot read the options in {}", path.display()))?;
        Ok(File { path: path.to_owned(), text })
    }

    /// `FILE:LINE`, which editors find.
    pub(super) fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    /// In the order of their lines.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let table = DeTable::parse(&self.text).map_err(|error| {
            let line = self.line(&error.span().unwrap_or_default());
            anyhow!("{}: {}", self.place(line), error.message().lines().collect::<Vec<_>>().join(", "))
        })?;
        let mut entries: Vec<_> = table.get_ref().iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        entries.into_iter().map(|(key, value)| self.entry(key, value)).collect()
    }

    fn entry(&self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Result<Entry> {
        let line = self.line(&key.span());
        let key = key.get_ref().to_string();
        let given = match value.get_ref() {
            DeValue::Boolean(truth) => Given::Truth(*truth),
            DeValue::Array(values) => {
                Given::List(values.iter().map(|value| self.word(&key, value)).collect::<Result<_>>()?)
            }
            _ => Given::One(self.word(&key, value)?),
        };
        Ok(Entry { key, line, given })
    }

    fn word(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Word> {
        let line = self.line(&value.span());
        let text = match value.get_ref() {
            DeValue::String(text) if text.contains('\0') => {
                bail!("{}: {key}: a value cannot hold the character NUL", self.place(line))
            }
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => {
                decimal(number).ok_or_else(|| anyhow!("{}: {key}: {number} is too large a number", self.place(line)))?
            }
            DeValue::Float(number) => number.as_str().to_owned(),
            other => bail!("{}: {key}: cannot be given {}", self.place(line), kind(other)),
        };
        Ok(Word { text, line })
    }

    fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.bytes().take(span.start);
        1 + before.filter(|byte| *byte == b'\n').count()
    }
}

/// As flags want it: a file may also write `0x10`.
fn decimal(number: &DeInteger<'_>) -> Option<String> {
    i64::from_str_radix(number.as_str(), number.radix()).ok().map(|number| number.to_string())
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Boolean(_) => "true or false here",
        DeValue::Array(_) => "a list in a list",
        DeValue::Table(_) => "a table: options stand at the top of the file, one a line",
        DeValue::Datetime(_) => "a date",
        DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => "this",
    }
}
