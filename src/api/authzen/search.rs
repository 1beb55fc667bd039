//! Searches: for subjects, resources and actions.
//!
//! Must not know: HTTP, how candidates are gone through.

use super::Desk;
use super::asked::{Asked, Entities, identify, placed};
use super::evaluate::one;
use super::page::Page;
use super::reply::{PageReply, Refusal, Results, about, error, explain_inactive};
use super::settings::SubjectId;
use crate::api::ask::{Failure, gate, now};
use crate::api::convert;
use crate::api::list::Bounds;
use crate::model::{Explain, Question, Scope, Subject, TargetRef, User, Value};
use crate::proto::resource::target_ref;
use crate::store::Snapshot;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tonic::Code;

/// `/access/v1/search/subject`: which users may do this on that resource.
pub(super) async fn subjects(desk: &Desk, body: &Value) -> Result<Results, Refusal> {
    let settings = &desk.settings;
    let page = Page::read(body, "subject", settings)?;
    let asked = Asked::subjects(Entities::of(body))?;
    let snapshot = ready(desk).await?;
    page.stays_on(snapshot.version())?;
    let mut results = empty(desk, &snapshot);
    if asked.subject_type() != "user" {
        // Nobody of another type is known here, so nobody of them passes.
        return Ok(results);
    }
    let question = question(&asked, asked.target(settings), Subject::default());
    let search = async |question| {
        let adapt = |question: &mut Question, user: &User| match settings.subject_id {
            SubjectId::Username => identify(&mut question.context.values, "subject", &user.username),
            SubjectId::UserId => identify(&mut question.context.values, "subject", &user.id.to_string()),
        };
        let after = page.after.as_deref();
        desk.lists.subjects(&desk.api, &snapshot, question, &adapt, after, desk.bounds(&page)).await
    };
    let found = match question {
        Ok(question) => search(question).await,
        Err(failure) => Err(failure),
    };
    let found = match found.map_err(|failure| placed(failure, settings, "")) {
        Ok(found) => found,
        Err(failure) => return nothing(results, failure),
    };
    let id = |user: &Arc<User>| match settings.subject_id {
        SubjectId::Username => user.username.to_string(),
        SubjectId::UserId => user.id.to_string(),
    };
    results.results = found.found.iter().map(|user| json!({"type": "user", "id": id(user)})).collect();
    results.page =
        PageReply { count: results.results.len(), next_token: page.next(found.next, snapshot.version()) };
    Ok(results)
}

/// `/access/v1/search/resource`: on which resources of a type somebody may do this.
pub(super) async fn resources(desk: &Desk, body: &Value) -> Result<Results, Refusal> {
    let settings = &desk.settings;
    let page = Page::read(body, "resource", settings)?;
    let asked = Asked::resources(Entities::of(body))?;
    let snapshot = ready(desk).await?;
    page.stays_on(snapshot.version())?;
    let mut results = empty(desk, &snapshot);
    let (kind, name) = match asked.searched(settings) {
        Ok(searched) => searched,
        Err(failure) => return nothing(results, failure),
    };
    let subject = asked.subject(settings).and_then(convert::subject);
    let subject = match subject.map_err(|failure| placed(failure, settings, "")) {
        Ok(subject) => subject,
        Err(failure) => return nothing(results, failure),
    };
    if is_inactive(&snapshot, &subject) {
        explain_inactive(&mut results.context);
        return Ok(results);
    }
    // The target is put in for each candidate.
    let anything = Ok(TargetRef::Named(kind, "-".into()));
    let question = question(&asked, anything, subject).map_err(|failure| placed(failure, settings, ""))?;
    let adapt = |question: &mut Question, target: &TargetRef| {
        identify(&mut question.context.values, "resource", &target.name());
    };
    let (after, bounds) = (page.after.as_deref(), desk.bounds(&page));
    let search = desk.lists.targets(&desk.api, &snapshot, (kind, question), &adapt, after, bounds);
    let found = search.await?;
    results.results = found.found.iter().map(|target| json!({"type": name, "id": target.name()})).collect();
    results.page =
        PageReply { count: results.results.len(), next_token: page.next(found.next, snapshot.version()) };
    Ok(results)
}

