//! Traces as they are read back, and how two of them differ.

use anyhow::{Result, bail, ensure};
use std::collections::HashSet;

/// What a run printed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace(pub(crate) Vec<Section>);

/// What was observed in one scenario.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its first line, without the sign that begins it.
    pub(crate) title: String,
    pub(crate) lines: Vec<String>,
}

/// What begins a scenario.
const SIGN: &str = "== ";

impl Section {
    pub(crate) fn name(&self) -> &str {
        self.title.split(':').next().unwrap_or_default()
    }
}

impl Trace {
    /// Reads a trace.
    pub(crate) fn read(text: &str) -> Result<Self> {
        let mut trace = Trace::default();
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            match (line.strip_prefix(SIGN), trace.0.last_mut()) {
                (Some(title), _) => trace.0.push(Section { title: title.to_owned(), lines: Vec::new() }),
                (None, Some(section)) => section.lines.push(line.trim_start().to_owned()),
                (None, None) => bail!("a trace begins with a scenario, not with {line:?}"),
            }
        }
        let mut names = HashSet::new();
        let twice = trace.0.iter().find(|section| !names.insert(section.name()));
        ensure!(twice.is_none(), "two scenarios of one trace have the same name: {twice:?}");
        Ok(trace)
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.0.iter().find(|section| section.name() == name)
    }
}

/// A line of two texts that are laid beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    Both(&'a str),
    Left(&'a str),
    Right(&'a str),
}

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Line::Both(line) => write!(f, "  {line}"),
            Line::Left(line) => write!(f, "- {line}"),
            Line::Right(line) => write!(f, "+ {line}"),
        }
    }
}

/// Lays two texts beside each other with as many lines in common as possible; of lines that differ the left ones first.
pub(crate) fn beside<'a>(left: &'a [String], right: &'a [String]) -> Vec<Line<'a>> {
    // common[i][j]: how many lines the rest of the left from i on and the rest of the right from j on have in common.
    let mut common = vec![vec![0_usize; right.len() + 1]; left.len() + 1];
    for (i, one) in left.iter().enumerate().rev() {
        for (j, other) in right.iter().enumerate().rev() {
            common[i][j] = if one == other { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (left.get(i), right.get(j)) {
            (None, None) => return lines,
            (Some(one), Some(other)) if one == other => {
                lines.push(Line::Both(one));
                (i, j) = (i + 1, j + 1);
            }
            (Some(one), other) if other.is_none() || common[i + 1][j] >= common[i][j + 1] => {
                lines.push(Line::Left(one));
                i += 1;
            }
            (_, other) => {
                lines.extend(other.map(|other| Line::Right(other)));
                j += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
    }

    #[track_caller]
    fn shows(left: &str, right: &str, expected: &str) {
        let (left, right) = (lines(left), lines(right));
        let shown: Vec<_> = beside(&left, &right).iter().map(|line| line.to_string().replace(' ', "")).collect();
        assert_eq!(shown.join(" "), expected);
    }

    #[test]
    fn texts_lie_beside_each_other() {
        shows("", "", "");
        shows("a b c", "a b c", "a b c");
        shows("a b c", "a x c", "a -b +x c");
        shows("a b", "b c", "-a b +c");
        shows("", "a", "+a");
        shows("a", "", "-a");
        shows("a b c d", "a c x d", "a -b c +x d");
    }

    #[test]
    fn a_trace_is_read() {
        let trace = Trace::read("== one: first [R1]\n  a: b\r\n  c\n\n== two: second [R2]\n").unwrap();
        assert_eq!(trace.0[0].title, "one: first [R1]");
        assert_eq!(trace.section("one").unwrap().lines, ["a: b", "c"]);
        assert!(trace.section("two").unwrap().lines.is_empty());
        assert!(Trace::read("noise").is_err());
        assert!(Trace::read("== one: a\n== one: b\n").is_err());
    }
}
