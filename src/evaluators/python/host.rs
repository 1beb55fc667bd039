//! What a program may have done outside of the interpreter: reading addresses, hashing, the moment.

use crate::policy::python::address;
use chrono::{DateTime, Datelike as _, NaiveDate, Offset as _, TimeDelta, TimeZone as _, Timelike as _};
use monty_types::{DictPairs, MontyDateTime, MontyObject as Object, MontyTimeZone, OsFunctionCall};
use sha1::Digest as _;
use std::net::IpAddr;

/// Answers a call; the error becomes one in the program.
pub(super) fn call(what: &str, args: &[Object]) -> Result<Object, String> {
    match (what, args) {
        ("address", [Object::String(text)]) => Ok(text.parse().map_or(Object::None, fields_of)),
        ("network", [Object::String(text)]) => Ok(network(text)),
        ("zone", [Object::String(name), Object::Int(seconds)]) => zone(name, *seconds),
        ("hash", [Object::String(name), Object::Bytes(data)]) => hash(name, data),
        _ => Err(format!("the sidecar cannot do `{what}` with these arguments")),
    }
}

/// The moment of the question, for a program that asks what time it is.
pub(super) fn moment(call: &OsFunctionCall, now: Option<&Object>) -> Option<Object> {
    let Some(Object::DateTime(now)) = now else { return None };
    match call {
        OsFunctionCall::DateTimeNow(zone) => Some(host_now(zone, now)),
        OsFunctionCall::DateToday => {
            Some(Object::Date(monty_types::MontyDate { year: now.year, month: now.month, day: now.day }))
        }
        _ => None,
    }
}

fn fields(pairs: impl IntoIterator<Item = (&'static str, Object)>) -> Object {
    let pairs: DictPairs =
        pairs.into_iter().map(|(key, value)| (Object::String(key.to_owned()), value)).collect();
    Object::Dict(pairs)
}

fn text(value: impl ToString) -> Object {
    Object::String(value.to_string())
}

/// The digits of an address, all of the same length within a version, so that their order is the addresses'.
fn digits(address: IpAddr) -> Object {
    text(match address {
        IpAddr::V4(address) => format!("{:08x}", address.to_bits()),
        IpAddr::V6(address) => format!("{:032x}", address.to_bits()),
    })
}

fn fields_of(address: IpAddr) -> Object {
    let exploded = match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:04x}")).join(":"),
    };
    fields([
        ("version", Object::Int(if address.is_ipv4() { 4 } else { 6 })),
        ("compressed", text(address)),
        ("exploded", text(exploded)),
        ("_digits", digits(address)),
        ("is_private", Object::Bool(address::is_private(address))),
        ("is_global", Object::Bool(address::is_global(address))),
        ("is_loopback", Object::Bool(address.is_loopback())),
        ("is_multicast", Object::Bool(address.is_multicast())),
        ("is_unspecified", Object::Bool(address.is_unspecified())),
        ("is_link_local", Object::Bool(address::is_link_local(address))),
        ("is_reserved", Object::Bool(address::is_reserved(address))),
    ])
}

fn network(given: &str) -> Object {
    let Some(given) = address::network(given) else { return Object::None };
    let net = given.trunc();
    let version = if net.addr().is_ipv4() { 4 } else { 6 };
    fields([
        ("version", Object::Int(version)),
        ("compressed", text(net)),
        ("prefixlen", Object::Int(i64::from(net.prefix_len()))),
        ("netmask", text(net.netmask())),
        ("_low", text(net.network())),
        ("_high", text(net.broadcast())),
        ("_first", digits(net.network())),
        ("_last", digits(net.broadcast())),
        ("_bits", Object::Bool(given.addr() != net.network())),
        (
            "is_private",
            Object::Bool(address::is_private(net.network()) && address::is_private(net.broadcast())),
        ),
    ])
}

/// The offset of a zone at a moment, both in seconds.
fn zone(name: &str, seconds: i64) -> Result<Object, String> {
    let zone: chrono_tz::Tz = name.parse().map_err(|_| format!("no time zone found with key {name}"))?;
    let moment = DateTime::from_timestamp(seconds, 0).ok_or("the moment is out of range")?;
    let offset = zone.offset_from_utc_datetime(&moment.naive_utc()).fix().local_minus_utc();
    Ok(Object::Int(offset.into()))
}

fn hash(name: &str, data: &[u8]) -> Result<Object, String> {
    Ok(Object::Bytes(match name {
        "md5" => md5::Md5::digest(data).to_vec(),
        "sha1" => sha1::Sha1::digest(data).to_vec(),
        "sha256" => sha2::Sha256::digest(data).to_vec(),
        "sha512" => sha2::Sha512::digest(data).to_vec(),
        _ => return Err(format!("unsupported hash type {name}")),
    }))
}