/// `/access/v1/search/action`: which of the configured actions somebody may do on a resource.
pub(super) async fn actions(desk: &Desk, body: &Value) -> Result<Results, Refusal> {
    let settings = &desk.settings;
    let page = Page::read(body, "action", settings)?;
    let actions = after(&settings.actions, page.after.as_deref())?;
    let entities = Entities::of(body);
    let request = |action: &String| Asked::action(entities, action)?.request(settings);
    // What is wrong with one is wrong with all.
    let first = settings.actions.first().map(request).transpose();
    if let Ok(Some(request)) = &first {
        desk.api.fetch(request).await?;
    }
    let (snapshot, now) = (ready(desk).await?, now());
    page.stays_on(snapshot.version())?;
    let mut results = empty(desk, &snapshot);
    if let Err(failure) = first {
        return nothing(results, placed(failure, settings, ""));
    }
    let deadline = Instant::now() + settings.page_time;
    let mut seen = page.after.clone().unwrap_or_default();
    let mut left = actions.iter();
    while results.results.len() < page.limit && (left.len() == actions.len() || Instant::now() < deadline) {
        let Some(action) = left.next() else { break };
        let decision = match request(action) {
            Ok(request) => one(desk, &snapshot, request, now).await,
            Err(failure) => Err(failure),
        };
        match decision.map_err(|failure| placed(failure, settings, "")) {
            Ok(decision) if decision.decision => results.results.push(json!({"name": action})),
            Ok(_) => {}
            Err(failure) => return nothing(results, failure),
        }
        seen.clone_from(action);
    }
    let next = (left.len() > 0).then_some(seen);
    results.page =
        PageReply { count: results.results.len(), next_token: page.next(next, snapshot.version()) };
    Ok(results)
}

/// The actions that come after one.
fn after<'a>(actions: &'a [String], name: Option<&str>) -> Result<&'a [String], Failure> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(actions) };
    let place = actions.iter().position(|action| action == name);
    place.and_then(|place| actions.get(place + 1..)).ok_or_else(|| {
        let text = "goes on after an action that is in the settings no more; begin without a token";
        Failure::argument("page.token", text)
    })
}

impl Desk {
    fn bounds(&self, page: &Page) -> Bounds {
        let settings = &self.settings;
        Bounds { results: page.limit, candidates: settings.max_candidates, time: settings.page_time }
    }
}

/// What is in force.
async fn ready(desk: &Desk) -> Result<Arc<Snapshot>, Failure> {
    let snapshot = desk.api.snapshot(0, Duration::ZERO).await;
    gate(&snapshot, 0)?;
    Ok(snapshot)
}

/// A search without results so far.
fn empty(desk: &Desk, snapshot: &Snapshot) -> Results {
    let page = PageReply { next_token: String::new(), count: 0 };
    Results { page, context: about(&desk.ids, snapshot.revision()), results: Vec::new() }
}

/// What does not exist is reached by nobody; that it does not exist is told. Everything else is no answer.
fn nothing(mut results: Results, failure: Failure) -> Result<Results, Refusal> {
    if failure.code != Code::NotFound {
        return Err(failure.into());
    }
    results.results.clear();
    results.context.insert("error".to_owned(), error(failure));
    Ok(results)
}

fn is_inactive(snapshot: &Snapshot, subject: &Subject) -> bool {
    snapshot.member(subject).user.is_some_and(|user| !user.is_active)
}

/// The question that each candidate is put into.
fn question(
    asked: &Asked,
    target: Result<TargetRef, Failure>,
    subject: Subject,
) -> Result<Question, Failure> {
    let target = convert::target(Some(target_ref(&target?)))?;
    let context = convert::context(asked.context()?, now())?;
    let (scope, explain) = (Scope::WithParents, Explain::None);
    Ok(Question { target, subject, context, scope, explain, full_evaluation: false })
}
