//! The reference: what a decision is, written down as plainly as the rules read, for comparison with the engine.
//!
//! It works on the messages themselves, searches lists from front to back, compiles nothing, remembers nothing and
//! stops nowhere early. Must not know: anything of `bindery` but the messages, the names of resources, and updates.

mod directory;
mod policies;
pub(crate) mod routes;

use crate::support::message::Message;
use bindery::model::{ResourceKind, ResourceName, TargetKind};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use bindery::sync::apply::Update;
use directory::Person;
use policies::Said;

/// A configuration and how to decide on it.
#[derive(Clone, Debug)]
pub(crate) struct Reference {
    pub(crate) resources: Vec<v1::Resource>,
    pub(crate) default_empty_result: bool,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) passing: bool,
    pub(crate) messages: Vec<Message>,
    pub(crate) reason: v1::Reason,
    /// The outcome is a pass under any: without full evaluation messages may be missing.
    pub(crate) may_stop_early: bool,
    /// Whether the directory knew the subject.
    pub(crate) known: bool,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// No such target.
    NotFound,
    /// The endpoint is not the named application's.
    OtherApplication,
    /// It takes a policy that the reference does not know.
    Beyond(&'static str),
}

/// A target, whatever its kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    pub(crate) kind: TargetKind,
    pub(crate) id: String,
    /// Slug, identifier or name.
    key: String,
    all: bool,
    empty_result: Option<bool>,
    lean: Lean,
}

#[derive(Clone, Debug, PartialEq)]
enum Lean {
    Nothing,
    /// The application, by slug or id.
    Application(String),
    /// The device access group, by name or id.
    AccessGroup(String),
    Authentication(v1::FlowAuthentication),
}

/// What came of one binding set.
struct SetOutcome {
    passing: bool,
    counted: usize,
    messages: Vec<Message>,
    all: bool,
}

fn or<'a>(first: &'a str, second: &'a str) -> &'a str {
    if first.is_empty() { second } else { first }
}

/// The kind and id of a resource.
pub(crate) fn name_of(resource: &v1::Resource) -> ResourceName {
    use TargetKind as K;
    let target = ResourceKind::Target;
    let (kind, id) = match resource.resource.as_ref().unwrap() {
        R::Application(it) => (target(K::Application), or(&it.id, &it.slug).to_owned()),
        R::Entitlement(it) => {
            let natural = format!("{}/{}", it.application, it.name);
            (target(K::Entitlement), or(&it.id, &natural).to_owned())
        }
        R::Source(it) => (target(K::Source), or(&it.id, &it.slug).to_owned()),
        R::Flow(it) => (target(K::Flow), or(&it.id, &it.slug).to_owned()),
        R::FlowStageBinding(it) => {
            let natural = format!("{}/{}/{}", it.flow, it.order, it.stage);
            (target(K::FlowStageBinding), or(&it.id, &natural).to_owned())
        }
        R::Device(it) => (target(K::Device), or(&it.id, &it.identifier).to_owned()),
        R::DeviceAccessGroup(it) => (target(K::DeviceAccessGroup), or(&it.id, &it.name).to_owned()),
        R::NotificationRule(it) => (target(K::NotificationRule), or(&it.id, &it.name).to_owned()),
        R::RacEndpoint(it) => (target(K::RacEndpoint), or(&it.id, &it.name).to_owned()),
        R::PolicyBinding(it) => (ResourceKind::PolicyBinding, it.id.clone()),
        R::Policy(it) => (ResourceKind::Policy, or(&it.id, &it.name).to_owned()),
        R::Stage(it) => (ResourceKind::Stage, or(&it.id, &it.name).to_owned()),
        R::User(it) => (ResourceKind::User, or(&it.id, &it.username).to_owned()),
        R::Group(it) => (ResourceKind::Group, or(&it.id, &it.name).to_owned()),
        R::ReputationScore(it) => {
            let natural = format!("{}/{}", it.ip, it.identifier);
            (ResourceKind::ReputationScore, or(&it.id, &natural).to_owned())
        }
        R::Route(it) => (ResourceKind::Route, routes::id_of(it)),
    };
    ResourceName { kind, id: id.into() }
}

impl Reference {
    pub(crate) fn new(default_empty_result: bool) -> Self {
        Self { resources: Vec::new(), default_empty_result }
    }

    /// Puts a valid update into force.
    pub(crate) fn apply(&mut self, update: &Update) {
        match update {
            Update::Replace(resources) => self.resources.clone_from(resources),
            Update::Delta { upserts, removals } => {
                self.resources.retain(|old| !removals.contains(&name_of(old)));
                for new in upserts {
                    self.resources.retain(|old| name_of(old) != name_of(new));
                    self.resources.push(new.clone());
                }
            }
        }
    }

    /// The route that a request fits best.
    pub(crate) fn route(&self, request: routes::Request<'_>) -> Option<&v1::Route> {
        let routes = self.each().filter_map(|it| if let R::Route(route) = it { Some(route) } else { None });
        routes::best(routes, request)
    }

