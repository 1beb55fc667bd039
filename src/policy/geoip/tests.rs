//! Cases of the GeoIP policy: each field, each message, and distances that others published.

use super::*;
use crate::model::{Context, Id, Policy, PolicyKind, ReputationScore, User};
use crate::policy::tests::{ALICE, evaluation};
use crate::policy::{Calls, Compiled, Evaluation, Person};
use std::sync::Arc;

const NOW: i64 = 1_800_000_000;
const BERLIN: Place = (52.52, 13.405);
const PARIS: Place = (48.8566, 2.3522);

fn config() -> model::Geoip {
    model::Geoip {
        asns: vec![],
        countries: vec![],
        check_history_distance: false,
        history_max_distance_km: 100,
        distance_tolerance_km: 50,
        history_login_count: 5,
        check_impossible_travel: false,
        impossible_tolerance_km: 100,
    }
}

fn map(entries: &[(&str, Value)]) -> Value {
    Value::Map(entries.iter().map(|(key, value)| (Box::from(*key), value.clone())).collect())
}

fn geoip(country: &str, (latitude, longitude): Place) -> (&'static str, Value) {
    let entries = [
        ("country", Value::String(country.into())),
        ("lat", Value::Number(latitude)),
        ("long", Value::Number(longitude)),
    ];
    ("geoip", map(&entries))
}

fn asn(number: f64) -> (&'static str, Value) {
    ("asn", map(&[("asn", Value::Number(number))]))
}

fn login(seconds_ago: i64, place: Option<Place>) -> Value {
    let mut entries = vec![("time", Value::Number((NOW - seconds_ago) as f64))];
    if let Some((latitude, longitude)) = place {
        entries.extend([("latitude", Value::Number(latitude)), ("longitude", Value::Number(longitude))]);
    }
    map(&entries)
}

fn ask(config: &model::Geoip, values: &[(&str, Value)]) -> Verdict {
    let mut context = Context::at(Timestamp::new(NOW, 0));
    context.values = map(values);
    match evaluation(PolicyKind::Geoip(config.clone()), ALICE, &context) {
        Evaluation::Done(verdict) => verdict,
        Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
    }
}

fn ask_logins(config: &model::Geoip, logins: Vec<Value>) -> Verdict {
    ask(config, &[geoip("DE", BERLIN), ("logins", Value::List(logins))])
}

#[test]
fn either_a_system_or_a_country_is_enough() {
    let both = model::Geoip { asns: vec![64_500, 64_501], countries: vec!["DE".into()], ..config() };
    let no_asn = "Client IP is not part of an allowed autonomous system.";
    let no_country = "Client IP is not in an allowed country.";
    for (number, country, passing, messages) in [
        (64_501.0, "DE", true, vec![]),
        (64_501.0, "FR", true, vec![no_country]),
        (1.0, "DE", true, vec![no_asn]),
        (1.0, "de", false, vec![no_asn, no_country]),
    ] {
        let messages = messages.into_iter().map(Box::from).collect();
        let verdict = ask(&both, &[asn(number), geoip(country, BERLIN)]);
        assert_eq!(verdict, Verdict { messages, ..Verdict::of(passing) }, "{number} {country}");
    }
    assert_eq!(ask(&config(), &[]), Verdict::of(true));
}

#[test]
fn what_is_asked_for_and_not_known_is_an_error() {
    let systems = model::Geoip { asns: vec![64_500], ..config() };
    let countries = model::Geoip { countries: vec!["DE".into()], ..config() };
    let empty = |key| (key, map(&[]));
    for (config, values, text) in [
        (&systems, vec![], NO_ASN),
        (&systems, vec![empty("asn")], NO_ASN),
        (&systems, vec![asn(0.0)], NO_ASN),
        (
            &systems,
            vec![("asn", Value::String("AS1".into()))],
            "the context's `asn` is not a mapping; write one, or leave it out",
        ),
        (&countries, vec![asn(64_500.0)], NO_CITY),
        (&countries, vec![empty("geoip")], NO_CITY),
        (&countries, vec![("geoip", Value::Null)], NO_CITY),
        (&countries, vec![geoip("", BERLIN)], NO_CITY),
    ] {
        assert_eq!(ask(config, &values), Verdict::error(text), "{values:?}");
    }
    // The other list would have fitted.
    let both = model::Geoip { asns: vec![64_500], ..countries };
    assert_eq!(ask(&both, &[geoip("DE", BERLIN)]), Verdict::error(NO_ASN));
    assert_eq!(ask(&both, &[asn(64_500.0)]), Verdict::error(NO_CITY));
}

