//! Policies from messages to the model.
//!
//! Must not know: how a policy is evaluated; what a kind does not allow is found when it is compiled.

use super::fields::{Checked, Fields, MAX_NAME};
use super::or;
use crate::model::{
    Conditional, Dummy, EventMatcher, Expression, ExpressionLanguage, Geoip, MissingBehavior, Password,
    PasswordExpiry, Policy, PolicyBinding, PolicyKind, Remote, Reputation, UniquePassword,
};
use crate::proto::v1;
use std::time::Duration;

/// The longest code of an expression, in bytes.
const MAX_SOURCE: usize = 64 << 10;
/// The most messages of a dummy, countries or networks.
const MAX_ENTRIES: usize = 1_000;
/// The longest message.
const MAX_MESSAGE: usize = 4096;

pub(super) fn policy(fields: &mut Fields, message: v1::Policy) -> Checked<Policy> {
    let name = fields.name("name", &message.name);
    let id = fields.id(&or(&message.id, &message.name), MAX_NAME);
    let kind = match message.kind {
        Some(kind) => kind_of(fields, kind, &message.name),
        None => fields.wrong("kind", "missing; set one kind of policy, such as expression"),
    };
    Some(Policy { id: id?, name: name?, execution_logging: message.execution_logging, kind: kind? })
}

fn kind_of(fields: &mut Fields, kind: v1::policy::Kind, name: &str) -> Checked<PolicyKind> {
    use v1::policy::Kind;
    Some(match kind {
        Kind::Dummy(config) => PolicyKind::Dummy(dummy(fields, config)?),
        Kind::Expression(config) => PolicyKind::Expression(expression(fields, config)?),
        Kind::EventMatcher(config) => PolicyKind::EventMatcher(EventMatcher {
            action: optional(fields, "event_matcher.action", config.action)?,
            client_ip: optional(fields, "event_matcher.client_ip", config.client_ip)?,
            app: optional(fields, "event_matcher.app", config.app)?,
            model: optional(fields, "event_matcher.model", config.model)?,
            query: optional(fields, "event_matcher.query", config.query)?,
        }),
        Kind::PasswordExpiry(config) => {
            PolicyKind::PasswordExpiry(PasswordExpiry { days: config.days, deny_only: config.deny_only })
        }
        Kind::Geoip(config) => PolicyKind::Geoip(geoip(fields, config)?),
        Kind::Password(config) => PolicyKind::Password(password(fields, config)?),
        Kind::Reputation(config) => PolicyKind::Reputation(Reputation {
            check_ip: config.check_ip.unwrap_or(true),
            check_username: config.check_username.unwrap_or(true),
            threshold: config.threshold.unwrap_or(-5),
        }),
        Kind::UniquePassword(config) => PolicyKind::UniquePassword(UniquePassword {
            password_field: field_name(fields, "unique_password.password_field", config.password_field)?,
            num_historical_passwords: config.num_historical_passwords.unwrap_or(1),
        }),
        Kind::Conditional(config) => PolicyKind::Conditional(conditional(fields, config)?),
        Kind::Remote(config) => {
            // The policy's own name is checked where it stands.
            let policy = match config.policy.as_str() {
                "" => Some(name.into()),
                policy => fields.name("remote.policy", policy),
            };
            let address = fields.name("remote.address", &config.address);
            let may_change_context = config.may_change_context;
            PolicyKind::Remote(Remote { address: address?, policy: policy?, may_change_context })
        }
        Kind::Unsupported(config) => PolicyKind::Unsupported(fields.label("unsupported.kind", config.kind)?),
    })
}

fn optional(fields: &mut Fields, field: &'static str, text: Option<String>) -> Checked<Option<Box<str>>> {
    match text {
        Some(text) => fields.label(field, text).map(Some),
        None => Some(None),
    }
}

fn field_name(fields: &mut Fields, field: &'static str, text: String) -> Checked<Box<str>> {
    fields.name(field, &or(&text, "password"))
}

