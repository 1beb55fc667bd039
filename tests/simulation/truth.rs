//! What the publisher published, and who may reach what by it.

use crate::support::make::{group_name, resource, target};
use bindery::decision::{Outcome, View as _, decide};
use bindery::model::{
    Context, Explain, Question, ResourceKind, ResourceName, Scope, Subject, Timestamp, Version,
};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;
use bindery::store::Snapshot;
use bindery::sync::apply::Update;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

const USERS: u64 = 5;
const GROUPS: u64 = 4;
const APPLICATIONS: u64 = 3;
const ROUTES: u64 = 3;

/// Numbers that follow from a seed (splitmix64).
pub(crate) struct Dice {
    state: u64,
    /// Whether configurations are long, so that sending one takes time. Fewer are, since that takes time here, too.
    pub(crate) is_long: bool,
}

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self { state: seed, is_long: seed % 32 == 31 }
    }

    pub(crate) fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.any() % end
    }

    pub(crate) fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }
}

pub(crate) fn user_named(number: u64) -> ResourceName {
    ResourceName { kind: ResourceKind::User, id: format!("user{number}").into() }
}

fn binding_named(place: u64) -> String {
    format!("binding{place}")
}

fn groups(dice: &mut Dice) -> Vec<v1::GroupRef> {
    (0..GROUPS).filter(|_| dice.one_in(2)).map(|number| group_name(&format!("group{number}"))).collect()
}

pub(crate) fn user(number: u64, dice: &mut Dice) -> v1::Resource {
    let (username, groups) = (format!("user{number}"), groups(dice));
    resource(R::User(v1::User { username, groups, ..Default::default() }))
}

/// One who makes a snapshot long.
fn wide(number: u64) -> v1::Resource {
    let (username, name) = (format!("wide{number}"), "x".repeat(3_200));
    resource(R::User(v1::User { username, name, ..Default::default() }))
}

fn group(number: u64, dice: &mut Dice) -> v1::Resource {
    let parents =
        (0..number).filter(|_| dice.one_in(3)).map(|it| group_name(&format!("group{it}"))).collect();
    resource(R::Group(v1::Group { name: format!("group{number}"), parents, ..Default::default() }))
}

fn binding(place: u64, dice: &mut Dice) -> v1::Resource {
    let binding = v1::PolicyBinding {
        id: binding_named(place),
        target: Some(target(T::Application(format!("app{}", place % APPLICATIONS)))),
        group: Some(group_name(&format!("group{}", dice.below(GROUPS)))),
        negate: dice.one_in(4),
        ..Default::default()
    };
    resource(R::PolicyBinding(binding))
}

fn application(number: u64, dice: &mut Dice) -> v1::Resource {
    let mode = if dice.one_in(2) { v1::PolicyEngineMode::All } else { v1::PolicyEngineMode::Any };
    let slug = format!("app{number}");
    resource(R::Application(v1::Application {
        slug,
        policy_engine_mode: mode.into(),
        empty_result: Some(false),
        ..Default::default()
    }))
}

/// A route of its own host, to whichever application.
fn route(number: u64, dice: &mut Dice) -> v1::Resource {
    resource(R::Route(v1::Route {
        id: format!("route{number}"),
        host: format!("host{number}.example"),
        path_prefix: if dice.one_in(2) { "/x/".into() } else { String::new() },
        target: Some(target(T::Application(format!("app{}", dice.below(APPLICATIONS))))),
        ..Default::default()
    }))
}

/// A whole configuration.
pub(crate) fn any_configuration(dice: &mut Dice) -> Vec<v1::Resource> {
    let mut all: Vec<_> = (0..APPLICATIONS).map(|number| application(number, dice)).collect();
    all.extend((0..GROUPS).map(|number| group(number, dice)));
    all.extend((0..USERS).map(|number| user(number, dice)));
    all.extend((0..APPLICATIONS * 2).map(|place| binding(place, dice)));
    all.extend((0..ROUTES).map(|number| route(number, dice)));
    if dice.is_long {
        all.extend((0..520).map(wide));
    }
    all
}

