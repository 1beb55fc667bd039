//! Every name, function and operator, and what is said about mistakes.

use super::*;

#[track_caller]
fn all(truth: bool, sources: &[&str]) {
    let everything = Everything::new();
    for source in sources {
        let (verdict, _) = everything.ask(source).unwrap_or_else(|text| panic!("{source}: {text}"));
        assert_eq!(verdict.result, Ok(truth), "{source}");
        assert!(verdict.messages.is_empty());
    }
}

#[test]
fn names() {
    all(
        true,
        &[
            r#"subject.id == "7""#,
            r#"subject.username == "alice""#,
            r#"subject.name == "Alice Example""#,
            r#"subject.email == "alice@example.com""#,
            "!subject.anonymous",
            "subject.known",
            "subject.is_active",
            r#"subject.type == "internal""#,
            r#"subject.path == "users/eng""#,
            r#"subject.attributes.department == "eng""#,
            r#"subject.groups == ["admins", "staff"]"#,
            r#"["admins", "staff"] == subject.groups"#,
            r#""admins" in subject.groups"#,
            r#"!("root" in subject.groups)"#,
            r#"has_group("staff") && !has_group("9")"#,
            r#"request.client_ip == "10.1.2.3""#,
            r#"request.method == "GET""#,
            r#"request.scheme == "https""#,
            r#"request.host == "wiki.example.com""#,
            r#"request.path == "/admin/users""#,
            r#"request.query == "page=2""#,
            r#"request.headers["user-agent"] == "curl/8""#,
            r#""user-agent" in request.headers && !("cookie" in request.headers)"#,
            r#"context.stage == "enrol""#,
            r#"context.prompt_data.username == "carol""#,
            r#"geoip.country == "DE""#,
            "asn.asn == 64496",
            r#"now == timestamp("2026-05-29T08:00:00.5Z")"#,
            r#"target.kind == "application""#,
            r#"target.id == "t-1""#,
            r#"target.name == "The Wiki""#,
            r#"target.slug == "wiki""#,
            r#"event.action == "login""#,
            r#"event.app == "authentik.core""#,
            r#"event.client_ip == "192.0.2.7""#,
            r#"event.context.model.app == "core""#,
            r#"event.user.id == "8""#,
            r#"event.user.username == "bob""#,
            r#"event.user.email == "bob@example.com""#,
        ],
    );
}

#[test]
fn what_is_absent_is_null() {
    let context = Context::at(Timestamp::new(0, 0));
    for field in [
        "subject.id",
        "subject.username",
        "subject.name",
        "subject.email",
        "subject.is_active",
        "subject.type",
        "subject.path",
        "request.client_ip",
        "request.method",
        "request.scheme",
        "request.host",
        "request.path",
        "request.query",
        "target.kind",
        "target.id",
        "target.name",
        "target.slug",
        "event.action",
        "event.app",
        "event.client_ip",
        "event.user.id",
        "event.user.username",
        "event.user.email",
    ] {
        let source = format!("{field} == null && !has({field})");
        let (verdict, _) = ask(&source, NOBODY, &context, None).unwrap();
        assert_eq!(verdict.result, Ok(true), "{field}");
        let source = format!("{field} != null || has({field})");
        assert_eq!(Everything::new().ask(&source).unwrap().0.result, Ok(true), "{field}");
    }
    for source in [
        "subject.anonymous && !subject.known",
        "subject.groups == [] && size(request.headers) == 0",
        "[subject.attributes, context, geoip, asn, event.context] == [{}, {}, {}, {}, {}]",
        "!has(subject.attributes.department) && !has(geoip.country)",
        r#"subject.username != "alice""#,
    ] {
        let (verdict, _) = ask(source, NOBODY, &context, None).unwrap();
        assert_eq!(verdict.result, Ok(true), "{source}");
    }
    for (source, text) in [
        (
            r#"in_network(request.client_ip, "10.0.0.0/8")"#,
            "line 1, column 11: `in_network` needs text, and this is null; what is absent is null, so ask for it with `has(...)` first",
        ),
        (
            r#"subject.attributes.department == "eng""#,
            "line 1, column 19: there is no key `department`; ask for it with `has(...)` or `in` first",
        ),
        (
            r#"subject.username < "b""#,
            "line 1, column 18: `<` does not go with null and string; what is absent is null, so ask for it with `has(...)` first",
        ),
        (
            "subject.is_active",
            "line 1, column 8: true or false is needed here, and this is null; compare it with something",
        ),
    ] {
        let (verdict, _) = ask(source, NOBODY, &context, None).unwrap();
        assert_eq!(verdict.result.unwrap_err(), text.into(), "{source}");
    }
}

