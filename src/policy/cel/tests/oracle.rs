//! Our walk of the tree against the parsing crate's own: on random programs, both have to say the same. What we do not
//! offer, or refuse at the door, is left out; so is what only the limits decide.

use super::*;
use chrono::DateTime;
use proptest::prelude::*;
use std::collections::HashMap;

/// What programs read here.
fn values() -> Value {
    map([
        ("numbers", Value::List((0..4).map(|number| Value::Number(f64::from(number) / 2.0)).collect())),
        ("keys", map([("a", Value::Number(1.0)), ("ab", Value::Null)])),
        ("text", Value::String("abab".into())),
        ("lists", Value::List(vec![texts(&["ab"]), Value::List(vec![])])),
    ])
}

fn foreign(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => (*number).into(),
        Value::String(text) => (&**text).into(),
        Value::List(list) => list.iter().map(foreign).collect::<Vec<_>>().into(),
        Value::Map(map) => {
            let entries: HashMap<String, _> =
                map.iter().map(|(key, value)| (key.to_string(), foreign(value))).collect();
            entries.into()
        }
    }
}

/// What the crate makes of a source: true, false, or anything else.
fn theirs(source: &str) -> Option<bool> {
    let program = cel::Program::compile(source).ok()?;
    let mut context = cel::Context::default();
    context.add_variable_from_value("context", foreign(&values()));
    context.add_variable_from_value("now", cel::Value::Timestamp(DateTime::UNIX_EPOCH.fixed_offset()));
    let groups = cel::Value::from(Vec::<cel::Value>::new());
    let subject = HashMap::from([("groups", groups), ("username", cel::Value::Null)]);
    context.add_variable_from_value("subject", subject);
    context.add_variable_from_value("request", HashMap::from([("client_ip", cel::Value::Null)]));
    match program.execute(&context) {
        Ok(cel::Value::Bool(value)) => Some(value),
        _ => None,
    }
}

/// What we make of it; nothing at all for what is refused at the door or by the limits.
fn ours(source: &str) -> Option<Option<bool>> {
    let context = Context { values: values(), ..Context::at(Timestamp::new(0, 0)) };
    let (verdict, bill) = ask(source, NOBODY, &context, None).ok()?;
    (bill.refusals == 0).then(|| verdict.result.ok())
}

#[track_caller]
fn compare(source: &str) -> bool {
    let Some(ours) = ours(source) else { return false };
    assert_eq!(ours, theirs(source), "{source}");
    true
}

#[test]
fn the_cases_are_told_apart() {
    for source in [
        "context.numbers.exists(x, x == 1)",
        "context.numbers.all(x, x < 1)",
        "now == timestamp('1970-01-01T00:00:00Z')",
        "context.text.matches('^a')",
        "context.missing == 1",
    ] {
        assert!(compare(source), "{source}");
    }
}

/// Which loops are around: over numbers, with the element `n`, and over texts, with `t`.
#[derive(Clone, Copy, Default)]
pub(super) struct Around {
    numbers: bool,
    texts: bool,
}

fn one_of(sources: &[&str]) -> BoxedStrategy<String> {
    prop::sample::select(sources.iter().map(|source| (*source).to_owned()).collect::<Vec<_>>()).boxed()
}

/// A condition. Some of what is compared is of the wrong kind or not there, so that faults are met as well.
pub(super) fn truth(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf = one_of(&[
        "true",
        "false",
        "dyn(1)",
        "context.missing",
        "has(context.keys.a)",
        "has(context.text)",
        "has(context.no)",
    ]);
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    let in_numbers = Around { numbers: true, ..around };
    let in_texts = Around { texts: true, ..around };
    let loops = || prop::sample::select(vec!["all", "exists", "exists_one"]);
    let orders = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let two = |one: BoxedStrategy<String>| {
        (one.clone(), orders(), one).prop_map(|(a, sign, b)| format!("{a} {sign} {b}"))
    };
    let same = |one: BoxedStrategy<String>| (one.clone(), one).prop_map(|(a, b)| format!("{a} == {b}"));
    prop_oneof![
        1 => leaf,
        3 => (truth(depth, around), prop::sample::select(vec!["&&", "||", "=="]), truth(depth, around))
            .prop_map(|(a, sign, b)| format!("({a}) {sign} ({b})")),
        1 => truth(depth, around).prop_map(|a| format!("!({a})")),
        1 => (truth(depth, around), truth(depth, around), truth(depth, around))
            .prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
        2 => two(number(depth, around)),
        2 => two(whole(depth, around)),
        2 => two(text(depth, around)),
        1 => two(moment(depth)),
        1 => (number(depth, around), orders(), whole(depth, around)).prop_map(|(a, sign, b)| format!("{a} {sign} {b}")),
        1 => same(numbers(depth, around)),
        1 => same(words(depth, around)),
        2 => (number(depth, around), numbers(depth, around)).prop_map(|(a, b)| format!("{a} in {b}")),
        2 => (text(depth, around), words(depth, around)).prop_map(|(a, b)| format!("{a} in {b}")),
        1 => (text(depth, around), one_of(&["context.keys", "context", "{'a': 1}", "dyn(3)"]))
            .prop_map(|(a, b)| format!("{a} in {b}")),
        2 => (text(depth, around), prop::sample::select(vec!["contains", "startsWith", "endsWith"]), text(depth, around))
            .prop_map(|(a, name, b)| format!("{a}.{name}({b})")),
        1 => (text(depth, around), one_of(&["'^a*b'", "'b$'", "'^[a-b]{2}$'"])).prop_map(|(a, b)| format!("{a}.matches({b})")),
        3 => (numbers(depth, around), loops(), truth(depth, in_numbers)).prop_map(|(a, name, b)| format!("{a}.{name}(n, {b})")),
        3 => (words(depth, around), loops(), truth(depth, in_texts)).prop_map(|(a, name, b)| format!("{a}.{name}(t, {b})")),
        1 => truth(depth, in_texts).prop_map(|a| format!("context.keys.exists(t, {a})")),
    ]
    .boxed()
}

