//! Ranges of bytes (RFC 9110, section 14).

use std::ops::Range;

/// A client that asks for more pieces gets the whole.
const MOST: usize = 16;

/// What a client wants of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, or one that is not understood.
    Whole,
    /// These, in the order in which they were asked for; none is empty.
    Parts(Vec<Range<u64>>),
    /// Nothing that it has.
    Nothing,
}

/// What the value of a Range field means for a file of this length.
pub(super) fn parse(value: &str, length: u64) -> Wanted {
    let Some((unit, set)) = value.split_once('=') else { return Wanted::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let mut parts = Vec::new();
    let specs = set.split(',').map(str::trim).filter(|spec| !spec.is_empty());
    for (n, spec) in specs.enumerate() {
        match part(spec, length) {
            _ if n >= MOST => return Wanted::Whole,
            None => return Wanted::Whole,
            Some(part) if !part.is_empty() => parts.push(part),
            Some(_) => {}
        }
    }
    let apart = |one: &Range<u64>, other: &Range<u64>| one.end <= other.start || other.end <= one.start;
    let overlap = parts.iter().enumerate().any(|(n, one)| parts.iter().take(n).any(|other| !apart(one, other)));
    match parts.is_empty() {
        // Of an empty file, no last bytes are all of it.
        true if length == 0 && set.trim().starts_with('-') => Wanted::Whole,
        true if set.bytes().any(|byte| byte.is_ascii_digit()) => Wanted::Nothing,
        true => Wanted::Whole,
        // Those who ask for the same twice want to make work.
        false if overlap => Wanted::Whole,
        false => Wanted::Parts(parts),
    }
}

/// One range; empty when the file has nothing of it, nothing when it is malformed.
fn part(spec: &str, length: u64) -> Option<Range<u64>> {
    let (first, last) = spec.split_once('-')?;
    match (first, last) {
        ("", suffix) => Some(length.saturating_sub(number(suffix)?)..length),
        (first, "") => Some(number(first)?..length),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then(|| first..last.saturating_add(1).min(length))
        }
    }
}

/// A number, or the greatest there is.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_mean_what_the_standard_says() {
        let parts = |parts: &[(u64, u64)]| Wanted::Parts(parts.iter().map(|(start, end)| *start..*end).collect());
        for (value, length, expected) in [
            ("bytes=0-3", 10, parts(&[(0, 4)])),
            ("Bytes=0-3", 10, parts(&[(0, 4)])),
            ("bytes=3-", 10, parts(&[(3, 10)])),
            ("bytes=-3", 10, parts(&[(7, 10)])),
            ("bytes=-30", 10, parts(&[(0, 10)])),
            ("bytes=0-99999999999999999999999", 10, parts(&[(0, 10)])),
            ("bytes=9-9", 10, parts(&[(9, 10)])),
            ("bytes=0-0, 2-3", 10, parts(&[(0, 1), (2, 4)])),
            ("bytes=5-6,0-1", 10, parts(&[(5, 7), (0, 2)])),
            ("bytes=0-0,99-", 10, parts(&[(0, 1)])),
            ("bytes=10-", 10, Wanted::Nothing),
            ("bytes=99999999999999999999999-", 10, Wanted::Nothing),
            ("bytes=-0", 10, Wanted::Nothing),
            ("bytes=0-", 0, Wanted::Nothing),
            ("bytes=0-0", 0, Wanted::Nothing),
            ("bytes=-5", 0, Wanted::Whole),
            ("bytes=0-5,3-7", 10, Wanted::Whole),
            ("bytes=3-1", 10, Wanted::Whole),
            ("bytes=a-b", 10, Wanted::Whole),
            ("bytes=", 10, Wanted::Whole),
            ("bytes=-", 10, Wanted::Whole),
            ("bytes", 10, Wanted::Whole),
            ("bytes=+1-2", 10, Wanted::Whole),
            ("lines=0-3", 10, Wanted::Whole),
        ] {
            assert_eq!(parse(value, length), expected, "{value} of {length}");
        }
        let many: Vec<_> = (0..20).map(|n| format!("{}-{}", 2 * n, 2 * n)).collect();
        assert_eq!(parse(&format!("bytes={}", many.join(",")), 100), Wanted::Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_file_and_apart(value in "bytes=[0-9,-]{0,30}", length in 0..50_u64) {
            if let Wanted::Parts(parts) = parse(&value, length) {
                prop_assert!(!parts.is_empty() && parts.len() <= MOST);
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                let sum: u64 = parts.iter().map(|part| part.end - part.start).sum();
                prop_assert!(sum <= length);
            }
        }
    }
}
