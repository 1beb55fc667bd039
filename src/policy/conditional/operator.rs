//! The operators: which kinds they take, what they are compared with, and what they say.
//!
//! Must not know: how a value is found, what a missing one means.

use super::address;
use super::kind::{Held, Items, Kind, Scalar, folded};
use crate::model::Timestamp;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

/// The longest pattern, in characters.
pub(super) const MAX_PATTERN: usize = 256;
/// How much memory a compiled pattern may take, in bytes. A short pattern with counted repetitions can be huge.
const MAX_COMPILED: usize = 1 << 20;
/// Python's idea of a web address for forms: http or https, a host name or an address, and no white space.
const URL: &str = concat!(
    r"(?i)^https?://(?:[^\s:@/]+(?::[^\s:@/]*)?@)?",
    r"(?:\[[0-9a-f:.]+\]|[a-z0-9\u{a1}-\u{ffff}](?:[a-z0-9\u{a1}-\u{ffff}.-]*[a-z0-9\u{a1}-\u{ffff}])?\.?)",
    r"(?::[0-9]{1,5})?(?:[/?#]\S*)?$"
);
/// The longest text that is a web address, in characters.
const MAX_URL: usize = 2048;

/// What is asked of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    IsSet,
    IsNotSet,
    Eq,
    Ne,
    In,
    NotIn,
    Contains,
    StartsWith,
    EndsWith,
    Matches,
    Lt,
    Lte,
    Gt,
    Gte,
    Between,
    IsTrue,
    IsFalse,
    WithinLast,
    OlderThan,
    InNetwork,
    IsPrivate,
    IsGlobal,
    IsUrl,
    HasItem,
    HasAny,
    HasAll,
    IsEmpty,
    LengthEq,
    LengthGt,
    LengthLt,
}

/// What an operator compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Nothing,
    /// A value of the variable's kind.
    Same,
    /// A list of these.
    ListOfSame,
    /// Two of these.
    Range,
    /// A value of the kind of the variable's items.
    Item,
    /// A list of these.
    ListOfItem,
    Number,
    Span,
    Pattern,
    Networks,
}

