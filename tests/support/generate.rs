//! Random configurations, changes of them, and questions.
//!
//! A [`World`] has numbered places for resources, each taken or empty. What a taken place stands for is worked out when
//! the world is written down as resources: what would refer to an empty place is left out or refers to nothing, so
//! every world is a valid configuration. Names and ids are drawn from a few each, some of which nothing has.

use crate::support::make::{NOW, data, group_id, group_name, moment, resource, target, user_id, username};
use bindery::proto::v1;
use bindery::proto::v1::policy::Kind;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

/// What stands at a place for targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Application,
    Entitlement,
    Source,
    Flow,
    FlowStageBinding,
    Device,
    DeviceAccessGroup,
    NotificationRule,
    RacEndpoint,
}

/// The places for targets. Those that others lean on come first among their sort.
const TARGETS: [Sort; 15] = [
    Sort::Application,
    Sort::Application,
    Sort::DeviceAccessGroup,
    Sort::DeviceAccessGroup,
    Sort::Flow,
    Sort::Flow,
    Sort::Source,
    Sort::NotificationRule,
    Sort::FlowStageBinding,
    Sort::Entitlement,
    Sort::Entitlement,
    Sort::Device,
    Sort::Device,
    Sort::RacEndpoint,
    Sort::RacEndpoint,
];
const POLICIES: usize = 6;
const USERS: usize = 4;
const GROUPS: usize = 5;
const BINDINGS: usize = 26;
const SCORES: usize = 4;

/// A target at its place.
#[derive(Clone, Debug)]
pub(crate) struct TargetPlace {
    /// Which of its two names it has.
    renamed: bool,
    has_id: bool,
    mode: v1::PolicyEngineMode,
    empty_result: Option<bool>,
    /// Which of the targets it could lean on; one of them is none.
    parent: usize,
    parent_by_id: bool,
    authentication: v1::FlowAuthentication,
}

/// A policy at its place.
#[derive(Clone, Debug)]
pub(crate) struct PolicyPlace {
    renamed: bool,
    has_id: bool,
    kind: Kind,
}

/// The subject side of a binding.
#[derive(Clone, Debug)]
enum Side {
    Policy { place: usize, by_id: bool },
    User(v1::UserRef),
    Group(v1::GroupRef),
}

/// A binding at its place.
#[derive(Clone, Debug)]
pub(crate) struct BindingPlace {
    target: usize,
    target_by_id: bool,
    side: Side,
    order: i32,
    enabled: Option<bool>,
    negate: bool,
    failure_result: bool,
    expires: Option<i64>,
    dry_run: bool,
}

/// A user at its place.
#[derive(Clone, Debug)]
pub(crate) struct UserPlace {
    renamed: bool,
    has_id: bool,
    groups: Vec<v1::GroupRef>,
    is_active: Option<bool>,
    password_age: Option<i64>,
}

/// A group at its place.
#[derive(Clone, Debug)]
pub(crate) struct GroupPlace {
    renamed: bool,
    has_id: bool,
    parents: Vec<v1::GroupRef>,
    is_superuser: bool,
}

/// Resources at their places.
#[derive(Clone, Debug)]
pub(crate) struct World {
    targets: Vec<Option<TargetPlace>>,
    policies: Vec<Option<PolicyPlace>>,
    bindings: Vec<Option<BindingPlace>>,
    users: Vec<Option<UserPlace>>,
    groups: Vec<Option<GroupPlace>>,
    scores: Vec<Option<v1::ReputationScore>>,
}

/// A change of one place.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Target(usize, Option<TargetPlace>),
    Policy(usize, Option<PolicyPlace>),
    Binding(usize, Option<BindingPlace>),
    User(usize, Option<UserPlace>),
    Group(usize, Option<GroupPlace>),
    Score(usize, Option<v1::ReputationScore>),
}

/// A question, with the place of its target.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    place: usize,
    by_id: bool,
    /// For an endpoint: which application it is said to be of, if any.
    application: Option<usize>,
    subject: v1::Subject,
    context: v1::Context,
    scope: v1::Scope,
    has_subject: bool,
}

fn seldom() -> BoxedStrategy<bool> {
    prop::bool::weighted(0.15).boxed()
}

