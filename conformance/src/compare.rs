//! Whether two traces differ as a list says, and not otherwise.

use crate::trace::{Line, Trace, beside};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;

/// Compares two files of traces, and says what it found; whether they differ as listed.
pub(crate) fn compare(linux: &str, windows: &str, differences: &str) -> Result<bool> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("reading {path}"));
    let trace = |path: &str| Trace::read(&read(path)?).with_context(|| format!("reading {path}"));
    let listed = Differences::read(&read(differences)?).with_context(|| format!("reading {differences}"))?;
    let found = judge(&trace(linux)?, &trace(windows)?, &listed);
    print!("{}", found.complaints);
    println!("{}", found.summary);
    Ok(found.complaints.is_empty())
}

/// The differences that are known: one for each scenario that differs. README.md has the form.
#[derive(Debug, Default)]
struct Differences(BTreeMap<String, Difference>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Difference {
    kind: String,
    /// The lines of one side only, each with its sign, in the order of the scenario.
    lines: Vec<String>,
    reason: String,
}

/// Windows does otherwise; Wine does otherwise than Windows; Linux cannot do it.
const KINDS: [&str; 3] = ["windows", "wine", "linux"];

impl Differences {
    fn read(text: &str) -> Result<Self> {
        let mut read = BTreeMap::<String, Difference>::new();
        let mut name = None;
        for (number, line) in text.lines().map(str::trim_end).enumerate() {
            let at = || format!("line {}: {line}", number + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(begun) = line.strip_prefix("== ") {
                ensure!(!read.contains_key(begun), "{}: it is listed twice", at());
                read.insert(begun.to_owned(), Difference::default());
                name = Some(begun.to_owned());
                continue;
            }
            let difference = name.as_ref().and_then(|name| read.get_mut(name));
            let difference = difference.with_context(|| format!("{}: it belongs to no scenario", at()))?;
            match line.split_once(' ') {
                Some(("kind:", kind)) if KINDS.contains(&kind) => kind.clone_into(&mut difference.kind),
                Some(("why:", reason)) => difference.reason += reason,
                Some(("-" | "+", _)) => difference.lines.push(line.to_owned()),
                _ => bail!("{}: neither kind:, why:, - nor +", at()),
            }
        }
        for (name, difference) in &read {
            ensure!(!difference.kind.is_empty() && !difference.reason.is_empty(), "{name} has no kind or no reason");
        }
        Ok(Differences(read))
    }
}

#[derive(Debug)]
struct Found {
    complaints: String,
    summary: String,
}

fn judge(linux: &Trace, windows: &Trace, listed: &Differences) -> Found {
    let (mut complaints, mut same, mut differing) = (String::new(), 0, BTreeMap::<&str, usize>::new());
    let mut complain = |text: &str| {
        complaints.push_str(text.trim_end());
        complaints.push('\n');
    };
    for section in &linux.0 {
        let name = section.name();
        let Some(other) = windows.section(name) else {
            complain(&format!("{name}: missing on the right"));
            continue;
        };
        if section.title != other.title {
            complain(&format!("{name}: the titles differ, so these are traces of two versions"));
        }
        let lines = beside(&section.lines, &other.lines);
        let differ: Vec<_> =
            lines.iter().filter(|line| !matches!(line, Line::Both(_))).map(ToString::to_string).collect();
        same += lines.len() - differ.len();
        match listed.0.get(name) {
            None if differ.is_empty() => {}
            None => complain(&format!("{name}: differs, and is not listed\n{}", text(&lines))),
            Some(_) if differ.is_empty() => complain(&format!("{name}: is listed, and does not differ any more")),
            Some(difference) if difference.lines != differ => {
                let expected = difference.lines.iter().map(|line| format!("  {line}\n")).collect::<String>();
                complain(&format!("{name}: differs otherwise than listed\n{}listed are\n{expected}", text(&lines)));
            }
            Some(difference) => *differing.entry(&difference.kind).or_default() += 1,
        }
    }
    for section in &windows.0 {
        if linux.section(section.name()).is_none() {
            complain(&format!("{}: missing on the left", section.name()));
        }
    }
    for name in listed.0.keys().filter(|name| linux.section(name).is_none()) {
        complain(&format!("{name}: is listed, and no scenario"));
    }
    let count = differing.values().sum::<usize>();
    let kinds = KINDS.map(|kind| format!("{} {kind}", differing.get(kind).unwrap_or(&0))).join(", ");
    let summary =
        format!("{} scenarios, {same} lines the same, {count} scenarios differ as listed ({kinds})", linux.0.len());
    Found { complaints, summary }
}

/// The lines as a person reads them.
pub(crate) fn text(lines: &[Line<'_>]) -> String {
    lines.iter().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: &str = "== one: first [R1]\n  a: 1\n  b: 2\n== two: second [R2]\n  c: 3\n";
    const WINDOWS: &str = "== one: first [R1]\n  a: 1\n  b: 5\n== two: second [R2]\n  c: 3\n";
    const LISTED: &str = "# known\n== one\nkind: windows\n- b: 2\n+ b: 5\nwhy: It counts\nwhy: otherwise.\n";

    fn found(linux: &str, windows: &str, listed: &str) -> Found {
        judge(&Trace::read(linux).unwrap(), &Trace::read(windows).unwrap(), &Differences::read(listed).unwrap())
    }

    #[track_caller]
    fn complains(found: &Found, of: &str) {
        assert!(found.complaints.contains(of), "{}", found.complaints);
    }

    #[test]
    fn equal_traces_need_no_list() {
        let found = found(LINUX, LINUX, "");
        assert_eq!(found.complaints, "");
        assert_eq!(
            found.summary,
            "2 scenarios, 3 lines the same, 0 scenarios differ as listed (0 windows, 0 wine, 0 linux)"
        );
    }

    #[test]
    fn a_listed_difference_is_as_it_must_be() {
        let found = found(LINUX, WINDOWS, LISTED);
        assert_eq!(found.complaints, "");
        assert_eq!(
            found.summary,
            "2 scenarios, 2 lines the same, 1 scenarios differ as listed (1 windows, 0 wine, 0 linux)"
        );
    }

    #[test]
    fn an_unlisted_difference_is_shown() {
        complains(&found(LINUX, WINDOWS, ""), "one: differs, and is not listed\n    a: 1\n  - b: 2\n  + b: 5\n");
    }

    #[test]
    fn a_difference_that_no_longer_occurs_must_go() {
        complains(&found(LINUX, LINUX, LISTED), "one: is listed, and does not differ any more");
    }

    #[test]
    fn exactly_the_listed_lines_must_differ() {
        complains(&found(LINUX, &WINDOWS.replace("b: 5", "b: 6"), LISTED), "one: differs otherwise than listed");
        complains(&found(LINUX, &WINDOWS.replace("a: 1", "a: 9"), LISTED), "one: differs otherwise than listed");
    }

    #[test]
    fn both_sides_must_have_all_scenarios() {
        let one = "== one: first [R1]\n  a: 1\n  b: 2\n";
        complains(&found(LINUX, one, ""), "two: missing on the right");
        complains(&found(one, LINUX, ""), "two: missing on the left");
        complains(&found(one, one, "== three\nkind: wine\n- a\nwhy: none.\n"), "three: is listed, and no scenario");
        complains(&found(one, &one.replace("first", "1st"), ""), "one: the titles differ");
    }

    #[test]
    fn a_malformed_list_is_refused() {
        for text in [
            "- a line of no scenario\n",
            "== one\nkind: macos\n",
            "== one\nkind: wine\n- a\n",
            "== one\nwhy: no kind\n- a\n",
            "== one\nkind: wine\nwhy: a\nnoise\n",
            "== one\nkind: wine\nwhy: a\n== one\nkind: wine\nwhy: a\n",
        ] {
            assert!(Differences::read(text).is_err(), "{text}");
        }
    }
}
