//! Requests of vectors as questions.

use super::{Vector, items, text};
use crate::support::make::{NOW, data, moment};
use bindery::proto::v1;
use serde_json::{Map, Value as Json};
use std::net::IpAddr;

/// The username of somebody who is being enrolled.
pub(crate) const UNSAVED: &str = "pending-unsaved";

/// Who a vector asks about. A user of the directory is asked about in both ways: by id and by username.
pub(super) fn subjects(vector: &Vector, user: &str) -> Vec<v1::Subject> {
    match user {
        "anonymous" => vec![v1::Subject { anonymous: true, ..Default::default() }],
        "unsaved" => vec![v1::Subject {
            anonymous: true,
            username: UNSAVED.into(),
            name: UNSAVED.into(),
            email: "pending@example.com".into(),
            ..Default::default()
        }],
        id => {
            let users = vector.list("users");
            let user = users.iter().find(|user| user["id"] == id).unwrap();
            vec![
                v1::Subject { user_id: id.into(), ..Default::default() },
                v1::Subject { username: text(&user["username"]).into(), ..Default::default() },
            ]
        }
    }
}

/// What a request knows besides.
pub(super) fn context(vector: &Vector, request: &Json) -> v1::Context {
    let mut values = request["context"].as_object().cloned().unwrap_or_else(Map::new);
    let mut context = v1::Context { time: Some(moment(NOW)), ..Default::default() };
    match values.remove("event") {
        None => {}
        Some(event) => match event.get("$raw") {
            Some(raw) => {
                values.insert("event".into(), raw.clone());
            }
            None => context.event = Some(self::event(vector, &event)),
        },
    }
    if !values.is_empty() {
        context.values = Some(data(&Json::Object(values)));
    }
    if let Some(http) = request["http"].as_object() {
        self::http(http, &mut context);
    }
    context
}

/// An event. Its user is an id of the vector, or an object for one who is gone.
pub(super) fn event(vector: &Vector, json: &Json) -> v1::Event {
    let plain = |json: &Json| match json {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let user = match &json["user"] {
        Json::Null => None,
        Json::String(id) => {
            let users = vector.list("users");
            let user = users.iter().find(|user| user["id"] == id.as_str()).unwrap();
            let username = text(&user["username"]);
            let email =
                user["email"].as_str().map_or_else(|| format!("{username}@example.com"), str::to_owned);
            Some(v1::EventUser { id: id.clone(), username: username.into(), email })
        }
        gone => Some(v1::EventUser {
            id: plain(&gone["pk"]),
            username: plain(&gone["username"]),
            email: plain(&gone["email"]),
        }),
    };
    v1::Event {
        action: plain(&json["action"]),
        app: plain(&json["app"]),
        client_ip: json["client_ip"].as_str().map(str::to_owned),
        context: json.get("context").map(data),
        user,
    }
}

fn http(http: &Map<String, Json>, context: &mut v1::Context) {
    let string =
        |key: &str, default: &str| http.get(key).and_then(Json::as_str).unwrap_or(default).to_owned();
    let object = |key: &str| http.get(key).and_then(Json::as_object).cloned().unwrap_or_default();
    let headers: Vec<(String, String)> =
        object("headers").iter().map(|(name, value)| (name.to_lowercase(), text(value).to_owned())).collect();
    let header =
        |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone());
    let forwarded =
        header("x-forwarded-for").and_then(|list| list.split(',').next().map(|it| it.trim().to_owned()));
    let address = forwarded.unwrap_or_else(|| string("remote_addr", ""));
    // One that cannot be read is not known.
    if address.parse::<IpAddr>().is_ok() {
        context.client_ip = address;
    }
    let pairs = object("query").into_iter().flat_map(|(key, value)| {
        let values = if value.is_array() { items(&value).to_vec() } else { vec![value] };
        values.into_iter().map(move |value| format!("{}={}", escape(&key), escape(text(&value))))
    });
    context.http = Some(v1::HttpRequest {
        method: string("method", "GET"),
        scheme: "http".into(),
        host: header("host").unwrap_or_else(|| "testserver".into()),
        path: string("path", "/"),
        query: pairs.collect::<Vec<_>>().join("&"),
        headers: headers.into_iter().collect(),
        remote_address: string("remote_addr", ""),
        body: string("body", "").into_bytes(),
        brand_title: (!http.contains_key("no_brand")).then(|| string("branding_title", "authentik")),
    });
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A question about one target, with all messages.
pub(super) fn ask(
    target: &v1::TargetRef,
    subject: Option<v1::Subject>,
    context: v1::Context,
    scope: v1::Scope,
) -> v1::CheckRequest {
    v1::CheckRequest {
        target: Some(target.clone()),
        subject,
        context: Some(context.into()),
        scope: scope.into(),
        full_evaluation: true,
        ..Default::default()
    }
}
