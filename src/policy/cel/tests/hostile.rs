//! Programs that want too much: each is refused at the door, or stopped while it runs, after a bounded number of
//! steps. Work is counted, not timed; the ignored test times it.

use super::oracle::{Around, truth};
use super::*;
use crate::policy::cel::meter::{MAX_BYTES, MAX_STEPS};
use crate::policy::cel::scan::{MAX_OPERATORS, MAX_SOURCE};
use proptest::prelude::*;
use std::sync::LazyLock;

/// Whether the limits were kept. The first payment that is refused ends the program.
fn within(bill: Bill) -> bool {
    bill.steps <= MAX_STEPS && bill.bytes <= MAX_BYTES && bill.refusals <= 1
}

/// A context of 256 KiB: many small numbers, long texts, and a pattern's worst case.
static LARGE: LazyLock<Context> = LazyLock::new(|| {
    let numbers = Value::List(vec![Value::Number(1.0); 20_000]);
    let keys = (0..5_000).map(|number| (format!("key-{number}").into(), Value::Number(1.0))).collect();
    let values = map([
        ("numbers", numbers),
        ("keys", Value::Map(keys)),
        ("text", Value::String("ab".repeat(100_000).into())),
        ("other", Value::String("ab".repeat(100_000).into())),
        ("lists", Value::List(vec![Value::List(vec![Value::Number(1.0); 100]); 100])),
    ]);
    Context { values, ..Context::at(Timestamp::new(0, 0)) }
});

/// How a program ends over the large context.
fn end(source: &str) -> Result<Verdict, String> {
    let (verdict, spent) = ask(source, NOBODY, &LARGE, None)?;
    assert!(within(spent), "{source:.60}: {spent:?}");
    Ok(verdict)
}

fn nested_loops() -> Vec<String> {
    let loops = |range: &str, inner: &str| format!("{range}.all(a, {range}.all(b, {range}.all(c, {inner})))");
    vec![
        loops("context.numbers", "a + b + c > 0.0"),
        loops("context.keys", "a + b + c != \"\""),
        // Every step is a fault, which `exists` passes over.
        "context.numbers.exists(a, context.numbers.exists(b, context.numbers.exists(c, c.missing)))".into(),
        "context.numbers.exists(a, context.numbers.exists(b, a < context.lists))".into(),
        "size(context.numbers.map(a, context.numbers.map(b, context.numbers))) > 0".into(),
        "context.numbers.all(a, context.numbers == context.numbers)".into(),
        "context.numbers.all(a, !(2 in context.numbers))".into(),
        "context.numbers.all(a, context.text == context.other)".into(),
        "context.numbers.all(a, context.text <= context.other)".into(),
        "context.numbers.all(a, !context.text.contains(\"abb\"))".into(),
        "context.numbers.all(a, size(context.text) > 0)".into(),
        "context.numbers.all(a, context.text.lowerAscii() != \"\")".into(),
        "context.numbers.all(a, !(context.text in context.keys))".into(),
        "context.numbers.all(a, {context.text: 1, context.other + \"b\": 2}.size() > 0)".into(),
        "context.lists.all(a, context.lists == context.lists)".into(),
        "context.numbers.filter(a, true).filter(a, true).filter(a, true).filter(a, true) == []".into(),
        "context.numbers.all(a, now.getHours(\"Europe/Berlin\") < 25)".into(),
    ]
}

fn growth() -> Vec<String> {
    let doubling = |from: &str, times: usize, step: &str| {
        let mut source = from.to_owned();
        for _ in 0..times {
            source = format!("[{source}].map(x, {step})[0]");
        }
        source
    };
    vec![
        format!("{} == \"\"", doubling("\"ab\"", 20, "x + x")),
        format!("{} == \"\"", doubling("context.text", 5, "x + x")),
        format!("{} == []", doubling("[1]", 20, "x + x")),
        format!("{} == []", doubling("context.numbers", 5, "x + x")),
        format!("{} == []", doubling("[1]", 15, "[x, x]")),
        "context.numbers.map(x, context.text + \"a\") == []".into(),
        "context.numbers.map(x, context.numbers.map(y, string(y))) == []".into(),
    ]
}

