//! Questions: who asks for what, and what else is known.

use super::{ReputationScore, TargetRef, Timestamp, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// May this subject reach this target?
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What is asked about.
    pub target: TargetRef,
    /// Who is asked about.
    pub subject: Subject,
    /// What else is known.
    pub context: Context,
    /// Whether the target's parents count.
    pub scope: Scope,
    /// How much to explain.
    pub explain: Explain,
    /// Evaluate every binding, also when the outcome is known.
    pub full_evaluation: bool,
}

/// Who a question is about, as the caller says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subject {
    /// The id; identifies the user when it is there.
    pub user_id: Option<String>,
    /// The username; identifies the user when there is no id.
    pub username: Option<String>,
    /// Never identifies a user.
    pub email: Option<String>,
    /// Display name.
    pub name: Option<String>,
    /// Ids of groups that the caller vouches for.
    pub group_ids: Vec<String>,
    /// Names of groups that the caller vouches for.
    pub group_names: Vec<String>,
    /// Free attributes.
    pub attributes: Value,
    /// Whether the caller vouches for a superuser.
    pub is_superuser: bool,
    /// Nobody is signed in; the rest is provisional.
    pub anonymous: bool,
}

/// What is known besides target and subject.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// The moment to decide for.
    pub now: Timestamp,
    /// The client's address.
    pub client_ip: Option<IpAddr>,
    /// The HTTP request.
    pub http: Option<HttpRequest>,
    /// The event.
    pub event: Option<Event>,
    /// Free context.
    pub values: Value,
    /// Reputation rows to use instead of the configuration's.
    pub reputation: Option<Vec<ReputationScore>>,
}

impl Context {
    /// A context that knows only the moment.
    pub const fn at(now: Timestamp) -> Self {
        Self { now, client_ip: None, http: None, event: None, values: Value::Null, reputation: None }
    }
}

/// An HTTP request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// GET, ...
    pub method: Box<str>,
    /// http or https.
    pub scheme: Box<str>,
    /// Host as sent.
    pub host: Box<str>,
    /// Path without the query.
    pub path: Box<str>,
    /// Query without the question mark.
    pub query: Box<str>,
    /// Headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Title of the brand that the request came in under.
    pub brand_title: Option<Box<str>>,
    /// Where the request came from, before any header is looked at; absent: the client's address.
    pub remote_address: Option<IpAddr>,
    /// The body, as far as the caller gave it.
    pub body: Box<[u8]>,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// What.
    pub action: Box<str>,
    /// Who reported it.
    pub app: Box<str>,
    /// The client's address, as text.
    pub client_ip: Option<Box<str>>,
    /// Free data.
    pub context: Value,
    /// Who did it.
    pub user: Option<EventUser>,
}

/// Who did what an event tells of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventUser {
    /// The id; empty: unknown.
    pub id: Box<str>,
    /// The username; empty: unknown.
    pub username: Box<str>,
    /// The e-mail address; empty: unknown.
    pub email: Box<str>,
}

/// Whether a question includes what its target leans on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// It does.
    #[default]
    WithParents,
    /// Only the target's own bindings count.
    TargetAlone,
}

/// How much an answer explains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Explain {
    /// Nothing.
    #[default]
    None,
    /// The outcome of each target, and the summary.
    Reasons,
    /// Every binding.
    Full,
}
