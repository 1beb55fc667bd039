//! Moments and spans of time: how they are written, and what the calendar says of them.
//!
//! Must not know: what time it is.

use super::names::Kind;
use chrono::{DateTime, Datelike, FixedOffset, SecondsFormat, TimeDelta, TimeZone, Timelike, Utc};

/// The longest text of a moment or a span, in bytes.
const MAX_TEXT: usize = 64;
/// The years that moments may lie in, as in CEL.
const YEARS: std::ops::RangeInclusive<i32> = 1..=9999;

/// A part of a moment or of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    DayOfYear,
    DayOfMonth,
    Date,
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

impl Part {
    /// How the function for it is called.
    pub(super) const ALL: &[(&'static str, Self)] = &[
        ("getFullYear", Self::FullYear),
        ("getMonth", Self::Month),
        ("getDayOfYear", Self::DayOfYear),
        ("getDayOfMonth", Self::DayOfMonth),
        ("getDate", Self::Date),
        ("getDayOfWeek", Self::DayOfWeek),
        ("getHours", Self::Hours),
        ("getMinutes", Self::Minutes),
        ("getSeconds", Self::Seconds),
        ("getMilliseconds", Self::Milliseconds),
    ];

    /// What it can be asked of.
    pub(super) const fn kinds(self) -> &'static [Kind] {
        match self {
            Self::Hours | Self::Minutes | Self::Seconds | Self::Milliseconds => {
                &[Kind::Timestamp, Kind::Duration]
            }
            _ => &[Kind::Timestamp],
        }
    }

    /// The part of a moment, as a clock on the wall shows it there.
    pub(super) fn of_moment(self, moment: DateTime<Utc>, zone: Zone) -> i64 {
        match zone {
            Zone::Utc => self.of_local(&moment),
            Zone::Fixed(offset) => self.of_local(&moment.with_timezone(&offset)),
            Zone::Named(zone) => self.of_local(&moment.with_timezone(&zone)),
        }
    }

    fn of_local<Z: TimeZone>(self, moment: &DateTime<Z>) -> i64 {
        match self {
            Self::FullYear => i64::from(moment.year()),
            Self::Month => i64::from(moment.month0()),
            Self::DayOfYear => i64::from(moment.ordinal0()),
            Self::DayOfMonth => i64::from(moment.day0()),
            Self::Date => i64::from(moment.day()),
            Self::DayOfWeek => i64::from(moment.weekday().num_days_from_sunday()),
            Self::Hours => i64::from(moment.hour()),
            Self::Minutes => i64::from(moment.minute()),
            Self::Seconds => i64::from(moment.second()),
            Self::Milliseconds => i64::from(moment.timestamp_subsec_millis()),
        }
    }

    /// A span as a whole number of the part; milliseconds are those on top of the seconds.
    pub(super) const fn of_span(self, span: TimeDelta) -> i64 {
        match self {
            Self::Hours => span.num_hours(),
            Self::Minutes => span.num_minutes(),
            Self::Seconds => span.num_seconds(),
            _ => (span.subsec_nanos() / 1_000_000) as i64,
        }
    }
}

/// Where the clock hangs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    Utc,
    Fixed(FixedOffset),
    Named(chrono_tz::Tz),
}

impl Zone {
    /// Reads `Europe/Berlin`, `UTC` or `+02:00`.
    pub(super) fn read(text: &str) -> Option<Self> {
        if text == "UTC" {
            return Some(Self::Utc);
        }
        let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
        if digits.starts_with(|sign: char| sign.is_ascii_digit()) {
            let (hours, minutes) = digits.split_once(':')?;
            let number = |text: &str| if text.len() == 2 { text.parse::<u8>().ok() } else { None };
            let (hours, minutes) = (number(hours)?, number(minutes).filter(|minutes| *minutes < 60)?);
            let seconds = i32::from(hours) * 3600 + i32::from(minutes) * 60;
            let seconds = if text.starts_with('-') { -seconds } else { seconds };
            return FixedOffset::east_opt(seconds).map(Self::Fixed);
        }
        text.parse().ok().map(Self::Named)
    }
}

