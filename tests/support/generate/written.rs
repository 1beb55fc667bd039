//! Worlds written down: as resources, and questions about them.

use super::routes::ROUTES;
use super::{Asked, BINDINGS, Edit, GROUPS, POLICIES, Side, Sort, TARGETS, USERS, World};
use crate::support::make::{NOW, moment, resource, target};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;

fn suffix(renamed: bool, has_id: bool) -> String {
    format!("{}{}", if renamed { "-b" } else { "" }, if has_id { "-i" } else { "" })
}

impl World {
    /// Changes one place.
    pub(crate) fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Target(place, it) => self.targets[place] = it,
            Edit::Policy(place, it) => self.policies[place] = it,
            Edit::Binding(place, it) => self.bindings[place] = it,
            Edit::User(place, it) => self.users[place] = it,
            Edit::Group(place, it) => self.groups[place] = it,
            Edit::Score(place, it) => self.scores[place] = it,
            Edit::Route(place, it) => self.routes[place] = it,
        }
    }

    /// The world as resources.
    pub(crate) fn resources(&self) -> Vec<v1::Resource> {
        let mut resources =
            vec![resource(R::Stage(v1::Stage { name: "stage".into(), ..Default::default() }))];
        resources.extend((0..TARGETS.len()).filter_map(|place| self.target(place)));
        resources.extend((0..POLICIES).filter_map(|place| self.policy(place)));
        resources.extend((0..BINDINGS).filter_map(|place| self.binding(place)));
        resources.extend((0..USERS).filter_map(|place| self.user(place)));
        resources.extend((0..GROUPS).filter_map(|place| self.group(place)));
        for (place, score) in self.scores.iter().enumerate() {
            let score = score.clone().map(|score| v1::ReputationScore { id: format!("r{place}"), ..score });
            resources.extend(score.map(|score| resource(R::ReputationScore(score))));
        }
        resources.extend((0..ROUTES).filter_map(|place| self.route(place)));
        resources
    }

    /// Every moment at which something happens by itself.
    pub(crate) fn moments(&self) -> Vec<i64> {
        let mut moments = Vec::new();
        moments.extend(self.bindings.iter().flatten().filter_map(|it| it.expires).map(|offset| NOW + offset));
        moments
            .extend(self.scores.iter().flatten().filter_map(|it| it.expires).map(|expires| expires.seconds));
        for age in self.users.iter().flatten().filter_map(|it| it.password_age) {
            moments.extend((0..4).map(|days| NOW - age + days * 86_400));
        }
        moments
    }

    /// A name is never handed on to a target of another id: in a delta a binding that is not sent stays with the
    /// target that it was bound to.
    fn name(&self, place: usize) -> Option<String> {
        let target = self.targets[place].as_ref()?;
        Some(format!("target-{place}{}", suffix(target.renamed, target.has_id)))
    }

    fn id(&self, place: usize) -> Option<String> {
        let target = self.targets[place].as_ref()?;
        // A flow-stage binding has no name of its own.
        let has_id = target.has_id || TARGETS[place] == Sort::FlowStageBinding;
        if has_id { Some(format!("id-{place}")) } else { self.name(place) }
    }

    fn id_field(&self, place: usize) -> Option<String> {
        let id = self.id(place)?;
        Some(if self.name(place).as_ref() == Some(&id) { String::new() } else { id })
    }

    /// The target that the one at this place leans on.
    fn parent(&self, place: usize) -> Option<String> {
        let target = self.targets[place].as_ref()?;
        let sort = match TARGETS[place] {
            Sort::Entitlement | Sort::RacEndpoint => Sort::Application,
            Sort::Device => Sort::DeviceAccessGroup,
            Sort::FlowStageBinding => Sort::Flow,
            _ => return None,
        };
        let first = TARGETS.iter().position(|candidate| *candidate == sort).unwrap();
        // Two could be leaned on. What may do without leans on nothing, else on the first.
        let may_do_without = matches!(TARGETS[place], Sort::RacEndpoint | Sort::Device);
        let parent = match target.parent {
            2 if may_do_without => return None,
            choice => first + choice % 2,
        };
        if target.parent_by_id { self.id(parent) } else { self.name(parent) }
    }

    fn target(&self, place: usize) -> Option<v1::Resource> {
        let it = self.targets[place].as_ref()?;
        let (id, name) = (self.id_field(place)?, self.name(place)?);
        let (mode, empty_result) = (it.mode.into(), it.empty_result);
        let parent = self.parent(place);
        Some(resource(match TARGETS[place] {
            Sort::Application => R::Application(v1::Application {
                id,
                slug: name,
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::Entitlement => R::Entitlement(v1::ApplicationEntitlement {
                // Its natural id has the application in it.
                id: self.id(place)?,
                application: parent?,
                name,
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::Source => R::Source(v1::Source {
                id,
                slug: name,
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::Flow => R::Flow(v1::Flow {
                id,
                slug: name,
                policy_engine_mode: mode,
                empty_result,
                authentication: it.authentication.into(),
                ..Default::default()
            }),
            Sort::FlowStageBinding => R::FlowStageBinding(v1::FlowStageBinding {
                id,
                flow: parent?,
                stage: "stage".into(),
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::Device => R::Device(v1::Device {
                id,
                identifier: name,
                policy_engine_mode: mode,
                empty_result,
                access_group: parent.unwrap_or_default(),
                ..Default::default()
            }),
            Sort::DeviceAccessGroup => R::DeviceAccessGroup(v1::DeviceAccessGroup {
                id,
                name,
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::NotificationRule => R::NotificationRule(v1::NotificationRule {
                id,
                name,
                policy_engine_mode: mode,
                empty_result,
                ..Default::default()
            }),
            Sort::RacEndpoint => R::RacEndpoint(v1::RacEndpoint {
                id,
                name,
                policy_engine_mode: mode,
                empty_result,
                application: parent.unwrap_or_default(),
                ..Default::default()
            }),
        }))
    }

    /// Names the target at this place; nothing when there is none.
    pub(super) fn target_ref(&self, place: usize, by_id: bool, application: &str) -> Option<v1::TargetRef> {
        self.target(place)?;
        let (id, name) = (self.id(place)?, self.name(place)?);
        let text = if by_id { id.clone() } else { name.clone() };
        Some(target(match TARGETS[place] {
            Sort::Application => T::Application(text),
            Sort::Entitlement if by_id => T::Entitlement(v1::EntitlementRef { id, ..Default::default() }),
            Sort::Entitlement => {
                let application = self.parent(place)?;
                T::Entitlement(v1::EntitlementRef { application, name, id: String::new() })
            }
            Sort::Source => T::Source(text),
            Sort::Flow => T::Flow(text),
            Sort::FlowStageBinding => T::FlowStageBinding(id),
            Sort::Device => T::Device(text),
            Sort::DeviceAccessGroup => T::DeviceAccessGroup(text),
            Sort::NotificationRule => T::NotificationRule(text),
            Sort::RacEndpoint => T::RacEndpoint(v1::RacEndpointRef { id, application: application.into() }),
        }))
    }

    fn policy_name(&self, place: usize) -> Option<String> {
        let policy = self.policies[place].as_ref()?;
        Some(format!("policy-{place}{}", suffix(policy.renamed, policy.has_id)))
    }

    fn policy(&self, place: usize) -> Option<v1::Resource> {
        let it = self.policies[place].as_ref()?;
        let id = if it.has_id { format!("p{place}") } else { String::new() };
        let name = self.policy_name(place)?;
        Some(resource(R::Policy(v1::Policy {
            id,
            name,
            execution_logging: false,
            kind: Some(it.kind.clone()),
        })))
    }

    fn binding(&self, place: usize) -> Option<v1::Resource> {
        let it = self.bindings[place].as_ref()?;
        let mut binding = v1::PolicyBinding {
            id: format!("b{place}"),
            target: Some(self.target_ref(it.target, it.target_by_id, "")?),
            order: it.order,
            enabled: it.enabled,
            negate: it.negate,
            failure_result: it.failure_result,
            expires: it.expires.map(|offset| moment(NOW + offset)),
            dry_run: it.dry_run,
            ..Default::default()
        };
        match &it.side {
            Side::Policy { .. } if TARGETS[it.target] == Sort::Entitlement => return None,
            Side::Policy { place, by_id } => {
                let has_id = self.policies[*place].as_ref()?.has_id;
                binding.policy =
                    if *by_id && has_id { format!("p{place}") } else { self.policy_name(*place)? };
            }
            Side::User(user) => binding.user = Some(user.clone()),
            Side::Group(group) => binding.group = Some(group.clone()),
        }
        Some(resource(R::PolicyBinding(binding)))
    }

    fn user(&self, place: usize) -> Option<v1::Resource> {
        let it = self.users[place].as_ref()?;
        Some(resource(R::User(v1::User {
            id: if it.has_id { format!("u{place}") } else { String::new() },
            username: format!("n{place}{}", if it.renamed { "b" } else { "" }),
            groups: it.groups.clone(),
            is_active: it.is_active,
            password_change_date: it.password_age.map(|age| moment(NOW - age)),
            ..Default::default()
        })))
    }

    fn group(&self, place: usize) -> Option<v1::Resource> {
        let it = self.groups[place].as_ref()?;
        Some(resource(R::Group(v1::Group {
            id: if it.has_id { format!("g{place}") } else { String::new() },
            name: format!("t{place}{}", if it.renamed { "b" } else { "" }),
            parents: it.parents.clone(),
            is_superuser: it.is_superuser,
            ..Default::default()
        })))
    }

    /// The question in this world. Where the target's place is empty, it names a target that is not there.
    pub(crate) fn question(&self, asked: &Asked) -> v1::CheckRequest {
        let application = asked.application.and_then(|place| self.name(place)).unwrap_or_default();
        let missing = || match TARGETS[asked.place] {
            Sort::Device => target(T::Device("missing".into())),
            Sort::Flow => target(T::Flow("missing".into())),
            Sort::NotificationRule => target(T::NotificationRule("missing".into())),
            _ => target(T::Application("missing".into())),
        };
        let found = self.target_ref(asked.place, asked.by_id, &application);
        let is_rule = TARGETS[asked.place] == Sort::NotificationRule;
        let mut context = asked.context.clone();
        // A rule is asked about the event's user, or about a subject where there is no event.
        let has_subject = !is_rule || asked.has_subject;
        if is_rule && has_subject {
            context.event = None;
        } else if is_rule {
            context.event.get_or_insert_with(|| v1::Event { action: "login".into(), ..Default::default() });
        }
        v1::CheckRequest {
            target: Some(found.unwrap_or_else(missing)),
            subject: has_subject.then(|| asked.subject.clone()),
            context: Some(context.into()),
            scope: asked.scope.into(),
            ..Default::default()
        }
    }
}
