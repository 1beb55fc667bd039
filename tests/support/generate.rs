//! Random configurations, changes of them, and questions.
//!
//! A [`World`] has numbered places for resources, each taken or empty. What a taken place stands for is worked out when
//! the world is written down as resources: what would refer to an empty place is left out or refers to nothing, so
//! every world is a valid configuration. Names and ids are drawn from a few each, some of which nothing has.

pub(crate) mod routes;
mod written;

use crate::support::make::{NOW, data, group_id, group_name, moment, user_id, username};
use bindery::proto::v1;
use bindery::proto::v1::policy::Kind;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use routes::{ROUTES, RoutePlace, any_route};
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
    routes: Vec<Option<RoutePlace>>,
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
    Route(usize, Option<RoutePlace>),
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
        places(any_route(), ROUTES),
    )
        .prop_map(|(targets, policies, bindings, users, groups, scores, routes)| World {
            targets,
            policies,
            bindings,
            users,
            groups,
            scores,
            routes,
        })
        .boxed()
}

/// A random configuration in which much happens by itself: policies look at times, and reputation rows expire.
pub(crate) fn any_timed_world() -> BoxedStrategy<World> {
    let reputation =
        (any::<bool>(), any::<bool>(), -6..1_i64).prop_map(|(check_ip, check_username, threshold)| {
            let (check_ip, check_username, threshold) =
                (Some(check_ip), Some(check_username), Some(threshold));
            Kind::Reputation(v1::ReputationPolicy { check_ip, check_username, threshold })
        });
    let expiry =
        (1..4_u32).prop_map(|days| Kind::PasswordExpiry(v1::PasswordExpiryPolicy { days, deny_only: false }));
    let policies = vec(prop_oneof![2 => reputation, 1 => expiry], POLICIES);
    let scores = vec((any_score(), select(&[-5_i64, 0, 1, 100, 90_000][..])), SCORES);
    let ages = vec(select(&[0_i64, 1, 86_399, 86_400, 172_800][..]), USERS);
    (any_world(), policies, scores, ages)
        .prop_map(|(mut world, policies, scores, ages)| {
            for (place, age) in world.users.iter_mut().zip(ages) {
                place.iter_mut().for_each(|user| user.password_age = Some(age));
            }
            for (place, kind) in world.policies.iter_mut().zip(policies) {
                place.iter_mut().for_each(|policy| policy.kind = kind.clone());
            }
            for (place, (score, offset)) in world.scores.iter_mut().zip(scores) {
                *place = Some(v1::ReputationScore { expires: Some(moment(NOW + offset)), ..score });
            }
            world
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
        2 => one(ROUTES, any_route()).prop_map(|(place, it)| Edit::Route(place, it)),
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
