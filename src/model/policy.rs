//! The configuration of policies, kind by kind, with authentik's defaults already filled in.

use super::{Id, Value};
use std::time::Duration;

/// A policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Identifies the policy.
    pub id: Id,
    /// Unique name.
    pub name: Box<str>,
    /// Log every execution.
    pub execution_logging: bool,
    /// What it does.
    pub kind: PolicyKind,
}

/// What a policy does.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyKind {
    /// A fixed result.
    Dummy(Dummy),
    /// Code.
    Expression(Expression),
    /// Matches the event in the context.
    EventMatcher(EventMatcher),
    /// The age of the password.
    PasswordExpiry(PasswordExpiry),
    /// Where the client is.
    Geoip(Geoip),
    /// The strength of a new password.
    Password(Password),
    /// Reputation of address and username.
    Reputation(Reputation),
    /// Whether a new password was used before.
    UniquePassword(UniquePassword),
    /// A program of typed comparisons.
    Conditional(Conditional),
    /// Another process decides.
    Remote(Remote),
    /// Of a kind that bindery does not know: always an error.
    Unsupported(Box<str>),
}

impl PolicyKind {
    /// The kind's name, from a closed set.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dummy(_) => "dummy",
            Self::Expression(_) => "expression",
            Self::EventMatcher(_) => "event_matcher",
            Self::PasswordExpiry(_) => "password_expiry",
            Self::Geoip(_) => "geoip",
            Self::Password(_) => "password",
            Self::Reputation(_) => "reputation",
            Self::UniquePassword(_) => "unique_password",
            Self::Conditional(_) => "conditional",
            Self::Remote(_) => "remote",
            Self::Unsupported(_) => "unsupported",
        }
    }
}

/// A fixed result after a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dummy {
    /// Pass or fail.
    pub result: bool,
    /// Shortest wait.
    pub wait_min: Duration,
    /// Longest wait; not below `wait_min`.
    pub wait_max: Duration,
    /// Messages to give.
    pub messages: Vec<Box<str>>,
    /// Fails with this text instead.
    pub error: Option<Box<str>>,
}

/// The language of an expression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExpressionLanguage {
    /// A Python function body, as authentik has it.
    #[default]
    Python,
    /// A CEL expression.
    Cel,
}

/// Code whose value decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// The language.
    pub language: ExpressionLanguage,
    /// The code.
    pub source: Box<str>,
}

/// Matches an event; a field that is absent matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventMatcher {
    /// The action.
    pub action: Option<Box<str>>,
    /// The client's address, as text.
    pub client_ip: Option<Box<str>>,
    /// The reporting app.
    pub app: Option<Box<str>>,
    /// The model, as `app.model`.
    pub model: Option<Box<str>>,
    /// A query over the event; not supported.
    pub query: Option<Box<str>>,
}

/// Passes while the password is younger than `days` days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordExpiry {
    /// Greatest age in days.
    pub days: u32,
    /// Only chooses the message.
    pub deny_only: bool,
}

/// Passes by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geoip {
    /// Allowed autonomous systems.
    pub asns: Vec<u32>,
    /// Allowed countries.
    pub countries: Vec<Box<str>>,
    /// Compare with the places of former sign-ins.
    pub check_history_distance: bool,
    /// Greatest distance to a former sign-in, km.
    pub history_max_distance_km: u64,
    /// Tolerance of distances, km.
    pub distance_tolerance_km: u32,
    /// How many former sign-ins are looked at.
    pub history_login_count: u32,
    /// Fail when the distance could not have been travelled.
    pub check_impossible_travel: bool,
    /// Accepted and not used, as in authentik.
    pub impossible_tolerance_km: u32,
}

/// Passes when the password in the context meets the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Password {
    /// Name of the field.
    pub password_field: Box<str>,
    /// Check length and classes.
    pub check_static_rules: bool,
    /// Least length in characters.
    pub length_min: u32,
    /// Least number of digits.
    pub amount_digits: u32,
    /// Least number of letters A-Z.
    pub amount_uppercase: u32,
    /// Least number of letters a-z.
    pub amount_lowercase: u32,
    /// Least number of symbols.
    pub amount_symbols: u32,
    /// Which characters are symbols; one that stands twice counts twice.
    pub symbol_charset: Box<str>,
    /// The message when a static rule fails.
    pub error_message: Box<str>,
    /// Look it up in Have I Been Pwned.
    pub check_have_i_been_pwned: bool,
    /// How often it may have been seen there.
    pub hibp_allowed_count: u32,
    /// Score it with zxcvbn.
    pub check_zxcvbn: bool,
    /// The score that must be exceeded.
    pub zxcvbn_score_threshold: u32,
}

impl Password {
    /// authentik's default set of symbols, with both of its backslashes.
    pub const DEFAULT_SYMBOLS: &'static str = r##"!\"#$%&'()*+,-./:;<=>?@[\]^_`{|}~ "##;
}

/// Passes for the badly reputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reputation {
    /// Count rows of the address.
    pub check_ip: bool,
    /// Count rows of the username.
    pub check_username: bool,
    /// Passes at or below it.
    pub threshold: i64,
}

/// Passes when the new password is none of the last ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniquePassword {
    /// Name of the field.
    pub password_field: Box<str>,
    /// How many are compared.
    pub num_historical_passwords: u32,
}

/// What a missing value means in a conditional policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissingBehavior {
    /// The whole policy fails.
    #[default]
    Fail,
    /// The comparison is false.
    False,
}

/// A program of actions over typed comparisons.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditional {
    /// The program, as authentik stores it.
    pub program: Value,
    /// What a missing value means.
    pub missing_behavior: MissingBehavior,
    /// Replaces all messages of a failure.
    pub failure_message: Option<Box<str>>,
}

/// Another process decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Where it listens.
    pub address: Box<str>,
    /// Name of the policy there.
    pub policy: Box<str>,
    /// Whether the changed context in its answers is taken over.
    pub may_change_context: bool,
}
