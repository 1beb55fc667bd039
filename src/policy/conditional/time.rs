//! Moments and spans of time as programs write them.
//!
//! Must not know: what time it is.

use crate::model::Timestamp;
use chrono::{DateTime, NaiveDate, NaiveDateTime};

/// Formats without an offset; such a moment is in UTC, authentik's default zone.
const NAIVE: [&str; 4] = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
/// Formats with one.
const ZONED: [&str; 6] = [
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f %#z",
    "%Y-%m-%dT%H:%M%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%d %H:%M %#z",
];
/// No moment is written longer.
const LONGEST: usize = 64;

/// A date, or a date and a time with or without an offset. Moments outside the years that a timestamp covers become
/// its first or last.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.len() > LONGEST {
        return None;
    }
    let utc = |moment: NaiveDateTime| moment.and_utc();
    let found = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|moment| moment.to_utc())
        .or_else(|| {
            ZONED.iter().find_map(|format| DateTime::parse_from_str(text, format).ok()).map(|it| it.to_utc())
        })
        .or_else(|| NAIVE.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok()).map(utc))
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(utc))?;
    // A leap second has more than 999,999,999 nanoseconds; it counts as the second after it.
    let nanoseconds = i32::try_from(found.timestamp_subsec_nanos()).unwrap_or(0);
    Some(Timestamp::new(found.timestamp(), nanoseconds))
}

/// A moment as `set` stores it.
pub(super) fn text(moment: Timestamp) -> String {
    let nanoseconds = u32::try_from(moment.subsecond_nanoseconds()).unwrap_or(0);
    DateTime::from_timestamp(moment.seconds(), nanoseconds).map_or_else(String::new, |moment| {
        // The crate writes this form without its allocating features, too.
        format!("{:?}", moment.naive_utc()) + "+00:00"
    })
}

/// Nanoseconds of a span such as `hours=1;minutes=30`.
pub(super) fn span(text: &str) -> Option<i64> {
    if text.len() > 255 {
        return None;
    }
    let mut seconds = 0.0;
    for part in text.split(';').filter(|part| !part.trim().is_empty()) {
        let (unit, count) = part.split_once('=')?;
        let unit = match unit.trim().to_ascii_lowercase().as_str() {
            "microseconds" => 1e-6,
            "milliseconds" => 1e-3,
            "seconds" => 1.0,
            "minutes" => 60.0,
            "hours" => 3_600.0,
            "days" => 86_400.0,
            "weeks" => 604_800.0,
            _ => return None,
        };
        seconds += unit * count.trim().parse::<f64>().ok().filter(|count| count.is_finite())?;
    }
    let has_part = text.split(';').any(|part| !part.trim().is_empty());
    // As in authentik, a span is exact to a microsecond; the cast stays within the bounds of the number.
    has_part.then(|| ((seconds * 1e6).round() as i64).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_of_every_form() {
        let noon = Timestamp::new(1_577_880_000, 0);
        for written in [
            "2020-01-01T12:00:00Z",
            "2020-01-01 12:00:00+00:00",
            "2020-01-01T13:00:00+01:00",
            "2020-01-01T13:00:00+0100",
            "2020-01-01T12:00",
            "2020-01-01 12:00",
            "2020-01-01T12:00Z",
            "2020-01-01 13:00 +0100",
            "2020-01-01T12:00:00.000000",
            " 2020-01-01 12:00:00 ",
        ] {
            assert_eq!(moment(written), Some(noon), "{written}");
        }
        assert_eq!(moment("2020-01-01"), Some(Timestamp::new(1_577_836_800, 0)));
        assert_eq!(moment("9999-12-31"), Some(Timestamp::MAX));
        for written in ["", "tomorrow", "2020-13-01", "12:00", "2020-01-01T25:00", &"2".repeat(100)] {
            assert_eq!(moment(written), None, "{written}");
        }
        assert_eq!(moment(&text(noon)), Some(noon));
        let odd = Timestamp::new(-1, 5_000_000);
        assert_eq!(moment(&text(odd)), Some(odd));
        text(Timestamp::MAX);
    }

    #[test]
    fn spans_of_every_unit() {
        let seconds = |text: &str| span(text).map(|span| span / 1_000_000_000);
        assert_eq!(seconds("hours=1;minutes=30"), Some(5_400));
        assert_eq!(seconds("Weeks=1; days=1 ;seconds=1.0;"), Some(691_201));
        assert_eq!(span("milliseconds=1;microseconds=2"), Some(1_002_000));
        assert_eq!(seconds("days=-1"), Some(-86_400));
        assert_eq!(span("days=1e300"), Some(i64::MAX));
        for text in ["", ";", "1h", "hours", "hours=", "hours=x", "hours=nan", "years=1", "hours=inf"] {
            assert_eq!(span(text), None, "{text}");
        }
    }
}
