//! What programs say and what is wrong with those that are refused, case by case; `reference` compares random ones
//! with a slow evaluator.

mod evaluate;
mod programs;
mod random;
mod reference;
mod refused;

use crate::model::{
    self, Application, Context, Device, Event, Flow, Group, GroupRef, HttpRequest, Id, MissingBehavior,
    Policy, PolicyKind, ReputationScore, Target, TargetDetail, Timestamp, User, Value,
};
use crate::policy::{Calls, CompileError, Compiled, Evaluation, Input, Person, Verdict, World};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// 2026-01-10T12:00:00Z.
pub(super) const NOW: Timestamp = Timestamp::new(1_768_046_400, 0);
const HOUR: i64 = 3_600;

pub(super) fn value(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(truth),
        serde_json::Value::Number(number) => Value::Number(number.as_f64().unwrap()),
        serde_json::Value::String(text) => Value::String(text.into()),
        serde_json::Value::Array(list) => Value::List(list.into_iter().map(value).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.into_iter().map(|(key, item)| (key.into(), value(item))).collect())
        }
    }
}

/// What policies can look up.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) policies: BTreeMap<&'static str, Arc<Compiled>>,
}

impl World for Surroundings {
    fn reputation(&self, _: Option<&str>, _: Option<&str>, _: &mut dyn FnMut(&ReputationScore)) {}

    fn policy(&self, name: &str) -> Option<Arc<Compiled>> {
        self.policies.get(name).cloned()
    }

    fn city(&self, address: IpAddr) -> Option<Value> {
        let known = address.is_ipv4();
        known.then(|| value(serde_json::json!({"country": "DE", "continent": "EU", "city": "Berlin"})))
    }

    fn asn(&self, address: IpAddr) -> Option<Value> {
        address.is_ipv4().then(|| value(serde_json::json!({"asn": 64_500, "as_org": "Example"})))
    }
}

/// A question's parts.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) user: Option<User>,
    pub(super) anonymous: bool,
    pub(super) context: Context,
    pub(super) target: Option<Target>,
    pub(super) world: Surroundings,
}

pub(super) fn user() -> User {
    User {
        id: Id::new("7"),
        username: "jane".into(),
        name: "Jane Doe".into(),
        email: "Jane.Doe@Example.com".into(),
        is_active: true,
        groups: vec![GroupRef::Id("staff-id".into()), GroupRef::Name("admins".into())],
        attributes: value(serde_json::json!({
            "department": "engineering", "level": 3, "big": "12.5", "nested": {"flag": "true", "none": null},
            "since": "2026-01-10T11:00:00Z", "address": "192.0.2.7", "list": ["a"], "word": "Straße",
            "site": "https://example.com/a?b", "pattern": "^JANE"
        })),
        kind: "internal".into(),
        path: "users".into(),
        password_change_date: None,
        date_joined: Some(Timestamp::new(NOW.seconds() - 1_000 * HOUR, 0)),
        last_login: Some(Timestamp::new(NOW.seconds() - 2 * HOUR, 0)),
        has_usable_password: Some(true),
        authenticators: vec![],
        logins: vec![],
        password_history: vec![],
    }
}

pub(super) fn target(key: &str, detail: TargetDetail) -> Target {
    Target {
        id: Id::new("42"),
        key: Some(key.into()),
        name: None,
        mode: model::Mode::Any,
        empty_result: None,
        detail,
    }
}

pub(super) fn flow() -> Target {
    let flow = Flow {
        title: "".into(),
        designation: "enrollment".into(),
        authentication: model::FlowAuthentication::None,
        denied_action: model::DeniedAction::Message,
    };
    target("welcome", TargetDetail::Flow(Box::new(flow)))
}

pub(super) fn device() -> Target {
    let facts = value(serde_json::json!({
        "os": {"family": "linux", "version": "6.1"},
        "network": {"firewall_enabled": true},
        "hardware": {"cpu_count": 8},
        "software": [{"name": "vim", "version": "9"}, {"name": "Zoom"}, {"version": "1"}],
        "disks": [{"encryption_enabled": true}, {"encryption_enabled": false}],
        "custom": {"color": "red"}, "broken": {"cpu_count": "eight"}
    }));
    let device = Device { access_group: None, attributes: Value::Null, facts };
    target("laptop", TargetDetail::Device(Box::new(device)))
}

pub(super) fn application() -> Target {
    let detail = Application { group: "Tools".into(), meta_publisher: "".into(), ..Application::default() };
    target("wiki", TargetDetail::Application(Some(Box::new(detail))))
}