/// A moment, unless it lies outside of the years that there are.
pub(super) fn in_range(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    YEARS.contains(&moment.year()).then_some(moment)
}

/// Reads a moment, such as `2026-05-29T08:00:00Z`.
pub(super) fn read_moment(text: &str) -> Option<DateTime<Utc>> {
    let short = text.len() <= MAX_TEXT;
    let moment = DateTime::parse_from_rfc3339(text).ok().filter(|_| short)?;
    in_range(moment.to_utc())
}

/// Writes a moment.
pub(super) fn write_moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Reads a span, such as `1h30m` or `-1.5s`.
pub(super) fn read_span(text: &str) -> Option<TimeDelta> {
    const UNITS: [(&str, i128); 6] = [
        // The longer names first, since `m` begins `ms`.
        ("ms", 1_000_000),
        ("us", 1_000),
        ("ns", 1),
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
    ];
    if text.len() > MAX_TEXT {
        return None;
    }
    let mut rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if rest == "0" {
        return Some(TimeDelta::zero());
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum = 0_i128;
    while !rest.is_empty() {
        let length = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (number, tail) = rest.split_at_checked(length)?;
        let (unit, size) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && part.is_empty() {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i64>().ok() };
        sum += i128::from(digits(whole)?) * size;
        let mut place = *size;
        for digit in part.bytes() {
            place /= 10;
            sum += i128::from(digit.checked_sub(b'0')?) * place;
        }
        rest = tail.strip_prefix(unit)?;
    }
    let nanoseconds = i64::try_from(if text.starts_with('-') { -sum } else { sum }).ok()?;
    Some(TimeDelta::nanoseconds(nanoseconds))
}

/// Writes a span, in seconds.
pub(super) fn write_span(span: TimeDelta) -> String {
    let (seconds, part) = (span.num_seconds(), span.subsec_nanos().unsigned_abs());
    let sign = if span < TimeDelta::zero() && seconds == 0 { "-" } else { "" };
    if part == 0 {
        return format!("{seconds}s");
    }
    let part = format!("{part:09}");
    format!("{sign}{seconds}.{}s", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("1s", 1_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("-1.5s", -1_500_000_000),
            ("1ms2us3ns", 1_002_003),
            (".5m", 30_000_000_000),
            ("+2m", 120_000_000_000),
        ] {
            assert_eq!(read_span(text), Some(TimeDelta::nanoseconds(nanoseconds)), "{text}");
        }
        for text in
            ["", "-", "1", "s", "1d", "1s ", ".s", "1.2.3s", "99999999999999999999h", "9999999h", "١s"]
        {
            assert_eq!(read_span(text), None, "{text}");
        }
        for (text, written) in
            [("1h", "3600s"), ("-1.5s", "-1.5s"), ("-500ms", "-0.5s"), ("1ns", "0.000000001s")]
        {
            assert_eq!(read_span(text).map(write_span).as_deref(), Some(written), "{text}");
        }
    }

    #[test]
    fn zones() {
        for text in ["UTC", "Europe/Berlin", "+02:00", "-11:30", "02:00"] {
            assert!(Zone::read(text).is_some(), "{text}");
        }
        for text in ["", "Berlin", "+2", "+2:00", "+25:00", "+02:60", "+02:0é"] {
            assert_eq!(Zone::read(text), None, "{text}");
        }
    }

    #[test]
    fn moments() {
        for text in ["2026-05-29T08:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.5Z"] {
            assert_eq!(
                read_moment(text).map(write_moment).as_deref().map(|text| &text[..19]),
                Some(&text[..19])
            );
        }
        for text in ["2026-05-29", "0000-12-31T23:59:59Z", "2026-13-01T00:00:00Z", "now"] {
            assert_eq!(read_moment(text), None, "{text}");
        }
    }
}