    fn each(&self) -> impl Iterator<Item = &R> {
        self.resources.iter().map(|resource| resource.resource.as_ref().unwrap())
    }

    /// Every target.
    pub(crate) fn targets(&self) -> Vec<Target> {
        let mut targets = Vec::new();
        for resource in &self.resources {
            let ResourceName { kind: ResourceKind::Target(kind), id } = name_of(resource) else { continue };
            let some = |text: &String, lean: fn(String) -> Lean| {
                if text.is_empty() { Lean::Nothing } else { lean(text.clone()) }
            };
            let (key, mode, empty_result, lean) = match resource.resource.as_ref().unwrap() {
                R::Application(it) => (&it.slug, it.policy_engine_mode, it.empty_result, Lean::Nothing),
                R::Entitlement(it) => {
                    let lean = Lean::Application(it.application.clone());
                    (&it.name, it.policy_engine_mode, it.empty_result, lean)
                }
                R::Source(it) => (&it.slug, it.policy_engine_mode, it.empty_result, Lean::Nothing),
                R::Flow(it) => {
                    let lean = Lean::Authentication(it.authentication());
                    (&it.slug, it.policy_engine_mode, it.empty_result, lean)
                }
                R::FlowStageBinding(it) => (&it.id, it.policy_engine_mode, it.empty_result, Lean::Nothing),
                R::Device(it) => {
                    let lean = some(&it.access_group, Lean::AccessGroup);
                    (&it.identifier, it.policy_engine_mode, it.empty_result, lean)
                }
                R::DeviceAccessGroup(it) => (&it.name, it.policy_engine_mode, it.empty_result, Lean::Nothing),
                R::NotificationRule(it) => {
                    // Always any.
                    (&it.name, v1::PolicyEngineMode::Any.into(), it.empty_result, Lean::Nothing)
                }
                R::RacEndpoint(it) => {
                    let lean = some(&it.application, Lean::Application);
                    (&it.id, it.policy_engine_mode, it.empty_result, lean)
                }
                _ => continue,
            };
            let all = mode == i32::from(v1::PolicyEngineMode::All);
            targets.push(Target { kind, id: id.into(), key: key.clone(), all, empty_result, lean });
        }
        targets
    }

    fn named(&self, kind: TargetKind, name: &str) -> Result<Target, Wrong> {
        let mut targets = self.targets().into_iter();
        targets
            .find(|it| {
                it.kind == kind && (it.id == name || (kind != TargetKind::Entitlement && it.key == name))
            })
            .ok_or(Wrong::NotFound)
    }

    /// The target that this names.
    pub(crate) fn find(&self, wanted: &v1::TargetRef) -> Result<Target, Wrong> {
        match wanted.target.as_ref().unwrap() {
            T::Application(name) => self.named(TargetKind::Application, name),
            T::Entitlement(it) if it.id.is_empty() => {
                let application = self.named(TargetKind::Application, &it.application)?;
                let mut targets = self.targets().into_iter();
                let its = |target: &Target| match &target.lean {
                    Lean::Application(name) => {
                        self.named(TargetKind::Application, name).as_ref() == Ok(&application)
                    }
                    _ => false,
                };
                targets
                    .find(|target| {
                        target.kind == TargetKind::Entitlement && target.key == it.name && its(target)
                    })
                    .ok_or(Wrong::NotFound)
            }
            T::Entitlement(it) => self.named(TargetKind::Entitlement, &it.id),
            T::Source(name) => self.named(TargetKind::Source, name),
            T::Flow(name) => self.named(TargetKind::Flow, name),
            T::FlowStageBinding(id) => self.named(TargetKind::FlowStageBinding, id),
            T::Device(name) => self.named(TargetKind::Device, name),
            T::DeviceAccessGroup(name) => self.named(TargetKind::DeviceAccessGroup, name),
            T::NotificationRule(name) => self.named(TargetKind::NotificationRule, name),
            T::RacEndpoint(it) => {
                let endpoint = self.named(TargetKind::RacEndpoint, &it.id)?;
                if !it.application.is_empty() {
                    let Lean::Application(own) = &endpoint.lean else { return Err(Wrong::OtherApplication) };
                    let own = self.named(TargetKind::Application, own);
                    if own != self.named(TargetKind::Application, &it.application) {
                        return Err(Wrong::OtherApplication);
                    }
                }
                Ok(endpoint)
            }
        }
    }

    /// Every binding of a target, in order.
    pub(crate) fn bindings(&self, target: &Target) -> Vec<&v1::PolicyBinding> {
        let mut bindings: Vec<&v1::PolicyBinding> = Vec::new();
        for resource in self.each() {
            if let R::PolicyBinding(binding) = resource
                && self.find(binding.target.as_ref().unwrap()).as_ref() == Ok(target)
            {
                bindings.push(binding);
            }
        }
        bindings.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        bindings
    }

