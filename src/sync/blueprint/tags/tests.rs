//! Each tag by itself, and the limits.

use crate::proto::v1::resource::Resource as R;
use crate::sync::blueprint::tests::{taken, try_import, wrong};
use prost_types::value::Kind as Data;

fn text(value: &str) -> String {
    format!(
        "
context: {{name: acme, list: [a, b], map: {{x: 1, y: 2}}, given: weak}}
entries:
- {{model: authentik_core.group, id: g, identifiers: {{name: Staff}}, attrs: {{attributes: {{n: 7}}}}}}
- model: authentik_core.user
  identifiers: {{username: u}}
  attrs:
    attributes:
      v: {value}
"
    )
}

fn shown(data: &Data) -> String {
    match data {
        Data::NullValue(_) => "null".to_owned(),
        Data::BoolValue(truth) => truth.to_string(),
        Data::NumberValue(number) => number.to_string(),
        Data::StringValue(text) => text.clone(),
        Data::ListValue(list) => {
            let items: Vec<_> = list.values.iter().map(|v| shown(v.kind.as_ref().unwrap())).collect();
            format!("[{}]", items.join(", "))
        }
        Data::StructValue(map) => {
            let entries: Vec<_> = map
                .fields
                .iter()
                .map(|(key, value)| format!("{key}: {}", shown(value.kind.as_ref().unwrap())))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[track_caller]
fn is(value: &str, expected: &str) {
    let (resources, _) = taken(&[&text(value)]);
    let R::User(user) = &resources[1] else { panic!() };
    let data = user.attributes.as_ref().unwrap().fields["v"].kind.clone().unwrap();
    assert_eq!(shown(&data), expected, "{value}");
}

#[track_caller]
fn fails(value: &str, expected: &str) {
    let message = wrong(&[&text(value)]);
    assert!(message.contains("a.yaml:9: ") && message.contains(expected), "{value}: {message}");
}

#[test]
fn references() {
    is("!KeyOf g", "Staff");
    is("!Find [authentik_core.group, [name, Staff]]", "Staff");
    is("!Find [authentik_core.group, [name, staff]]", "null");
    is("!Find [authentik_core.group, [name__iexact, staff]]", "Staff");
    is("!Find [authentik_core.group, [name__in, [x, Staff]]]", "Staff");
    is("!Find [authentik_core.group, [name, Staff], [is_superuser, true]]", "null");
    is("!AtIndex [!AtIndex [!FindObject [authentik_core.group, [name, Staff]], attributes], n]", "7");
    is("!FindObject [authentik_core.group, [name, none]]", "null");
    fails("!Find [authentik_core.group, [name__regex, x]]", "`name__regex`");
    fails("!Find [authentik_core.group]", "takes a model and pairs");
    fails("!KeyOf nobody", "`nobody`");
}

#[test]
fn surroundings() {
    is("!Context name", "acme");
    is("!Context nothing", "null");
    is("!Context [nothing, other]", "other");
    is("!Context given", "{a: [1, 2]}");
    is("!Env SET", "from-env");
    is("!Env NOT", "null");
    is("!Env [NOT, other]", "other");
    is("!Env [EMPTY, other]", "other");
    is("!Env EMPTY", "null");
    is("!File /set", "from-file");
    is("!File [/not, !Context name]", "acme");
    is("!ParseJSON '{\"a\": [1, null]}'", "{a: [1, null]}");
    fails("!ParseJSON '{'", "not JSON");
    fails("!Context [a, b, c]", "takes a name");
}

#[test]
fn formats() {
    is("!Format ['%s-%d at 100%%: %s', !Context name, 4, true]", "acme-4 at 100%: True");
    is("!Format ['%03d', 7]", "007");
    is("!Format ['%s', null]", "None");
    is("!Format ['%%s']", "%s");
    fails("!Format ['%s']", "more places");
    fails("!Format ['x', 1]", "fewer places");
    fails("!Format ['%x', 1]", "`%x`");
    fails("!Format ['%d', x]", "cannot show text");
    fails("!Format ['%99999s', x]", "at most 100");
    fails("!Format ['50%']", "ends in");
}

#[test]
fn conditions() {
    is("!If [true]", "true");
    is("!If [!Context nothing, a, b]", "b");
    is("!If [!KeyOf g, !Context name, b]", "acme");
    for (mode, expected) in [
        ("AND", ["false", "false", "true"]),
        ("NAND", ["true", "true", "false"]),
        ("OR", ["false", "true", "true"]),
        ("NOR", ["true", "false", "false"]),
        ("XOR", ["false", "true", "false"]),
        ("XNOR", ["true", "false", "true"]),
    ] {
        for (operands, expected) in ["0, ''", "1, ''", "1, x"].iter().zip(expected) {
            is(&format!("!Condition [{mode}, {operands}]"), expected);
        }
    }
    fails("!Condition [MAYBE, 1]", "`MAYBE`");
    fails("!Condition [AND]", "no values");
    fails("!If [1, 2]", "takes a condition");
}

#[test]
fn loops() {
    is("!Enumerate [!Context list, SEQ, !Format ['%d%s', !Index 0, !Value 0]]", "[0a, 1b]");
    is("!Enumerate [!Context map, SEQ, !Index 0]", "[x, y]");
    is("!Enumerate [!Context map, MAP, [!Index 0, !Value 0]]", "{x: 1, y: 2}");
    is(
        "!Enumerate [!Context list, SEQ, !Enumerate [!Context map, SEQ, !Format ['%s%s', !Value 1, !Index 0]]]",
        "[[ax, ay], [bx, by]]",
    );
    is("!AtIndex [!Context list, 1]", "b");
    is("!AtIndex [!Context list, -1]", "b");
    is("!AtIndex [!Context list, 5, x]", "x");
    is("!AtIndex [!Context map, y]", "2");
    fails("!AtIndex [!Context list, 2]", "nothing at `2`");
    fails("!Value 0", "within 0 loops");
    fails("!Enumerate [text, SEQ, 1]", "not text");
    fails("!Enumerate [[1], SET, 1]", "`SET`");
}

#[test]
fn what_grows_is_stopped() {
    let many = vec!["1"; 200].join(", ");
    let value = format!(
        "!Enumerate [[{many}], SEQ, !Enumerate [[{many}], SEQ, !Enumerate [[{many}], SEQ, !Index 0]]]"
    );
    fails(&value, "more than 1000000 values");
    let deep = format!("{}x{}", "!If [1, ".repeat(62), ", 2]".repeat(62));
    assert!(try_import(&[&text(&deep)]).is_err());
}

/// A loop may stand around a large value and not copy it each time something small is asked for.
#[test]
fn loops_copy_only_what_they_ask_for() {
    let (large, few) = (vec!["1"; 400_000].join(","), vec!["1"; 50_000].join(","));
    let value =
        format!("!AtIndex [!Enumerate [[[{large}]], SEQ, !Enumerate [[{few}], SEQ, !Index 1]], 0, none]");
    let started = std::time::Instant::now();
    let outcome = try_import(&[&text(&value)]);
    assert!(outcome.is_ok() || wrong(&[&text(&value)]).contains("more than 1000000 values"));
    // Generous: what matters is that it is not minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}