/// A change of what is there.
pub(crate) fn any_change(dice: &mut Dice) -> Update {
    let (mut upserts, mut removals) = (Vec::new(), Vec::new());
    let number = dice.below(USERS);
    match dice.below(8) {
        0 => removals.push(user_named(number)),
        1 => {
            let id = binding_named(dice.below(APPLICATIONS * 2)).into();
            removals.push(ResourceName { kind: ResourceKind::PolicyBinding, id });
        }
        2 => upserts.push(binding(dice.below(APPLICATIONS * 2), dice)),
        3 => upserts.push(group(dice.below(GROUPS), dice)),
        5 => upserts.push(route(dice.below(ROUTES), dice)),
        6 => {
            let id = format!("route{}", dice.below(ROUTES)).into();
            removals.push(ResourceName { kind: ResourceKind::Route, id });
            upserts.push(user(number, dice));
        }
        4 => {
            upserts.push(binding(dice.below(APPLICATIONS * 2), dice));
            upserts.push(user(number, dice));
            upserts.push(application(dice.below(APPLICATIONS), dice));
        }
        _ => upserts.push(user(number, dice)),
    }
    Update::Delta { upserts, removals }
}

/// Who may reach what.
pub(crate) fn allowed(snapshot: &Snapshot) -> BTreeSet<(u64, u64)> {
    let mut all = BTreeSet::new();
    for (user, application) in (0..USERS).flat_map(|user| (0..APPLICATIONS).map(move |it| (user, it))) {
        let username = Some(format!("user{user}"));
        let question = Question {
            target: format!("application/app{application}").parse().unwrap(),
            subject: Subject { username, ..Subject::default() },
            context: Context::at(Timestamp::new(0, 0)),
            scope: Scope::WithParents,
            explain: Explain::None,
            full_evaluation: false,
        };
        let member = snapshot.member(&question.subject);
        if let Ok(Outcome::Decided(answer)) = decide(snapshot, &question, &member, &[], None)
            && answer.decision.is_allow()
        {
            all.insert((user, application));
        }
    }
    all
}

/// Where requests to each host lead.
fn led(snapshot: &Snapshot) -> Vec<Option<String>> {
    let path = |number: u64, path| {
        let found = snapshot.route(&format!("host{number}.example"), path, "GET")?;
        let name = snapshot.target(found.key?)?.target.display_name();
        Some(format!("{}: {name}", found.id))
    };
    (0..ROUTES).flat_map(|number| [path(number, "/"), path(number, "/x")]).collect()
}

/// How often something rare was seen, to tell that it happens at all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Changes that came into force.
    pub(crate) applied: u64,
    /// Changes that were refused.
    pub(crate) refused: u64,
    /// Somebody served less than was published, since something was taken away ahead of its change.
    pub(crate) less: u64,
    /// Somebody went from one epoch to another.
    pub(crate) epochs: u64,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, more: Self) {
        self.applied += more.applied;
        self.refused += more.refused;
        self.less += more.less;
        self.epochs += more.epochs;
    }
}

/// All that was ever published, and what was seen to be wrong.
#[derive(Clone, Default)]
pub(crate) struct Truth(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    published: HashMap<Version, Arc<Snapshot>>,
    wrong: Vec<String>,
    seen: Seen,
}

impl Truth {
    /// Enters what the publisher holds.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>) {
        self.0.lock().unwrap().published.insert(snapshot.version(), snapshot);
    }

    pub(crate) fn wrong(&self, what: String) {
        self.0.lock().unwrap().wrong.push(what);
    }

    pub(crate) fn saw(&self, more: Seen) {
        self.0.lock().unwrap().seen += more;
    }

    pub(crate) fn seen(&self) -> Seen {
        self.0.lock().unwrap().seen
    }

    pub(crate) fn all_wrong(&self) -> Vec<String> {
        self.0.lock().unwrap().wrong.clone()
    }

    /// Whether exactly this was published.
    pub(crate) fn is_published(&self, snapshot: &Snapshot) -> bool {
        let book = self.0.lock().unwrap();
        let published = book.published.get(&snapshot.version());
        published.is_some_and(|it| it.digest() == snapshot.digest() && led(it) == led(snapshot))
    }

    /// Looks at what somebody serves at any moment: something that was published, or less.
    pub(crate) fn examine(&self, who: &str, snapshot: &Snapshot) {
        if snapshot.is_unset() || self.is_published(snapshot) {
            return;
        }
        let Some(whole) = self.0.lock().unwrap().published.get(&snapshot.version()).cloned() else {
            return self.wrong(format!("{who} serves {}, which was never published", snapshot.version()));
        };
        self.saw(Seen { less: 1, ..Seen::default() });
        let more: Vec<_> = allowed(snapshot).difference(&allowed(&whole)).copied().collect();
        if !more.is_empty() {
            self.wrong(format!("{who} serves a mixture at {} that allows {more:?}", snapshot.version()));
        }
    }
}