    /// What one binding gives: its result and its messages. Nothing: it does not exist for this decision.
    fn one(
        &self,
        binding: &v1::PolicyBinding,
        person: &Person<'_>,
        context: &v1::Context,
    ) -> Result<Option<(bool, Vec<Message>)>, Wrong> {
        let expired = |expires: &prost_types::Timestamp| !policies::is_before(now_of(context), *expires);
        if binding.enabled == Some(false) || binding.expires.as_ref().is_some_and(expired) {
            return Ok(None);
        }
        if let Some(user) = &binding.user {
            let matches = !person.anonymous && (person.is_user(user) != binding.negate);
            return Ok(Some((matches, Vec::new())));
        }
        if let Some(group) = &binding.group {
            let matches = !person.anonymous && (person.is_in(group) != binding.negate);
            return Ok(Some((matches, Vec::new())));
        }
        Ok(Some(match self.policy(&binding.policy, person, context)? {
            Said::Result(passing, messages) => (passing != binding.negate, messages),
            Said::Error(text) => (binding.failure_result, vec![text]),
        }))
    }

    fn set(&self, target: &Target, person: &Person<'_>, context: &v1::Context) -> Result<SetOutcome, Wrong> {
        let mut results = Vec::new();
        let mut messages = Vec::new();
        for binding in self.bindings(target) {
            let Some((passing, said)) = self.one(binding, person, context)? else { continue };
            if !binding.dry_run {
                results.push(passing);
                messages.extend(said);
            }
        }
        let passing = if results.is_empty() {
            target.empty_result.unwrap_or(self.default_empty_result)
        } else if target.all {
            results.iter().all(|passing| *passing)
        } else {
            results.iter().any(|passing| *passing)
        };
        Ok(SetOutcome { passing, counted: results.len(), messages, all: target.all })
    }

    /// The answer to a question. Its context names the moment.
    pub(crate) fn check(&self, request: &v1::CheckRequest) -> Result<Outcome, Wrong> {
        let target = self.find(request.target.as_ref().unwrap())?;
        let context = request.context.as_ref().unwrap();
        let nobody = v1::Subject { anonymous: true, ..Default::default() };
        let person = match &request.subject {
            Some(subject) => self.person(subject),
            None => self.actor(context).unwrap_or_else(|| self.person(&nobody)),
        };
        let outcome = |set: &SetOutcome, reason: v1::Reason| Outcome {
            passing: set.passing,
            messages: set.messages.clone(),
            reason,
            may_stop_early: set.passing && !set.all,
            known: person.user.is_some(),
        };
        let reason_of = |set: &SetOutcome| match set.counted {
            0 => v1::Reason::NoBindings,
            _ => v1::Reason::Bindings,
        };
        let own = self.set(&target, &person, context)?;
        let own_outcome = outcome(&own, reason_of(&own));
        if request.scope() == v1::Scope::TargetAlone {
            return Ok(own_outcome);
        }
        match &target.lean {
            Lean::Nothing => Ok(own_outcome),
            Lean::Application(application) => {
                let parent = self.named(TargetKind::Application, application)?;
                let parent = self.set(&parent, &person, context)?;
                let failed = outcome(&parent, v1::Reason::ParentFailed);
                Ok(if parent.passing { own_outcome } else { failed })
            }
            Lean::AccessGroup(group) => {
                let group = self.named(TargetKind::DeviceAccessGroup, group)?;
                let group = self.set(&group, &person, context)?;
                Ok(match (group.counted, group.passing, own.counted) {
                    (0, _, _) => own_outcome,
                    (_, true, _) => outcome(&group, v1::Reason::AccessGroupPassed),
                    (_, false, 0) => outcome(&group, v1::Reason::AccessGroupFailed),
                    (_, false, _) => own_outcome,
                })
            }
            Lean::Authentication(demand) => {
                if self.is_met(*demand, &person, context) {
                    return Ok(own_outcome);
                }
                let nothing = SetOutcome { passing: false, counted: 0, messages: Vec::new(), all: true };
                Ok(outcome(&nothing, v1::Reason::Authentication))
            }
        }
    }

    fn is_met(&self, demand: v1::FlowAuthentication, person: &Person<'_>, context: &v1::Context) -> bool {
        use v1::FlowAuthentication as A;
        match demand {
            A::Unspecified | A::None => true,
            A::RequireAuthenticated => !person.anonymous,
            A::RequireUnauthenticated => person.anonymous,
            A::RequireSuperuser => !person.anonymous && person.is_superuser,
            A::RequireRedirect => policies::has(context, "is_redirected"),
            A::RequireOutpost => policies::has(context, "outpost"),
            A::RequireToken => policies::has(context, "is_restored"),
        }
    }
}

/// The moment that a question is decided for.
pub(crate) fn now_of(context: &v1::Context) -> prost_types::Timestamp {
    context.time.expect("the tests name the moment")
}
