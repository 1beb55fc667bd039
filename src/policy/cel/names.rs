//! The names in scope and their types.
//!
//! Must not know: where the values come from.

use std::fmt;

/// What is known of a value before it is there. Whatever has a type may also be null, when it is absent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    /// Anything: only the evaluation can tell.
    Dyn,
    Null,
    Bool,
    Int,
    Double,
    String,
    Timestamp,
    Duration,
    List(Box<Type>),
    /// A map, by the type of its values.
    Map(Box<Type>),
}

impl Type {
    pub(super) fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub(super) fn map(value: Self) -> Self {
        Self::Map(Box::new(value))
    }

    /// The type without what is inside.
    pub(super) const fn kind(&self) -> Kind {
        match self {
            Self::Dyn => Kind::Dyn,
            Self::Null => Kind::Null,
            Self::Bool => Kind::Bool,
            Self::Int => Kind::Int,
            Self::Double => Kind::Double,
            Self::String => Kind::String,
            Self::Timestamp => Kind::Timestamp,
            Self::Duration => Kind::Duration,
            Self::List(_) => Kind::List,
            Self::Map(_) => Kind::Map,
        }
    }
}

/// A type without what is inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Dyn,
    Null,
    Bool,
    Int,
    Double,
    String,
    Timestamp,
    Duration,
    List,
    Map,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dyn => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Double => "double",
            Self::String => "string",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    pub(super) const fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Double)
    }

    /// Whether a value of one can equal, or be ordered with, a value of the other.
    pub(super) fn fits(self, other: Self) -> bool {
        self == other || self == Self::Dyn || other == Self::Dyn || (self.is_number() && other.is_number())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// Something with fields, which is no value by itself.
    Record(Record),
    /// A value.
    Field(Field),
}

/// Something with fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record {
    Subject,
    Request,
    Target,
    Event,
    EventUser,
}

/// A value of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    SubjectId,
    SubjectUsername,
    SubjectName,
    SubjectEmail,
    SubjectAnonymous,
    SubjectKnown,
    SubjectIsActive,
    SubjectType,
    SubjectPath,
    SubjectAttributes,
    SubjectGroups,
    RequestClientIp,
    RequestMethod,
    RequestScheme,
    RequestHost,
    RequestPath,
    RequestQuery,
    RequestHeaders,
    TargetKind,
    TargetId,
    TargetName,
    TargetSlug,
    EventAction,
    EventApp,
    EventClientIp,
    EventContext,
    EventUserId,
    EventUserUsername,
    EventUserEmail,
    Context,
    Geoip,
    Asn,
    Now,
}

/// The names at the top.
pub(super) const TOP: &[(&str, Name)] = &[
    ("subject", Name::Record(Record::Subject)),
    ("request", Name::Record(Record::Request)),
    ("context", Name::Field(Field::Context)),
    ("geoip", Name::Field(Field::Geoip)),
    ("asn", Name::Field(Field::Asn)),
    ("now", Name::Field(Field::Now)),
    ("target", Name::Record(Record::Target)),
    ("event", Name::Record(Record::Event)),
];

impl Record {
    /// How it is written.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Request => "request",
            Self::Target => "target",
            Self::Event => "event",
            Self::EventUser => "event.user",
        }
    }

    /// Its fields.
    pub(super) const fn fields(self) -> &'static [(&'static str, Name)] {
        const fn field(field: Field) -> Name {
            Name::Field(field)
        }
        match self {
            Self::Subject => {
                &const {
                    [
                        ("id", field(Field::SubjectId)),
                        ("username", field(Field::SubjectUsername)),
                        ("name", field(Field::SubjectName)),
                        ("email", field(Field::SubjectEmail)),
                        ("anonymous", field(Field::SubjectAnonymous)),
                        ("known", field(Field::SubjectKnown)),
                        ("is_active", field(Field::SubjectIsActive)),
                        ("type", field(Field::SubjectType)),
                        ("path", field(Field::SubjectPath)),
                        ("attributes", field(Field::SubjectAttributes)),
                        ("groups", field(Field::SubjectGroups)),
                    ]
                }
            }
            Self::Request => {
                &const {
                    [
                        ("client_ip", field(Field::RequestClientIp)),
                        ("method", field(Field::RequestMethod)),
                        ("scheme", field(Field::RequestScheme)),
                        ("host", field(Field::RequestHost)),
                        ("path", field(Field::RequestPath)),
                        ("query", field(Field::RequestQuery)),
                        ("headers", field(Field::RequestHeaders)),
                    ]
                }
            }
            Self::Target => {
                &const {
                    [
                        ("kind", field(Field::TargetKind)),
                        ("id", field(Field::TargetId)),
                        ("name", field(Field::TargetName)),
                        ("slug", field(Field::TargetSlug)),
                    ]
                }
            }
            Self::Event => {
                &const {
                    [
                        ("action", field(Field::EventAction)),
                        ("app", field(Field::EventApp)),
                        ("client_ip", field(Field::EventClientIp)),
                        ("context", field(Field::EventContext)),
                        ("user", Name::Record(Record::EventUser)),
                    ]
                }
            }
            Self::EventUser => {
                &const {
                    [
                        ("id", field(Field::EventUserId)),
                        ("username", field(Field::EventUserUsername)),
                        ("email", field(Field::EventUserEmail)),
                    ]
                }
            }
        }
    }
}

impl Field {
    /// The type of its value, where there is one.
    pub(super) fn value_type(self) -> Type {
        match self {
            Self::SubjectAnonymous | Self::SubjectKnown | Self::SubjectIsActive => Type::Bool,
            Self::SubjectGroups => Type::list(Type::String),
            Self::RequestHeaders => Type::map(Type::String),
            Self::SubjectAttributes | Self::EventContext | Self::Context | Self::Geoip | Self::Asn => {
                Type::map(Type::Dyn)
            }
            Self::Now => Type::Timestamp,
            _ => Type::String,
        }
    }
}