#[test]
fn a_former_sign_in_far_away_fails() {
    let history = model::Geoip { check_history_distance: true, ..config() };
    let far =
        Verdict::of(false).with_message("Distance from previous authentication is larger than threshold.");
    let near = login(60, Some((52.6, 13.5)));
    assert_eq!(ask_logins(&history, vec![near.clone()]), Verdict::of(true));
    assert_eq!(ask_logins(&history, vec![near.clone(), login(70, Some(PARIS))]), far);
    assert_eq!(ask_logins(&history, vec![login(60, None), login(70, Some(PARIS))]), far);
    // Berlin to Paris is 880 km.
    let wide = |km, tolerance| model::Geoip {
        history_max_distance_km: km,
        distance_tolerance_km: tolerance,
        ..history.clone()
    };
    assert_eq!(ask_logins(&wide(850, 0), vec![login(60, Some(PARIS))]), far);
    assert_eq!(ask_logins(&wide(850, 50), vec![login(60, Some(PARIS))]), Verdict::of(true));
    assert_eq!(ask_logins(&wide(u64::MAX, u32::MAX), vec![login(60, Some(PARIS))]), Verdict::of(true));
    let one = model::Geoip { history_login_count: 1, ..history.clone() };
    assert_eq!(ask_logins(&one, vec![near, login(70, Some(PARIS))]), Verdict::of(true));
    // What fails for another reason says both.
    let elsewhere = model::Geoip { countries: vec!["FR".into()], ..history };
    let verdict = ask_logins(&elsewhere, vec![login(60, Some(PARIS))]);
    assert_eq!((verdict.result, verdict.messages.len()), (Ok(false), 2));
}

#[test]
fn without_a_place_to_compare_it_fails_silently_and_without_a_sign_in_it_passes() {
    let history = model::Geoip { check_history_distance: true, ..config() };
    let logins = |logins| ("logins", Value::List(logins));
    assert_eq!(ask(&history, &[logins(vec![login(60, Some(BERLIN))])]), Verdict::of(false));
    assert_eq!(ask(&history, &[logins(vec![])]), Verdict::of(false));
    assert_eq!(ask_logins(&history, vec![login(60, None)]), Verdict::of(false));
    assert_eq!(ask_logins(&history, vec![]), Verdict::of(true));
    let none = model::Geoip { history_login_count: 0, ..history };
    assert_eq!(ask_logins(&none, vec![login(60, Some(PARIS))]), Verdict::of(true));
}

#[test]
fn what_could_not_be_travelled_fails_until_it_could() {
    let travel = model::Geoip { check_impossible_travel: true, ..config() };
    let new_york = (40.7128, -74.006);
    // 6,385 km: possible from the seventh hour on.
    let hour = |hours: i64| login(hours * HOUR, Some(new_york));
    let until = Timestamp::new(NOW + 5 * HOUR, 0);
    let verdict = Verdict::of(false).with_message("Distance is further than possible.").until(Some(until));
    assert_eq!(ask_logins(&travel, vec![hour(2)]), verdict);
    assert_eq!(ask_logins(&travel, vec![hour(6)]).result, Ok(false));
    assert_eq!(ask_logins(&travel, vec![hour(7)]), Verdict::of(true));
    // It was never used.
    let tolerant = model::Geoip { impossible_tolerance_km: 9_000, ..travel.clone() };
    assert_eq!(ask_logins(&tolerant, vec![hour(6)]).result, Ok(false));
    // One that is still to come counts as just now.
    assert_eq!(ask_logins(&travel, vec![login(-9 * HOUR, Some(PARIS))]), Verdict::of(true));
    assert_eq!(ask_logins(&travel, vec![login(-9 * HOUR, Some(new_york))]).result, Ok(false));
}

