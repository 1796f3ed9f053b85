//! Numbers with their units, and foreign text made harmless, for people.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands where nothing is known.
pub(crate) const UNKNOWN: &str = "–";

/// In the two largest units: `42s`, `5m 07s`, `3h 12m`, `4d 03h`.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return UNKNOWN.to_owned();
    }
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{}d {:02}h", count(days), hours % 24),
    }
}

/// Processor time, of which fractions matter: `0.42s`.
pub(crate) fn processor_time(seconds: f64) -> String {
    if (0.0..60.0).contains(&seconds) { format!("{seconds:.2}s") } else { duration(seconds) }
}

/// `512 B`, `34.5 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would round to 1024 is one of the next.
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{} {}", three_digits(value), UNITS[unit])
}

/// `12,345,678`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Of one thing or of several: `1 reload`, `2 reloads`.
pub(crate) fn of(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(number), if number == 1 { "" } else { "s" })
}

/// So many a second: `0`, `3.4`, `1,234`.
pub(crate) fn rate(rate: f64) -> String {
    match rate {
        _ if !rate.is_finite() || rate < 0.0 => UNKNOWN.to_owned(),
        _ if rate > 0.0 && rate < 9.95 => format!("{rate:.1}"),
        _ => count(rate.round() as u64),
    }
}

/// A share as a percentage: `12%`.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.0}%", (share * 100.0).max(0.0)) } else { UNKNOWN.to_owned() }
}

/// `45 µs`, `1.23 ms`, `3.40 s`.
pub(crate) fn microseconds(time: u64) -> String {
    match time {
        0..1000 => format!("{time} µs"),
        1000..1_000_000 => format!("{} ms", three_digits(time as f64 / 1e3)),
        _ => format!("{} s", three_digits(time as f64 / 1e6)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        _ if value < 9.995 => format!("{value:.2}"),
        _ if value < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// Text of a stranger in one line: no terminal obeys it, no part of it hides or turns around what stands beside it.
pub(crate) fn plain(text: &str) -> String {
    let shown = |letter: char| match letter {
        '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{ad}'
        | '\u{61c}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => '\u{fffd}',
        _ if letter.is_control() => '\u{fffd}',
        _ => letter,
    };
    text.trim_end().chars().map(shown).collect()
}

/// How many columns of a terminal it takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Cut off to so many columns, and marked if so.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut kept = String::new();
    for letter in text.chars() {
        let takes = letter.width().unwrap_or(0);
        if takes > left {
            break;
        }
        left -= takes;
        kept.push(letter);
    }
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The end of it in so many columns, marked if its beginning is cut off: the reason stands last.
pub(crate) fn cut_front(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let mut from = text.len();
    for (at, letter) in text.char_indices().rev() {
        let takes = letter.width().unwrap_or(0);
        if takes > left {
            break;
        }
        left -= takes;
        from = at;
    }
    let mark = if columns > 0 { "…" } else { "" };
    format!("{mark}{}", text.get(from..).unwrap_or_default())
}

/// Filled up with spaces to so many columns.
pub(crate) fn pad(text: &str, columns: usize, right: bool) -> String {
    let spaces = " ".repeat(columns.saturating_sub(width(text)));
    if right { spaces + text } else { text.to_owned() + &spaces }
}
