//! What targets share: a question to ask, with nothing to look up.

pub mod gateway;
pub mod messages;
pub mod program;
pub mod question;

use bindery::model::{
    Context, Event, Expression, ExpressionLanguage, Group, HttpRequest, Id, Policy, PolicyKind,
    ReputationScore, Timestamp, Value,
};
use bindery::policy::{Calls, Compiled, Evaluation, Groups, Input, Person, World};
use std::net::IpAddr;
use std::sync::Arc;

/// Nobody is in a group, and nothing is known.
struct Nowhere;

impl Groups for Nowhere {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        Vec::new()
    }
}

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

/// A policy in Python.
pub fn expression(source: &str) -> Policy {
    let language = ExpressionLanguage::Python;
    let kind = PolicyKind::Expression(Expression { language, source: source.into() });
    Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind }
}

/// Evaluates a policy for somebody, with as much context as there can be.
pub fn evaluate(policy: &Compiled) -> Evaluation {
    let mut context = Context::at(Timestamp::new(1_780_315_200, 0));
    context.client_ip = Some(IpAddr::from([192, 0, 2, 1]));
    context.http = Some(HttpRequest::default());
    context.event = Some(Event { action: "login".into(), ..Event::default() });
    let person = Person {
        anonymous: false,
        id: "",
        username: "ada",
        name: "Ada",
        email: "ada@example.com",
        attributes: &Value::Null,
        user: None,
        is_superuser: false,
    };
    let calls = Calls::default();
    let input =
        Input { person, context: &context, target: None, groups: &Nowhere, world: &Nowhere, calls: &calls };
    policy.evaluate(&input)
}
