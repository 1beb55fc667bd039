//! A question with some of everything, for policies to be evaluated on.


use bindery::model::{
    Context, Event, Expression, ExpressionLanguage, Group, HttpRequest, Id, Policy, PolicyKind, ReputationScore,
    Timestamp, Value,
};
use bindery::policy::{Calls, Compiled, Evaluation, Groups, Input, Person, World};
use std::net::IpAddr;
use std::sync::Arc;

pub struct Around;

impl World for Around {
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

impl Groups for Around {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        let group = |name: &str| Group {
            id: Id::new(name),
            name: name.into(),
            parents: vec![],
            is_superuser: false,
            attributes: Value::Null,
        };
        vec![(Arc::new(group("staff")), true), (Arc::new(group("all")), false)]
    }
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

pub fn context() -> Context {
    let text = |text: &str| Value::String(text.into());
    let mut context = Context::at(Timestamp::new(1_780_315_200, 5));
    context.client_ip = "10.1.2.3".parse().ok();
    context.http = Some(HttpRequest {
        method: "GET".into(),
        path: "/a/b".into(),
        query: "x=1&y=2".into(),
        headers: [("user-agent".to_owned(), "curl".to_owned())].into_iter().collect(),
        ..HttpRequest::default()
    });
    context.event = Some(Event { action: "login".into(), context: map([("a", Value::Number(1.0))]), ..Event::default() });
    context.values = map([
        ("n", Value::Number(3.0)),
        ("half", Value::Number(0.5)),
        ("text", text("hello")),
        ("none", Value::Null),
        ("list", Value::List(vec![Value::Number(1.0), text("a"), Value::Bool(true)])),
        ("prompt_data", map([("username", text("eve"))])),
        ("geoip", map([("country", text("DE"))])),
        ("flow_plan", map([("context", map([]))])),
    ]);
    context
}

/// Compiles, and evaluates what compiles.
pub fn ask(kind: PolicyKind) -> Option<Evaluation> {
    let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
    let compiled = Compiled::new(&policy).ok()?;
    let _report = compiled.report(&policy.kind);
    let context = context();
    let attributes = map([("department", Value::String("eng".into())), ("level", Value::Number(2.0))]);
    let person = Person {
        anonymous: false,
        id: "",
        username: "ada",
        name: "Ada",
        email: "ada@example.com",
        attributes: &attributes,
        user: None,
        is_superuser: false,
    };
    let calls = Calls::default();
    let input = Input { person, context: &context, target: None, groups: &Around, world: &Around, calls: &calls };
    Some(compiled.evaluate(&input))
}

pub fn expression(language: ExpressionLanguage, source: &str) -> Option<Evaluation> {
    ask(PolicyKind::Expression(Expression { language, source: source.into() }))
}