#[test]
fn a_place_in_the_context_comes_before_the_worlds() {
    let context = Context {
        client_ip: Some("10.1.2.3".parse().unwrap()),
        values: map([
            ("geoip", map([("country", Value::String("FR".into()))])),
            ("asn", map([("asn", Value::Number(1.0))])),
        ]),
        ..Context::at(Timestamp::new(0, 0))
    };
    let (verdict, _) = ask(r#"geoip.country == "FR" && asn.asn == 1"#, NOBODY, &context, None).unwrap();
    assert_eq!(verdict.result, Ok(true));
}

#[test]
fn operators() {
    all(
        true,
        &[
            "1 + 2 * 3 - 4 / 2 % 3 == 5",
            "1.5 + 2.0 * 2.0 - 1.0 / 2.0 == 5.0",
            "-(1) == -1 && -context.amount == -12.5",
            r#""a" + "b" == "ab""#,
            "[1] + [2, 3] == [1, 2, 3]",
            "1 == 1.0 && 2 > 1.5 && 1.5 < 2",
            r#""a" < "b" && "b" >= "b" && "a" <= "b" && "b" > "a""#,
            "false < true",
            "subject.attributes.level >= 3",
            "subject.attributes.level + 1.0 == 4.0",
            "context.amount / 2.0 == 6.25",
            r#"subject.attributes["department"] == "eng""#,
            "context.list[0] == 1 && context.list[4] == 5.0",
            "[10, 20][1] == 20 && [10, 20][1.0] == 20",
            r#"{"eng": 1, "ops": 2}[subject.attributes.department] == 1"#,
            r#"{true: 1}[true] == 1 && {1: "x"}[1.0] == "x" && {"a": {"b": 2}}.a.b == 2"#,
            r#"3 in context.list && !(9 in context.list) && "b" in subject.attributes.tags"#,
            r#""department" in subject.attributes && 1 in {1: 2} && !(1.5 in {1: 2})"#,
            r#"subject.username in ["bob", "alice"]"#,
            "subject.attributes.level in [1, 2, 3]",
            "true ? true : 1 / 0 == 1",
            "false || !false && true",
            "subject.attributes.nothing == null",
            "subject.attributes.nested == {\"deep\": {\"er\": 1}}",
            "[[1], [2.0]] == [[1.0], [2]]",
            "null == null && subject.username != null",
            "now > timestamp(\"2026-01-01T00:00:00Z\")",
            "now - duration(\"1h\") < now && now + duration(\"1h\") > now && duration(\"1h\") + now > now",
            "now - timestamp(\"2026-05-29T07:00:00Z\") > duration(\"1h\")",
            "duration(\"1h\") + duration(\"30m\") == duration(\"90m\") && duration(\"1h\") - duration(\"1h\") == duration(\"0\")",
            r#"r"\d" == "\\d" && 'a"b' == "a\"b" && """x""" == 'x' && "\u00e9" == "é""#,
            "0x10 == 16 && 1e3 == 1000",
        ],
    );
}

#[test]
fn either_side_of_and_and_or_may_decide() {
    all(
        true,
        &[
            "true || context.missing",
            "context.missing || true",
            "!(false && context.missing)",
            "!(context.missing && false)",
            "context.list.exists(x, x == 3 || context.missing)",
            "[context.list, 1].exists(x, x.all(y, y > 0))",
            "[1, context.list].exists(x, x.all(y, y > 0))",
            "![1, 2].all(x, x == 1 ? context.missing : false)",
        ],
    );
    let everything = Everything::new();
    for source in ["context.missing && true", "false || context.missing", "[1].all(x, context.missing)"] {
        let text = everything.ask(source).unwrap().0.result.unwrap_err();
        assert!(text.contains("there is no key `missing`"), "{text}");
    }
}

#[test]
fn functions() {
    all(
        true,
        &[
            r#"size("äbc") == 3 && "abc".size() == 3 && size([1, 2]) == 2 && context.size() == 4 && {1: 2}.size() == 1"#,
            r#"request.path.startsWith("/admin") && !request.path.startsWith("admin")"#,
            r#"subject.email.endsWith("@example.com") && !subject.email.endsWith("@example.org")"#,
            r#"request.host.contains("example") && !request.host.contains("nope")"#,
            r#""ÄbC".lowerAscii() == "Äbc" && "äbC".upperAscii() == "äBC""#,
            r#"request.path.matches("^/admin(/|$)") && matches(request.path, "users")"#,
            r#"!request.path.matches("^users")"#,
            r#"in_network(request.client_ip, "10.0.0.0/8") && !in_network(request.client_ip, "192.168.0.0/16")"#,
            r#"in_network("::ffff:10.0.0.1", "10.0.0.0/8") && in_network("2001:db8::1", "2001:db8::/32")"#,
            r#"["10.0.0.0/8", "192.0.2.1"].exists(net, in_network(request.client_ip, net))"#,
            r#"in_network("192.0.2.1", "192.0.2.1")"#,
            r#"int("12") == 12 && int(2.9) == 2 && int(-2.9) == -2 && int(now) == 1780041600 && int(3) == 3"#,
            r#"double("1.5") == 1.5 && double(1) == 1.0 && double(1.0) == 1.0"#,
            r#"string(1) == "1" && string(true) == "true" && string(1.5) == "1.5" && string("x") == "x""#,
            r#"string(now) == "2026-05-29T08:00:00.500Z" && string(duration("90s")) == "90s""#,
            r#"timestamp("2026-05-29T10:00:00+02:00") == timestamp("2026-05-29T08:00:00Z")"#,
            r#"timestamp("2026-" + "05-29T08:00:00Z") < now && duration("1" + "h") == duration("60m")"#,
            "dyn(1) == 1",
        ],
    );
}

#[test]
fn the_calendar() {
    all(
        true,
        &[
            "now.getFullYear() == 2026 && now.getMonth() == 4 && now.getDate() == 29 && now.getDayOfMonth() == 28",
            "now.getDayOfWeek() == 5 && now.getDayOfYear() == 148",
            "now.getHours() == 8 && now.getMinutes() == 0 && now.getSeconds() == 0 && now.getMilliseconds() == 500",
            r#"now.getHours("Europe/Berlin") == 10 && now.getHours("-05:30") == 2 && now.getHours("UTC") == 8"#,
            r#"timestamp("2026-01-29T08:00:00Z").getHours("Europe/Berlin") == 9"#,
            r#"duration("90m").getHours() == 1 && duration("90m").getMinutes() == 90"#,
            r#"duration("90m").getSeconds() == 5400 && duration("1.5s").getMilliseconds() == 500"#,
        ],
    );
}

#[test]
fn loops() {
    all(
        true,
        &[
            r#"subject.groups.exists(group, group.startsWith("adm"))"#,
            "context.list.all(x, x > 0) && ![1, -1].all(x, x > 0) && [].all(x, false)",
            "context.list.exists(x, x == 3) && !context.list.exists(x, x == 9)",
            "context.list.exists_one(x, x == 3) && ![1, 1].exists_one(x, x == 1) && [1].existsOne(x, x == 1)",
            "context.list.map(x, x * 2.0) == [2, 4, 6, 8, 10]",
            "context.list.map(x, x > 3, x * 2.0) == [8, 10]",
            "context.list.filter(x, x > 3) == [4, 5]",
            r#"subject.attributes.filter(key, key.startsWith("n")) == ["nested", "nothing"]"#,
            r#"request.headers.all(name, name == "user-agent") && {"a": 1}.exists(key, key == "a")"#,
            "[[1, 2], [3]].map(list, list.map(x, x + 1)) == [[2, 3], [4]]",
            "[1, 2].map(x, [10, 20].map(y, x + y)) == [[11, 21], [12, 22]]",
            "[1, 2].exists(x, [2, 3].exists(x, x == 3) && x == 1)",
        ],
    );
}

#[test]
fn what_the_moment_decides_may_change_at_once() {
    let everything = Everything::new();
    let until = |source| everything.ask(source).unwrap().0.valid_until;
    assert_eq!(until("now.getHours() < 12"), Some(everything.context.now));
    assert_eq!(until("now.getHours() < 12 && context.missing"), Some(everything.context.now));
    assert_eq!(until(r#"subject.username == "alice""#), None);
    // It was not looked at, so it cannot change the answer.
    assert_eq!(until("subject.known || now.getHours() < 12"), None);
}

#[test]
fn mistakes_are_found_at_the_door() {
    let mut wrong = Vec::new();
    for (source, text) in [
        (
            "1 +",
            "line 1, column 4: not CEL: mismatched input the end; look for what is missing or too much there",
        ),
        ("", "missing; write an expression that is true or false, such as `\"admins\" in subject.groups`"),
        ("subjct.known", "line 1, column 1: `subjct` is not known; did you mean `subject`?"),
        (
            "user",
            "line 1, column 1: `user` is not known; what there is: subject, request, context, geoip, asn, now, target, event",
        ),
        ("subject.groop == []", "line 1, column 8: `subject` has no field `groop`; did you mean `groups`?"),
        (
            "event.user.nam == ''",
            "line 1, column 11: `event.user` has no field `nam`; what there is: id, username, email",
        ),
        (
            "subject == null",
            "line 1, column 1: `subject` is no value by itself; write one of its fields: id, username, name, email, anonymous, known, is_active, type, path, attributes, groups",
        ),
        (
            "subject.username.first == 'a'",
            "line 1, column 17: a value of type string has no field `first`; leave it out",
        ),
        (
            "subject.username",
            "line 1, column 8: the expression is string, and it has to be true or false; compare it with something",
        ),
        (
            "1 + 1",
            "line 1, column 3: the expression is int, and it has to be true or false; compare it with something",
        ),
        (
            "true &&\n  1",
            "line 2, column 3: true or false is needed here, and this is int; compare it with something",
        ),
        (
            "!subject.username",
            "line 1, column 9: true or false is needed here, and this is string; compare it with something",
        ),
        (
            "subject.username == 5",
            "line 1, column 18: `==` does not go with string and int; convert the other one with `string(...)`, or compare the same kinds",
        ),
        (
            "size(subject.groups) + 1.0 > 2",
            "line 1, column 22: `+` does not go with int and double; write whole numbers as `1.0`, or convert with `double(...)`",
        ),
        (
            "subject.known > null",
            "line 1, column 15: `>` does not go with bool and null; use values that go together",
        ),
        ("-subject.username == ''", "line 1, column 9: `-` needs a number, and this is string; leave it out"),
        (
            "5 in subject.groups",
            "line 1, column 3: a value of type int is never in this; look for what can be there",
        ),
        (
            "subject.username in [1, 2]",
            "line 1, column 21: a value of type string is never in this; look for what can be there",
        ),
        (
            "'a' in subject.username",
            "line 1, column 5: `in` needs a list or a map on its right, and this is string; for a part of a text, use `contains(...)`",
        ),
        (
            "subject.groups['a'] == ''",
            "line 1, column 16: a whole number is needed here, and this is string; write another one",
        ),
        (
            "now[0] == 1",
            "line 1, column 4: `[...]` needs a list or a map before it, and this is timestamp; leave it out",
        ),
        (
            "frobnicate(1)",
            "line 1, column 11: there is no function `frobnicate`; what there is: size, contains, startsWith, endsWith, lowerAscii, upperAscii, in_network, int, double, string, timestamp, duration, dyn, has, has_group, matches, all, exists, exists_one, map, filter, getFullYear, getMonth, getDayOfYear, getDayOfMonth, getDate, getDayOfWeek, getHours, getMinutes, getSeconds, getMilliseconds",
        ),
        (
            "subject.email.endswith('x')",
            "line 1, column 23: there is no function `endswith`; did you mean `endsWith`?",
        ),
        ("subject.email.endsWith()", "line 1, column 23: `endsWith` is not called so; write `x.endsWith(y)`"),
        (
            "endsWith(subject.email, 'x')",
            "line 1, column 9: `endsWith` is not called so; write `x.endsWith(y)`",
        ),
        (
            "subject.email.endsWith(1)",
            "line 1, column 24: `endsWith` needs string, and this is int; convert it or leave it out",
        ),
        (
            "in_network(request.client_ip)",
            "line 1, column 11: `in_network` is not called so; write `in_network(x, y)`",
        ),
        (
            "in_network(request.client_ip, '10.0.0.0/33')",
            "line 1, column 31: `10.0.0.0/33` is not a network; write it as in `10.0.0.0/8` or `2001:db8::/32`",
        ),
        (
            "has_group()",
            "line 1, column 10: `has_group` takes the name of a group, as in `has_group(\"admins\")`",
        ),
        ("request.path.matches('[')", "line 1, column 22: this is not a pattern: unclosed character class"),
        (
            "request.path.matches('(?=x)')",
            "line 1, column 22: this is not a pattern: look-around, including look-ahead and look-behind, is not supported",
        ),
        (
            "request.path.matches(context.pattern)",
            "line 1, column 29: the pattern has to be written here as a text, so that it is compiled once and its cost is known",
        ),
        (
            "request.path.matches('(\\\\w{50}){50}')",
            "line 1, column 22: the pattern takes more than 65536 bytes when compiled; write fewer repetitions",
        ),
        (
            "timestamp('yesterday') < now",
            "line 1, column 11: `yesterday` is not a timestamp; write it as in `2026-05-29T08:00:00Z`",
        ),
        (
            "duration('1 day') > duration('1h')",
            "line 1, column 10: `1 day` is not a duration; write it as in `1h30m` or `90s`",
        ),
        (
            "now.getHours('Berlin') < 9",
            "line 1, column 14: a time zone is needed here as a text; write it as in `\"Europe/Berlin\"` or `\"+02:00\"`",
        ),
        (
            "subject.username.getHours() < 9",
            "line 1, column 8: `getHours` needs timestamp or duration, and this is string; convert it or leave it out",
        ),
        (
            "has(subject)",
            "line 1, column 5: `has` takes a field, as in `has(subject.email)`; for keys with other signs, use `in`",
        ),
        ("has(event.user)", "line 1, column 10: `event.user` is always there; ask for one of its fields"),
        (
            "subject.groups.exists(subject, true)",
            "line 1, column 23: `subject` has a meaning already; choose another name",
        ),
        (
            "subject.groups.exists(x)",
            "line 1, column 22: `exists` takes a name for the element and what to do with it, as in `.exists(x, x != \"\")`",
        ),
        (
            "subject.groups.exists('x', true)",
            "line 1, column 23: a name for the element is needed here, such as `x`",
        ),
        (
            "subject.username.exists(x, true)",
            "line 1, column 8: a loop needs a list or a map, and this is string; leave it out",
        ),
        (
            "subject.groups.exists(x, x)",
            "line 1, column 26: true or false is needed here, and this is string; compare it with something",
        ),
        ("subject.groups.exists(x, y == '')", "line 1, column 26: `y` is not known; did you mean `x`?"),
        ("1u == 1", "line 1, column 1: unsigned numbers are not offered; leave out the `u`"),
        ("b'x' == 'x'", "line 1, column 1: bytes are not offered; leave out the `b` to write text"),
        (
            "Foo{a: 1} == 1",
            "line 1, column 4: there are no messages such as `Foo`; write a map, as in `{\"a\": 1}`",
        ),
        ("{null: 1} == {}", "line 1, column 2: a key cannot be null; use text, whole numbers, true or false"),
    ] {
        let found = Cel::new(source).err().map(|error| error.message);
        if found.as_deref() != Some(text) {
            wrong.push(format!("{source}:\n  {}\n  {text}", found.unwrap_or_default()));
        }
    }
    assert!(wrong.is_empty(), "found and expected:\n{}", wrong.join("\n"));
}

#[test]
fn faults_say_where_and_what_to_do() {
    let everything = Everything::new();
    for (source, text) in [
        (
            "context.list[9] == 1",
            "line 1, column 13: the list has no element 9; compare with `size(...)` first",
        ),
        (
            "context.list[-1] == 1",
            "line 1, column 13: the list has no element -1; compare with `size(...)` first",
        ),
        (
            "context.stage.x == 1",
            "line 1, column 14: a value of type string has no field `x`; ask with `has(...)` what is there",
        ),
        (
            "context.stage",
            "line 1, column 8: true or false is needed here, and this is string; compare it with something",
        ),
        (
            "context.amount + 1 == 2",
            "line 1, column 16: `+` does not go with double and int; convert one of them, as in `double(...)`",
        ),
        (
            "context.stage.startsWith(context.amount)",
            "line 1, column 25: `startsWith` needs text, and this is double; convert it or leave it out",
        ),
        ("1 / 0 == 1", "line 1, column 3: this divides by zero; compare with zero first"),
        ("1 % 0 == 1", "line 1, column 3: this divides by zero; compare with zero first"),
        (
            "9223372036854775807 + 1 == 1",
            "line 1, column 21: the result of `+` does not fit; use smaller values",
        ),
        (
            "-9223372036854775808 / -1 == 1",
            "line 1, column 22: the result of `/` does not fit; use smaller values",
        ),
        ("int(1e300) == 1", "line 1, column 4: the result of `int` does not fit; use smaller values"),
        ("int(context.stage) == 1", "line 1, column 4: `enrol` is not a whole number"),
        (
            "in_network(context.stage, '10.0.0.0/8')",
            "line 1, column 11: `enrol` is not an address; write it as in `192.0.2.7` or `2001:db8::7`",
        ),
        (
            "in_network('10.0.0.1', context.stage)",
            "line 1, column 11: `enrol` is not a network; write it as in `10.0.0.0/8` or `2001:db8::/32`",
        ),
        (
            "timestamp('9999-12-31T23:00:00Z') + duration('2h') > now",
            "line 1, column 35: the result of `+` does not fit; use smaller values",
        ),
        ("{'a': 1, 'a': 2} == {}", "line 1, column 10: the map has this key twice; leave one out"),
        (
            "context.amount.exists(x, true)",
            "line 1, column 8: `a loop` needs a list or a map, and this is double; convert it or leave it out",
        ),
    ] {
        let (verdict, _) = everything.ask(source).unwrap_or_else(|text| panic!("{source}: {text}"));
        assert_eq!(verdict.result.unwrap_err(), text.into(), "{source}");
    }
}

#[test]
fn through_the_seam() {
    use crate::model::{Expression, ExpressionLanguage, Policy, PolicyKind};
    let expression = |source: &str| {
        PolicyKind::Expression(Expression { language: ExpressionLanguage::Cel, source: source.into() })
    };
    let context = Context::at(Timestamp::new(0, 0));
    let verdict = crate::policy::tests::verdict(
        expression("subject.username == 'alice'"),
        crate::policy::tests::ALICE,
        &context,
    );
    assert_eq!(verdict, Verdict::of(true));
    let policy =
        Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind: expression("1") };
    assert_eq!(Compiled::new(&policy).unwrap_err().field, "expression.source");
}