impl Operator {
    /// Every operator with its name.
    pub(super) const ALL: [(&'static str, Self); 30] = [
        ("is_set", Self::IsSet),
        ("is_not_set", Self::IsNotSet),
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("in", Self::In),
        ("not_in", Self::NotIn),
        ("contains", Self::Contains),
        ("starts_with", Self::StartsWith),
        ("ends_with", Self::EndsWith),
        ("matches", Self::Matches),
        ("lt", Self::Lt),
        ("lte", Self::Lte),
        ("gt", Self::Gt),
        ("gte", Self::Gte),
        ("between", Self::Between),
        ("is_true", Self::IsTrue),
        ("is_false", Self::IsFalse),
        ("within_last", Self::WithinLast),
        ("older_than", Self::OlderThan),
        ("in_network", Self::InNetwork),
        ("is_private", Self::IsPrivate),
        ("is_global", Self::IsGlobal),
        ("is_url", Self::IsUrl),
        ("has_item", Self::HasItem),
        ("has_any", Self::HasAny),
        ("has_all", Self::HasAll),
        ("is_empty", Self::IsEmpty),
        ("length_eq", Self::LengthEq),
        ("length_gt", Self::LengthGt),
        ("length_lt", Self::LengthLt),
    ];

    /// Whether it asks if there is a value at all.
    pub(super) const fn is_presence(self) -> bool {
        matches!(self, Self::IsSet | Self::IsNotSet)
    }

    /// Whether it can be asked of values of this kind.
    pub(super) const fn takes(self, kind: Kind) -> bool {
        match self {
            Self::IsSet | Self::IsNotSet => true,
            Self::Eq | Self::Ne | Self::In | Self::NotIn => {
                !matches!(kind, Kind::Boolean | Kind::List(_) | Kind::Any)
            }
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Matches | Self::IsUrl => {
                matches!(kind, Kind::String)
            }
            Self::Lt | Self::Lte | Self::Gt | Self::Gte | Self::Between => {
                matches!(kind, Kind::Number | Kind::Datetime)
            }
            Self::IsTrue | Self::IsFalse => matches!(kind, Kind::Boolean),
            Self::WithinLast | Self::OlderThan => matches!(kind, Kind::Datetime),
            Self::InNetwork | Self::IsPrivate | Self::IsGlobal => matches!(kind, Kind::Ip),
            Self::HasItem
            | Self::HasAny
            | Self::HasAll
            | Self::IsEmpty
            | Self::LengthEq
            | Self::LengthGt
            | Self::LengthLt => matches!(kind, Kind::List(_)),
        }
    }

    /// Whether its result can be negated. Where an operator has an opposite, that one is to be used.
    pub(super) const fn can_negate(self) -> bool {
        matches!(
            self,
            Self::Contains
                | Self::StartsWith
                | Self::EndsWith
                | Self::Matches
                | Self::Between
                | Self::IsPrivate
                | Self::IsGlobal
                | Self::IsUrl
                | Self::InNetwork
                | Self::HasItem
                | Self::HasAny
                | Self::HasAll
                | Self::IsEmpty
        )
    }

    /// What it compares with.
    pub(super) const fn shape(self) -> Shape {
        match self {
            Self::IsSet
            | Self::IsNotSet
            | Self::IsTrue
            | Self::IsFalse
            | Self::IsPrivate
            | Self::IsGlobal
            | Self::IsUrl
            | Self::IsEmpty => Shape::Nothing,
            Self::Eq
            | Self::Ne
            | Self::Contains
            | Self::StartsWith
            | Self::EndsWith
            | Self::Lt
            | Self::Lte
            | Self::Gt
            | Self::Gte => Shape::Same,
            Self::In | Self::NotIn => Shape::ListOfSame,
            Self::Matches => Shape::Pattern,
            Self::Between => Shape::Range,
            Self::WithinLast | Self::OlderThan => Shape::Span,
            Self::InNetwork => Shape::Networks,
            Self::HasItem => Shape::Item,
            Self::HasAny | Self::HasAll => Shape::ListOfItem,
            Self::LengthEq | Self::LengthGt | Self::LengthLt => Shape::Number,
        }
    }
}

/// What a value is compared with.
pub(super) enum Against<'a> {
    Nothing,
    One(Scalar<'a>),
    Many(Items<'a>),
    Pattern(&'a Regex),
    Networks(&'a [IpNet]),
    /// In nanoseconds.
    Span(i64),
}

/// What the operator says, but for negation and for the presence checks. What does not fit together is false; the
/// compiler lets none of it through.
pub(super) fn holds(
    operator: Operator,
    value: &Held<'_>,
    against: &Against<'_>,
    fold: bool,
    now: Timestamp,
) -> bool {
    match value {
        Held::One(value) => match against {
            Against::Nothing => alone(operator, value),
            Against::One(other) => pair(operator, value, other, fold),
            Against::Many(items) => among(operator, value, items, fold),
            Against::Pattern(pattern) => value.text().is_some_and(|text| pattern.is_match(text)),
            Against::Networks(networks) => match value {
                Scalar::Address(it) => networks.iter().any(|network| address::is_in(*it, network)),
                _ => false,
            },
            Against::Span(span) => match last_within(value, *span) {
                Some(last) => (now <= last) == (operator == Operator::WithinLast),
                None => false,
            },
        },
        Held::Many(items) => list(operator, items, against, fold),
        Held::Any(_) => false,
    }
}

/// The last moment that lies within the span after the value.
fn last_within(value: &Scalar<'_>, span: i64) -> Option<Timestamp> {
    let Scalar::Moment(moment) = value else { return None };
    let (seconds, rest) = (span.div_euclid(1_000_000_000), span.rem_euclid(1_000_000_000));
    let nanoseconds = i64::from(moment.subsecond_nanoseconds()).saturating_add(rest);
    // Two parts of a second make up to two seconds, more than the nanoseconds of a timestamp may be.
    let (carry, nanoseconds) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
    let seconds = moment.seconds().saturating_add(seconds).saturating_add(carry);
    Some(Timestamp::new(seconds, i32::try_from(nanoseconds).unwrap_or(0)))
}

/// When a comparison with the present would say something else; nothing: never.
pub(super) fn flips(value: &Held<'_>, against: &Against<'_>, now: Timestamp) -> Option<Timestamp> {
    let (Held::One(value), Against::Span(span)) = (value, against) else { return None };
    let last = last_within(value, *span).filter(|last| now <= *last && *last < Timestamp::MAX)?;
    Some(Timestamp::new(last.seconds(), last.subsecond_nanoseconds().saturating_add(1)))
}

fn alone(operator: Operator, value: &Scalar<'_>) -> bool {
    match (operator, value) {
        (Operator::IsTrue, Scalar::Bool(truth)) => *truth,
        (Operator::IsFalse, Scalar::Bool(truth)) => !truth,
        (Operator::IsPrivate, Scalar::Address(it)) => address::is_private(*it),
        (Operator::IsGlobal, Scalar::Address(it)) => address::is_global(*it),
        _ => false,
    }
}

fn pair(operator: Operator, value: &Scalar<'_>, other: &Scalar<'_>, fold: bool) -> bool {
    match operator {
        Operator::Eq => value.is(other, fold),
        Operator::Ne => !value.is(other, fold),
        Operator::Lt | Operator::Lte | Operator::Gt | Operator::Gte => {
            let order = match (value, other) {
                (Scalar::Number(a), Scalar::Number(b)) => a.partial_cmp(b),
                (Scalar::Moment(a), Scalar::Moment(b)) => Some(a.cmp(b)),
                _ => None,
            };
            order.is_some_and(|order| match operator {
                Operator::Lt => order.is_lt(),
                Operator::Lte => order.is_le(),
                Operator::Gt => order.is_gt(),
                _ => order.is_ge(),
            })
        }
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => {
            let (Some(text), Some(part)) = (value.text(), other.text()) else { return false };
            if fold {
                return part_of(operator, &folded(text), &folded(part));
            }
            part_of(operator, text.as_bytes(), part.as_bytes())
        }
        _ => false,
    }
}

/// UTF-8 has no character inside another, so bytes do as well as characters.
fn part_of(operator: Operator, text: &[u8], part: &[u8]) -> bool {
    match operator {
        Operator::StartsWith => text.starts_with(part),
        Operator::EndsWith => text.ends_with(part),
        _ => match (std::str::from_utf8(text), std::str::from_utf8(part)) {
            (Ok(text), Ok(part)) => text.contains(part),
            _ => false,
        },
    }
}

fn among(operator: Operator, value: &Scalar<'_>, items: &Items<'_>, fold: bool) -> bool {
    match operator {
        Operator::In => items.has(value, fold),
        Operator::NotIn => !items.has(value, fold),
        Operator::Between => {
            let (mut index, mut inside) = (0, true);
            items.visit(&mut |bound| {
                let operator = if index == 0 { Operator::Gte } else { Operator::Lte };
                inside = inside && pair(operator, value, bound, false);
                index += 1;
            });
            inside && index == 2
        }
        _ => false,
    }
}

fn list(operator: Operator, items: &Items<'_>, against: &Against<'_>, fold: bool) -> bool {
    match (operator, against) {
        (Operator::IsEmpty, _) => items.count() == 0,
        (Operator::HasItem, Against::One(item)) => items.has(item, fold),
        (Operator::HasAny, Against::Many(wanted)) => {
            let mut any = false;
            wanted.visit(&mut |item| any = any || items.has(item, fold));
            any
        }
        (Operator::HasAll, Against::Many(wanted)) => {
            let mut all = true;
            wanted.visit(&mut |item| all = all && items.has(item, fold));
            all
        }
        (Operator::LengthEq, Against::One(Scalar::Number(length))) => items.count() as f64 == *length,
        (Operator::LengthGt, Against::One(Scalar::Number(length))) => items.count() as f64 > *length,
        (Operator::LengthLt, Against::One(Scalar::Number(length))) => (items.count() as f64) < *length,
        _ => false,
    }
}

/// Compiles a pattern; the error says what to do.
pub(super) fn pattern(text: &str, case_sensitive: bool) -> Result<Regex, String> {
    let characters = text.chars().count();
    if characters > MAX_PATTERN {
        return Err(format!("has {characters} characters; at most {MAX_PATTERN} are allowed"));
    }
    let built = RegexBuilder::new(text).case_insensitive(!case_sensitive).size_limit(MAX_COMPILED).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            "matches in too many ways; write smaller counts in its repetitions".to_owned()
        }
        error => {
            let text = error.to_string();
            // The crate draws the place on lines of its own; the last one says what is wrong.
            let last = text.lines().last().unwrap_or_default();
            let reason = last.strip_prefix("error: ").unwrap_or(last);
            format!("is not a regular expression that bindery runs ({reason}); correct it")
        }
    })
}

/// What a web address looks like.
pub(super) fn url() -> Result<Regex, String> {
    Regex::new(URL).map_err(|error| error.to_string())
}

/// Whether the text is a web address, given [`url`].
pub(super) fn is_url(text: &str, url: &Regex) -> bool {
    text.len() <= MAX_URL * 4 && text.chars().count() <= MAX_URL && url.is_match(text)
}
