//! Comparisons: every operator, kind and cast, and every variable.

use super::*;
use serde_json::json;

fn result(setting: &Setting, node: serde_json::Value) -> Result<bool, Box<str>> {
    setting.verdict(&program(json!([condition(node)]))).result
}

#[test]
fn operators_say_what_they_should() {
    let fold = json!({"case_sensitive": false});
    let negate = json!({"negate": true});
    let none = json!(null);
    let cases = [
        (compare("user.email", "eq", json!("Jane.Doe@Example.com")), true),
        (compare("user.email", "eq", json!("jane.doe@example.com")), false),
        (with_options(compare("user.email", "eq", json!("jane.doe@example.com")), fold.clone()), true),
        (compare("user.email", "ne", json!("x")), true),
        (with_options(compare("user.email", "ne", json!("JANE.DOE@EXAMPLE.COM")), fold.clone()), false),
        (compare("user.email", "in", json!(["x", "Jane.Doe@Example.com"])), true),
        (compare("user.email", "in", json!([])), false),
        (with_options(compare("user.email", "in", json!(["JANE.doe@example.com"])), fold.clone()), true),
        (compare("user.email", "not_in", json!(["x"])), true),
        (compare("user.email", "contains", json!("Doe")), true),
        (with_options(compare("user.email", "contains", json!("Doe")), negate.clone()), false),
        (with_options(compare("user.email", "contains", json!("nope")), negate.clone()), true),
        (with_options(compare("user.email", "contains", json!("dOE@")), fold.clone()), true),
        (compare("user.email", "starts_with", json!("Jane")), true),
        (compare("user.email", "starts_with", json!("jane")), false),
        (compare("user.email", "ends_with", json!("@Example.com")), true),
        (with_options(compare("user.email", "ends_with", json!("@EXAMPLE.COM")), fold.clone()), true),
        (compare("user.email", "matches", json!(r"\w+\.\w+@")), true),
        (compare("user.email", "matches", json!(r"^JANE\D")), false),
        (with_options(compare("user.email", "matches", json!(r"^JANE\D")), fold.clone()), true),
        (with_options(compare("user.email", "matches", json!(r"^JANE\D")), negate.clone()), true),
        (against("user.email", "matches", "user.attributes/pattern/string"), false),
        (
            with_options(against("user.email", "matches", "user.attributes/pattern/string"), fold.clone()),
            true,
        ),
        // Case folding is Unicode's, not that of lower case.
        (with_options(compare("user.attributes/word/string", "eq", json!("STRASSE")), fold.clone()), true),
        (with_options(compare("user.attributes/word/string", "contains", json!("ASS")), fold.clone()), true),
        (with_options(compare("user.attributes/word/string", "in", json!(["strasse"])), fold.clone()), true),
        (compare("user.attributes/word/string", "eq", json!("STRASSE")), false),
        (compare("user.attributes/site/string", "is_url", none.clone()), true),
        (with_options(compare("user.attributes/site/string", "is_url", none.clone()), negate.clone()), false),
        (compare("user.attributes/word/string", "is_url", none.clone()), false),
        (compare("user.attributes/level/number", "eq", json!(3)), true),
        (compare("user.attributes/level/number", "eq", json!("3")), true),
        (compare("user.attributes/level/number", "ne", json!(3)), false),
        (compare("user.attributes/level/number", "in", json!([1, 3])), true),
        (compare("user.attributes/level/number", "lt", json!(3)), false),
        (compare("user.attributes/level/number", "lte", json!(3)), true),
        (compare("user.attributes/level/number", "gt", json!(2.5)), true),
        (compare("user.attributes/level/number", "gte", json!(3)), true),
        (compare("user.attributes/level/number", "between", json!([3, 4])), true),
        (compare("user.attributes/level/number", "between", json!([4, 3])), false),
        (
            with_options(compare("user.attributes/level/number", "between", json!([4, 5])), negate.clone()),
            true,
        ),
        (compare("user.attributes/big/number", "gt", json!(12)), true),
        (compare("user.attributes/level/string", "eq", json!("3")), true),
        (compare("user.attributes/nested.flag/boolean", "is_true", none.clone()), true),
        (compare("user.attributes/nested.flag/boolean", "is_false", none.clone()), false),
        (compare("user.is_active", "is_true", none.clone()), true),
        (compare("user.attributes/since/datetime", "eq", json!("2026-01-10 12:00:00+01:00")), true),
        (compare("user.attributes/since/datetime", "lt", json!("2026-01-10T11:00:01")), true),
        (compare("user.attributes/since/datetime", "between", json!(["2026-01-10", "2026-01-11"])), true),
        (compare("user.last_login", "within_last", json!("days=1")), true),
        (compare("user.last_login", "within_last", json!("hours=1;minutes=30")), false),
        // The bound belongs to what is within.
        (compare("user.last_login", "within_last", json!("hours=2")), true),
        (compare("user.last_login", "older_than", json!("hours=2")), false),
        (compare("user.last_login", "older_than", json!("hours=1")), true),
        (compare("user.last_login", "gt", json!("2026-01-10T09:59:59Z")), true),
        (compare("user.attributes/address/ip", "eq", json!("192.0.2.7")), true),
        (compare("user.attributes/address/ip", "in", json!(["192.0.2.7"])), true),
        (compare("request.client_ip", "in_network", json!(["192.168.0.0/16", "10.0.0.0/8"])), true),
        (compare("request.client_ip", "in_network", json!(["192.168.0.0/16"])), false),
        (with_options(compare("request.client_ip", "in_network", json!(["::/0"])), negate.clone()), true),
        (compare("request.client_ip", "is_private", none.clone()), true),
        (compare("request.client_ip", "is_global", none.clone()), false),
        (with_options(compare("request.client_ip", "is_global", none.clone()), negate.clone()), true),
        (compare("user.type", "eq", json!("internal")), true),
        (compare("user.type", "not_in", json!(["external", "service_account"])), true),
        (compare("user.id", "eq", json!(7)), true),
        (compare("user.id", "eq", json!("7")), true),
        (with_options(compare("user.id", "in", json!(["8", "7"])), fold.clone()), true),
        (against("user.id", "eq", "request.user"), true),
        (compare("user.groups", "has_item", json!("staff-id")), true),
        (compare("user.groups", "has_item", json!("admins")), true),
        (compare("user.groups", "has_item", json!("STAFF-ID")), false),
        (with_options(compare("user.groups", "has_item", json!("STAFF-ID")), fold.clone()), true),
        (with_options(compare("user.groups", "has_item", json!("other")), negate.clone()), true),
        (compare("user.groups", "has_any", json!(["other", "admins"])), true),
        (compare("user.groups", "has_any", json!([])), false),
        (compare("user.groups", "has_all", json!(["other", "admins"])), false),
        (compare("user.groups", "has_all", json!(["staff-id", "admins"])), true),
        (compare("user.groups", "is_empty", none.clone()), false),
        (with_options(compare("user.groups", "is_empty", none.clone()), negate), true),
        (compare("user.groups", "length_eq", json!(2)), true),
        (compare("user.groups", "length_gt", json!(2)), false),
        (compare("user.groups", "length_lt", json!(2.5)), true),
        (against("user.email", "eq", "plan.context/email/string"), false),
        (with_options(against("user.email", "eq", "plan.context/email/string"), fold), true),
        (compare("user.email", "is_set", none.clone()), true),
        (compare("plan.context/nothing", "is_set", none.clone()), false),
        (compare("plan.context/none", "is_not_set", none.clone()), true),
        // A cast that does not work out leaves nothing.
        (compare("user.attributes/department/number", "is_set", none.clone()), false),
        (compare("user.attributes/list/string", "is_set", none.clone()), false),
        (compare("user.attributes/list", "is_set", none), true),
    ];
    let setting = Setting::new();
    for (node, expected) in cases {
        assert_eq!(result(&setting, node.clone()), Ok(expected), "{node}");
    }
}