fn number(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf = one_of(if around.numbers {
        &["n", "n", "1.5", "-2.0"]
    } else {
        &["0.5", "1e3", "context.keys.a", "context.numbers[2]", "context.numbers[7]"]
    });
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    prop_oneof![
        2 => leaf,
        1 => (number(depth, around), prop::sample::select(vec!["+", "-", "*"]), number(depth, around))
            .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        1 => whole(depth, around).prop_map(|a| format!("double({a})")),
        1 => (numbers(depth, around), whole(depth, around)).prop_map(|(a, b)| format!("{a}[{b}]")),
        1 => number(depth, around).prop_map(|a| format!("-({a})")),
    ]
    .boxed()
}

fn whole(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf = one_of(&["0", "1", "-3", "7", "9223372036854775807"]);
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    prop_oneof![
        2 => leaf,
        2 => (whole(depth, around), prop::sample::select(vec!["+", "-", "*", "/", "%"]), whole(depth, around))
            .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
        1 => text(depth, around).prop_map(|a| format!("size({a})")),
        1 => numbers(depth, around).prop_map(|a| format!("{a}.size()")),
        1 => number(depth, around).prop_map(|a| format!("int({a})")),
        1 => text(depth, around).prop_map(|a| format!("int({a})")),
        1 => (moment(depth), prop::sample::select(vec!["getHours", "getDayOfWeek", "getDayOfYear", "getMonth", "getDate", "getDayOfMonth", "getFullYear"]), one_of(&["", "'Europe/Berlin'", "'-05:30'"]))
            .prop_map(|(a, name, zone)| format!("{a}.{name}({zone})")),
        1 => truth(depth, around).prop_map(|a| format!("{{true: 1, false: 2}}[dyn({a})]")),
    ]
    .boxed()
}

fn text(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf =
        one_of(if around.texts { &["t", "t", "'b'"] } else { &["'ab'", "''", "'é'", "context.text"] });
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    prop_oneof![
        3 => leaf,
        1 => (text(depth, around), text(depth, around)).prop_map(|(a, b)| format!("({a} + {b})")),
        1 => whole(depth, around).prop_map(|a| format!("string({a})")),
        1 => (words(depth, around), whole(depth, around)).prop_map(|(a, b)| format!("{a}[{b}]")),
    ]
    .boxed()
}

fn moment(depth: u32) -> BoxedStrategy<String> {
    let leaf =
        // In UTC: the crate takes the hours of a moment in the zone that it is written in, the language's definition
        // those of UTC.
        one_of(&["now", "timestamp('2026-05-29T08:00:00.25Z')", "timestamp('2026-05-30T04:30:00Z')"]);
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    let span =
        one_of(&["duration('1h30m')", "duration('-2.5s')", "(now - timestamp('1969-12-31T00:00:00Z'))"]);
    prop_oneof![
        2 => leaf,
        1 => (moment(depth), prop::sample::select(vec!["+", "-"]), span)
            .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
    ]
    .boxed()
}

fn numbers(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf = one_of(&["context.numbers", "[1.0, 2.5]", "context.missing", "context.keys.ab"]);
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    let inside = Around { numbers: true, ..around };
    prop_oneof![
        3 => leaf,
        1 => (number(depth, around), number(depth, around)).prop_map(|(a, b)| format!("[{a}, {b}]")),
        1 => (numbers(depth, around), numbers(depth, around)).prop_map(|(a, b)| format!("({a} + {b})")),
        1 => (numbers(depth, around), number(depth, inside)).prop_map(|(a, b)| format!("{a}.map(n, {b})")),
        1 => (numbers(depth, around), truth(depth, inside)).prop_map(|(a, b)| format!("{a}.filter(n, {b})")),
        1 => (numbers(depth, around), truth(depth, inside), number(depth, inside))
            .prop_map(|(a, b, c)| format!("{a}.map(n, {b}, {c})")),
    ]
    .boxed()
}

fn words(depth: u32, around: Around) -> BoxedStrategy<String> {
    let leaf = one_of(&["context.lists[0]", "['a', 'b']", "context.lists[1]"]);
    let Some(depth) = depth.checked_sub(1) else { return leaf };
    let inside = Around { texts: true, ..around };
    prop_oneof![
        3 => leaf,
        1 => (text(depth, around), text(depth, around)).prop_map(|(a, b)| format!("[{a}, {b}]")),
        1 => (words(depth, around), text(depth, inside)).prop_map(|(a, b)| format!("{a}.map(t, {b})")),
        1 => (words(depth, around), truth(depth, inside)).prop_map(|(a, b)| format!("{a}.filter(t, {b})")),
    ]
    .boxed()
}

/// The share of programs that has to be evaluated to true or false for the comparison to mean something.
const LEAST_DECIDED: usize = 4;

#[test]
fn both_say_the_same() {
    let mut runner = proptest::test_runner::TestRunner::default();
    let (asked, decided) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    let strategy = (0..4_u32).prop_flat_map(|depth| truth(depth, Around::default()));
    let result = runner.run(&strategy, |source| {
        if let Some(ours) = ours(&source) {
            prop_assert_eq!(ours, theirs(&source), "{}", source);
            asked.set(asked.get() + 1);
            decided.set(decided.get() + usize::from(ours.is_some()));
        }
        Ok(())
    });
    result.unwrap();
    assert!(decided.get() * LEAST_DECIDED > asked.get(), "{} of {}", decided.get(), asked.get());
}
