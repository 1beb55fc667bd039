//! What one evaluation of a policy costs, apart from the decision around it; by language and by rule.

#![expect(clippy::expect_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use bindery::api::ask::check;
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::{
    Context, Expression, ExpressionLanguage, Group, GroupRef, HttpRequest, Id, Policy, PolicyKind,
    ReputationScore, Timestamp, User, Value,
};
use bindery::policy::{Calls, Compiled, Groups, Input, Person, World};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

/// Nothing to look up.
struct Nowhere;

impl World for Nowhere {
    fn reputation(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}

    fn policy(&self, _: &str) -> Option<Arc<Compiled>> {
        None
    }

    fn city(&self, _: IpAddr) -> Option<Value> {
        None
    }

    fn asn(&self, _: IpAddr) -> Option<Value> {
        None
    }
}

/// The groups, as a snapshot hands them out.
struct Ten(Vec<(Arc<Group>, bool)>);

impl Ten {
    fn of(user: &User) -> Self {
        let group = |group: &GroupRef| {
            let (GroupRef::Id(name) | GroupRef::Name(name)) = group;
            let (id, name) = (Id::new(name), name.clone());
            let group = Group { id, name, parents: vec![], is_superuser: false, attributes: Value::Null };
            (Arc::new(group), true)
        };
        Self(user.groups.iter().map(group).collect())
    }
}

impl Groups for Ten {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        self.0.clone()
    }
}

/// Somebody in ten groups, with some attributes.
fn user() -> User {
    let names = ["staff", "wiki", "vpn", "berlin", "backend", "on-call", "mail", "git", "ci", "admins"];
    let attributes = ["department", "city", "title", "phone", "manager"]
        .into_iter()
        .map(|key| (key.into(), Value::String("eng".into())))
        .collect();
    User {
        id: Id::new("7"),
        username: "alice".into(),
        name: "Alice Example".into(),
        email: "alice@example.com".into(),
        is_active: true,
        groups: names.into_iter().map(|name| GroupRef::Name(name.into())).collect(),
        attributes: Value::Map(attributes),
        kind: "internal".into(),
        path: "users".into(),
        password_change_date: None,
        date_joined: None,
        last_login: None,
        has_usable_password: None,
        authenticators: vec![],
        logins: vec![],
        password_history: vec![],
    }
}

fn context() -> Context {
    let headers = [("user-agent".to_owned(), "Mozilla/5.0".to_owned())].into_iter().collect();
    let http = HttpRequest {
        method: "GET".into(),
        scheme: "https".into(),
        host: "wiki.example.com".into(),
        path: "/admin/users".into(),
        headers,
        ..HttpRequest::default()
    };
    Context {
        client_ip: Some("10.1.2.3".parse().expect("an address")),
        http: Some(http),
        ..Context::at(Timestamp::new(1_780_041_600, 0))
    }
}

fn expression(language: ExpressionLanguage, source: &str) -> Compiled {
    let kind = PolicyKind::Expression(Expression { language, source: source.into() });
    let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
    Compiled::new(&policy).expect("a valid policy")
}

