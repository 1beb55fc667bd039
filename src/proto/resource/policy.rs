//! Policies from the model to messages.
//!
//! Must not know: how a policy is evaluated.

use super::{data, duration, id, resource, unless};
use crate::model::{Dummy, ExpressionLanguage, Geoip, MissingBehavior, Password, Policy, PolicyKind};
use crate::proto::v1;
use std::time::Duration;
use v1::policy::Kind;

/// A policy.
pub fn policy(policy: &Policy) -> v1::Resource {
    let name = policy.name.to_string();
    resource(v1::resource::Resource::Policy(v1::Policy {
        id: id(&policy.id, &name),
        execution_logging: policy.execution_logging,
        kind: Some(kind(&policy.kind, &name)),
        name,
    }))
}

fn kind(kind: &PolicyKind, name: &str) -> Kind {
    let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
    match kind {
        PolicyKind::Dummy(config) => Kind::Dummy(dummy(config)),
        PolicyKind::Expression(config) => Kind::Expression(v1::ExpressionPolicy {
            language: match config.language {
                ExpressionLanguage::Python => v1::ExpressionLanguage::Unspecified,
                ExpressionLanguage::Cel => v1::ExpressionLanguage::Cel,
            }
            .into(),
            source: config.source.to_string(),
        }),
        PolicyKind::EventMatcher(config) => Kind::EventMatcher(v1::EventMatcherPolicy {
            action: text(&config.action),
            client_ip: text(&config.client_ip),
            app: text(&config.app),
            model: text(&config.model),
            query: text(&config.query),
        }),
        PolicyKind::PasswordExpiry(config) => {
            Kind::PasswordExpiry(v1::PasswordExpiryPolicy { days: config.days, deny_only: config.deny_only })
        }
        PolicyKind::Geoip(config) => Kind::Geoip(geoip(config)),
        PolicyKind::Password(config) => Kind::Password(password(config)),
        PolicyKind::Reputation(config) => Kind::Reputation(v1::ReputationPolicy {
            check_ip: unless(config.check_ip, &true),
            check_username: unless(config.check_username, &true),
            threshold: unless(config.threshold, &-5),
        }),
        PolicyKind::UniquePassword(config) => Kind::UniquePassword(v1::UniquePasswordPolicy {
            password_field: field(&config.password_field),
            num_historical_passwords: unless(config.num_historical_passwords, &1),
        }),
        PolicyKind::Conditional(config) => Kind::Conditional(v1::ConditionalPolicy {
            program: data(&config.program),
            missing_behavior: match config.missing_behavior {
                MissingBehavior::Fail => String::new(),
                MissingBehavior::False => "false".to_owned(),
            },
            failure_message: text(&config.failure_message).unwrap_or_default(),
        }),
        PolicyKind::Remote(config) => Kind::Remote(v1::RemotePolicy {
            address: config.address.to_string(),
            policy: if *config.policy == *name { String::new() } else { config.policy.to_string() },
            may_change_context: config.may_change_context,
        }),
        PolicyKind::Unsupported(kind) => Kind::Unsupported(v1::UnsupportedPolicy { kind: kind.to_string() }),
    }
}

fn field(name: &str) -> String {
    if name == "password" { String::new() } else { name.to_owned() }
}

fn dummy(config: &Dummy) -> v1::DummyPolicy {
    let texts: Vec<String> = config.messages.iter().map(ToString::to_string).collect();
    v1::DummyPolicy {
        result: config.result,
        wait_min: unless(config.wait_min, &Duration::ZERO).map(duration),
        wait_max: unless(config.wait_max, &config.wait_min).map(duration),
        messages: (texts != ["dummy"]).then_some(v1::DummyMessages { texts }),
        error: config.error.as_deref().map(str::to_owned),
    }
}

fn geoip(config: &Geoip) -> v1::GeoipPolicy {
    v1::GeoipPolicy {
        asns: config.asns.clone(),
        countries: config.countries.iter().map(ToString::to_string).collect(),
        check_history_distance: config.check_history_distance,
        history_max_distance_km: unless(config.history_max_distance_km, &100),
        distance_tolerance_km: unless(config.distance_tolerance_km, &50),
        history_login_count: unless(config.history_login_count, &5),
        check_impossible_travel: config.check_impossible_travel,
        impossible_tolerance_km: unless(config.impossible_tolerance_km, &100),
    }
}

fn password(config: &Password) -> v1::PasswordPolicy {
    v1::PasswordPolicy {
        password_field: field(&config.password_field),
        check_static_rules: unless(config.check_static_rules, &true),
        length_min: config.length_min,
        amount_digits: config.amount_digits,
        amount_uppercase: config.amount_uppercase,
        amount_lowercase: config.amount_lowercase,
        amount_symbols: config.amount_symbols,
        symbol_charset: unless(config.symbol_charset.to_string(), &Password::DEFAULT_SYMBOLS.to_owned()),
        error_message: config.error_message.to_string(),
        check_have_i_been_pwned: config.check_have_i_been_pwned,
        hibp_allowed_count: config.hibp_allowed_count,
        check_zxcvbn: config.check_zxcvbn,
        zxcvbn_score_threshold: unless(config.zxcvbn_score_threshold, &2),
    }
}
