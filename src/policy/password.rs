//! The password policy: rules for a new password, checked static rules first, then Have I Been Pwned, then zxcvbn;
//! the first that fails decides. Not the password of somebody who signs in: the one in the context, that a person
//! is about to set.
//!
//! Must not know: the network; the look-up at Have I Been Pwned errors until it has a local source.

use super::{CompileError, Input, Verdict};
use crate::model::{self, Value};
use smallvec::SmallVec;
use std::borrow::Cow;

/// authentik scores only so many characters, since the time that zxcvbn takes grows with the square of the length.
const SCORED_CHARACTERS: usize = 72;

#[derive(Debug)]
pub(super) struct Password(model::Password);

impl Password {
    pub(super) fn new(config: &model::Password) -> Result<Self, CompileError> {
        if config.zxcvbn_score_threshold > 4 {
            let message =
                format!("a score is 0 to 4, not {}; choose one of these", config.zxcvbn_score_threshold);
            return Err(CompileError { field: "password.zxcvbn_score_threshold", message });
        }
        Ok(Self(config.clone()))
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Verdict {
        let values = &input.context.values;
        let field = &*self.0.password_field;
        let prompted = match values.get("prompt_data") {
            None => None,
            Some(Value::Map(data)) => data.get(field),
            Some(_) => return Verdict::error("the context's `prompt_data` is not a mapping"),
        };
        let value = prompted.or_else(|| values.get(field));
        let Some(value) = value.filter(|value| value.is_truthy()) else {
            return Verdict::of(false).with_message("Password not set in context");
        };
        let password = match value {
            Value::String(text) => Cow::Borrowed(&**text),
            Value::Number(number) => Cow::Owned(number.to_string()),
            Value::Bool(_) => Cow::Borrowed("True"),
            _ => return Verdict::error(format!("the context's `{field}` is not a text")),
        };
        if self.0.check_static_rules && !self.meets_static_rules(&password) {
            return Verdict::of(false).with_message(self.0.error_message.clone());
        }
        if self.0.check_have_i_been_pwned {
            return Verdict::error(
                "the look-up at Have I Been Pwned is not available in this version; switch check_have_i_been_pwned off",
            );
        }
        if self.0.check_zxcvbn { self.score(&password, input) } else { Verdict::of(true) }
    }

    fn meets_static_rules(&self, password: &str) -> bool {
        let rules = &self.0;
        let count = |wanted: &dyn Fn(char) -> bool| password.chars().filter(|c| wanted(*c)).count();
        let enough = |found: usize, least: u32| found >= least as usize;
        let symbols = || rules.symbol_charset.chars().map(|symbol| count(&|c| c == symbol)).sum::<usize>();
        enough(password.chars().count(), rules.length_min)
            && enough(count(&|c| c.is_ascii_digit()), rules.amount_digits)
            && enough(count(&|c| c.is_ascii_lowercase()), rules.amount_lowercase)
            && enough(count(&|c| c.is_ascii_uppercase()), rules.amount_uppercase)
            && (rules.amount_symbols == 0 || enough(symbols(), rules.amount_symbols))
    }

    fn score(&self, password: &str, input: &Input<'_>) -> Verdict {
        let end = password.char_indices().nth(SCORED_CHARACTERS).map_or(password.len(), |(index, _)| index);
        let scored = password.get(..end).unwrap_or(password);
        let person = &input.person;
        let mut known: SmallVec<[&str; 4]> = SmallVec::new();
        if !person.anonymous {
            known.extend([person.username, person.name, person.email]);
        }
        if let Some(http) = &input.context.http {
            let Some(title) = &http.brand_title else {
                return Verdict::error("the brand of the request is not known; set its `brand_title`");
            };
            known.push(title);
        }
        let entropy = zxcvbn::zxcvbn(scored, &known);
        if u32::from(u8::from(entropy.score())) > self.0.zxcvbn_score_threshold {
            return Verdict::of(true);
        }
        let mut verdict = Verdict::of(false).with_message("Password is too weak.");
        if let Some(feedback) = entropy.feedback() {
            verdict.messages.extend(feedback.suggestions().iter().map(|text| text.to_string().into()));
        }
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, Id, Policy, PolicyKind, Timestamp};
    use crate::policy::Compiled;
    use crate::policy::tests::{ALICE, verdict};
    use std::collections::BTreeMap;

    fn rules() -> model::Password {
        model::Password {
            password_field: "password".into(),
            check_static_rules: true,
            length_min: 0,
            amount_digits: 0,
            amount_uppercase: 0,
            amount_lowercase: 0,
            amount_symbols: 0,
            symbol_charset: model::Password::DEFAULT_SYMBOLS.into(),
            error_message: "too simple".into(),
            check_have_i_been_pwned: false,
            hibp_allowed_count: 0,
            check_zxcvbn: false,
            zxcvbn_score_threshold: 2,
        }
    }

    fn ask(rules: model::Password, password: &str) -> Verdict {
        let mut context = Context::at(Timestamp::new(0, 0));
        context.values = Value::Map(BTreeMap::from([("password".into(), Value::String(password.into()))]));
        verdict(PolicyKind::Password(rules), ALICE, &context)
    }

    #[test]
    fn each_rule_fails_with_the_one_message() {
        for (rules, password, passing) in [
            (model::Password { length_min: 3, ..rules() }, "äöü", true),
            (model::Password { length_min: 4, ..rules() }, "äöü", false),
            (model::Password { amount_digits: 2, ..rules() }, "a1b2", true),
            (model::Password { amount_digits: 2, ..rules() }, "a1b", false),
            (model::Password { amount_lowercase: 1, ..rules() }, "Ä", false),
            (model::Password { amount_uppercase: 1, ..rules() }, "a", false),
            (model::Password { amount_symbols: 1, ..rules() }, "a!", true),
            (model::Password { amount_symbols: 1, ..rules() }, "a", false),
            // The backslash stands twice in authentik's set, so one in the password counts twice.
            (model::Password { amount_symbols: 2, ..rules() }, "a\\", true),
        ] {
            let messages: Vec<Box<str>> = if passing { vec![] } else { vec!["too simple".into()] };
            assert_eq!(ask(rules, password), Verdict { messages, ..Verdict::of(passing) }, "{password}");
        }
    }

    #[test]
    fn nothing_to_check_fails_and_says_so() {
        assert_eq!(ask(rules(), ""), Verdict::of(false).with_message("Password not set in context"));
    }

    #[test]
    fn a_guessable_password_is_too_weak() {
        let rules = || model::Password { check_zxcvbn: true, ..rules() };
        let verdict = ask(rules(), "alice1");
        assert_eq!(
            (verdict.result, verdict.messages.first().map(|text| &**text)),
            (Ok(false), Some("Password is too weak."))
        );
        assert_eq!(ask(rules(), "vB7#qLz9!mTe2&xW").result, Ok(true));
    }

    #[test]
    fn the_look_up_errors_after_the_static_rules() {
        let rules = |length_min| model::Password { check_have_i_been_pwned: true, length_min, ..rules() };
        assert_eq!(ask(rules(9), "short").result, Ok(false));
        assert!(ask(rules(0), "short").result.unwrap_err().contains("Have I Been Pwned"));
    }

    #[test]
    fn a_score_beyond_four_is_refused() {
        let kind = PolicyKind::Password(model::Password { zxcvbn_score_threshold: 5, ..rules() });
        let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
        let error = Compiled::new(&policy).unwrap_err();
        assert_eq!(error.field, "password.zxcvbn_score_threshold");
        assert_eq!(error.message, "a score is 0 to 4, not 5; choose one of these");
    }
}
