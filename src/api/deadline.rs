//! How long a caller of gRPC waits, as far as it says.
//!
//! Must not know: what is done with that.

use http::HeaderMap;
use std::time::Duration;

/// The time that is left, after the gRPC specification's `Timeout`; nothing where nothing, or nonsense, is said.
pub fn of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number.saturating_mul(3_600)),
        "M" => Duration::from_secs(number.saturating_mul(60)),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood_and_nonsense_is_nothing() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", text.parse().unwrap());
            of(&headers)
        };
        assert_eq!(of("250m"), Some(Duration::from_millis(250)));
        assert_eq!((of("1H"), of("2M")), (Some(Duration::from_secs(3_600)), Some(Duration::from_secs(120))));
        assert_eq!((of("3u"), of("4n")), (Some(Duration::from_micros(3)), Some(Duration::from_nanos(4))));
        assert_eq!((of(""), of("m"), of("5"), of("5x"), of("-1S")), (None, None, None, None, None));
        assert_eq!(super::of(&HeaderMap::new()), None);
    }
}