#[test]
fn casts_take_what_fits() {
    let mut setting = Setting::new();
    for (cast, found, fits) in [
        ("string", json!("x"), true),
        ("string", json!(1.5), true),
        ("string", json!(true), false),
        ("string", json!([]), false),
        ("string", json!({}), false),
        ("number", json!(1), true),
        ("number", json!(" -1e3 "), true),
        ("number", json!("nan"), false),
        ("number", json!("inf"), false),
        ("number", json!(true), false),
        ("number", json!(""), false),
        ("boolean", json!(true), true),
        ("boolean", json!("TRUE"), true),
        ("boolean", json!("0"), true),
        ("boolean", json!(1), true),
        ("boolean", json!(2), false),
        ("boolean", json!("yes"), false),
        ("datetime", json!("2026-01-01"), true),
        ("datetime", json!(1_768_046_400), false),
        ("datetime", json!("yesterday"), false),
        ("ip", json!("::1"), true),
        ("ip", json!("10.0.0.0/8"), false),
        ("ip", json!(1), false),
    ] {
        setting.context.values = value(json!({"it": found}));
        let node = compare(&format!("plan.context/it/{cast}"), "is_set", json!(null));
        assert_eq!(result(&setting, node), Ok(fits), "{cast} {found}");
    }
}

