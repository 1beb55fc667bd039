//! One request of a gateway, from what the gateway tells to what it is to do: which target it is about, who is asking,
//! whether they may, and what goes on to the application.
//!
//! Must not know: which gateway asks, how the answer is sent.

pub mod asked;
mod course;
pub mod headers;
pub mod host;
pub mod page;
pub mod path;
pub mod reason;
pub mod settings;
pub mod sign_in;

use super::ask::{Failure, decide_on, now};
use super::convert::MAX_BODY;
use super::decision::DecisionApi;
use super::ids::Ids;
use crate::decision::Member;
use crate::identity::{Evidence, Identified, Identity};
use crate::model::{Context, GroupRef, HttpRequest, Question, Scope, Subject, TargetRef, Timestamp, Value};
use crate::proto::v1;
use crate::store::Snapshot;
use asked::{Asked, AskedHttp, MAX_HEADER_BYTES, MAX_HEADERS};
use course::Course;
use headers::Who;
use host::Host;
use page::{Form, Told};
use reason::Why;
use settings::Rules;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How often a request is looked up anew while what it is about is fetched.
const MAX_FETCHES: usize = 3;

/// What is known of an answer, for metadata and logs. Nothing in it says who asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Identifies the answer.
    pub decision_id: String,
    /// Why.
    pub why: Why,
    /// The target, as kind and name. Empty: none was found.
    pub target: String,
    /// The route that named it. Empty: the gateway did.
    pub route: String,
    /// The revision that the answer stands on.
    pub revision: u64,
    /// Whether that is known to be behind.
    pub stale: bool,
    /// The earliest moment at which the answer could change without a change of the configuration.
    pub valid_until: Option<Timestamp>,
}

/// What the gateway is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Let the request through.
    Pass {
        /// Headers to overwrite.
        set: Vec<(String, String)>,
        /// Headers to take out.
        remove: Vec<String>,
    },
    /// Answer it instead of the application.
    Stop {
        /// The HTTP status.
        status: u16,
        /// Headers of the answer.
        headers: Vec<(&'static str, String)>,
        /// Its body.
        body: String,
    },
    /// It could not be decided: the gateway's failure mode applies.
    Fail(Failure),
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What is known of it.
    pub facts: Facts,
    /// What to do.
    pub verdict: Verdict,
}

/// Judges requests of one door.
#[derive(Debug)]
pub struct Gateway {
    api: DecisionApi,
    rules: Rules,
    ids: Ids,
}

/// A request that was read.
struct Read<'a> {
    http: Option<(&'a AskedHttp, Host, String)>,
}

/// The target's answer.
enum Decided {
    /// With the headers to set.
    Allowed(Vec<(String, String)>),
    /// With what policies said.
    Denied(Vec<String>),
}

/// A request on its way to an answer that is none of the target's.
enum Halt {
    Why(Why, Option<String>),
    Failed(Failure),
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Gateway {
    /// Judges by these rules.
    pub fn new(api: DecisionApi, rules: Rules) -> Self {
        Self { api, rules, ids: Ids::default() }
    }

    /// The rules.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    fn judgement(&self, asked: &Asked, mut facts: Facts, decided: Result<Decided, Halt>) -> Judgement {
        match decided {
            Ok(Decided::Allowed(set)) => {
                facts.why = Why::Allowed;
                let remove =
                    asked.http.as_ref().map(|http| self.rules.protected.removals(&http.headers, &set));
                Judgement { facts, verdict: Verdict::Pass { set, remove: remove.unwrap_or_default() } }
            }
            Ok(Decided::Denied(messages)) => {
                facts.why = Why::Denied;
                self.stop(asked, facts, None, &messages)
            }
            Err(Halt::Why(why, location)) => {
                facts.why = why;
                self.stop(asked, facts, location, &[])
            }
            Err(Halt::Failed(failure)) => {
                let error = &failure.message;
                tracing::warn!(decision_id = facts.decision_id, error, "a request could not be decided");
                Judgement { facts, verdict: Verdict::Fail(failure) }
            }
        }
    }

    /// What is known before anything was looked at.
    pub(super) fn facts(&self, why: Why) -> Facts {
        let (target, route, valid_until) = (String::new(), String::new(), None);
        Facts { decision_id: self.ids.next(), why, target, route, revision: 0, stale: false, valid_until }
    }

