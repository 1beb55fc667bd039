//! Whom a flow is about: the entry `pending_user` of a plan's context.
//!
//! Must not know: what planning makes of it.

use crate::api::ask::Failure;
use crate::api::convert::{MAX_GROUPS, bounded};
use crate::model::{Subject, Value};
use crate::store::Snapshot;
use std::collections::BTreeMap;

/// The entry of the context.
const FIELD: &str = "context.values.pending_user";

/// Reads the entry, and writes it so that policies find the same in it whatever form the caller chose. Absent: the flow is
/// about whoever asks.
pub(super) fn pending_user(snapshot: &Snapshot, values: &mut Value) -> Result<Option<Subject>, Failure> {
    let Value::Map(values) = values else { return Ok(None) };
    let given = match values.get("pending_user") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(username)) => {
            BTreeMap::from([("username".into(), Value::String(username.clone()))])
        }
        Some(Value::Map(map)) => map.clone(),
        Some(_) => {
            return Err(Failure::argument(FIELD, "is neither a username nor a map; write one of them"));
        }
    };
    let mut subject = read(&given)?;
    // Without a key, only a name that the directory knows is somebody; all others are still being enrolled.
    if subject.user_id.is_none() && snapshot.member(&subject).user.is_none() {
        subject.anonymous = true;
    }
    let mut map = given;
    if let Some(user) = &snapshot.member(&subject).user {
        map.entry("pk".into()).or_insert_with(|| Value::String(user.id.to_string().into()));
        map.insert("username".into(), Value::String(user.username.clone()));
    }
    values.insert("pending_user".into(), Value::Map(map));
    Ok(Some(subject))
}

fn read(map: &BTreeMap<Box<str>, Value>) -> Result<Subject, Failure> {
    let wrong = |key: &str, wanted: &str| {
        Failure::argument(&format!("{FIELD}.{key}"), &format!("is not {wanted}; correct it or leave it out"))
    };
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            bounded(&format!("{FIELD}.{key}"), text)?;
            Ok((!text.is_empty()).then(|| text.clone()))
        }
        Some(_) => Err(wrong(key, "a text")),
    };
    let id = |key: &str| match map.get(key) {
        // authentik's own keys are numbers.
        Some(Value::Number(number)) if number.fract() == 0.0 => Ok(Some(number.to_string().into())),
        _ => text(key),
    };
    let names = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(items)) if items.len() > MAX_GROUPS => {
            let message = format!("has {} entries; at most {MAX_GROUPS} are allowed", items.len());
            Err(Failure::argument(&format!("{FIELD}.{key}"), &message))
        }
        Some(Value::List(items)) => {
            let names = items.iter().map(|item| item.as_str().filter(|name| !name.is_empty()));
            names.map(|name| name.map(str::to_owned).ok_or_else(|| wrong(key, "a list of names"))).collect()
        }
        Some(_) => Err(wrong(key, "a list of names")),
    };
    let user_id = id("pk")?;
    let user_id = if user_id.is_some() { user_id } else { id("user_id")? };
    Ok(Subject {
        user_id: user_id.map(Into::into),
        username: text("username")?.map(Into::into),
        email: text("email")?.map(Into::into),
        name: text("name")?.map(Into::into),
        group_ids: names("group_ids")?,
        group_names: names("group_names")?,
        attributes: match map.get("attributes") {
            None | Some(Value::Null) => Value::Null,
            Some(attributes @ Value::Map(_)) => attributes.clone(),
            Some(_) => return Err(wrong("attributes", "a map")),
        },
        is_superuser: match map.get("is_superuser") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(truth)) => *truth,
            Some(_) => return Err(wrong("is_superuser", "true or false")),
        },
        anonymous: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;
    use crate::store::{Settings, Store};
    use crate::sync::apply::{Update, apply};
    use std::sync::Arc;

    fn snapshot() -> Arc<Snapshot> {
        let store = Store::new(Settings::default());
        let ada = v1::User { id: "7".into(), username: "ada".into(), ..Default::default() };
        let ada = v1::Resource { resource: Some(v1::resource::Resource::User(ada)) };
        apply(&store, Update::Replace(vec![ada])).unwrap();
        store.load()
    }

    fn value(json: &str) -> Value {
        fn of(json: serde_json::Value) -> Value {
            use serde_json::Value as Json;
            match json {
                Json::Null => Value::Null,
                Json::Bool(truth) => Value::Bool(truth),
                Json::Number(number) => Value::Number(number.as_f64().unwrap()),
                Json::String(text) => Value::String(text.into()),
                Json::Array(items) => Value::List(items.into_iter().map(of).collect()),
                Json::Object(map) => {
                    Value::Map(map.into_iter().map(|(key, item)| (key.into(), of(item))).collect())
                }
            }
        }
        of(serde_json::from_str(json).unwrap())
    }

    fn read(json: &str) -> (Option<Subject>, Value) {
        let mut values = Value::Map([("pending_user".into(), value(json))].into());
        let found = pending_user(&snapshot(), &mut values).unwrap();
        (found, values.get("pending_user").unwrap().clone())
    }

    #[test]
    fn somebody_whom_the_directory_knows_is_found_by_name_or_key() {
        for form in ["\"ada\"", "{\"username\": \"ada\"}", "{\"pk\": 7}", "{\"user_id\": \"7\"}"] {
            let (found, seen) = read(form);
            let found = found.unwrap();
            assert!(!found.anonymous && snapshot().member(&found).user.is_some(), "{form}");
            assert_eq!(seen.get("username"), Some(&Value::String("ada".into())), "{form}");
        }
        let (_, seen) = read("{\"username\": \"ada\", \"backend\": \"x\"}");
        assert_eq!(seen, value("{\"username\": \"ada\", \"backend\": \"x\", \"pk\": \"7\"}"));
    }

    #[test]
    fn somebody_without_a_key_is_still_being_enrolled() {
        let (found, _) = read("{\"username\": \"new\", \"email\": \"n@x\"}");
        let found = found.unwrap();
        assert_eq!((found.anonymous, found.email.as_deref()), (true, Some("n@x")));
        let (found, _) = read("{\"pk\": \"9\", \"group_names\": [\"staff\"]}");
        let found = found.unwrap();
        assert_eq!((found.anonymous, found.group_names), (false, vec!["staff".to_owned()]));
        assert_eq!(read("null").0, None);
    }

    #[test]
    fn what_is_wrong_with_it_is_said() {
        for (json, part) in [
            ("7", "context.values.pending_user: is neither a username nor a map"),
            ("{\"username\": 7}", "context.values.pending_user.username: is not a text"),
            ("{\"pk\": 7.5}", "context.values.pending_user.pk: is not a text"),
            ("{\"group_names\": [1]}", "pending_user.group_names: is not a list of names"),
            ("{\"group_ids\": \"x\"}", "pending_user.group_ids: is not a list of names"),
            ("{\"attributes\": []}", "pending_user.attributes: is not a map"),
            ("{\"is_superuser\": 1}", "pending_user.is_superuser: is not true or false"),
        ] {
            let mut values = Value::Map([("pending_user".into(), value(json))].into());
            let failure = pending_user(&snapshot(), &mut values).unwrap_err();
            assert!(failure.message.contains(part), "{json}: {}", failure.message);
        }
    }
}