/// The value of a variable in this setting: by what it equals, or whether it is set at all.
#[test]
fn variables_are_found_where_the_table_says() {
    let mut setting = Setting::new();
    let equal = |setting: &Setting, key: &str, expected: serde_json::Value| {
        let node = match expected {
            serde_json::Value::Bool(truth) => {
                compare(key, if truth { "is_true" } else { "is_false" }, json!(null))
            }
            expected => compare(key, "eq", expected),
        };
        assert_eq!(result(setting, node), Ok(true), "{key}");
    };
    let missing = |setting: &Setting, key: &str| {
        assert_eq!(result(setting, compare(key, "is_not_set", json!(null))), Ok(true), "{key}");
    };
    let unknown = |setting: &Setting, key: &str| {
        let error = result(setting, compare(key, "is_set", json!(null))).unwrap_err();
        assert!(error.contains("bindery cannot know `"), "{error}");
    };
    for (key, expected) in [
        ("user.username", json!("jane")),
        ("user.name", json!("Jane Doe")),
        ("user.path", json!("users")),
        ("user.date_joined", json!("2025-11-29T20:00:00Z")),
        ("user.is_authenticated", json!(true)),
        ("user.has_usable_password", json!(true)),
        ("request.client_ip", json!("10.1.2.3")),
        ("request.user_agent", json!("Mozilla/5.0")),
        ("request.user", json!("7")),
        ("request.geoip.country", json!("DE")),
        ("request.geoip.continent", json!("EU")),
        ("request.geoip.city", json!("Berlin")),
        ("request.asn.asn", json!(64_500)),
        ("request.asn.as_org", json!("Example")),
        ("plan.is_sso", json!(false)),
        ("plan.is_redirected", json!(false)),
        ("plan.is_restored", json!(false)),
        ("plan.pending_user_authenticated", json!(true)),
        ("plan.application", json!("app-1")),
        ("plan.source", json!("src-1")),
        ("plan.context/word/string", json!("hello")),
        ("prompt_data/age/number", json!(42)),
        ("prompt_data.email_in_use/email", json!(true)),
        ("event.action", json!("login")),
        ("event.app", json!("authentik.core")),
        ("event.client_ip", json!("192.0.2.1")),
        ("event.created", json!("2026-01-10T11:59:00Z")),
        ("event.model.app", json!("core")),
        ("event.model.name", json!("user")),
        ("event.context/a.b/number", json!(1)),
    ] {
        equal(&setting, key, expected);
    }
    for key in ["flow.slug", "flow.designation", "application.slug", "device.name", "device.facts/os.family"]
    {
        missing(&setting, key);
    }
    missing(&setting, "plan.user_switch_active");
    missing(&setting, "prompt_data.email_in_use/other");
    for key in ["user.can_change_email", "plan.user_switch_target_last_used"] {
        unknown(&setting, key);
    }

    setting.target = Some(application());
    equal(&setting, "application.slug", json!("wiki"));
    equal(&setting, "application.name", json!("wiki"));
    equal(&setting, "application.group", json!("Tools"));
    missing(&setting, "application.meta_publisher");

    // A slug that is the id is kept once.
    let only_an_id = |mut target: Target, id: &str| {
        (target.id, target.key) = (Id::new(id), None);
        Some(target)
    };
    setting.target = only_an_id(application(), "wiki");
    equal(&setting, "application.slug", json!("wiki"));
    equal(&setting, "application.name", json!("wiki"));
    setting.target = only_an_id(flow(), "welcome");
    equal(&setting, "flow.slug", json!("welcome"));

    setting.target = Some(flow());
    equal(&setting, "flow.slug", json!("welcome"));
    equal(&setting, "flow.designation", json!("enrollment"));
    let binding = model::FlowStageBinding {
        flow: "welcome".into(),
        stage: "s".into(),
        order: 0,
        evaluate_on_plan: false,
        re_evaluate_policies: true,
        invalid_response_action: model::InvalidResponseAction::Retry,
    };
    setting.target = Some(target("b", TargetDetail::FlowStageBinding(Box::new(binding))));
    equal(&setting, "flow.slug", json!("welcome"));
    unknown(&setting, "flow.designation");

    setting.target = Some(device());
    equal(&setting, "device.name", json!("laptop"));
    equal(&setting, "device.facts/os.family", json!("linux"));
    equal(&setting, "device.facts/network.firewall_enabled", json!(true));
    equal(&setting, "device.facts/hardware.cpu_count", json!(8));
    equal(&setting, "device.facts/custom.color/string", json!("red"));
    for (node, expected) in [
        (compare("device.facts/software.*.name", "has_item", json!("vim")), true),
        (
            with_options(
                compare("device.facts/software.*.name", "has_item", json!("zoom")),
                json!({"case_sensitive": false}),
            ),
            true,
        ),
        (compare("device.facts/software.*.name", "length_eq", json!(2)), true),
        (compare("device.facts/disks.*.encryption_enabled", "has_item", json!(false)), true),
        (compare("device.facts/groups.*.name", "is_set", json!(null)), false),
        // What has no known kind is gathered, too, and has to be cast, which a list cannot be.
        (compare("device.facts/software.*.license", "is_set", json!(null)), true),
        (compare("device.facts/software.*.license/string", "is_set", json!(null)), false),
    ] {
        assert_eq!(result(&setting, node.clone()), Ok(expected), "{node}");
    }
    setting.target = None;
    setting.context.values = value(json!({
        "device": {"name": "phone", "facts": {"os": {"family": "android"}}}, "geoip": {"country": "FR"}, "is_sso": true
    }));
    equal(&setting, "device.name", json!("phone"));
    equal(&setting, "device.facts/os.family", json!("android"));
    equal(&setting, "request.geoip.country", json!("FR"));
    missing(&setting, "request.geoip.city");
    equal(&setting, "plan.is_sso", json!(true));
    missing(&setting, "plan.is_restored");
    unknown(&setting, "request.user");

    setting.user = None;
    equal(&setting, "user.username", json!("claimed"));
    equal(&setting, "user.is_authenticated", json!(true));
    for key in ["user.id", "user.email", "user.is_active", "user.attributes/x", "user.type"] {
        missing(&setting, key);
    }
    setting.anonymous = true;
    for key in ["user.id", "user.username", "user.attributes/x"] {
        missing(&setting, key);
    }
    equal(&setting, "user.is_authenticated", json!(false));
    equal(&setting, "user.is_active", json!(false));
    assert_eq!(result(&setting, compare("user.groups", "is_empty", json!(null))), Ok(true));
}