fn any_target() -> BoxedStrategy<TargetPlace> {
    use v1::FlowAuthentication as A;
    use v1::PolicyEngineMode as M;
    let demands = vec![
        A::Unspecified,
        A::None,
        A::RequireAuthenticated,
        A::RequireUnauthenticated,
        A::RequireSuperuser,
        A::RequireRedirect,
        A::RequireOutpost,
        A::RequireToken,
    ];
    let modes = select(vec![M::Unspecified, M::Any, M::All, M::All]);
    (seldom(), any::<bool>(), modes, option::of(any::<bool>()), 0..3_usize, any::<bool>(), select(demands))
        .prop_map(|(renamed, has_id, mode, empty_result, parent, parent_by_id, authentication)| TargetPlace {
            renamed,
            has_id,
            mode,
            empty_result,
            parent,
            parent_by_id,
            authentication,
        })
        .boxed()
}

fn any_policy() -> BoxedStrategy<PolicyPlace> {
    let text =
        |choices: &'static [&'static str]| option::weighted(0.4, select(choices).prop_map(str::to_owned));
    let texts = vec(select(&["m1", "m2", "", "dummy"][..]).prop_map(str::to_owned), 0..3);
    let error = option::weighted(0.25, select(&["broken", ""][..]).prop_map(str::to_owned));
    let dummy =
        (any::<bool>(), option::of(texts), error, seldom()).prop_map(|(result, texts, error, waits)| {
            let messages = texts.map(|texts| v1::DummyMessages { texts });
            let wait = |nanos| (waits && nanos > 0).then_some(prost_types::Duration { seconds: 0, nanos });
            let (wait_min, wait_max) = (wait(1_000), wait(2_000));
            Kind::Dummy(v1::DummyPolicy { result, wait_min, wait_max, messages, error })
        });
    let matcher = (
        text(&["login", "logout", ""]),
        text(&["10.0.0.1", ""]),
        text(&["core", "flows"]),
        text(&["core.user", "None.None", "core.None"]),
    )
        .prop_map(|(action, client_ip, app, model)| {
            Kind::EventMatcher(v1::EventMatcherPolicy { action, client_ip, app, model, query: None })
        });
    let expiry = (0..3_u32, any::<bool>())
        .prop_map(|(days, deny_only)| Kind::PasswordExpiry(v1::PasswordExpiryPolicy { days, deny_only }));
    let reputation = (option::of(any::<bool>()), option::of(any::<bool>()), option::of(-8..3_i64)).prop_map(
        |(check_ip, check_username, threshold)| {
            Kind::Reputation(v1::ReputationPolicy { check_ip, check_username, threshold })
        },
    );
    let kind = prop_oneof![4 => dummy, 1 => matcher, 2 => expiry, 2 => reputation];
    (seldom(), any::<bool>(), kind)
        .prop_map(|(renamed, has_id, kind)| PolicyPlace { renamed, has_id, kind })
        .boxed()
}

/// Ids and usernames of users, some of them mixed up or of nobody.
fn any_user_ref() -> BoxedStrategy<v1::UserRef> {
    prop_oneof![
        select(&["u0", "u1", "u2", "u3", "n0", "n1", "nobody"][..]).prop_map(user_id),
        select(&["n0", "n0b", "n1", "n2", "n3", "u0", "ghost"][..]).prop_map(username),
    ]
    .boxed()
}

const GROUP_IDS: &[&str] = &["g0", "g1", "g2", "g3", "g4", "t0", "t1", "gx"];
const GROUP_NAMES: &[&str] = &["t0", "t0b", "t1", "t2", "t3", "t4", "g0", "tx"];

fn any_group_ref() -> BoxedStrategy<v1::GroupRef> {
    prop_oneof![select(GROUP_IDS).prop_map(group_id), select(GROUP_NAMES).prop_map(group_name)].boxed()
}

