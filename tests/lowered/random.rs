//! Random bodies, of constructs that are lowered and some that are not, with values of all kinds where any one may stand.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Values that stand in a body.
const PLAIN: &[&str] = &[
    "None",
    "True",
    "False",
    "0",
    "1",
    "2",
    "7",
    "-1",
    "0.5",
    "2.5",
    "''",
    "'a'",
    "'staff'",
    "'ada'",
    "'DE'",
    "'é'",
    "'on'",
    "'yes'",
    "'it\\'s'",
    "[]",
    "{}",
    "()",
    "['ada', 'root']",
    "[1, 'a', None]",
    "('DE', 'AT')",
    "{'a': 1, 'staff': 'x'}",
    "{'a', 'ada'}",
    "[True, 0]",
    "'x' * 3",
    "'Ada'  'Lindqvist'",
];

/// What is read of a question.
const READ: &[&str] = &[
    "request",
    "request.user",
    "context",
    "request.context",
    "request.obj",
    "request.debug",
    "http_request",
    "request.http_request",
    "ak_client_ip",
    "ak_is_sso_flow",
    "request.user.username",
    "request.user.name",
    "request.user.email",
    "request.user.pk",
    "request.user.is_active",
    "request.user.is_superuser",
    "request.user.is_authenticated",
    "request.user.is_anonymous",
    "request.user.attributes",
    "request.obj.name",
    "request.obj.slug",
    "request.obj.pk",
    "request.obj.policy_engine_mode",
    "request.obj.action",
    "request.obj.client_ip",
    "http_request.path",
    "http_request.method",
    "http_request.scheme",
    "http_request.headers",
    "http_request.GET",
    "http_request.POST",
    "http_request.COOKIES",
    "http_request.user",
    "ak_client_ip.version",
    "ak_client_ip.is_private",
    "ip_address('10.1.2.3')",
    "ip_address(context.get('ip'))",
    "ip_network('10.0.0.0/8')",
    "ip_network('10.1.2.3/8')",
    "ip_network('10.1.2.3/8', strict=False)",
    "ip_network('2001:db8::/32')",
    "context['flow_plan'].bindings",
    "context['event']",
    "context['source']",
    "context.get('event')",
    "context['source'].slug",
    "context.get('application')",
    "context['pending_user']",
    "request.user.groups.all()",
    "request.user.all_groups()",
    "request.user.ak_groups.all()",
    "type(request.obj).__name__",
    "context['prompt_data']['username']",
    "context['deep']['a']['b']",
    "context['event'].user",
    "context['event'].context",
];

const KEYS: &[&str] = &[
    "n",
    "amount",
    "flag",
    "text",
    "list",
    "geoip",
    "asn",
    "country",
    "ip",
    "dept",
    "level",
    "phones",
    "nested",
    "a",
    "next",
    "x",
    "uid",
    "User-Agent",
    "x-test",
    "X-Test",
    "none",
    "half",
    "it's",
    "username",
    "email",
    "pk",
    "event",
    "source",
    "key",
    "empty",
    "prompt_data",
    "b",
];

const GROUPS: &[&str] = &["staff", "engineering", "kites", "admins", "external", "unheard of", "none", ""];

const PATTERNS: &[&str] = &[
    "^a",
    "a$",
    r"^[a-z]+\.ext$",
    "(?i)ADA",
    r"(?<=@)acme\.example$",
    r"^(a)\1",
    r"\d+",
    "",
    "x*",
    "^$",
    "[",
    r"(?P<n>a)",
];

const TEXTS: &[&str] = &["lower", "upper", "strip"];
const COMPARISONS: &[&str] = &["==", "!=", "<", "<=", ">", ">=", "in", "not in", "is", "is not"];
const LOOKUPS: &[&str] = &[
    "name",
    "name__in",
    "name__startswith",
    "name__contains",
    "name__endswith",
    "pk",
    "is_superuser",
    "level",
];

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Names that a body of ours may bind.
const LOCALS: &[&str] = &["one", "two"];

fn filters() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        4 => select(GROUPS).prop_map(quoted),
        1 => Just("['staff', 'admins']".to_owned()),
        1 => Just("True".to_owned()),
        1 => select(READ).prop_map(str::to_owned),
    ];
    vec((select(LOOKUPS), value), 1..=2).prop_map(|mut all| {
        all.dedup_by(|one, other| one.0 == other.0);
        all.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    })
}