#[test]
fn a_fixed_kind_does_not_take_anything() {
    let mut setting = Setting::new();
    setting.user.as_mut().unwrap().kind = "robot".into();
    let error = result(&setting, compare("user.type", "is_set", json!(null))).unwrap_err();
    assert_eq!(&*error, "the value of `user.type` is not of kind enum; correct it where it comes from");
    setting.context.values = value(json!({"asn": {"asn": "many"}}));
    assert!(result(&setting, compare("request.asn.asn", "eq", json!(1))).is_err());
}

#[test]
fn a_pattern_from_elsewhere_is_bounded() {
    let mut setting = Setting::new();
    for (found, part) in [
        ("(".to_owned(), "is not a regular expression that bindery runs (unclosed group); correct it"),
        ("a".repeat(257), "has 257 characters; at most 256 are allowed"),
        (r"(\w{90}){90}".to_owned(), "matches in too many ways"),
        ("(?=a)".to_owned(), "look-around"),
    ] {
        setting.context.values = value(json!({"p": found}));
        let error = result(&setting, against("user.email", "matches", "plan.context/p/string")).unwrap_err();
        assert!(error.starts_with("the value of `plan.context` ") && error.contains(part), "{error}");
    }
}

#[test]
fn web_addresses() {
    let mut setting = Setting::new();
    for (text, expected) in [
        ("http://localhost", true),
        ("HTTPS://user:pass@example.com:8443/a?b#c", true),
        ("https://[2001:db8::1]/", true),
        ("http://192.0.2.7:80", true),
        ("http://münchen.example/", true),
        ("ftp://example.com", false),
        ("http://", false),
        ("http://a b", false),
        ("http://-a", false),
        ("example.com", false),
        ("http://example.com/a b", false),
        ("http://example.com:123456", false),
    ] {
        setting.context.values = value(json!({"u": text}));
        let node = compare("plan.context/u/string", "is_url", json!(null));
        assert_eq!(result(&setting, node), Ok(expected), "{text}");
    }
    setting.context.values = value(json!({"u": format!("http://example.com/{}", "a".repeat(2_048))}));
    assert_eq!(result(&setting, compare("plan.context/u/string", "is_url", json!(null))), Ok(false));
}