fn host_now(zone: &Option<MontyTimeZone>, now: &MontyDateTime) -> Object {
    let date = NaiveDate::from_ymd_opt(now.year, now.month.into(), now.day.into());
    let time = date.and_then(|date| {
        date.and_hms_micro_opt(now.hour.into(), now.minute.into(), now.second.into(), now.microsecond)
    });
    let offset = zone.as_ref().map_or(0, |zone| i64::from(zone.offset_seconds));
    let Some(time) = time.and_then(|time| time.checked_add_signed(TimeDelta::seconds(offset))) else {
        return Object::DateTime(now.clone());
    };
    let narrow = |value: u32| u8::try_from(value).unwrap_or_default();
    Object::DateTime(MontyDateTime {
        year: time.year(),
        month: narrow(time.month()),
        day: narrow(time.day()),
        hour: narrow(time.hour()),
        minute: narrow(time.minute()),
        second: narrow(time.second()),
        microsecond: now.microsecond,
        offset_seconds: zone.as_ref().map(|zone| zone.offset_seconds),
        timezone_name: zone.as_ref().and_then(|zone| zone.name.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(object: &Object, key: &str) -> Object {
        let Object::Dict(pairs) = object else { panic!("{object:?}") };
        let is = |(name, _): &&(Object, Object)| matches!(name, Object::String(name) if name == key);
        pairs.into_iter().find(is).unwrap().1.clone()
    }

    #[test]
    fn addresses_are_read_as_python_reads_them() {
        let ask = |what: &str, given: &str| call(what, &[Object::String(given.to_owned())]).unwrap();
        for (given, private, global) in [
            ("10.1.2.3", true, false),
            ("8.8.8.8", false, true),
            ("100.64.0.1", false, false),
            ("192.0.0.8", false, true),
            ("203.0.113.9", true, false),
            ("::1", true, false),
            ("2001:db8::1", true, false),
            ("2606:4700::1", false, true),
            ("fd00::1", true, false),
        ] {
            let found = ask("address", given);
            assert_eq!(field(&found, "is_private"), Object::Bool(private), "{given}");
            assert_eq!(field(&found, "is_global"), Object::Bool(global), "{given}");
        }
        for none in ["", "1.2.3", "1.2.3.4/8", "01.2.3.4", "x", "::g"] {
            assert_eq!(ask("address", none), Object::None, "{none}");
        }
        assert_eq!(field(&ask("network", "10.1.2.3/8"), "_bits"), Object::Bool(true));
        assert_eq!(field(&ask("network", "10.0.0.0/255.0.0.0"), "compressed"), text("10.0.0.0/8"));
        assert_eq!(
            field(&ask("network", "2001:db8::/32"), "_last"),
            text(format!("20010db8{}", "f".repeat(24)))
        );
        assert_eq!(field(&ask("network", "10.0.0.1"), "prefixlen"), Object::Int(32));
        for none in ["10.0.0.0/33", "10.0.0.0/x", "/8", "10.0.0.0/-1", "10.0.0.0/::"] {
            assert_eq!(ask("network", none), Object::None, "{none}");
        }
    }

    #[test]
    fn hashes_are_the_known_ones() {
        let hex = |name: &str| match hash(name, b"abc").unwrap() {
            Object::Bytes(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(hex("md5"), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(hex("sha1"), "a9993e364706816aba3e25717850c26c9cd0d89d");
        assert!(hex("sha256").starts_with("ba7816bf") && hex("sha512").starts_with("ddaf35a1"));
        assert!(hash("crc32", b"").is_err());
    }

    #[test]
    fn now_is_the_questions_in_any_zone() {
        let now = MontyDateTime {
            year: 2026,
            month: 12,
            day: 31,
            hour: 23,
            minute: 30,
            second: 1,
            microsecond: 5,
            offset_seconds: Some(0),
            timezone_name: None,
        };
        let zone = Some(MontyTimeZone { offset_seconds: 3_600, name: None });
        let Object::DateTime(there) = host_now(&zone, &now) else { panic!("no moment") };
        assert_eq!((there.year, there.month, there.day, there.hour, there.minute), (2027, 1, 1, 0, 30));
        assert_eq!((there.offset_seconds, there.microsecond), (Some(3_600), 5));
        let Object::DateTime(naive) = host_now(&None, &now) else { panic!("no moment") };
        assert_eq!((naive.day, naive.offset_seconds), (31, None));
    }
}
