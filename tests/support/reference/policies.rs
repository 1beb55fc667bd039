//! The reference's policies: the kinds of this version, except for what needs a scorer or a network.

use super::{Person, Reference, Wrong, now_of, or};
use crate::support::message::Message;
use bindery::proto::v1;
use bindery::proto::v1::policy::Kind;
use bindery::proto::v1::resource::Resource as R;
use prost_types::Timestamp;
use prost_types::value::Kind as V;

const DAY: i64 = 24 * 60 * 60;

/// authentik's default set of symbols: both backslashes are part of it.
const SYMBOLS: &str = "!\\\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ";

/// What a policy said.
pub(crate) enum Said {
    /// Pass or fail, and messages.
    Result(bool, Vec<Message>),
    /// An error with this text.
    Error(Message),
}

pub(crate) fn is_before(a: Timestamp, b: Timestamp) -> bool {
    (a.seconds, a.nanos) < (b.seconds, b.nanos)
}

fn value<'a>(context: &'a v1::Context, key: &str) -> Option<&'a V> {
    context.values.as_ref()?.fields.get(key)?.kind.as_ref()
}

fn is_true(value: &V) -> bool {
    match value {
        V::NullValue(_) => false,
        V::BoolValue(truth) => *truth,
        V::NumberValue(number) => *number != 0.0,
        V::StringValue(text) => !text.is_empty(),
        V::ListValue(list) => !list.values.is_empty(),
        V::StructValue(map) => !map.fields.is_empty(),
    }
}

/// Whether the context has something true under this key.
pub(crate) fn has(context: &v1::Context, key: &str) -> bool {
    value(context, key).is_some_and(is_true)
}

fn said(passing: bool, message: &str) -> Said {
    Said::Result(passing, vec![Message::Text(message.to_owned())])
}

impl Reference {
    pub(crate) fn policy(
        &self,
        name: &str,
        person: &Person<'_>,
        context: &v1::Context,
    ) -> Result<Said, Wrong> {
        let policy = self.each().find_map(|resource| match resource {
            R::Policy(policy) if or(&policy.id, &policy.name) == name || policy.name == name => Some(policy),
            _ => None,
        });
        match policy.expect("the tests bind policies that are there").kind.as_ref().unwrap() {
            Kind::Dummy(policy) => Ok(dummy(policy)),
            Kind::EventMatcher(policy) => Ok(event_matcher(policy, context)),
            Kind::PasswordExpiry(policy) => Ok(password_expiry(policy, person, context)),
            Kind::Reputation(policy) => Ok(self.reputation(policy, person, context)),
            Kind::Password(policy) => password(policy, context),
            _ => Err(Wrong::Beyond("a kind of policy that the reference does not know")),
        }
    }

    fn reputation(&self, policy: &v1::ReputationPolicy, person: &Person<'_>, context: &v1::Context) -> Said {
        let mine: Vec<v1::ReputationScore> = match &context.reputation {
            Some(given) => given.scores.clone(),
            None => self
                .each()
                .filter_map(|resource| match resource {
                    R::ReputationScore(score) => Some(score.clone()),
                    _ => None,
                })
                .collect(),
        };
        // An address may be written in several ways; it is compared as it is usually written.
        let address = match context.client_ip.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_string(),
            Err(_) => "255.255.255.255".to_owned(),
        };
        let check_ip = policy.check_ip.unwrap_or(true);
        let check_username = policy.check_username.unwrap_or(true);
        let mut sum = 0;
        for row in mine {
            let counts = (check_ip && row.ip == address)
                || (check_username && row.identifier == person.username)
                || (!check_ip && !check_username);
            let expired = row.expires.is_some_and(|expires| !is_before(now_of(context), expires));
            if counts && !expired {
                sum += row.score;
            }
        }
        Said::Result(sum <= policy.threshold.unwrap_or(-5), Vec::new())
    }
}

fn dummy(policy: &v1::DummyPolicy) -> Said {
    if let Some(text) = &policy.error {
        return Said::Error(Message::Text(text.clone()));
    }
    match &policy.messages {
        Some(messages) => Said::Result(policy.result, Message::texts(&messages.texts)),
        None => said(policy.result, "dummy"),
    }
}