#[test]
fn comparisons_with_the_present_say_until_when_they_hold() {
    let setting = Setting::new();
    let until = |node| setting.verdict(&program(json!([condition(node)]))).valid_until;
    let after = |hours: i64| Some(Timestamp::new(NOW.seconds() + hours * HOUR, 1));
    assert_eq!(until(compare("user.last_login", "within_last", json!("hours=5"))), after(3));
    assert_eq!(until(compare("user.last_login", "older_than", json!("hours=5"))), after(3));
    assert_eq!(until(compare("user.last_login", "within_last", json!("hours=2"))), after(0));
    assert_eq!(until(compare("user.last_login", "within_last", json!("hours=1"))), None);
    assert_eq!(until(compare("user.last_login", "older_than", json!("hours=1"))), None);
    assert_eq!(until(compare("user.last_login", "gt", json!("2020-01-01"))), None);
    // The earlier of the two, and none of one that nobody looked at.
    let (long, short) = (
        compare("user.last_login", "within_last", json!("hours=5")),
        compare("user.last_login", "within_last", json!("hours=3")),
    );
    assert_eq!(until(json!({"type": "group", "op": "all", "children": [long, short]})), after(1));
    assert_eq!(until(json!({"type": "group", "op": "any", "children": [long, short]})), after(3));
    // Just before that moment it says the same, at that moment something else.
    let compiled = program(json!([condition(long)]));
    let mut setting = Setting::new();
    for (moment, expected) in
        [(Timestamp::new(NOW.seconds() + 3 * HOUR, 0), true), (after(3).unwrap(), false)]
    {
        setting.context.now = moment;
        assert_eq!(setting.verdict(&compiled).result, Ok(expected));
    }
}
