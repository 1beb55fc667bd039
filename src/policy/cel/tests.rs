//! Rules in CEL, case by case.

mod cases;
mod hostile;
mod oracle;

use super::meter::{Bill, Meter};
use super::*;
use crate::model::{
    Context, Event, EventUser, Group, GroupRef, HttpRequest, Id, ReputationScore, Target, TargetDetail,
    Timestamp, User, Value,
};
use crate::policy::{Calls, Compiled, Person, World};
use std::net::IpAddr;
use std::sync::Arc;

/// A list of texts.
fn texts(texts: &[&str]) -> Value {
    Value::List(texts.iter().map(|text| Value::String((*text).into())).collect())
}

/// A map.
fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// A world that knows where one address is.
struct Somewhere;

impl World for Somewhere {
    fn reputation(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}

    fn policy(&self, _: &str) -> Option<Arc<Compiled>> {
        None
    }

    fn city(&self, address: IpAddr) -> Option<Value> {
        (address.to_string() == "10.1.2.3").then(|| map([("country", Value::String("DE".into()))]))
    }

    fn asn(&self, address: IpAddr) -> Option<Value> {
        (address.to_string() == "10.1.2.3").then(|| map([("asn", Value::Number(64496.0))]))
    }
}

/// Everything that a question can have.
struct Everything {
    user: User,
    context: Context,
    target: Target,
}

impl Everything {
    fn new() -> Self {
        let user = User {
            id: Id::new("7"),
            username: "alice".into(),
            name: "Alice Example".into(),
            email: "alice@example.com".into(),
            is_active: true,
            groups: vec![
                GroupRef::Name("admins".into()),
                GroupRef::Id("9".into()),
                GroupRef::Name("staff".into()),
            ],
            attributes: map([
                ("department", Value::String("eng".into())),
                ("level", Value::Number(3.0)),
                ("half", Value::Number(0.5)),
                ("vip", Value::Bool(true)),
                ("nothing", Value::Null),
                ("tags", texts(&["a", "b", "c"])),
                ("nested", map([("deep", map([("er", Value::Number(1.0))]))])),
            ]),
            kind: "internal".into(),
            path: "users/eng".into(),
            password_change_date: None,
            date_joined: None,
            last_login: None,
            has_usable_password: None,
            authenticators: vec![],
            logins: vec![],
            password_history: vec![],
        };
        let headers = [("user-agent".to_owned(), "curl/8".to_owned())].into_iter().collect();
        let http = HttpRequest {
            method: "GET".into(),
            scheme: "https".into(),
            host: "wiki.example.com".into(),
            path: "/admin/users".into(),
            query: "page=2".into(),
            headers,
            brand_title: None,
            remote_address: None,
            body: Box::default(),
        };
        let event = Event {
            action: "login".into(),
            app: "authentik.core".into(),
            client_ip: Some("192.0.2.7".into()),
            context: map([("model", map([("app", Value::String("core".into()))]))]),
            user: Some(EventUser { id: "8".into(), username: "bob".into(), email: "bob@example.com".into() }),
        };
        let context = Context {
            client_ip: Some("10.1.2.3".parse().unwrap()),
            http: Some(http),
            event: Some(event),
            values: map([
                ("stage", Value::String("enrol".into())),
                ("amount", Value::Number(12.5)),
                ("list", Value::List((1..=5).map(|number| Value::Number(f64::from(number))).collect())),
                ("prompt_data", map([("username", Value::String("carol".into()))])),
            ]),
            // A Friday.
            ..Context::at(Timestamp::new(1_780_041_600, 500_000_000))
        };
        let target = Target {
            id: Id::new("t-1"),
            key: Some("wiki".into()),
            name: Some("The Wiki".into()),
            mode: crate::model::Mode::Any,
            empty_result: None,
            detail: TargetDetail::Application(None),
        };
        Self { user, context, target }
    }

    fn person(&self) -> Person<'_> {
        Person {
            anonymous: false,
            id: "",
            username: &self.user.username,
            name: &self.user.name,
            email: &self.user.email,
            attributes: &self.user.attributes,
            user: Some(&self.user),
            is_superuser: false,
        }
    }

    /// What a rule says, and what it spent.
    fn ask(&self, source: &str) -> Result<(Verdict, Bill), String> {
        ask(source, self.person(), &self.context, Some(&self.target))
    }
}

fn ask(
    source: &str,
    person: Person<'_>,
    context: &Context,
    target: Option<&Target>,
) -> Result<(Verdict, Bill), String> {
    let policy = Cel::new(source).map_err(|error| {
        assert_eq!(error.field, "expression.source");
        error.message
    })?;
    let calls = Calls::default();
    let groups: &dyn crate::policy::Groups =
        if person.user.is_some() { &Staff } else { &crate::policy::tests::Nowhere };
    let input = Input { person, context, target, groups, world: &Somewhere, calls: &calls };
    let meter = Meter::default();
    let verdict = policy.metered(&input, &meter);
    Ok((verdict, meter.spent()))
}

/// Two groups, one of them inherited.
struct Staff;

impl crate::policy::Groups for Staff {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        let group = |name: &str| Group {
            id: Id::new(name),
            name: name.into(),
            parents: vec![],
            is_superuser: false,
            attributes: Value::Null,
        };
        vec![(Arc::new(group("admins")), true), (Arc::new(group("staff")), false)]
    }
}

const NOBODY: Person<'static> = Person {
    anonymous: true,
    id: "",
    username: "",
    name: "",
    email: "",
    attributes: &Value::Null,
    user: None,
    is_superuser: false,
};
