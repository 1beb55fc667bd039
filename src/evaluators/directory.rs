//! Looks users up by filters as authentik's object-relational mapper has them: `email__iendswith="@example.com"`.

use crate::model::{User, Value};
use crate::store::Snapshot;
use std::borrow::Cow;
use std::sync::Arc;

/// The most users that a look-up goes through when neither username nor id says which one it is.
const MAX_SCAN: usize = 100_000;

/// The most users that are handed to a program, which may compare further.
const MAX_FOUND: usize = 20;

/// Users with these values, by id.
pub(super) fn find(snapshot: &Snapshot, filters: &Value) -> Vec<Arc<User>> {
    let Value::Map(filters) = filters else { return Vec::new() };
    let fits = |user: &&Arc<User>| filters.iter().all(|(key, wanted)| matches(user, key, wanted));
    let text = |key: &str| filters.get(key).map(plain);
    if let Some(name) = text("username").or_else(|| text("username__exact")) {
        return snapshot.user_named(&name).filter(fits).cloned().into_iter().collect();
    }
    if let Some(id) = text("pk").or_else(|| text("id")).or_else(|| text("uuid")) {
        return snapshot.user_with_id(&id).filter(fits).cloned().into_iter().collect();
    }
    let mut found: Vec<_> = snapshot.users().take(MAX_SCAN).filter(fits).cloned().collect();
    found.sort_by_cached_key(|user| user.id.to_string());
    found.truncate(MAX_FOUND);
    found
}

/// A value as text.
fn plain(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Number(number) => Cow::Owned(number.to_string()),
        Value::Bool(true) => Cow::Borrowed("True"),
        Value::Bool(false) => Cow::Borrowed("False"),
        _ => Cow::Borrowed(""),
    }
}

fn matches(user: &User, key: &str, wanted: &Value) -> bool {
    let mut path: Vec<&str> = key.split("__").collect();
    let operators = [
        "exact",
        "iexact",
        "contains",
        "icontains",
        "startswith",
        "istartswith",
        "endswith",
        "iendswith",
        "isnull",
        "gt",
        "gte",
        "lt",
        "lte",
    ];
    let operator = match path.last() {
        Some(last) if path.len() > 1 && operators.contains(last) => path.pop().unwrap_or("exact"),
        // What the program compares itself.
        Some(&("in" | "regex" | "iregex")) if path.len() > 1 => return true,
        _ => "exact",
    };
    let Some((field, rest)) = path.split_first() else { return false };
    let own;
    let value = match *field {
        "username" => Some(&*user.username),
        "name" => Some(&*user.name),
        "email" => Some(&*user.email),
        "type" => Some(&*user.kind),
        "path" => Some(&*user.path),
        "pk" | "id" | "uuid" => {
            own = user.id.to_string();
            Some(own.as_str())
        }
        "is_active" => return Value::Bool(user.is_active) == *wanted,
        "attributes" => {
            let found = rest.iter().try_fold(&user.attributes, |value, key| value.get(key));
            return compare(found, operator, wanted);
        }
        _ => return false,
    };
    let value = value.map(|text| Value::String(text.into()));
    let wanted = if matches!(*field, "pk" | "id" | "uuid") {
        Cow::Owned(Value::String(plain(wanted).into()))
    } else {
        Cow::Borrowed(wanted)
    };
    compare(value.as_ref(), operator, &wanted)
}

fn compare(value: Option<&Value>, operator: &str, wanted: &Value) -> bool {
    let value = value.unwrap_or(&Value::Null);
    let numbers = |test: fn(&f64, &f64) -> bool| match (value, wanted) {
        (Value::Number(value), Value::Number(wanted)) => test(value, wanted),
        _ => false,
    };
    let texts = |fold: bool, test: fn(&str, &str) -> bool| {
        let (value, wanted) = match (value, wanted) {
            (Value::Null, _) => return false,
            (value, wanted) => (plain(value), plain(wanted)),
        };
        if fold { test(&value.to_lowercase(), &wanted.to_lowercase()) } else { test(&value, &wanted) }
    };
    match operator {
        "isnull" => (*value == Value::Null) == wanted.is_truthy(),
        "iexact" => texts(true, |value, wanted| value == wanted),
        "contains" => texts(false, |value, wanted| value.contains(wanted)),
        "icontains" => texts(true, |value, wanted| value.contains(wanted)),
        "startswith" => texts(false, |value, wanted| value.starts_with(wanted)),
        "istartswith" => texts(true, |value, wanted| value.starts_with(wanted)),
        "endswith" => texts(false, |value, wanted| value.ends_with(wanted)),
        "iendswith" => texts(true, |value, wanted| value.ends_with(wanted)),
        "gt" => numbers(|value, wanted| value > wanted),
        "gte" => numbers(|value, wanted| value >= wanted),
        "lt" => numbers(|value, wanted| value < wanted),
        "lte" => numbers(|value, wanted| value <= wanted),
        _ => value == wanted,
    }
}
