//! Small builders of resources and questions, shared by the tests. They say the least that is needed.

use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use prost_types::value::Kind;
use serde_json::Value as Json;

/// 2026-06-01T12:00:00Z, the moment that questions are decided for.
pub(crate) const NOW: i64 = 1_780_315_200;

pub(crate) fn moment(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

pub(crate) fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

pub(crate) fn target(target: T) -> v1::TargetRef {
    v1::TargetRef { target: Some(target) }
}

pub(crate) fn mode(name: &str) -> i32 {
    match name {
        "all" => v1::PolicyEngineMode::All.into(),
        "any" => v1::PolicyEngineMode::Any.into(),
        other => panic!("`{other}` is no mode"),
    }
}

pub(crate) fn user_id(id: &str) -> v1::UserRef {
    v1::UserRef { id: id.into(), ..Default::default() }
}

pub(crate) fn username(username: &str) -> v1::UserRef {
    v1::UserRef { username: username.into(), ..Default::default() }
}

pub(crate) fn group_id(id: &str) -> v1::GroupRef {
    v1::GroupRef { id: id.into(), ..Default::default() }
}

pub(crate) fn group_name(name: &str) -> v1::GroupRef {
    v1::GroupRef { name: name.into(), ..Default::default() }
}

/// A policy of this id whose name is the id.
pub(crate) fn policy(id: &str, kind: v1::policy::Kind) -> v1::Resource {
    resource(R::Policy(v1::Policy { id: id.into(), name: id.into(), kind: Some(kind), ..Default::default() }))
}

/// A dummy policy with one message.
pub(crate) fn dummy(id: &str, result: bool, message: &str) -> v1::Resource {
    let messages = Some(v1::DummyMessages { texts: vec![message.into()] });
    policy(id, v1::policy::Kind::Dummy(v1::DummyPolicy { result, messages, ..Default::default() }))
}

/// A question about a user of the directory, decided for [`NOW`], all messages asked for.
pub(crate) fn question(target: v1::TargetRef, user_id: &str) -> v1::CheckRequest {
    v1::CheckRequest {
        target: Some(target),
        subject: Some(v1::Subject { user_id: user_id.into(), ..Default::default() }),
        context: Some(v1::Context { time: Some(moment(NOW)), ..Default::default() }.into()),
        full_evaluation: true,
        ..Default::default()
    }
}

/// Free data; an object is expected.
pub(crate) fn data(json: &Json) -> prost_types::Struct {
    match value(json).kind {
        Some(Kind::StructValue(data)) => data,
        _ => panic!("not an object: {json}"),
    }
}

fn value(json: &Json) -> prost_types::Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap()),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.iter().map(value).collect() })
        }
        Json::Object(map) => Kind::StructValue(prost_types::Struct {
            fields: map.iter().map(|(key, item)| (key.clone(), value(item))).collect(),
        }),
    };
    prost_types::Value { kind: Some(kind) }
}