fn event_matcher(policy: &v1::EventMatcherPolicy, context: &v1::Context) -> Said {
    if policy.query.is_some() {
        return Said::Error(Message::Some);
    }
    let fields = [&policy.action, &policy.client_ip, &policy.app, &policy.model];
    let Some(event) = &context.event else {
        // Something under `event` that is no event, even null, breaks a matcher that looks at it.
        return match value(context, "event") {
            None => Said::Result(false, Vec::new()),
            Some(_) if fields.iter().all(|field| field.is_none()) => Said::Result(true, Vec::new()),
            Some(_) => Said::Error(Message::Some),
        };
    };
    let mut passing = true;
    let mut messages = Vec::new();
    let mut compare = |wanted: &Option<String>, found: Option<&str>, message: &str| {
        if let Some(wanted) = wanted {
            passing = passing && found == Some(wanted);
            messages.push(Message::Text(message.to_owned()));
        }
    };
    compare(&policy.action, Some(&event.action), "Action matched.");
    compare(&policy.client_ip, event.client_ip.as_deref(), "Client IP matched.");
    compare(&policy.app, Some(&event.app), "App matched.");
    if policy.model.is_some() {
        let model = event.context.as_ref().and_then(|data| data.fields.get("model"));
        let parts = match model.map(|model| model.kind.as_ref().unwrap()) {
            None => None,
            Some(V::StructValue(parts)) => Some(parts),
            Some(_) => return Said::Error(Message::Some),
        };
        let part = |key: &str| match parts.and_then(|parts| parts.fields.get(key)?.kind.clone()) {
            Some(V::StringValue(text)) => text,
            _ => "None".to_owned(),
        };
        let model = format!("{}.{}", part("app"), part("model_name"));
        compare(&policy.model, Some(&model), "Model matched.");
    }
    Said::Result(passing, messages)
}

fn password_expiry(policy: &v1::PasswordExpiryPolicy, person: &Person<'_>, context: &v1::Context) -> Said {
    let Some(changed) = person.user.and_then(|user| user.password_change_date) else {
        return Said::Error(Message::Some);
    };
    let now = now_of(context);
    let begun = i64::from(now.nanos < changed.nanos);
    let days = (now.seconds - changed.seconds - begun).div_euclid(DAY);
    if days < i64::from(policy.days) {
        return Said::Result(true, Vec::new());
    }
    if policy.deny_only {
        return said(false, "Password has expired.");
    }
    let ago = days - i64::from(policy.days);
    said(false, &format!("Password expired {ago} days ago. Please update your password."))
}

fn password(policy: &v1::PasswordPolicy, context: &v1::Context) -> Result<Said, Wrong> {
    let field = or(&policy.password_field, "password");
    let prompted = match value(context, "prompt_data") {
        None => None,
        Some(V::StructValue(data)) => data.fields.get(field).and_then(|found| found.kind.as_ref()),
        Some(_) => return Ok(Said::Error(Message::Some)),
    };
    let Some(found) = prompted.or_else(|| value(context, field)).filter(|found| is_true(found)) else {
        return Ok(said(false, "Password not set in context"));
    };
    let password = match found {
        V::StringValue(text) => text.clone(),
        V::NumberValue(number) => number.to_string(),
        _ => return Err(Wrong::Beyond("a password that is neither text nor number")),
    };
    let count = |wanted: &dyn Fn(char) -> bool| password.chars().filter(|c| wanted(*c)).count();
    let mut symbols = 0;
    for symbol in policy.symbol_charset.as_deref().unwrap_or(SYMBOLS).chars() {
        symbols += count(&|c| c == symbol);
    }
    let enough = |found: usize, wanted: u32| found >= wanted as usize;
    let fits = enough(password.chars().count(), policy.length_min)
        && enough(count(&|c| c.is_ascii_digit()), policy.amount_digits)
        && enough(count(&|c| c.is_ascii_lowercase()), policy.amount_lowercase)
        && enough(count(&|c| c.is_ascii_uppercase()), policy.amount_uppercase)
        && enough(symbols, policy.amount_symbols);
    if policy.check_static_rules.unwrap_or(true) && !fits {
        return Ok(said(false, &policy.error_message));
    }
    if policy.check_have_i_been_pwned || policy.check_zxcvbn {
        return Err(Wrong::Beyond("a password's score and its look-up"));
    }
    Ok(Said::Result(true, Vec::new()))
}