#[test]
fn wrong_data_is_an_error_and_not_near() {
    let history = model::Geoip { check_history_distance: true, ..config() };
    let error = |values: &[(&str, Value)]| ask(&history, values).result.unwrap_err();
    let logins = || ("logins", Value::List(vec![login(60, Some(BERLIN))]));
    assert!(error(&[geoip("DE", (95.0, 13.0)), logins()]).contains("not on Earth"));
    assert!(error(&[geoip("DE", (f64::NAN, 13.0)), logins()]).contains("not on Earth"));
    assert!(error(&[geoip("DE", (1.0, f64::INFINITY)), logins()]).contains("not on Earth"));
    let city = |entries: &[(&str, Value)]| ("geoip", map(entries));
    assert!(error(&[city(&[("country", Value::String("DE".into()))]), logins()]).contains("no `lat`"));
    let text = Value::String("52".into());
    assert!(error(&[city(&[("lat", text), ("long", Value::Null)]), logins()]).contains("not a number"));
    for (logins, text) in [
        (Value::Bool(true), "not a list"),
        (Value::List(vec![Value::Null]), "no `time`"),
        (Value::List(vec![map(&[("time", Value::String("now".into()))])]), "`time`"),
        (
            Value::List(vec![map(&[("time", Value::Number(1.0)), ("latitude", Value::Number(1.0))])]),
            "half a place",
        ),
        (Value::List(vec![login(1, Some((91.0, 0.0)))]), "not on Earth"),
    ] {
        let error = error(&[geoip("DE", BERLIN), ("logins", logins)]);
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn a_coordinate_that_is_null_reads_as_zero() {
    let history = model::Geoip { check_history_distance: true, ..config() };
    let nowhere = ("geoip", map(&[("lat", Value::Null), ("long", Value::Null)]));
    let logins = ("logins", Value::List(vec![login(60, Some((0.1, 0.1)))]));
    assert_eq!(ask(&history, &[nowhere, logins]), Verdict::of(true));
}

/// Knows the places of two addresses.
struct Two;

impl World for Two {
    fn reputation(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}

    fn policy(&self, _: &str) -> Option<Arc<Compiled>> {
        None
    }

    fn city(&self, address: IpAddr) -> Option<Value> {
        (address.to_string() == "192.0.2.1").then(|| geoip("DE", BERLIN).1)
    }

    fn asn(&self, address: IpAddr) -> Option<Value> {
        (address.to_string() == "192.0.2.1").then(|| asn(64_500.0).1)
    }
}

#[test]
fn what_the_context_does_not_say_is_looked_up_by_the_address() {
    let kind = PolicyKind::Geoip(model::Geoip {
        asns: vec![64_500],
        countries: vec!["DE".into()],
        check_history_distance: true,
        ..config()
    });
    let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
    let compiled = Compiled::new(&policy).unwrap();
    let user = User {
        id: Id::new("1"),
        username: "alice".into(),
        name: "".into(),
        email: "".into(),
        is_active: true,
        groups: vec![],
        attributes: Value::Null,
        kind: "internal".into(),
        path: "".into(),
        password_change_date: None,
        date_joined: None,
        last_login: None,
        has_usable_password: None,
        authenticators: vec![],
        logins: vec![Login { time: Timestamp::new(NOW - 60, 0), place: Some(PARIS) }],
        password_history: vec![],
    };
    let ask = |address: Option<&str>, values: Value| {
        let mut context = Context::at(Timestamp::new(NOW, 0));
        context.client_ip = address.map(|address| address.parse().unwrap());
        context.values = values;
        let calls = Calls::default();
        let person = Person { user: Some(&user), ..ALICE };
        let input = Input {
            person,
            context: &context,
            target: None,
            groups: &crate::policy::tests::Nowhere,
            world: &Two,
            calls: &calls,
        };
        match compiled.evaluate(&input) {
            Evaluation::Done(verdict) => verdict,
            Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
        }
    };
    // The sign-in of the directory is too far away, and the one in the context is not.
    assert_eq!(ask(Some("192.0.2.1"), Value::Null).messages.len(), 1);
    let near = ("logins", Value::List(vec![login(60, Some(BERLIN))]));
    let only_near = || map(std::slice::from_ref(&near));
    assert_eq!(ask(Some("192.0.2.1"), only_near()), Verdict::of(true));
    assert_eq!(ask(Some("192.0.2.1"), map(&[near.clone(), ("geoip", Value::Null)])), Verdict::of(true));
    assert_eq!(ask(Some("192.0.2.9"), only_near()), Verdict::error(NO_ASN));
    assert_eq!(ask(None, only_near()), Verdict::error(NO_ASN));
    // The context's word counts, also when it says that nothing is known.
    let nothing = map(&[near, ("geoip", map(&[]))]);
    assert_eq!(ask(Some("192.0.2.1"), nothing), Verdict::error(NO_CITY));
}

#[test]
fn system_zero_is_refused() {
    let kind = PolicyKind::Geoip(model::Geoip { asns: vec![1, 0], ..config() });
    let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
    let error = Compiled::new(&policy).unwrap_err();
    assert_eq!((error.field, &*error.message), ("geoip.asns", "0 is no autonomous system; remove it"));
}

/// Published lengths of geodesics on WGS-84: the quarter and the half of a meridian (10,001.965729 and 20,003.931459
/// km), a degree of the equator (111.319491 km), the pair that GeographicLib's manual shows (Wellington to
/// Salamanca), and the worked example of New York to London airports there.
#[test]
fn distances_are_those_that_others_published() {
    let earth = Earth::new();
    for (here, there, km) in [
        (BERLIN, BERLIN, 0.0),
        ((90.0, 0.0), (90.0, 137.0), 0.0),
        ((0.0, 0.0), (90.0, 0.0), 10_001.965_729),
        ((90.0, 12.0), (-90.0, -77.0), 20_003.931_459),
        ((0.0, 0.0), (0.0, 180.0), 20_003.931_459),
        ((0.0, 0.0), (0.0, 1.0), 111.319_491),
        ((0.0, 179.5), (0.0, -179.5), 111.319_491),
        ((-17.0, 179.9), (-17.0, -179.9), 21.297_165),
        ((-41.32, 174.81), (40.96, -5.50), 19_959.679_267),
        ((40.6, -73.8), (51.6, -0.5), 5_551.759_400),
    ] {
        for (here, there) in [(here, there), (there, here)] {
            let found = earth.kilometres(here, there).unwrap();
            assert!((found - km).abs() < 1e-5, "{here:?} to {there:?}: {found} and not {km}");
        }
    }
}

/// The distances that stand in the golden vectors, from each sign-in to the place now.
#[test]
fn distances_are_those_of_the_vectors() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/policy-kinds.json");
    // A published package has no vectors.
    let Ok(text) = std::fs::read_to_string(path) else { return };
    let content: serde_json::Value = serde_json::from_str(&text).unwrap();
    let earth = Earth::new();
    let mut compared = 0;
    for vector in content["vectors"].as_array().unwrap() {
        let place = |geo: &serde_json::Value| Some((geo["lat"].as_f64()?, geo["long"].as_f64()?));
        let (Some(distances), Some(here)) =
            (vector["note"]["km"].as_array(), place(&vector["request"]["context"]["geoip"]))
        else {
            continue;
        };
        if on_earth(here).is_err() {
            continue;
        }
        let mut logins = vector["state"]["logins"].as_array().unwrap().clone();
        logins.sort_by(|a, b| a["age_s"].as_f64().unwrap().total_cmp(&b["age_s"].as_f64().unwrap()));
        for (login, km) in logins.iter().zip(distances) {
            let (Some(there), Some(km)) = (place(&login["geo"]), km.as_f64()) else { continue };
            let found = earth.kilometres(here, there).unwrap();
            assert!((found - km).abs() < 1e-6, "{}: {found} and not {km}", vector["name"]);
            compared += 1;
        }
    }
    assert!(compared > 100, "only {compared} distances were compared");
}