fn any_binding() -> BoxedStrategy<BindingPlace> {
    let side = prop_oneof![
        3 => (0..POLICIES, any::<bool>()).prop_map(|(place, by_id)| Side::Policy { place, by_id }),
        2 => any_user_ref().prop_map(Side::User),
        3 => any_group_ref().prop_map(Side::Group),
    ];
    let enabled = select(&[None, None, Some(true), Some(false)][..]);
    let expires = option::weighted(0.3, select(&[-100_i64, 0, 1, 60, 86_400, 200_000][..]));
    let switches = (any::<bool>(), any::<bool>(), seldom());
    (0..TARGETS.len(), any::<bool>(), side, -1..4_i32, enabled, expires, switches)
        .prop_map(|(target, target_by_id, side, order, enabled, expires, switches)| {
            let (negate, failure_result, dry_run) = switches;
            BindingPlace {
                target,
                target_by_id,
                side,
                order,
                enabled,
                negate,
                failure_result,
                expires,
                dry_run,
            }
        })
        .boxed()
}

fn any_user() -> BoxedStrategy<UserPlace> {
    let ages = select(&[0_i64, 1, 86_399, 86_400, 172_800, 400_000][..]);
    (seldom(), any::<bool>(), vec(any_group_ref(), 0..3), option::of(any::<bool>()), option::of(ages))
        .prop_map(|(renamed, has_id, groups, is_active, password_age)| UserPlace {
            renamed,
            has_id,
            groups,
            is_active,
            password_age,
        })
        .boxed()
}

fn any_group() -> BoxedStrategy<GroupPlace> {
    (seldom(), any::<bool>(), vec(any_group_ref(), 0..3), seldom())
        .prop_map(|(renamed, has_id, parents, is_superuser)| GroupPlace {
            renamed,
            has_id,
            parents,
            is_superuser,
        })
        .boxed()
}

fn any_score() -> BoxedStrategy<v1::ReputationScore> {
    let ip = select(&["10.0.0.1", "2001:db8::1", "255.255.255.255", "10.9.9.9"][..]);
    let identifier = select(&["n0", "n1", "n2", "ghost", "zed"][..]);
    let expires = option::weighted(0.4, select(&[-5_i64, 0, 1, 100, 90_000][..]));
    (ip, identifier, -6..4_i64, expires)
        .prop_map(|(ip, identifier, score, expires)| v1::ReputationScore {
            id: String::new(),
            ip: ip.into(),
            identifier: identifier.into(),
            score,
            expires: expires.map(|offset| moment(NOW + offset)),
        })
        .boxed()
}

fn places<S: Strategy + 'static>(one: S, count: usize) -> BoxedStrategy<Vec<Option<S::Value>>>
where
    S::Value: Clone,
{
    vec(option::weighted(0.85, one), count).boxed()
}

/// A random configuration.
pub(crate) fn any_world() -> BoxedStrategy<World> {
    (
        places(any_target(), TARGETS.len()),
        places(any_policy(), POLICIES),
        places(any_binding(), BINDINGS),
        places(any_user(), USERS),
        places(any_group(), GROUPS),
        places(any_score(), SCORES),
    )
        .prop_map(|(targets, policies, bindings, users, groups, scores)| World {
            targets,
            policies,
            bindings,
            users,
            groups,
            scores,
        })
        .boxed()
}

/// A random change of one place.
pub(crate) fn any_edit() -> BoxedStrategy<Edit> {
    fn one<S: Strategy>(count: usize, what: S) -> impl Strategy<Value = (usize, Option<S::Value>)>
    where
        S::Value: Clone,
    {
        (0..count, option::weighted(0.7, what))
    }
    prop_oneof![
        2 => one(TARGETS.len(), any_target()).prop_map(|(place, it)| Edit::Target(place, it)),
        2 => one(POLICIES, any_policy()).prop_map(|(place, it)| Edit::Policy(place, it)),
        4 => one(BINDINGS, any_binding()).prop_map(|(place, it)| Edit::Binding(place, it)),
        2 => one(USERS, any_user()).prop_map(|(place, it)| Edit::User(place, it)),
        3 => one(GROUPS, any_group()).prop_map(|(place, it)| Edit::Group(place, it)),
        1 => one(SCORES, any_score()).prop_map(|(place, it)| Edit::Score(place, it)),
    ]
    .boxed()
}