fn patterns() -> Vec<String> {
    [
        "(a+)+$",
        "(a|aa)+$",
        "(.*a){12}$",
        "[ab]*a[ab]{12}$",
        "(?:a?){200}a{200}",
        "\\\\w+\\\\w+\\\\w+$",
        "^(\\\\pL|\\\\d)*!$",
    ]
    .iter()
    .map(|pattern| format!("context.numbers.all(x, !context.text.matches(\"{pattern}\"))"))
    .collect()
}

#[test]
fn what_runs_too_long_is_stopped() {
    for source in nested_loops() {
        let text = end(&source).unwrap_or_else(|text| panic!("{source}: {text}")).result.unwrap_err();
        let known =
            text.contains("needs more than 100000 steps") || text.contains("makes more than 1048576 bytes");
        assert!(known, "{source}: {text}");
        assert!(text.contains("; look at less data") || text.contains("; compare parts"), "{text}");
    }
}

#[test]
fn what_grows_too_large_is_stopped() {
    for source in growth() {
        match end(&source) {
            Ok(verdict) => {
                // Lists that hold the same list twice take no room for it.
                let Err(text) = verdict.result else { continue };
                assert!(
                    text.contains("needs more than") || text.contains("makes more than"),
                    "{source}: {text}"
                );
            }
            Err(text) => assert!(text.contains("deep in each other"), "{source}: {text}"),
        }
    }
}

#[test]
fn patterns_cost_what_they_may_take() {
    for source in patterns() {
        match end(&source) {
            Ok(verdict) => {
                let text = verdict.result.unwrap_err();
                assert!(text.contains("needs more than"), "{source}: {text}");
            }
            Err(text) => assert!(text.contains("when compiled"), "{source}: {text}"),
        }
    }
    // What people write is far from it.
    let (verdict, spent) =
        Everything::new().ask(r#"subject.email.matches("^[a-z.]+@example\\.(com|org)$")"#).unwrap();
    assert_eq!(verdict.result, Ok(true));
    assert!(spent.steps < 500, "{spent:?}");
    let (verdict, spent) = Everything::new().ask(r#"subject.email.matches("^\\w+@\\w+\\.\\w+$")"#).unwrap();
    assert_eq!(verdict.result, Ok(true));
    assert!(spent.steps < 10_000, "{spent:?}");
}

#[test]
fn lists_in_the_program_count_at_the_door() {
    let numbers = format!("[{}]", vec!["1"; 50].join(","));
    let source = format!("{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a + b + c > 0)))");
    let text = Cel::new(&source).unwrap_err().message;
    assert!(
        text.contains("this may take ")
            && text.contains(" steps, and 100000 are allowed; write shorter lists"),
        "{text}"
    );
    // Fewer fit, and take what was told.
    let source = format!("{numbers}.all(a, {numbers}.all(b, a + b > 0))");
    let told = cost::cost(&Cel::new(&source).unwrap().root).steps;
    let (verdict, Bill { steps, .. }) = Everything::new().ask(&source).unwrap();
    assert_eq!(verdict.result, Ok(true));
    assert!(steps <= told && told < 2 * steps, "{steps} {told}");
}

#[test]
fn depth_and_length_are_refused() {
    for (source, text) in [
        (format!("\"{}\" == \"\"", "x".repeat(MAX_SOURCE)), "bytes, and 8192 are allowed"),
        ("(".repeat(1_000), "brackets lie more than 24 deep"),
        (format!("{}true", "!".repeat(MAX_OPERATORS + 1)), "more than 1000 operators"),
        (format!("context.a{} == 1", ".a".repeat(150)), "operations lie more than 100 deep"),
        (format!("1{} == 1", "+1".repeat(150)), "operations lie more than 100 deep"),
        (format!("{}true", "true?".repeat(150)), ""),
    ] {
        let message = Cel::new(&source).unwrap_err().message;
        assert!(message.contains(text), "{message}");
        assert!(message.len() < 400, "{message}");
    }
}

/// Pieces that programs are made of.
fn pieces() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("context.numbers"),
        Just("context.keys"),
        Just("context.text"),
        Just("context.lists"),
        Just("context.missing"),
        Just("subject.groups"),
        Just("subject.username"),
        Just("request.client_ip"),
        Just("now"),
        Just("x"),
        Just("true"),
        Just("1"),
        Just("2.5"),
        Just("'ab'"),
        Just("[1, 2]"),
        Just("{'a': 1}"),
    ]
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            (two.clone(), prop::sample::select(vec!["+", "-", "==", "<", "in", "&&", "||", "*", "/"]))
                .prop_map(|((a, b), sign)| format!("({a} {sign} {b})")),
            (two.clone(), prop::sample::select(vec!["all", "exists", "map", "filter", "exists_one"]))
                .prop_map(|((a, b), name)| format!("{a}.{name}(x, {b})")),
            (
                inner.clone(),
                prop::sample::select(vec!["size", "string", "int", "double", "!", "-", "has", "dyn"])
            )
                .prop_map(|(a, name)| format!("{name}({a})")),
            two.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            two.clone().prop_map(|(a, b)| format!("dyn({a})[dyn({b})]")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(({a}) == 1 ? dyn({b}) : {c})")),
            two.prop_map(|(a, b)| format!("dyn({a}).contains(dyn({b}))")),
            inner.prop_map(|a| format!("dyn({a}).matches('a*b')")),
        ]
    })
}