fn cel(criterion: &mut Criterion) {
    let user = user();
    let person = Person {
        anonymous: false,
        id: "",
        username: &user.username,
        name: &user.name,
        email: &user.email,
        attributes: &user.attributes,
        user: Some(&user),
        is_superuser: false,
    };
    let context = context();
    let (calls, ten) = (Calls::default(), Ten::of(&user));
    let input =
        Input { person, context: &context, target: None, groups: &ten, world: &Nowhere, calls: &calls };
    let mut group = criterion.benchmark_group("cel");
    for (name, source) in [
        (
            "group, network and attribute",
            r#""admins" in subject.groups && in_network(request.client_ip, "10.0.0.0/8") && subject.attributes.department == "eng""#,
        ),
        ("equality", r#"subject.username == "alice""#),
        ("pattern", r#"request.path.matches("^/admin(/|$)")"#),
        ("loop over ten groups", r#"subject.groups.exists(group, group.startsWith("adm"))"#),
        (
            "hours in a time zone",
            r#"now.getHours("Europe/Berlin") >= 8 && now.getHours("Europe/Berlin") < 18"#,
        ),
    ] {
        let policy = expression(ExpressionLanguage::Cel, source);
        group.bench_function(name, |bencher| bencher.iter(|| policy.evaluate(black_box(&input))));
    }
    let source = r#""admins" in subject.groups && in_network(request.client_ip, "10.0.0.0/8")"#;
    group.bench_function("compile", |bencher| {
        bencher.iter(|| expression(ExpressionLanguage::Cel, black_box(source)));
    });
    group.finish();
}

/// Programs that want too much, over a context of 256 KiB: how long it takes until they are stopped.
fn cel_stopped(criterion: &mut Criterion) {
    let text = |letters: &str| Value::String(letters.repeat(100_000).into());
    let numbers = Value::List(vec![Value::Number(1.0); 20_000]);
    let keys = (0..5_000).map(|number| (format!("key-{number}").into(), Value::Number(1.0))).collect();
    let values =
        [("numbers", numbers), ("keys", Value::Map(keys)), ("text", text("ab")), ("other", text("ab"))];
    let values = values.into_iter().map(|(key, value)| (key.into(), value)).collect();
    let context = Context { values: Value::Map(values), ..Context::at(Timestamp::new(0, 0)) };
    let attributes = Value::Null;
    let person = Person {
        anonymous: true,
        id: "",
        username: "",
        name: "",
        email: "",
        attributes: &attributes,
        user: None,
        is_superuser: false,
    };
    let (calls, ten) = (Calls::default(), Ten::of(&user()));
    let input =
        Input { person, context: &context, target: None, groups: &ten, world: &Nowhere, calls: &calls };
    let mut group = criterion.benchmark_group("cel, stopped");
    group.sample_size(20);
    for (name, source) in [
        (
            "three loops",
            "context.numbers.all(a, context.numbers.all(b, context.numbers.all(c, a + b + c > 0.0)))",
        ),
        (
            "three loops of faults",
            "context.numbers.exists(a, context.numbers.exists(b, context.numbers.exists(c, c.missing)))",
        ),
        ("loops over keys", "context.keys.all(a, context.keys.all(b, a + b != \"\"))"),
        ("looking up keys", "context.numbers.all(a, context.keys.all(b, b in context.keys))"),
        ("long texts", "context.numbers.all(a, context.text == context.other)"),
        ("searching", "context.numbers.all(a, !context.text.contains(\"abb\"))"),
        ("joining", "context.numbers.map(a, context.text + \"a\") == []"),
        ("lists of lists", "context.numbers.map(a, context.numbers.map(b, [b])) == []"),
        ("texts of numbers", "context.numbers.map(a, context.numbers.map(b, string(b))) == []"),
        ("time zones", "context.numbers.all(a, now.getHours(\"Europe/Berlin\") < 25)"),
        ("moments", "context.numbers.all(a, timestamp(\"2026-05-29T\" + \"08:00:00Z\") != now)"),
        ("networks", "context.numbers.all(a, in_network(\"10.0.\" + \"0.1\", \"10.0.0.\" + \"0/8\"))"),
    ] {
        let policy = expression(ExpressionLanguage::Cel, source);
        group.bench_function(name, |bencher| bencher.iter(|| policy.evaluate(black_box(&input))));
    }
    // The longest texts that each pattern may be matched against.
    for pattern in
        ["[ab]*a[ab]{12}[0-9]", "(?:[ab]?){40}[0-9]", "(.*a){12}[0-9]", r"\w+\w+\d", "(a|ab|b)+[0-9]"]
    {
        let escaped = pattern.replace('\\', "\\\\");
        let source = format!("context.text.matches(\"{escaped}\")");
        let policy = expression(ExpressionLanguage::Cel, &source);
        let ends = |length: usize| {
            let values = [("text".into(), Value::String("ab".repeat(length / 2).into()))];
            let context = Context { values: Value::Map(values.into_iter().collect()), ..context.clone() };
            let input = Input { context: &context, ..input };
            matches!(policy.evaluate(&input), bindery::policy::Evaluation::Done(verdict) if verdict.result.is_err())
        };
        let longest =
            (0..18).map(|power| 1_usize << power).take_while(|length| !ends(*length)).last().unwrap_or(0);
        let values = [("text".into(), Value::String("ab".repeat(longest / 2).into()))];
        let context = Context { values: Value::Map(values.into_iter().collect()), ..context.clone() };
        let input = Input { context: &context, ..input };
        group.bench_function(format!("pattern {pattern}, {longest} bytes"), |bencher| {
            bencher.iter(|| policy.evaluate(black_box(&input)));
        });
    }
    group.finish();
}

/// Expressions in Python: the way to a worker and back, with all of the decision around it.
fn python(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let rules = [
        ("comparison", "return request.user.username == 'alice'"),
        // What nobody lowers, so that it is the interpreter that is measured.
        ("comparison, interpreted", "assert True\nreturn request.user.username == 'alice'"),
        (
            "context and messages",
            "assert True\nif context.get('n', 0) > 5:\n    ak_message('n is large')\n    return False\nreturn True",
        ),
        ("group of the user", "assert True\nreturn ak_is_group_member(request.user, name='admins')"),
        ("network of the client", "assert True\nreturn ak_client_ip in ip_network('10.0.0.0/8')"),
        ("pattern", "assert True\nreturn regex_match(request.user.email, r'@example\\.com$')"),
        ("changed context", "context['seen'] = request.user.username\nreturn True"),
        ("another policy", "return ak_call_policy('yes').passing"),
    ];
    let text = |text: &str| text.to_owned();
    let mut resources = vec![
        R::User(v1::User {
            username: text("alice"),
            email: text("alice@example.com"),
            groups: user()
                .groups
                .iter()
                .map(|group| v1::GroupRef { name: name_of(group), ..Default::default() })
                .collect(),
            ..Default::default()
        }),
        R::Policy(v1::Policy {
            name: text("yes"),
            kind: Some(v1::policy::Kind::Dummy(v1::DummyPolicy { result: true, ..Default::default() })),
            ..Default::default()
        }),
    ];
    for group in &user().groups {
        resources.push(R::Group(v1::Group { name: name_of(group), ..Default::default() }));
    }
    let mut bound = |name: &str, kind: v1::policy::Kind| {
        let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(text(name))) });
        resources.push(R::Application(v1::Application { slug: text(name), ..Default::default() }));
        resources.push(R::Policy(v1::Policy { name: text(name), kind: Some(kind), ..Default::default() }));
        resources.push(R::PolicyBinding(v1::PolicyBinding {
            target,
            policy: text(name),
            ..Default::default()
        }));
    };
    for (name, source) in rules {
        let source = text(source);
        bound(name, v1::policy::Kind::Expression(v1::ExpressionPolicy { source, ..Default::default() }));
    }
    bound("nothing", v1::policy::Kind::Dummy(v1::DummyPolicy { result: true, ..Default::default() }));
    let store = Store::new(Settings::default());
    let resources = resources.into_iter().map(|resource| v1::Resource { resource: Some(resource) }).collect();
    apply(&store, Update::Replace(resources)).expect("a valid configuration");
    let ask = |name: &str| v1::CheckRequest {
        target: Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(text(name))) }),
        subject: Some(v1::Subject { username: text("alice"), ..Default::default() }),
        context: Some(Box::new(v1::Context {
            client_ip: text("10.1.2.3"),
            http: Some(v1::HttpRequest { method: text("GET"), path: text("/"), ..Default::default() }),
            ..Default::default()
        })),
        ..Default::default()
    };
    let now = bindery::api::ask::now();
    let program = Isolation::Process(env!("CARGO_BIN_EXE_bindery").into());
    for (place, isolation) in [("process", program), ("thread", Isolation::Thread)] {
        let evaluators = {
            let _inside = runtime.enter();
            Evaluators::default().with_python(PythonOptions::new(isolation))
        };
        let mut group = criterion.benchmark_group(format!("python, {place}"));
        for name in rules.iter().map(|(name, _)| *name).chain(["nothing"]) {
            let check = || check(&store, &evaluators, ask(name), now);
            let answer = runtime.block_on(check()).expect("an answer");
            assert_eq!(answer.decision(), v1::Decision::Allow, "{name}: {:?}", answer.messages);
            group.bench_function(name, |bencher| bencher.iter(|| runtime.block_on(check())));
        }
        group.finish();
    }
}

fn name_of(group: &GroupRef) -> String {
    let (GroupRef::Id(name) | GroupRef::Name(name)) = group;
    name.to_string()
}

criterion_group!(benches, python, cel, cel_stopped);
criterion_main!(benches);
