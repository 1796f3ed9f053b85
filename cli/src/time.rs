//! The time of day, as it is printed.

use std::time::{SystemTime, UNIX_EPOCH};

const SECONDS_PER_DAY: i64 = 86_400;

/// Now, as RFC 3339 has it: in UTC, with milliseconds.
pub(crate) fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    rfc_3339(i64::try_from(since.as_secs()).unwrap_or_default(), since.subsec_millis())
}

fn rfc_3339(seconds: i64, milliseconds: u32) -> String {
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// Year, month and day of a number of days since 1970. Years begin in March here, so that the leap day is the last, and
/// repeat after 400.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (400 * era + year_of_era + year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (951_868_800, "2000-03-01T00:00:00.007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            assert_eq!(rfc_3339(seconds, 7), expected);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut last = civil(-1);
        for days in 0..200_000 {
            let (year, month, day) = civil(days);
            let follows = match (last, day) {
                ((y, m, d), _) if d + 1 == day => (y, m) == (year, month),
                ((y, 12, 31), 1) => (year, month) == (y + 1, 1),
                ((y, m, d), 1) => d >= 28 && (year, month) == (y, m + 1),
                _ => false,
            };
            assert!(follows, "{year}-{month}-{day} after {last:?}");
            last = (year, month, day);
        }
    }
}
