//! Plan tokens: a plan that somebody else may hold, and cannot change unseen.
//!
//! A token is `b1.PLAN.MAC`. PLAN is the message `bindery.v1.FlowPlan`, MAC is HMAC-SHA256 over `b1.PLAN`, both in
//! base64url without padding. What is in it can be read by everybody; it has no context. Must not know: what a plan
//! means.

use crate::model::Timestamp;
use crate::proto::{v1, value};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use prost::Message as _;
use ring::hmac::{self, HMAC_SHA256, Key};
use ring::rand::SystemRandom;
use std::fmt;
use std::time::Duration;

/// How long a token is good where nothing else is said.
pub const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// The shortest key, in bytes.
pub const MIN_KEY: usize = 32;
/// The most keys that are accepted at a time.
const MAX_KEYS: usize = 16;
/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN: usize = 1 << 20;
const VERSION: &str = "b1";

/// Signs plans, and tells signed ones from others.
pub struct Tokens {
    /// The first signs, all are accepted.
    keys: Vec<Key>,
    lifetime: Duration,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("keys", &self.keys.len()).field("lifetime", &self.lifetime).finish()
    }
}

impl Tokens {
    /// With a key that nobody else has and that goes with this process.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn random(lifetime: Duration) -> Result<Self, String> {
        let key = Key::generate(HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| "the system has no random numbers for a key".to_owned())?;
        Ok(Self { keys: vec![key], lifetime })
    }

    /// With the keys of a text, one a line: the first signs, all are accepted, so that a new one can be put before the
    /// old one. Empty lines count for nothing.
    ///
    /// # Errors
    /// When a key is too short, or there is none or too many.
    pub fn from_text(text: &str, lifetime: Duration) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
            let length = line.len();
            if length < MIN_KEY {
                return Err(format!(
                    "line {number}: a key has {length} bytes; write at least {MIN_KEY}, as `openssl rand -hex 32` gives them"
                ));
            }
            keys.push(Key::new(HMAC_SHA256, line.as_bytes()));
        }
        match keys.len() {
            0 => Err(format!("there is no key; write a line of at least {MIN_KEY} characters")),
            1..=MAX_KEYS => Ok(Self { keys, lifetime }),
            many => Err(format!("there are {many} keys; at most {MAX_KEYS} are allowed, so remove old ones")),
        }
    }

    /// The token of a plan.
    pub(super) fn sign(&self, plan: &v1::FlowPlan) -> String {
        let mut token = format!("{VERSION}.{}", BASE64.encode(plan.encode_to_vec()));
        if let Some(key) = self.keys.first() {
            let mac = hmac::sign(key, token.as_bytes());
            token.push('.');
            BASE64.encode_string(mac.as_ref(), &mut token);
        }
        token
    }

    /// The plan of a token.
    ///
    /// # Errors
    /// When it is not one of ours as it was given out, or too old; with what to do.
    pub(super) fn open(&self, token: &str, now: Timestamp) -> Result<v1::FlowPlan, String> {
        const AGAIN: &str = "plan the flow again";
        let length = token.len();
        if length > MAX_TOKEN {
            return Err(format!("has {length} bytes; at most {MAX_TOKEN} are looked at; {AGAIN}"));
        }
        let broken = || format!("is no plan token; hand back what PlanFlow or NextStage gave, or {AGAIN}");
        let (signed, mac) = token.rsplit_once('.').ok_or_else(broken)?;
        let plan = signed.strip_prefix(VERSION).and_then(|rest| rest.strip_prefix('.')).ok_or_else(broken)?;
        let mac = BASE64.decode(mac).map_err(|_| broken())?;
        if !self.keys.iter().any(|key| hmac::verify(key, signed.as_bytes(), &mac).is_ok()) {
            return Err(format!("was tampered with, or signed by a server with another key; {AGAIN}"));
        }
        let plan = BASE64.decode(plan).map_err(|_| broken())?;
        let plan = v1::FlowPlan::decode(plan.as_slice()).map_err(|_| broken())?;
        let made = plan.planned_at.as_ref().and_then(value::moment).ok_or_else(broken)?;
        let age = u64::try_from(now.nanoseconds_since(made)).map_or(Duration::ZERO, Duration::from_nanos);
        if age > self.lifetime {
            let (age, lifetime) = (Duration::from_secs(age.as_secs()), self.lifetime);
            return Err(format!("is {age:?} old, and good for {lifetime:?}; {AGAIN}"));
        }
        Ok(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::new(1_780_315_200, 0);

    fn plan() -> v1::FlowPlan {
        let stage = v1::PlannedStage { binding_id: "login/0/password".into(), ..Default::default() };
        let planned_at = Some(value::to_timestamp(NOW));
        v1::FlowPlan { flow: "login".into(), stages: vec![stage], revision: 7, planned_at }
    }

    fn keys(text: &str) -> Tokens {
        Tokens::from_text(text, LIFETIME).unwrap()
    }

    #[test]
    fn a_token_comes_back_as_it_was() {
        let tokens = Tokens::random(LIFETIME).unwrap();
        let token = tokens.sign(&plan());
        assert!(token.starts_with("b1."), "{token}");
        assert_eq!(tokens.open(&token, NOW), Ok(plan()));
        assert!(!format!("{tokens:?}").contains("Key"), "{tokens:?}");
    }

    #[test]
    fn every_change_of_a_token_is_refused() {
        let tokens = Tokens::random(LIFETIME).unwrap();
        let token = tokens.sign(&plan());
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(tokens.open(&changed, NOW).is_err(), "at {index}");
            assert!(tokens.open(&token[..index], NOW).is_err(), "cut at {index}");
        }
        let other = Tokens::random(LIFETIME).unwrap();
        let error = other.open(&token, NOW).unwrap_err();
        assert!(error.contains("signed by a server with another key"), "{error}");
        for text in ["", "b1", "b1.", "b1..", "a.b.c", &"x".repeat(MAX_TOKEN + 1)] {
            assert!(tokens.open(text, NOW).unwrap_err().contains("plan the flow again"));
        }
    }

    #[test]
    fn a_token_is_good_for_its_time() {
        let tokens = Tokens::random(Duration::from_secs(60)).unwrap();
        let token = tokens.sign(&plan());
        assert!(tokens.open(&token, NOW.plus_seconds(60)).is_ok());
        let error = tokens.open(&token, NOW.plus_seconds(61)).unwrap_err();
        assert_eq!(error, "is 61s old, and good for 60s; plan the flow again");
        // Clocks of two servers differ a little.
        assert!(tokens.open(&token, NOW.plus_seconds(-5)).is_ok());
    }

    #[test]
    fn keys_are_rolled_one_after_the_other() {
        let (old, new) = ("o".repeat(32), "n".repeat(32));
        let before = keys(&old).sign(&plan());
        let both = keys(&format!("{new}\n\n{old}\n"));
        assert!(both.open(&before, NOW).is_ok());
        let after = both.sign(&plan());
        assert!(keys(&new).open(&after, NOW).is_ok());
        assert!(keys(&old).open(&after, NOW).is_err());
    }

    #[test]
    fn wrong_keys_are_told() {
        for (text, part) in [
            ("", "there is no key"),
            ("short", "line 1: a key has 5 bytes; write at least 32"),
            (&format!("{0}\n", "k".repeat(32)).repeat(17), "there are 17 keys"),
        ] {
            let error = Tokens::from_text(text, LIFETIME).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
