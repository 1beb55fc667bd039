//! The password policy: rules for a new password, checked static rules first, then Have I Been Pwned, then zxcvbn;
//! the first that fails decides. Not the password of somebody who signs in: the one in the context, that a person
//! is about to set.
//!
//! Must not know: the network; the look-up at Have I Been Pwned is handed back as [`Deferred::Breaches`].

use super::{CompileError, Deferred, Evaluation, Input, Secret, Verdict};
use crate::model::{self, Value};
use sha1::{Digest as _, Sha1};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt::Write as _;

/// authentik scores only so many characters, since the time that zxcvbn takes grows with the square of the length.
const SCORED_CHARACTERS: usize = 72;

/// How many hexadecimal digits of the hash Have I Been Pwned is asked by.
const PREFIX_DIGITS: usize = 5;

/// A password to look up among those that were breached.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaches {
    /// The first five hexadecimal digits of the password's SHA-1, in upper case: all that may leave the process.
    pub prefix: Box<str>,
    /// The other 35 digits.
    pub suffix: Secret,
    /// How often it may have been found.
    pub allowed: u32,
    /// What to say when it was not found more often.
    pub otherwise: Verdict,
}

impl Breaches {
    fn new(password: &str, allowed: u32, otherwise: Verdict) -> Self {
        let mut digits = String::with_capacity(40);
        for byte in Sha1::digest(password) {
            // Writing to a text does not fail.
            let _written = write!(digits, "{byte:02X}");
        }
        let suffix = digits.split_off(PREFIX_DIGITS);
        Self { prefix: digits.into(), suffix: Secret::new(suffix), allowed, otherwise }
    }

    /// The verdict on a password that was found this often.
    pub fn verdict(self, count: u64) -> Verdict {
        if count <= u64::from(self.allowed) {
            return self.otherwise;
        }
        Verdict::of(false).with_message(format!("Password exists on {count} online lists."))
    }
}

/// The password that the context has in this field, or the verdict that follows without one.
pub(super) fn given<'a>(input: &Input<'a>, field: &str) -> Result<Cow<'a, str>, Verdict> {
    let values = &input.context.values;
    let prompted = match values.get("prompt_data") {
        None => None,
        Some(Value::Map(data)) => data.get(field),
        Some(_) => return Err(Verdict::error("the context's `prompt_data` is not a mapping")),
    };
    let value = prompted.or_else(|| values.get(field));
    let Some(value) = value.filter(|value| value.is_truthy()) else {
        return Err(Verdict::of(false).with_message("Password not set in context"));
    };
    match value {
        Value::String(text) => Ok(Cow::Borrowed(&**text)),
        Value::Number(number) => Ok(Cow::Owned(number.to_string())),
        Value::Bool(_) => Ok(Cow::Borrowed("True")),
        _ => Err(Verdict::error(format!("the context's `{field}` is not a text"))),
    }
}

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

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        let password = match given(input, &self.0.password_field) {
            Ok(password) => password,
            Err(verdict) => return Evaluation::Done(verdict),
        };
        if self.0.check_static_rules && !self.meets_static_rules(&password) {
            return Evaluation::Done(Verdict::of(false).with_message(self.0.error_message.clone()));
        }
        let scored = if self.0.check_zxcvbn { self.score(&password, input) } else { Verdict::of(true) };
        if self.0.check_have_i_been_pwned {
            let breaches = Breaches::new(&password, self.0.hibp_allowed_count, scored);
            return Evaluation::Deferred(Deferred::Breaches(Box::new(breaches)));
        }
        Evaluation::Done(scored)
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
    use crate::policy::tests::{ALICE, evaluation, verdict};
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
    fn the_look_up_comes_after_the_static_rules_and_before_the_score() {
        let asked = |rules: model::Password| {
            let mut context = Context::at(Timestamp::new(0, 0));
            let values = BTreeMap::from([("password".into(), Value::String("hunter2".into()))]);
            context.values = Value::Map(values);
            evaluation(PolicyKind::Password(rules), ALICE, &context)
        };
        let rules = || model::Password { check_have_i_been_pwned: true, hibp_allowed_count: 3, ..rules() };
        let static_one = asked(model::Password { length_min: 9, ..rules() });
        assert_eq!(static_one, Evaluation::Done(Verdict::of(false).with_message("too simple")));

        let Evaluation::Deferred(deferred) = asked(rules()) else { panic!("nothing is looked up") };
        let shown = format!("{deferred:?}");
        assert!(shown.contains("F3BBB"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("D66A63"), "{shown}");
        let Deferred::Breaches(breaches) = deferred else { panic!("{deferred:?}") };
        assert_eq!(breaches.suffix.reveal(), "D66A63D4BF1747940578EC3D0103530E21D");
        assert_eq!(breaches.clone().verdict(3), Verdict::of(true));
        let found = Verdict::of(false).with_message("Password exists on 4 online lists.");
        assert_eq!(breaches.verdict(4), found);

        let Evaluation::Deferred(Deferred::Breaches(breaches)) =
            asked(model::Password { check_zxcvbn: true, ..rules() })
        else {
            panic!("nothing is looked up");
        };
        assert_eq!(&*breaches.clone().verdict(0).messages[0], "Password is too weak.");
        assert_eq!(breaches.verdict(4), found);
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