fn any_subject() -> BoxedStrategy<v1::Subject> {
    let ids = select(&["u0", "u1", "u2", "u3", "n0", "n1", "u9"][..]);
    let names = select(&["n0", "n0b", "n1", "n2", "n3", "ghost"][..]);
    let who = prop_oneof![
        4 => ids.clone().prop_map(|id| (id, "", "", false)),
        4 => names.clone().prop_map(|name| ("", name, "", false)),
        2 => (ids, names.clone()).prop_map(|(id, name)| (id, name, "n0@example.com", false)),
        1 => Just(("", "", "n0@example.com", false)),
        2 => option::of(names).prop_map(|name| ("", name.unwrap_or_default(), "", true)),
    ];
    let groups = |names: &'static [&'static str]| vec(select(names).prop_map(str::to_owned), 0..3);
    (who, groups(GROUP_IDS), groups(GROUP_NAMES), seldom())
        .prop_map(|((id, name, email, anonymous), group_ids, group_names, is_superuser)| v1::Subject {
            user_id: id.into(),
            username: name.into(),
            email: email.into(),
            group_ids,
            group_names,
            is_superuser,
            anonymous,
            ..Default::default()
        })
        .boxed()
}

fn any_event() -> BoxedStrategy<v1::Event> {
    let actor = prop_oneof![
        select(&["u0", "u1", "u9"][..]).prop_map(|id| (id, "")),
        select(&["n0", "n1", "ghost"][..]).prop_map(|name| ("", name)),
    ];
    let data_of = select(vec![
        json!({}),
        json!({"model": {"app": "core", "model_name": "user"}}),
        json!({"model": {"app": "core"}}),
    ]);
    (
        select(&["login", "logout"][..]),
        select(&["core", "flows"][..]),
        option::of(Just("10.0.0.1")),
        option::of(data_of),
        option::of(actor),
    )
        .prop_map(|(action, app, client_ip, context, actor)| v1::Event {
            action: action.into(),
            app: app.into(),
            client_ip: client_ip.map(str::to_owned),
            context: context.as_ref().map(data),
            user: actor.map(|(id, name)| v1::EventUser {
                id: id.into(),
                username: name.into(),
                email: String::new(),
            }),
        })
        .boxed()
}

fn any_context() -> BoxedStrategy<v1::Context> {
    let time = (select(&[0_i64, 0, 0, -1, 1, 60, 86_400][..]), select(&[0, 0, 1, 999_999_999][..]));
    let client_ip = select(&["", "10.0.0.1", "2001:0db8::1"][..]);
    let values = option::of(select(vec![
        json!({"is_redirected": true}),
        json!({"is_restored": "token", "is_redirected": false}),
        json!({"outpost": {"name": "o"}, "is_restored": ""}),
    ]));
    let scores = option::weighted(0.15, vec(any_score(), 0..3));
    (time, client_ip, option::of(any_event()), values, scores)
        .prop_map(|((seconds, nanos), client_ip, event, values, scores)| v1::Context {
            client_ip: client_ip.into(),
            time: Some(prost_types::Timestamp { seconds: NOW + seconds, nanos }),
            event,
            values: values.as_ref().map(data),
            reputation: scores.map(|scores| v1::ReputationScores { scores }),
            ..Default::default()
        })
        .boxed()
}

/// A random question.
pub(crate) fn any_question() -> BoxedStrategy<Asked> {
    let scope = select(vec![v1::Scope::Unspecified, v1::Scope::WithParents, v1::Scope::TargetAlone]);
    let application = option::weighted(0.3, 0..2_usize);
    let target = (0..TARGETS.len(), any::<bool>(), application);
    (target, any_subject(), any_context(), scope, any::<bool>())
        .prop_map(|((place, by_id, application), subject, context, scope, has_subject)| Asked {
            place,
            by_id,
            application,
            subject,
            context,
            scope,
            has_subject,
        })
        .boxed()
}

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
    fn target_ref(&self, place: usize, by_id: bool, application: &str) -> Option<v1::TargetRef> {
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
            _ => target(T::Application("missing".into())),
        };
        let found = self.target_ref(asked.place, asked.by_id, &application);
        let is_rule = TARGETS[asked.place] == Sort::NotificationRule;
        let mut context = asked.context.clone();
        // A rule is asked about the event's user, or about a subject where there is no event.
        let has_subject = !is_rule || asked.has_subject;
        if is_rule && has_subject {
            context.event = None;
        }
        v1::CheckRequest {
            target: Some(found.unwrap_or_else(missing)),
            subject: has_subject.then(|| asked.subject.clone()),
            context: Some(context),
            scope: asked.scope.into(),
            ..Default::default()
        }
    }
}
