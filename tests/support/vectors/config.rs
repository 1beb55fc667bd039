//! Configurations of vectors as resources.

use super::{Vector, items, text};
use crate::support::make::{NOW, data, group_id, mode, moment, resource, user_id};
use bindery::proto::v1;
use bindery::proto::v1::policy::Kind;
use bindery::proto::v1::resource::Resource as R;
use serde_json::Value as Json;

fn flag(json: &Json) -> Option<bool> {
    json.as_bool()
}

fn string(json: &Json) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn number<N: TryFrom<u64, Error: std::fmt::Debug>>(json: &Json) -> Option<N> {
    json.as_u64().map(|number| number.try_into().unwrap())
}

fn seconds_ago(age: &Json) -> prost_types::Timestamp {
    let age = age.as_f64().unwrap();
    assert!(age.fract() == 0.0, "ages are whole seconds here");
    #[expect(clippy::cast_possible_truncation, reason = "whole, and ages are small")]
    moment(NOW - age as i64)
}

/// Everything but targets and bindings.
pub(super) fn base(vector: &Vector) -> Vec<v1::Resource> {
    let mut resources = Vec::new();
    resources.extend(vector.list("groups").iter().map(group));
    resources.extend(vector.list("users").iter().map(|json| user(vector, json)));
    let mut expressions = 0;
    for json in vector.list("policies") {
        let mut name = text(&json["id"]).to_owned();
        if json["kind"] == "expression" {
            // The name that shows in the texts of syntax errors.
            name = format!("ora-expr-{expressions}");
            expressions += 1;
        }
        let given = string(&json["name"]).or_else(|| string(&json["policy_name"]));
        resources.push(policy(&json, given.unwrap_or(name)));
    }
    resources
}

fn group(json: &Json) -> v1::Resource {
    let parents = items(&json["parents"]).iter().map(|parent| group_id(text(parent))).collect();
    resource(R::Group(v1::Group {
        id: text(&json["id"]).into(),
        name: text(&json["name"]).into(),
        parents,
        is_superuser: json["is_superuser"] == true,
        attributes: json.get("attributes").map(data),
    }))
}

fn user(vector: &Vector, json: &Json) -> v1::Resource {
    let id = text(&json["id"]);
    let username = text(&json["username"]);
    let authenticator = |json: &Json| v1::Authenticator {
        r#type: text(&json["type"]).into(),
        confirmed: flag(&json["confirmed"]),
    };
    let mine = |key| vector.state(key).as_array().into_iter().flatten().filter(|entry| entry["user"] == id);
    let mut logins: Vec<&Json> = mine("logins")
        .filter(|login| {
            login["expired"] != true && login.get("action").is_none_or(|action| action == "login")
        })
        .collect();
    logins.sort_by(|a, b| a["age_s"].as_f64().unwrap().total_cmp(&b["age_s"].as_f64().unwrap()));
    // Null coordinates read as 0.
    let coordinate = |login: &Json, key| login.get("geo").map(|geo| geo[key].as_f64().unwrap_or(0.0));
    let login = |login: &&Json| v1::Login {
        time: Some(seconds_ago(&login["age_s"])),
        latitude: coordinate(login, "lat"),
        longitude: coordinate(login, "long"),
    };
    resource(R::User(v1::User {
        id: id.into(),
        username: username.into(),
        name: string(&json["name"]).unwrap_or_else(|| username.into()),
        email: string(&json["email"]).unwrap_or_else(|| format!("{username}@example.com")),
        is_active: flag(&json["is_active"]),
        groups: items(&json["groups"]).iter().map(|group| group_id(text(group))).collect(),
        attributes: json.get("attributes").map(data),
        password_change_date: vector.state("password_age_s").get(id).map(seconds_ago),
        authenticators: mine("authenticators").map(authenticator).collect(),
        logins: logins.iter().map(login).collect(),
        ..Default::default()
    }))
}

