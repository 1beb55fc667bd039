//! Policies from authentik's models.
//!
//! Must not know: what a policy does.

use super::fields::Fields;
use super::kind::app;
use crate::proto::v1::{self, policy::Kind};
use crate::sync::blueprint::value::Value;
use std::collections::BTreeMap;

/// authentik's dummy waits between these, in seconds.
const DUMMY_WAIT: (i64, i64) = (5, 30);

/// The policy of an object.
pub(super) fn policy(fields: &mut Fields<'_, '_>) -> v1::Policy {
    let app = app(&fields.object.model, "authentik_policies_", "policy").unwrap_or_default().to_owned();
    let kind = match app.as_str() {
        "dummy" => Kind::Dummy(dummy(fields)),
        "event_matcher" => Kind::EventMatcher(v1::EventMatcherPolicy {
            action: fields.optional_text("action"),
            client_ip: fields.optional_text("client_ip"),
            app: fields.optional_text("app"),
            model: fields.optional_text("model"),
            query: fields.optional_text("query"),
        }),
        "expiry" => Kind::PasswordExpiry(v1::PasswordExpiryPolicy {
            days: days(fields),
            deny_only: fields.boolean("deny_only").unwrap_or_default(),
        }),
        "expression" => Kind::Expression(v1::ExpressionPolicy {
            language: v1::ExpressionLanguage::Python.into(),
            source: fields.name("expression"),
        }),
        "geoip" => Kind::Geoip(v1::GeoipPolicy {
            asns: asns(fields),
            countries: countries(fields),
            check_history_distance: fields.boolean("check_history_distance").unwrap_or_default(),
            history_max_distance_km: fields.number("history_max_distance_km"),
            distance_tolerance_km: fields.number("distance_tolerance_km"),
            history_login_count: fields.number("history_login_count"),
            check_impossible_travel: fields.boolean("check_impossible_travel").unwrap_or_default(),
            impossible_tolerance_km: fields.number("impossible_tolerance_km"),
        }),
        "password" => Kind::Password(password(fields)),
        "reputation" => Kind::Reputation(v1::ReputationPolicy {
            check_ip: fields.boolean("check_ip"),
            check_username: fields.boolean("check_username"),
            threshold: fields.number("threshold"),
        }),
        "unique_password" => Kind::UniquePassword(v1::UniquePasswordPolicy {
            password_field: fields.text("password_field"),
            num_historical_passwords: fields.number("num_historical_passwords"),
        }),
        _ if app.contains("conditional") => Kind::Conditional(conditional(fields)),
        _ => Kind::Unsupported(v1::UnsupportedPolicy { kind: app }),
    };
    v1::Policy {
        id: fields.id(),
        name: fields.name("name"),
        execution_logging: fields.boolean("execution_logging").unwrap_or_default(),
        kind: Some(kind),
    }
}

fn dummy(fields: &mut Fields<'_, '_>) -> v1::DummyPolicy {
    let seconds = |seconds| prost_types::Duration { seconds, nanos: 0 };
    let (wait_min, wait_max) = (fields.seconds("wait_min"), fields.seconds("wait_max"));
    v1::DummyPolicy {
        result: fields.boolean("result").unwrap_or_default(),
        wait_min: Some(wait_min.unwrap_or_else(|| seconds(DUMMY_WAIT.0))),
        wait_max: Some(wait_max.unwrap_or_else(|| seconds(DUMMY_WAIT.1))),
        ..Default::default()
    }
}

/// The one number of an expiry policy, which has no default.
fn days(fields: &mut Fields<'_, '_>) -> u32 {
    if fields.value("days").is_none_or(Value::is_null) {
        fields.wrong("days", "missing; it is required");
        return 0;
    }
    fields.number("days").unwrap_or_default()
}

fn asns(fields: &mut Fields<'_, '_>) -> Vec<u32> {
    let number = |value: &Value| match value {
        Value::Int(number) => u32::try_from(*number).ok(),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    };
    let numbers: Option<Vec<u32>> = fields.list("asns").iter().map(number).collect();
    if numbers.is_none() {
        fields.wrong("asns", "not every item is the number of an autonomous system; correct it");
    }
    numbers.unwrap_or_default()
}

/// Country codes; the country Norway has the code that YAML reads as false.
fn countries(fields: &mut Fields<'_, '_>) -> Vec<String> {
    let code = |value: &Value| match value {
        Value::Text(text) => Some(text.to_string()),
        _ => None,
    };
    let codes: Option<Vec<String>> = fields.list("countries").iter().map(code).collect();
    if codes.is_none() {
        fields.wrong("countries", "not every item is text; write codes such as DE, and NO with quotes");
    }
    codes.unwrap_or_default()
}

fn password(fields: &mut Fields<'_, '_>) -> v1::PasswordPolicy {
    v1::PasswordPolicy {
        password_field: fields.text("password_field"),
        check_static_rules: fields.boolean("check_static_rules"),
        length_min: fields.number("length_min").unwrap_or_default(),
        amount_digits: fields.number("amount_digits").unwrap_or_default(),
        amount_uppercase: fields.number("amount_uppercase").unwrap_or_default(),
        amount_lowercase: fields.number("amount_lowercase").unwrap_or_default(),
        amount_symbols: fields.number("amount_symbols").unwrap_or_default(),
        symbol_charset: fields.optional_text("symbol_charset"),
        error_message: fields.text("error_message"),
        check_have_i_been_pwned: fields.boolean("check_have_i_been_pwned").unwrap_or_default(),
        hibp_allowed_count: fields.number("hibp_allowed_count").unwrap_or_default(),
        check_zxcvbn: fields.boolean("check_zxcvbn").unwrap_or_default(),
        zxcvbn_score_threshold: fields.number("zxcvbn_score_threshold"),
    }
}

/// The whole program, `version` and `actions`, is in the field `actions`; a list there is of the actions alone.
fn conditional(fields: &mut Fields<'_, '_>) -> v1::ConditionalPolicy {
    let program = match fields.value("actions") {
        Some(actions @ Value::List(_)) => {
            let whole = [("version".to_owned(), Value::Int(2)), ("actions".to_owned(), actions.clone())];
            Some(fields.struct_of(&BTreeMap::from(whole)))
        }
        None | Some(Value::Missing(_)) => {
            fields.wrong("actions", "missing; it is required");
            None
        }
        Some(_) => fields.data("actions"),
    };
    v1::ConditionalPolicy {
        program,
        missing_behavior: fields.text("missing_behavior"),
        failure_message: fields.text("failure_message"),
    }
}