    /// The page for a request that could not be decided.
    pub(super) fn sorry(&self, asked: &Asked, facts: &Facts) -> (u16, Vec<(&'static str, String)>, String) {
        self.page(asked, facts, &[])
    }

    /// Decides, and notes in `facts` what is known on the way.
    async fn decide(&self, asked: &Asked, facts: &mut Facts, course: &mut Course) -> Result<Decided, Halt> {
        let read = self.read(asked)?;
        let now = now();
        let headers = asked.http.as_ref().map(|http| http.headers.as_evidence()).unwrap_or_default();
        let evidence = Evidence {
            headers: &headers,
            claims: asked.claims.as_ref(),
            peer: asked.peer,
            principal: asked.principal.as_deref(),
        };
        let identified = self.rules.identifier.identify(&evidence, now).await;
        let anonymous = Subject { anonymous: true, ..Subject::default() };
        let somebody = match &identified {
            Identified::Somebody(identity) => Some(&identity.subject),
            Identified::Nobody | Identified::Refused { .. } | Identified::Unavailable(_) => None,
        };
        let (snapshot, found) = self.find(asked, &read, somebody.unwrap_or(&anonymous), facts).await?;
        course.target = Some(found.target.clone());
        course.snapshot = Some(Arc::clone(&snapshot));
        course.subject = somebody.filter(|_| course.watch.record).cloned();
        let to_sign_in = |why: Why| Halt::Why(why, self.location(&read, found.names_host));
        let identity = match identified {
            Identified::Somebody(identity) => Some(identity),
            Identified::Nobody if found.anonymous => None,
            Identified::Nobody => return Err(to_sign_in(Why::NotSignedIn)),
            Identified::Refused { source, reason, detail } => {
                let decision_id = &facts.decision_id;
                tracing::debug!(decision_id, %source, %reason, detail, "who is asking is not believed");
                return Err(to_sign_in(Why::NotBelieved(reason.as_str())));
            }
            Identified::Unavailable(what) => {
                let message = format!("who is asking cannot be told: {what}");
                let code = tonic::Code::Unavailable;
                return Err(Halt::Failed(Failure { code, field: "identity".to_owned(), message }));
            }
        };
        let subject = identity.as_ref().map_or(anonymous, |identity| identity.subject.clone());
        let set = {
            let member = snapshot.member(&subject);
            if member.user.as_ref().is_some_and(|user| !user.is_active) {
                return Err(Halt::Why(Why::InactiveUser, None));
            }
            if member.anonymous { Vec::new() } else { self.identity_headers(&snapshot, &member) }
        };
        let context = self.context(asked, &read, facts, now);
        let question = Question {
            target: found.target.clone(),
            subject,
            context,
            scope: Scope::default(),
            explain: crate::model::Explain::None,
            full_evaluation: false,
        };
        let is_anonymous = question.subject.anonymous;
        let reply = decide_on(&snapshot, self.api.evaluators(), question, course.watch).await?;
        let response = &course.reply.insert(reply).response;
        facts.stale = response.stale;
        facts.valid_until = earliest(response, identity.as_deref());
        match response.decision() {
            v1::Decision::Allow => Ok(Decided::Allowed(set)),
            _ if is_anonymous => Err(to_sign_in(Why::NotSignedIn)),
            _ => Ok(Decided::Denied(response.messages.clone())),
        }
    }

    /// Host and path of a request in their normal forms.
    fn read<'a>(&self, asked: &'a Asked) -> Result<Read<'a>, Halt> {
        let malformed = || Halt::Why(Why::MalformedRequest, None);
        let Some(http) = &asked.http else { return Ok(Read { http: None }) };
        let count = http.headers.iter().count();
        let bytes: usize = http.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        if count > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
            return Err(malformed());
        }
        // `post` is another method than `POST`, and the same to applications that write methods in upper case first.
        let sign = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
        let is_token = !http.method.is_empty() && http.method.len() <= 32 && http.method.bytes().all(sign);
        if !is_token || !matches!(http.scheme.as_str(), "" | "http" | "https") {
            return Err(malformed());
        }
        let host = Host::read(&http.host).map_err(|_| malformed())?;
        // Another host in the header than in the request line: the application may look at either.
        for other in http.headers.all("host") {
            let other = std::str::from_utf8(other).ok().and_then(|it| Host::read(it).ok());
            if other.is_none_or(|other| other.name != host.name) {
                return Err(malformed());
            }
        }
        let (path, query) = http.path_and_query();
        if query.len() > path::MAX_PATH * 4
            || query.bytes().any(|byte| byte <= 0x20 || byte == 0x7f || byte == b'#')
        {
            return Err(malformed());
        }
        let path = path::normalize(path, &self.rules.allow_ambiguous)
            .map_err(|_| Halt::Why(Why::AmbiguousPath, None))?;
        if let Some(sni) = asked.sni.as_deref().filter(|sni| !sni.is_empty()) {
            let sni = Host::read(sni).map_err(|_| malformed())?;
            // Who asks for an address names none to TLS, or the address itself.
            if sni.name != host.name {
                return Err(Halt::Why(Why::OtherHost, None));
            }
        }
        if http.is_cut || http.body.len() > MAX_BODY {
            return Err(Halt::Why(Why::CutBody, None));
        }
        Ok(Read { http: Some((http, host, path)) })
    }

    /// What a request is about; with the revision that says so, which the answer stands on, too.
    async fn find(
        &self,
        asked: &Asked,
        read: &Read<'_>,
        subject: &Subject,
        facts: &mut Facts,
    ) -> Result<(Arc<Snapshot>, Found), Halt> {
        let mut fetched = None;
        for _ in 0..MAX_FETCHES {
            let snapshot = self.api.load();
            super::ask::gate(&snapshot, 0)?;
            facts.revision = snapshot.revision();
            let anonymous = asked.anonymous;
            let found = match (&asked.target, &read.http) {
                (Some(target), _) => {
                    let (target, names_host, route) = (target.clone(), false, String::new());
                    Some(Found { target, anonymous, names_host, route })
                }
                (None, Some((http, host, path))) => {
                    Found::by_route(&snapshot, &host.name, path, &http.method, anonymous)
                }
                // Of a connection there is only the host that TLS was set up for.
                (None, None) => {
                    let host = asked.sni.as_deref().and_then(|sni| Host::read(sni).ok());
                    host.and_then(|host| Found::by_route(&snapshot, &host.name, "/", "", anonymous))
                }
            };
            let found = found.ok_or(Halt::Why(Why::NoRoute, None))?;
            facts.target = found.target.to_string();
            facts.route.clone_from(&found.route);
            if !self.api.is_partial() || fetched.as_ref() == Some(&found.target) {
                return Ok((snapshot, found));
            }
            self.api.fetch_about(&found.target, subject).await?;
            fetched = Some(found.target);
        }
        let message = "what the request is about changes faster than it can be fetched; try again".to_owned();
        Err(Halt::Failed(Failure { code: tonic::Code::Unavailable, field: "target".to_owned(), message }))
    }

    /// Where somebody is to sign in, if they can be sent there.
    fn location(&self, read: &Read<'_>, known_host: bool) -> Option<String> {
        let (http, host, _) = read.http.as_ref()?;
        // A form that was sent would be lost, and a program has no use for a page.
        let is_visit = matches!(http.method.as_str(), "GET" | "HEAD");
        if !is_visit || Form::wanted(http.header("accept")) != Form::Html {
            return None;
        }
        self.rules.sign_in.location(&http.scheme, host, &http.target, known_host)
    }

    /// What policies see of a request.
    fn context(&self, asked: &Asked, read: &Read<'_>, facts: &Facts, now: Timestamp) -> Context {
        let mut context = Context { client_ip: asked.client, ..Context::at(now) };
        let text = |text: &str| Value::String(text.into());
        let mut gateway: BTreeMap<Box<str>, Value> = BTreeMap::new();
        gateway.insert("route".into(), text(&facts.route));
        if let Some(principal) = &asked.principal {
            gateway.insert("principal".into(), text(principal));
        }
        if let Some((http, host, path)) = &read.http {
            let (raw, query) = http.path_and_query();
            gateway.insert("host".into(), text(&host.name));
            gateway.insert("path".into(), text(path));
            let mut headers: BTreeMap<String, String> = BTreeMap::new();
            // What a client says of itself in such a header is nothing to decide by.
            for (name, value) in http.headers.iter().filter(|(name, _)| !self.rules.protected.covers(name)) {
                if name.starts_with(':') {
                    continue;
                }
                let value = String::from_utf8_lossy(value);
                headers
                    .entry(name.to_owned())
                    .and_modify(|known| {
                        known.push_str(if name == "cookie" { "; " } else { "," });
                        known.push_str(&value);
                    })
                    .or_insert_with(|| value.into_owned());
            }
            context.http = Some(HttpRequest {
                method: http.method.as_str().into(),
                scheme: http.scheme.as_str().into(),
                host: http.host.as_str().into(),
                path: raw.into(),
                query: query.into(),
                headers,
                brand_title: None,
                remote_address: None,
                body: http.body.clone().into(),
            });
        }
        context.values = Value::Map([("gateway".into(), Value::Map(gateway))].into());
        context
    }

    fn identity_headers(&self, snapshot: &Snapshot, member: &Member<'_>) -> Vec<(String, String)> {
        let who = who(snapshot, member);
        let value = |(name, field): &(String, headers::Field)| Some((name.clone(), who.value(field)?));
        self.rules.set.iter().filter_map(value).collect()
    }

    fn stop(&self, asked: &Asked, facts: Facts, location: Option<String>, messages: &[String]) -> Judgement {
        let shown = if self.rules.show_messages { messages } else { &[] };
        let (mut status, mut headers, body) = self.page(asked, &facts, shown);
        if let Some(location) = location {
            status = 302;
            headers.push(("location", location));
        } else if status == 401 {
            headers.push(("www-authenticate", "Bearer".to_owned()));
        }
        Judgement { facts, verdict: Verdict::Stop { status, headers, body } }
    }

    fn page(
        &self,
        asked: &Asked,
        facts: &Facts,
        messages: &[String],
    ) -> (u16, Vec<(&'static str, String)>, String) {
        let form = Form::wanted(asked.http.as_ref().and_then(|http| http.header("accept")));
        let told = Told {
            why: facts.why,
            request_id: printable(&asked.id),
            decision_id: &facts.decision_id,
            messages,
        };
        let headers = vec![
            ("content-type", form.content_type().to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
            ("x-bindery-reason", facts.why.word().to_owned()),
            ("x-bindery-decision-id", facts.decision_id.clone()),
        ];
        (facts.why.status(), headers, page::body(form, &told))
    }
}

/// An id that may be shown; anything else is none.
fn printable(id: &str) -> &str {
    let fits = id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    if fits { id } else { "" }
}

/// What the configuration, or the gateway's own, says that a request is about.
struct Found {
    target: TargetRef,
    /// Whether the anonymous subject may be asked about.
    anonymous: bool,
    /// Whether the operator named the host.
    names_host: bool,
    /// The route's name; empty: the gateway's configuration says so.
    route: String,
}

impl Found {
    fn by_route(snapshot: &Snapshot, host: &str, path: &str, method: &str, anonymous: bool) -> Option<Self> {
        let route = snapshot.route(host, path, method)?;
        Some(Self {
            target: route.target.clone(),
            anonymous: anonymous || route.anonymous,
            names_host: route.names_host,
            route: route.id.to_string(),
        })
    }
}

/// What headers tell of somebody: the directory's word where it knows them.
fn who<'a>(snapshot: &Snapshot, member: &'a Member<'_>) -> Who<'a> {
    let person = member.person();
    let groups = match &member.user {
        Some(user) => {
            let name = |group: &GroupRef| match group {
                GroupRef::Name(name) => Some(name.to_string()),
                GroupRef::Id(id) => snapshot.group_with_id(id).map(|group| group.name.to_string()),
            };
            user.groups.iter().filter_map(name).collect()
        }
        None => member.claimed.group_names.clone(),
    };
    // The name of somebody else: whoever had it before is not let in under it by the application.
    let named = Subject { username: Some(person.username.into()), ..Subject::default() };
    let is_taken = member.user.is_none() && snapshot.member(&named).user.is_some();
    Who {
        username: if is_taken { String::new() } else { person.username.to_owned() },
        user_id: member.user.as_ref().map_or_else(|| person.id.to_owned(), |user| user.id.to_string()),
        email: person.email.to_owned(),
        name: person.name.to_owned(),
        groups,
        attributes: Some(person.attributes),
    }
}

/// The earliest moment at which an answer could change: by its bindings, or because who asks is no longer vouched for.
fn earliest(response: &v1::CheckResponse, identity: Option<&Identity>) -> Option<Timestamp> {
    let by_bindings = response.valid_until.map(|it| Timestamp::new(it.seconds, it.nanos));
    let by_identity = identity.and_then(|identity| identity.expires);
    by_bindings.into_iter().chain(by_identity).min()
}