proptest! {
    #[test]
    fn no_source_panics(source in "\\PC{0,60}|[a-z.(){}\\[\\]'\"\\\\0-9+!?:,&| \n-]{0,60}") {
        let _ = end(&source);
    }

    #[test]
    fn no_program_goes_beyond_its_limits(
        source in prop_oneof![1 => pieces(), 4 => (1..4_u32).prop_flat_map(|depth| truth(depth, Around::default()))],
    ) {
        for source in [format!("[1, 2].exists(x, dyn({source}))"), source] {
            if let Ok((verdict, bill)) = ask(&source, NOBODY, &LARGE, None) {
                let stopped = matches!(&verdict.result, Err(text) if text.contains(" more than "));
                prop_assert!(within(bill), "{}: {:?}", source, bill);
                prop_assert_eq!(stopped, bill.refusals == 1, "{}", source);
            }
        }
    }

    #[test]
    fn no_mutation_panics(source in pieces(), at in any::<prop::sample::Index>(), piece in "[\\PC]{0,3}") {
        let mut signs: Vec<char> = format!("[1].exists(x, dyn({source}))").chars().collect();
        let at = at.index(signs.len());
        signs.splice(at..(at + 1), piece.chars());
        let _ = end(&signs.into_iter().collect::<String>());
    }
}

/// `cargo test --release --lib policy::cel -- --ignored --nocapture` shows the slowest.
#[test]
#[ignore = "times the slowest programs, which means something in a release build on an idle machine only"]
fn the_slowest_take_milliseconds() {
    let calls = Calls::default();
    let input = Input {
        person: NOBODY,
        context: &LARGE,
        target: None,
        groups: &crate::policy::tests::Nowhere,
        world: &Somewhere,
        calls: &calls,
    };
    let mut times = Vec::new();
    for source in nested_loops().into_iter().chain(growth()).chain(patterns()) {
        let Ok(policy) = Cel::new(&source) else { continue };
        let start = std::time::Instant::now();
        let _ = policy.evaluate(&input);
        times.push((start.elapsed(), source));
    }
    times.sort();
    for (time, source) in times.iter().rev() {
        println!("{time:>12?}  {source:.90}");
    }
    assert!(times.iter().all(|(time, _)| time.as_millis() < 20));
}
