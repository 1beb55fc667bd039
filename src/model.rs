//! The words of bindery as plain types: targets, bindings, policies, users, groups, questions and answers.
//!
//! Must not know: protobuf, gRPC, async, files, clocks, locks, logs.

mod answer;
mod binding;
mod id;
mod policy;
mod problem;
mod question;
mod route;
mod subject;
mod target;
mod value;
mod version;

pub use answer::{Answer, BindingReport, Deciding, Decision, Reason, SkipReason, TargetReport};
pub use binding::{BindingSubject, Mode, PolicyBinding};
pub use id::{Id, IdRef};
pub use policy::{
    Conditional, Dummy, EventMatcher, Expression, ExpressionLanguage, Geoip, MissingBehavior, Password,
    PasswordExpiry, Policy, PolicyKind, Remote, Reputation, UniquePassword,
};
pub use problem::{Field, Problem, ResourceKind, ResourceName};
pub use question::{Context, Event, EventUser, Explain, HttpRequest, Question, Scope, Subject};
pub use route::{HostName, Methods, PathPrefix, Route, RouteHost};
pub use subject::{Authenticator, Group, GroupRef, Login, ReputationScore, User, UserRef};
pub use target::{
    Application, DeniedAction, Device, Entitlement, Flow, FlowAuthentication, FlowStageBinding,
    InvalidResponseAction, RacEndpoint, Source, Stage, Target, TargetDetail, TargetKind, TargetRef,
};
pub use value::{Timestamp, Value};
pub use version::{Digest, Sum, Version};