fn policy(json: &Json, name: String) -> v1::Resource {
    let list = |key: &str| json[key].as_array().cloned().unwrap_or_default();
    let kind = match text(&json["kind"]) {
        "dummy" => Kind::Dummy(v1::DummyPolicy {
            result: json["result"] == true,
            messages: json.get("messages").map(|messages| v1::DummyMessages {
                texts: items(messages).iter().map(|message| text(message).to_owned()).collect(),
            }),
            ..Default::default()
        }),
        // The text of one without a source is empty, whatever it was raised with.
        "raise_bare" => Kind::Dummy(v1::DummyPolicy { error: Some(String::new()), ..Default::default() }),
        "raise" | "raise_other" => {
            Kind::Dummy(v1::DummyPolicy { error: Some(text(&json["message"]).into()), ..Default::default() })
        }
        "expression" => Kind::Expression(v1::ExpressionPolicy {
            language: v1::ExpressionLanguage::Python.into(),
            source: text(&json["body"]).into(),
        }),
        "event_matcher" => Kind::EventMatcher(v1::EventMatcherPolicy {
            action: string(&json["action"]),
            client_ip: string(&json["client_ip"]),
            app: string(&json["app"]),
            model: string(&json["model"]),
            query: string(&json["query"]),
        }),
        "password_expiry" => Kind::PasswordExpiry(v1::PasswordExpiryPolicy {
            // Fewer than none cannot be said, and is expired at once as well.
            days: json["days"].as_i64().unwrap().max(0).try_into().unwrap(),
            deny_only: json["deny_only"] == true,
        }),
        "reputation" => Kind::Reputation(v1::ReputationPolicy {
            check_ip: flag(&json["check_ip"]),
            check_username: flag(&json["check_username"]),
            threshold: json["threshold"].as_i64(),
        }),
        "password" => Kind::Password(v1::PasswordPolicy {
            password_field: string(&json["password_field"]).unwrap_or_default(),
            check_static_rules: flag(&json["check_static_rules"]),
            length_min: number(&json["length_min"]).unwrap_or_default(),
            amount_digits: number(&json["amount_digits"]).unwrap_or_default(),
            amount_uppercase: number(&json["amount_uppercase"]).unwrap_or_default(),
            amount_lowercase: number(&json["amount_lowercase"]).unwrap_or_default(),
            amount_symbols: number(&json["amount_symbols"]).unwrap_or_default(),
            symbol_charset: string(&json["symbol_charset"]),
            error_message: string(&json["error_message"]).unwrap_or_default(),
            check_have_i_been_pwned: json["check_have_i_been_pwned"] == true,
            hibp_allowed_count: number(&json["hibp_allowed_count"]).unwrap_or_default(),
            check_zxcvbn: json["check_zxcvbn"] == true,
            zxcvbn_score_threshold: number(&json["zxcvbn_score_threshold"]),
        }),
        "geoip" => Kind::Geoip(v1::GeoipPolicy {
            asns: list("asns").iter().map(|asn| number(asn).unwrap()).collect(),
            countries: list("countries").iter().map(|country| text(country).to_owned()).collect(),
            check_history_distance: json["check_history_distance"] == true,
            history_max_distance_km: json["history_max_distance_km"].as_u64(),
            distance_tolerance_km: number(&json["distance_tolerance_km"]),
            history_login_count: number(&json["history_login_count"]),
            check_impossible_travel: json["check_impossible_travel"] == true,
            impossible_tolerance_km: number(&json["impossible_tolerance_km"]),
        }),
        other => panic!("`{other}` is no kind of policy"),
    };
    let id = text(&json["id"]).into();
    resource(R::Policy(v1::Policy { id, name, execution_logging: false, kind: Some(kind) }))
}

/// The rows of the state's reputation.
pub(super) fn reputation(vector: &Vector) -> Vec<v1::ReputationScore> {
    let rows = vector.state("reputation").as_array().cloned().unwrap_or_default();
    let row = |(index, json): (usize, &Json)| v1::ReputationScore {
        id: format!("row-{index}"),
        ip: text(&json["ip"]).into(),
        identifier: text(&json["identifier"]).into(),
        score: json["score"].as_i64().unwrap(),
        expires: (json["expired"] == true).then(|| moment(NOW - 1)),
    };
    rows.iter().enumerate().map(row).collect()
}

/// The id of a binding, by its place in its list.
pub(super) fn binding_id(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index}")
}

/// Bindings to a target. All sides that a vector names are set, also where that is one too many.
pub(super) fn bindings(list: &Json, target: &v1::TargetRef, prefix: &str) -> Vec<v1::Resource> {
    let binding = |(index, json): (usize, &Json)| {
        let subject = &json["subject"];
        let timeout = prost_types::Duration { seconds: json["timeout"].as_i64().unwrap(), nanos: 0 };
        resource(R::PolicyBinding(v1::PolicyBinding {
            id: binding_id(prefix, index),
            target: Some(target.clone()),
            policy: string(&subject["policy"]).unwrap_or_default(),
            user: subject["user"].as_str().map(user_id),
            group: subject["group"].as_str().map(group_id),
            order: json["order"].as_i64().unwrap().try_into().unwrap(),
            enabled: flag(&json["enabled"]),
            negate: json["negate"] == true,
            timeout: Some(timeout),
            failure_result: json["failure_result"] == true,
            ..Default::default()
        }))
    };
    items(list).iter().enumerate().map(binding).collect()
}

/// An application of this slug. Without `empty_result`: the default.
pub(super) fn application(slug: &str, json: &Json, empty_result: Option<bool>) -> v1::Resource {
    resource(R::Application(v1::Application {
        slug: slug.into(),
        name: string(&json["name"]).unwrap_or_default(),
        policy_engine_mode: mode(text(&json["mode"])),
        empty_result,
        group: string(&json["group"]).unwrap_or_default(),
        meta_description: string(&json["meta_description"]).unwrap_or_default(),
        meta_publisher: string(&json["meta_publisher"]).unwrap_or_default(),
        meta_launch_url: string(&json["meta_launch_url"]).unwrap_or_default(),
        ..Default::default()
    }))
}