/// An expression; `item` is a name that a loop binds.
fn expression(item: Option<&'static str>) -> BoxedStrategy<String> {
    let named = item
        .map_or_else(Vec::new, |item| vec![item.to_owned(), format!("{item}.name"), format!("{item}['a']")]);
    let names: Vec<String> = LOCALS.iter().map(|name| (*name).to_owned()).chain(named).collect();
    let leaf = prop_oneof![
        5 => select(PLAIN).prop_map(str::to_owned),
        8 => select(READ).prop_map(str::to_owned),
        3 => select(names),
        4 => select(KEYS).prop_map(|key| format!("context.get({})", quoted(key))),
        2 => select(KEYS).prop_map(|key| format!("context[{}]", quoted(key))),
        2 => (select(KEYS), select(PLAIN)).prop_map(|(key, value)| format!("context.get({}, {value})", quoted(key))),
        2 => select(KEYS).prop_map(|key| format!("request.user.attributes.get({})", quoted(key))),
        2 => select(KEYS).prop_map(|key| format!("http_request.headers.get({}, '')", quoted(key))),
        2 => select(KEYS).prop_map(|key| format!("http_request.GET.get({})", quoted(key))),
        2 => filters().prop_map(|filters| format!("ak_is_group_member(request.user, {filters})")),
        1 => filters().prop_map(|filters| format!("request.user.groups.filter({filters}).exists()")),
        1 => filters().prop_map(|filters| format!("request.user.all_groups().filter({filters}).exists()")),
        1 => select(&["", ", 'totp'", ", 'webauthn'", ", ''", ", None"][..])
            .prop_map(|kind| format!("ak_user_has_authenticator(request.user{kind})")),
    ];
    let loops = item.is_none();
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let two = (inner.clone(), inner.clone());
        let three = (inner.clone(), inner.clone(), inner.clone());
        let quantified = if loops {
            (select(&["any", "all"][..]), expression(Some("it")), inner.clone(), any::<bool>(), expression(Some("it")))
                .prop_map(|(which, condition, over, list, only)| {
                    let inside = format!("({condition}) for it in ({over}) if ({only})");
                    if list { format!("{which}([{inside}])") } else { format!("{which}({inside})") }
                })
                .boxed()
        } else {
            inner.clone()
        };
        prop_oneof![
            2 => inner.clone().prop_map(|value| format!("not ({value})")),
            3 => two.clone().prop_map(|(left, right)| format!("({left}) and ({right})")),
            3 => two.clone().prop_map(|(left, right)| format!("({left}) or ({right})")),
            2 => three.prop_map(|(test, then, other)| format!("(({then}) if ({test}) else ({other}))")),
            8 => (two.clone(), select(COMPARISONS))
                .prop_map(|((left, right), how)| format!("(({left}) {how} ({right}))")),
            1 => (two.clone(), inner.clone(), select(COMPARISONS), select(COMPARISONS))
                .prop_map(|((a, b), c, one, two)| format!("(({a}) {one} ({b}) {two} ({c}))")),
            2 => (inner.clone(), vec(inner.clone(), 1..3))
                .prop_map(|(value, list)| format!("(({value}) in [{}])", list.join(", "))),
            2 => two.clone().prop_map(|(left, right)| format!("(({left}) + ({right}))")),
            2 => inner.clone().prop_map(|value| format!("str({value})")),
            2 => inner.clone().prop_map(|value| format!("len({value})")),
            1 => inner.clone().prop_map(|value| format!("bool({value})")),
            2 => inner.clone().prop_map(|value| format!("f'<{{({value})}}>'").replace("\\'", "").replace("{(''", "{(\"\"")),
            2 => (inner.clone(), select(TEXTS)).prop_map(|(value, how)| format!("({value}).{how}()")),
            2 => (two.clone(), any::<bool>()).prop_map(|((value, affix), end)| {
                format!("({value}).{}({affix})", if end { "endswith" } else { "startswith" })
            }),
            2 => (inner.clone(), select(&["@", ".", "a", "--"][..]), -2_i8..3)
                .prop_map(|(value, by, at)| format!("({value}).split('{by}')[{at}]")),
            3 => (inner.clone(), select(PATTERNS))
                .prop_map(|(value, pattern)| format!("regex_match({value}, r'{pattern}')")),
            2 => (inner.clone(), select(KEYS)).prop_map(|(value, key)| format!("({value})[{}]", quoted(key))),
            1 => (inner.clone(), -2_i8..3).prop_map(|(value, at)| format!("({value})[{at}]")),
            2 => (inner.clone(), select(KEYS)).prop_map(|(value, key)| format!("({value}).get({})", quoted(key))),
            1 => (vec(inner.clone(), 1..4), any::<bool>())
                .prop_map(|(list, all)| format!("{}([{}])", if all { "all" } else { "any" }, list.join(", "))),
            3 => quantified,
        ]
    })
    .boxed()
}

fn indented(lines: &str) -> String {
    lines.lines().map(|line| format!("    {line}\n")).collect()
}

fn statements() -> BoxedStrategy<String> {
    let value = || expression(None);
    let leaf = prop_oneof![
        3 => value().prop_map(|value| format!("return {value}\n")),
        2 => value().prop_map(|value| format!("ak_message({value})\n")),
        2 => (select(LOCALS), value()).prop_map(|(name, value)| format!("{name} = {value}\n")),
        1 => (select(LOCALS), value()).prop_map(|(name, value)| format!("{name} += {value}\n")),
        1 => select(&["raise ValueError('no')\n", "raise Exception\n", "pass\n", "'a text'\n", "return\n"][..])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 8, 3, move |inner| {
        let block = vec(inner, 1..3).prop_map(|all| indented(&all.concat()));
        prop_oneof![
            4 => (value(), block.clone()).prop_map(|(test, then)| format!("if {test}:\n{then}")),
            2 => (value(), block.clone(), block.clone())
                .prop_map(|(test, then, other)| format!("if {test}:\n{then}else:\n{other}")),
            1 => (value(), value(), block.clone(), block.clone())
                .prop_map(|(test, second, then, other)| format!("if {test}:\n{then}elif {second}:\n{other}")),
            1 => (value(), block.clone(), select(&["", "    break\n", "    continue\n"][..]))
                .prop_map(|(over, body, end)| format!("for one in {over}:\n{body}{end}")),
        ]
    })
    .boxed()
}

/// A body of a few statements.
pub(crate) fn any_body() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => expression(None).prop_map(|value| format!("return {value}")),
        2 => vec(statements(), 1..4).prop_map(|all| all.concat()),
        1 => (select(PATTERNS), expression(None), select(&["search", "match", "fullmatch"][..]))
            .prop_map(|(pattern, value, how)| format!("import re\nreturn re.{how}(r'{pattern}', {value})")),
    ]
}
