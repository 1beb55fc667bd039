//! Small databases, and what is read from them.

use super::*;
use mmdb_writer::{Value as Data, Writer};

fn new(database_type: &str) -> Writer {
    Writer::builder(database_type).description(&[("en", "a few networks for tests")]).build()
}

fn names(name: &str) -> Data {
    Data::map([("names", Data::map([("de", Data::from("Anders")), ("en", Data::from(name))]))])
}

/// A City database: Berlin, Fiji on both sides of the date line, and a network of which only the country is known.
pub(crate) fn city_database() -> Vec<u8> {
    let mut writer = new("GeoLite2-City");
    for (network, continent, country, city, latitude, longitude) in [
        ("192.0.2.0/25", "EU", "DE", "Berlin", 52.52, 13.405),
        ("198.51.100.0/24", "OC", "FJ", "Labasa", -17.0, 179.9),
        ("2001:db8::/32", "OC", "FJ", "Somosomo", -17.0, -179.9),
    ] {
        let location = Data::map([("latitude", Data::from(latitude)), ("longitude", Data::from(longitude))]);
        let data = Data::map([
            ("continent", Data::map([("code", Data::from(continent))])),
            ("country", Data::map([("iso_code", Data::from(country))])),
            ("city", names(city)),
            ("location", location),
        ]);
        writer.insert_value(network.parse::<ipnet::IpNet>().unwrap(), data).unwrap();
    }
    let bare = Data::map([("country", Data::map([("iso_code", Data::from("US"))]))]);
    writer.insert_value("203.0.113.0/24".parse::<ipnet::IpNet>().unwrap(), bare).unwrap();
    writer.to_bytes().unwrap()
}

/// An ASN database of one network.
pub(crate) fn asn_database(number: u32) -> Vec<u8> {
    let mut writer = new("GeoLite2-ASN");
    let data = Data::map([
        ("autonomous_system_number", Data::from(number)),
        ("autonomous_system_organization", Data::from("Org")),
    ]);
    writer.insert_value("192.0.2.0/24".parse::<ipnet::IpNet>().unwrap(), data).unwrap();
    writer.to_bytes().unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn string(text: &str) -> Value {
    Value::String(text.into())
}

#[test]
fn values_are_those_that_authentik_puts_into_the_context() {
    let directory = tempfile::tempdir().unwrap();
    let (city, asn) = (directory.path().join("city.mmdb"), directory.path().join("asn.mmdb"));
    std::fs::write(&city, city_database()).unwrap();
    std::fs::write(&asn, asn_database(64_500)).unwrap();
    let databases = Databases::open(Some(city.clone()), Some(asn.clone())).unwrap();
    assert_eq!(databases.paths(), [city, asn]);
    let berlin = map([
        ("continent", string("EU")),
        ("country", string("DE")),
        ("lat", Value::Number(52.52)),
        ("long", Value::Number(13.405)),
        ("city", string("Berlin")),
    ]);
    assert_eq!(databases.city(ip("192.0.2.10")), Some(berlin.clone()));
    assert_eq!(databases.city(ip("::ffff:192.0.2.10")), Some(berlin));
    assert_eq!(databases.city(ip("192.0.2.200")), None);
    assert_eq!(databases.city(ip("2001:db8::1")).unwrap().get("long"), Some(&Value::Number(-179.9)));
    let bare = map([
        ("continent", Value::Null),
        ("country", string("US")),
        ("lat", Value::Null),
        ("long", Value::Null),
        ("city", string("")),
    ]);
    assert_eq!(databases.city(ip("203.0.113.1")), Some(bare));
    let system = map([
        ("asn", Value::Number(64_500.0)),
        ("as_org", string("Org")),
        ("network", string("192.0.2.0/24")),
    ]);
    assert_eq!(databases.asn(ip("192.0.2.200")), Some(system));
    assert_eq!(databases.asn(ip("2001:db8::1")), None);
}

#[test]
fn without_a_database_nothing_is_known() {
    let databases = Databases::open(None, None).unwrap();
    assert_eq!((databases.city(ip("192.0.2.1")), databases.asn(ip("192.0.2.1"))), (None, None));
    assert_eq!(databases.reload(), []);
}

#[test]
fn what_cannot_be_used_is_refused_and_the_old_one_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("asn.mmdb");
    let open = || Databases::open(None, Some(path.clone()));
    assert!(open().unwrap_err().contains("cannot be read"));
    std::fs::write(&path, asn_database(1)).unwrap();
    let databases = open().unwrap();
    let number = || databases.asn(ip("192.0.2.1")).unwrap().get("asn").cloned();
    let whole = asn_database(2);
    for (content, text) in [
        (vec![], "is broken"),
        (b"no database".to_vec(), "is broken"),
        (whole[..whole.len() / 2].to_vec(), "is broken"),
        (city_database(), "is a `GeoLite2-City` database"),
    ] {
        std::fs::write(&path, content).unwrap();
        let [Err(error)] = &databases.reload()[..] else { panic!("{text} was taken") };
        assert!(error.contains(text) && error.contains("asn.mmdb"), "{error}");
        assert_eq!(number(), Some(Value::Number(1.0)));
    }
    std::fs::remove_file(&path).unwrap();
    assert!(databases.reload()[0].is_err());
    std::fs::create_dir(&path).unwrap();
    assert!(databases.reload()[0].as_ref().unwrap_err().contains("is not a file"));
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(number(), Some(Value::Number(1.0)));
    std::fs::write(&path, whole).unwrap();
    let loaded = databases.reload().remove(0).unwrap();
    assert_eq!((loaded.kind, &*loaded.database_type), (DatabaseKind::Asn, "GeoLite2-ASN"));
    assert_eq!(number(), Some(Value::Number(2.0)));
}

/// What is damaged in the middle is found when it is read, or harmless: nothing that a look-up does panics.
#[test]
fn a_damaged_byte_does_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("city.mmdb");
    let whole = city_database();
    for index in 0..whole.len() {
        let mut content = whole.clone();
        content[index] ^= 0xA5;
        std::fs::write(&path, content).unwrap();
        if let Ok(databases) = Databases::open(Some(path.clone()), None) {
            for address in ["192.0.2.10", "203.0.113.1", "2001:db8::1"] {
                let _anything = databases.city(ip(address));
            }
        }
    }
}