impl crate::policy::Groups for Setting {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        let group = |group: &GroupRef| {
            let (GroupRef::Id(name) | GroupRef::Name(name)) = group;
            let id = Id::new(name);
            let group = Group {
                id,
                name: name.clone(),
                parents: vec![],
                is_superuser: false,
                attributes: Value::Null,
            };
            (Arc::new(group), true)
        };
        self.user.iter().flat_map(|user| user.groups.iter().map(group)).collect()
    }
}

impl Setting {
    pub(super) fn new() -> Self {
        let mut context = Context::at(NOW);
        context.client_ip = Some("10.1.2.3".parse().unwrap());
        let headers = BTreeMap::from([("user-agent".to_owned(), "Mozilla/5.0".to_owned())]);
        context.http = Some(HttpRequest { headers, ..HttpRequest::default() });
        context.event = Some(Event {
            action: "login".into(),
            app: "authentik.core".into(),
            client_ip: Some("192.0.2.1".into()),
            context: value(
                serde_json::json!({"model": {"app": "core", "model_name": "user"}, "a": {"b": 1}}),
            ),
            user: None,
        });
        context.values = value(serde_json::json!({
            "flow_plan": {}, "word": "hello", "none": null, "email": "JANE.DOE@EXAMPLE.COM", "is_restored": false,
            "prompt_data": {"username": "newcomer", "age": "42"}, "application": {"pk": "app-1"}, "source": "src-1",
            "pending_user": {"backend": "ldap"}, "request.user": 7, "event.created": "2026-01-10T11:59:00Z",
            "prompt_data.email_in_use": {"email": true}, "plan.user_switch_active": null
        }));
        Self { user: Some(user()), anonymous: false, context, target: None, world: Surroundings::default() }
    }

    pub(super) fn ask(&self, compiled: &Compiled) -> Evaluation {
        let calls = Calls::default();
        compiled.evaluate(&self.input(&calls))
    }

    pub(super) fn input<'a>(&'a self, calls: &'a Calls<'a>) -> Input<'a> {
        let person = match &self.user {
            Some(user) => Person {
                anonymous: self.anonymous,
                id: "",
                username: &user.username,
                name: &user.name,
                email: &user.email,
                attributes: &user.attributes,
                user: Some(user),
                is_superuser: false,
            },
            None => Person {
                anonymous: self.anonymous,
                id: "",
                username: "claimed",
                name: "",
                email: "",
                attributes: &Value::Null,
                user: None,
                is_superuser: false,
            },
        };
        let (context, target) = (&self.context, self.target.as_ref());
        Input { person, context, target, groups: self, world: &self.world, calls }
    }

    pub(super) fn verdict(&self, compiled: &Compiled) -> Verdict {
        match self.ask(compiled) {
            Evaluation::Done(verdict) => verdict,
            Evaluation::Deferred(deferred) => panic!("{deferred:?}"),
        }
    }
}

pub(super) fn compiled(
    program: Value,
    missing_behavior: MissingBehavior,
    failure_message: Option<&str>,
) -> Result<Compiled, CompileError> {
    let failure_message = failure_message.map(Into::into);
    let kind = PolicyKind::Conditional(model::Conditional { program, missing_behavior, failure_message });
    Compiled::new(&Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind })
}

/// A program of these actions, which is right.
pub(super) fn program(actions: serde_json::Value) -> Compiled {
    let program = value(serde_json::json!({"version": 2, "actions": actions}));
    compiled(program, MissingBehavior::Fail, None).unwrap()
}

/// One comparison; `param` and `cast` are part of `key`, as in `user.attributes/level/number`.
pub(super) fn compare(key: &str, operator: &str, operand: serde_json::Value) -> serde_json::Value {
    let mut node = serde_json::json!({"type": "compare", "variable": variable(key), "operator": operator});
    if !operand.is_null() {
        node["value"] = serde_json::json!({"type": "literal", "value": operand});
    }
    node
}

pub(super) fn variable(key: &str) -> serde_json::Value {
    let mut parts = key.split('/');
    let mut variable = serde_json::json!({"key": parts.next().unwrap()});
    for (name, part) in ["param", "cast"].into_iter().zip(parts) {
        if !part.is_empty() {
            variable[name] = part.into();
        }
    }
    variable
}

pub(super) fn with_options(mut node: serde_json::Value, options: serde_json::Value) -> serde_json::Value {
    node["options"] = options;
    node
}

pub(super) fn against(key: &str, operator: &str, other: &str) -> serde_json::Value {
    let mut node = compare(key, operator, serde_json::Value::Null);
    node["value"] = serde_json::json!({"type": "variable", "variable": variable(other)});
    node
}

pub(super) fn condition(node: serde_json::Value) -> serde_json::Value {
    serde_json::json!({"type": "condition", "condition": node})
}