fn dummy(fields: &mut Fields, config: v1::DummyPolicy) -> Checked<Dummy> {
    let wait_min = fields.duration("dummy.wait_min", config.wait_min, Duration::ZERO)?;
    let wait_max = fields.duration("dummy.wait_max", config.wait_max, wait_min)?;
    if wait_max < wait_min {
        return fields.wrong("dummy.wait_max", "is shorter than wait_min; raise it");
    }
    if wait_max > PolicyBinding::MAX_TIMEOUT {
        return fields.wrong("dummy.wait_max", "is longer than any timeout, one hour; lower it");
    }
    let texts = match config.messages {
        Some(messages) => messages.texts,
        None => vec!["dummy".to_owned()],
    };
    fields.at_most("dummy.messages", texts.len(), MAX_ENTRIES)?;
    let messages: Checked<Vec<Box<str>>> =
        texts.into_iter().map(|text| fields.text("dummy.messages", text, MAX_MESSAGE)).collect();
    let error = optional(fields, "dummy.error", config.error)?;
    Some(Dummy { result: config.result, wait_min, wait_max, messages: messages?, error })
}

fn expression(fields: &mut Fields, config: v1::ExpressionPolicy) -> Checked<Expression> {
    let language = match fields.member("expression.language", config.language)? {
        v1::ExpressionLanguage::Unspecified | v1::ExpressionLanguage::Python => ExpressionLanguage::Python,
        v1::ExpressionLanguage::Cel => ExpressionLanguage::Cel,
    };
    Some(Expression { language, source: fields.text("expression.source", config.source, MAX_SOURCE)? })
}

fn geoip(fields: &mut Fields, config: v1::GeoipPolicy) -> Checked<Geoip> {
    fields.at_most("geoip.asns", config.asns.len(), MAX_ENTRIES)?;
    fields.at_most("geoip.countries", config.countries.len(), MAX_ENTRIES)?;
    let countries: Checked<Vec<Box<str>>> = config
        .countries
        .into_iter()
        .map(|country| match country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            true => Some(country.into()),
            false => {
                let message =
                    format!("`{country}` is not a country code; write two capital letters, such as DE");
                fields.wrong("geoip.countries", message)
            }
        })
        .collect();
    Some(Geoip {
        asns: config.asns,
        countries: countries?,
        check_history_distance: config.check_history_distance,
        history_max_distance_km: config.history_max_distance_km.unwrap_or(100),
        distance_tolerance_km: config.distance_tolerance_km.unwrap_or(50),
        history_login_count: config.history_login_count.unwrap_or(5),
        check_impossible_travel: config.check_impossible_travel,
        impossible_tolerance_km: config.impossible_tolerance_km.unwrap_or(100),
    })
}

fn password(fields: &mut Fields, config: v1::PasswordPolicy) -> Checked<Password> {
    let symbols = config.symbol_charset.unwrap_or_else(|| Password::DEFAULT_SYMBOLS.to_owned());
    Some(Password {
        password_field: field_name(fields, "password.password_field", config.password_field)?,
        check_static_rules: config.check_static_rules.unwrap_or(true),
        length_min: config.length_min,
        amount_digits: config.amount_digits,
        amount_uppercase: config.amount_uppercase,
        amount_lowercase: config.amount_lowercase,
        amount_symbols: config.amount_symbols,
        symbol_charset: fields.label("password.symbol_charset", symbols)?,
        error_message: fields.label("password.error_message", config.error_message)?,
        check_have_i_been_pwned: config.check_have_i_been_pwned,
        hibp_allowed_count: config.hibp_allowed_count,
        check_zxcvbn: config.check_zxcvbn,
        zxcvbn_score_threshold: config.zxcvbn_score_threshold.unwrap_or(2),
    })
}

fn conditional(fields: &mut Fields, config: v1::ConditionalPolicy) -> Checked<Conditional> {
    let missing_behavior = match config.missing_behavior.as_str() {
        "" | "fail" => MissingBehavior::Fail,
        "false" => MissingBehavior::False,
        other => {
            let message = format!("`{other}` is not allowed; write fail or false");
            return fields.wrong("conditional.missing_behavior", message);
        }
    };
    let failure_message = fields.label("conditional.failure_message", config.failure_message)?;
    Some(Conditional {
        program: fields.data("conditional.program", config.program)?,
        missing_behavior,
        failure_message: (!failure_message.is_empty()).then_some(failure_message),
    })
}
