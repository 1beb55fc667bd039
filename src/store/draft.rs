//! Deriving the next revision: a change is checked as a whole against what it would lead to, then becomes the next
//! snapshot, whole or not at all. The work grows with the change, not with what exists.
//!
//! Must not know: where a change came from.

mod account;
mod bindings;
mod directory;
mod named;
mod routes;
mod targets;

pub use account::Difference;

use super::part::Part;
use super::snapshot::{Node, Snapshot};
use crate::decision::{Row, TargetKey};
use crate::model::{
    Field, Group, Id, Policy, PolicyBinding, Problem, ReputationScore, ResourceKind, ResourceName, Route,
    Stage, Sum, Target, User, Version,
};
use account::Account;
use bytes::Bytes;
use named::{Name, Named};
use std::collections::HashSet;

/// A resource to add or to replace.
#[derive(Clone, Debug, PartialEq)]
pub enum Upsert {
    /// A target of any kind.
    Target(Box<Target>),
    /// A policy binding.
    Binding(Box<PolicyBinding>),
    /// A policy.
    Policy(Box<Policy>),
    /// A stage.
    Stage(Box<Stage>),
    /// A user.
    User(Box<User>),
    /// A group.
    Group(Box<Group>),
    /// A reputation row.
    ReputationScore(Box<ReputationScore>),
    /// A route.
    Route(Box<Route>),
}

impl Upsert {
    /// The resource's kind.
    pub const fn kind(&self) -> ResourceKind {
        match self {
            Self::Target(target) => ResourceKind::Target(target.kind()),
            Self::Binding(_) => ResourceKind::PolicyBinding,
            Self::Policy(_) => ResourceKind::Policy,
            Self::Stage(_) => ResourceKind::Stage,
            Self::User(_) => ResourceKind::User,
            Self::Group(_) => ResourceKind::Group,
            Self::ReputationScore(_) => ResourceKind::ReputationScore,
            Self::Route(_) => ResourceKind::Route,
        }
    }

    /// The resource's id.
    pub const fn id(&self) -> &Id {
        match self {
            Self::Target(target) => &target.id,
            Self::Binding(binding) => &binding.id,
            Self::Stage(stage) => &stage.id,
            Self::Policy(policy) => &policy.id,
            Self::User(user) => &user.id,
            Self::Group(group) => &group.id,
            Self::ReputationScore(score) => &score.id,
            Self::Route(route) => &route.id,
        }
    }

    /// The resource's name in a sentence.
    pub fn name(&self) -> ResourceName {
        ResourceName { kind: self.kind(), id: self.id().to_string().into() }
    }
}

/// Policy bindings that are read when their turn comes, and forgotten at once: of a million, only the outcome takes room.
#[derive(Clone, Debug, Default)]
pub struct Serialized {
    /// The serialized bindings, which are known to be right by themselves, in parts: what a part was sent in can go once it
    /// has been read.
    pub parts: Vec<Part>,
    /// What in the parts is no binding, by its place in all of them, ascending.
    pub not_bindings: Vec<u32>,
    /// Their ids.
    pub ids: Vec<Id>,
    /// What they sum up to. Absent: it is counted where it is needed.
    pub sum: Option<Sum>,
    /// What reads one.
    pub read: Option<fn(&Bytes) -> Option<PolicyBinding>>,
}

/// A change to the configuration. Indices in problems count `upserts`, then `bindings`.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Resources to add or to replace; each resource at most once, here and in `bindings` together.
    pub upserts: Vec<Upsert>,
    /// Bindings to add or to replace.
    pub bindings: Serialized,
    /// Resources to remove. One that is not there is no error, since a removal may come twice.
    pub removals: Vec<ResourceName>,
    /// Whether everything that `upserts` does not name is removed, too.
    pub replace: Replace,
    /// The serialized resources that the upserts were made from, one for each. Empty: they are at home here, and their
    /// plain form is what is handed on.
    pub sent: Vec<Bytes>,
    /// Where the configuration stands afterwards. Absent: one revision further, if anything changed.
    pub version: Option<Version>,
    /// What everything has to sum up to afterwards. Absent: it is not checked.
    pub expected: Option<u128>,
    /// Whether only a part of all targets is held, so that a route may lead to one that is not here.
    pub partial: bool,
}

/// What goes that a change does not name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Replace {
    /// Nothing.
    #[default]
    Nothing,
    /// Everything.
    All,
    /// Everything of these kinds.
    Kinds(Vec<ResourceKind>),
}

impl Replace {
    /// Whether everything of a kind goes that is not named.
    pub fn takes(&self, kind: ResourceKind) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => true,
            Self::Kinds(kinds) => kinds.contains(&kind),
        }
    }
}

/// What a change did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// The revision now in force.
    pub revision: u64,
    /// Resources that were added or changed.
    pub upserted: usize,
    /// Resources that were removed.
    pub removed: usize,
}

/// The field of the problem of a change whose result sums up to something else than was told.
pub const DIGEST: &str = "digest";

/// The next revision, if there is one, with the targets whose bindings changed.
type Derived = (Option<(Snapshot, Vec<TargetKey>)>, Changed, Difference);

/// What would be wrong with a change.
pub(super) fn examine(base: &Snapshot, change: Change) -> Vec<Problem> {
    derive(base, change, false).err().unwrap_or_default()
}

/// Derives the next revision from `base`; nothing when the change changes nothing.
pub(super) fn derive(base: &Snapshot, change: Change, recorded: bool) -> Result<Derived, Vec<Problem>> {
    let (version, expected) = (change.version, change.expected);
    let mut draft = Draft::new(base);
    draft.account.recorded = recorded;
    draft.partial = change.partial;
    draft.take(change);
    draft.finish(version, expected)
}

/// What is removed, for messages about what still refers to it.
struct Gone {
    node: Node,
    name: ResourceName,
    /// For a target, the bindings that it had and that this update did not remove.
    rows: Vec<Row>,
}

/// The next revision in the making.
struct Draft<'a> {
    base: &'a Snapshot,
    next: Snapshot,
    account: Account,
    problems: Vec<Problem>,
    gone: Vec<Gone>,
    touched: HashSet<TargetKey>,
    upserted: usize,
    removed: usize,
    /// Targets, policies and stages that are called differently now, so that references to them are looked up anew.
    renamed: HashSet<TargetKey>,
    renamed_policies: HashSet<u32>,
    renamed_stages: HashSet<u32>,
    /// Targets that are given, or lean on what is called differently.
    placed: Vec<TargetKey>,
    /// Whether only a part of all targets is held.
    partial: bool,
    /// Whether a group or an atom changed, so that standings have to be computed anew.
    standings_changed: bool,
}

impl<'a> Draft<'a> {
    fn new(base: &'a Snapshot) -> Self {
        let mut next = base.clone();
        next.serial = base.serial + 1;
        Self {
            base,
            next,
            account: Account::default(),
            problems: Vec::new(),
            gone: Vec::new(),
            touched: HashSet::new(),
            upserted: 0,
            removed: 0,
            renamed: HashSet::new(),
            renamed_policies: HashSet::new(),
            renamed_stages: HashSet::new(),
            placed: Vec::new(),
            partial: false,
            standings_changed: false,
        }
    }

    /// Notes what is wrong with an upsert.
    fn problem(
        &mut self,
        index: impl Into<Option<usize>>,
        resource: &ResourceName,
        field: impl Into<Field>,
        message: String,
    ) {
        let resource = Some(resource.clone());
        self.problems.push(Problem {
            index: index.into(),
            resource,
            field: field.into(),
            message,
            missing: None,
        });
    }

    /// Notes a reference to something that is not there.
    fn dangling(
        &mut self,
        index: impl Into<Option<usize>>,
        resource: &ResourceName,
        field: &'static str,
        kind: ResourceKind,
        missing: &str,
    ) {
        let missing = ResourceName { kind, id: missing.into() };
        self.problem(
            index,
            resource,
            field,
            format!("there is no {missing}; add it, or correct the reference"),
        );
        if let Some(problem) = self.problems.last_mut() {
            problem.missing = Some(missing);
        }
    }

    fn take(&mut self, change: Change) {
        let Change { upserts, bindings: serialized, mut removals, replace, sent, .. } = change;
        let Serialized { parts, not_bindings, ids, sum, read } = serialized;
        self.account.take(&upserts, sent, &replace, sum);
        let names = || {
            let upserts = upserts.iter().map(|upsert| (upsert.kind(), upsert.id()));
            upserts.chain(ids.iter().map(|id| (ResourceKind::PolicyBinding, id)))
        };
        let at = |position: u32| -> Option<Name<'_>> {
            let position = position as usize;
            match upserts.get(position) {
                Some(upsert) => Some((upsert.kind(), upsert.id())),
                None => Some((ResourceKind::PolicyBinding, ids.get(position - upserts.len())?)),
            }
        };
        let named = Named::new(names());
        let doubles = named.doubles(at);
        for (position, (kind, id)) in doubles.iter().filter_map(|double| Some((*double, at(*double)?))) {
            let message = "there are two of this id; remove one, or give them different ids".to_owned();
            let name = ResourceName { kind, id: id.to_string().into() };
            self.problem(position as usize, &name, "id", message);
        }
        // What is both removed and added is replaced.
        removals.retain(|name| !named.has((name.kind, &Id::new(&name.id)), at));
        if replace != Replace::Nothing {
            removals.extend(self.not_named(&replace, |name| named.has(name, at)));
        }
        drop((named, ids));
        let is_double =
            |index: usize| u32::try_from(index).is_ok_and(|index| doubles.binary_search(&index).is_ok());
        // Bindings first: what they are bound to may be removed with them.
        let (unbound, others): (Vec<_>, Vec<_>) =
            removals.into_iter().partition(|name| name.kind == ResourceKind::PolicyBinding);
        let mut rows = bindings::RowChanges::default();
        for name in &unbound {
            self.remove_binding(&mut rows, &Id::new(&name.id));
        }
        others.iter().for_each(|name| self.remove(name));
        // What goes is entered before what comes: it may be the same under another target.
        self.account_homeless();

        // Then what nothing has to be known for, then what refers to it, bindings last.
        self.drop_directory_names(&upserts);
        let count = upserts.len();
        let (mut targets, mut policies, mut stages, mut bindings, mut routes) =
            (vec![], vec![], vec![], vec![], vec![]);
        for (index, upsert) in upserts.into_iter().enumerate().filter(|(index, _)| !is_double(*index)) {
            match upsert {
                Upsert::Group(group) => self.upsert_group(index, *group),
                Upsert::User(user) => self.upsert_user(index, *user),
                Upsert::ReputationScore(score) => {
                    self.upserted += usize::from(self.next.reputation.upsert(*score))
                }
                Upsert::Target(target) => targets.push((index, target)),
                Upsert::Policy(policy) => policies.push((index, *policy)),
                Upsert::Stage(stage) => stages.push((index, *stage)),
                Upsert::Binding(binding) => bindings.push((index, *binding)),
                Upsert::Route(route) => routes.push((index, *route)),
            }
        }
        self.upsert_stages(stages);
        self.upsert_policies(policies);
        self.upsert_targets(targets);
        self.upsert_routes(routes);
        for (index, binding) in bindings {
            self.upsert_binding(&mut rows, Some(index), binding, None);
        }
        let mut not_bindings = not_bindings.into_iter().peekable();
        let (mut place, mut index) = (0, count);
        for part in parts {
            for sent in part.iter() {
                place += 1;
                if not_bindings.next_if_eq(&(place - 1)).is_some() {
                    continue;
                }
                index += 1;
                if is_double(index - 1) {
                    continue;
                }
                if sum.is_none() {
                    self.account.count(ResourceKind::PolicyBinding, &sent);
                }
                if let Some(binding) = read.and_then(|read| read(&sent)) {
                    self.upsert_binding(&mut rows, Some(index - 1), binding, Some(&sent));
                }
                // What is called differently is looked up below, for which all of the changes have to be there.
                if rows.is_full() && self.renamed.is_empty() && self.renamed_policies.is_empty() {
                    self.write(&mut rows);
                }
            }
        }
        self.resolve_anew(&mut rows);
        self.write(&mut rows);
        self.check_gone();
    }

    /// Enters and writes the changes to rows so far.
    fn write(&mut self, rows: &mut bindings::RowChanges) {
        let rows = rows.sorted(&mut self.next.bindings);
        self.account_rows(&rows);
        self.rewrite_rows(rows);
    }

    /// Everything that the upserts of a replacement do not name.
    fn not_named(&self, replace: &Replace, is_named: impl Fn(Name<'_>) -> bool) -> Vec<ResourceName> {
        let kinds = ResourceKind::ALL.into_iter().filter(|kind| replace.takes(*kind));
        kinds
            .flat_map(|kind| self.next.ids_of(kind).map(move |id| (kind, id)))
            .filter(|(kind, id)| !is_named((*kind, id)))
            .map(|(kind, id)| ResourceName { kind, id: id.to_string().into() })
            .collect()
    }

    fn remove(&mut self, name: &ResourceName) {
        let id = Id::new(&name.id);
        self.account.touch(name.kind, &id);
        let removed = match name.kind {
            ResourceKind::Target(kind) => self.remove_target(kind, name),
            ResourceKind::Policy => self.remove_policy(name),
            ResourceKind::Stage => self.remove_stage(name),
            ResourceKind::User => self.remove_user(&id),
            ResourceKind::Group => self.remove_group(&id),
            ResourceKind::ReputationScore => self.next.reputation.remove(&id),
            ResourceKind::Route => self.remove_route(&id),
            ResourceKind::PolicyBinding => false,
        };
        self.removed += usize::from(removed);
    }

    /// What was removed must not be referred to by what stays.
    fn check_gone(&mut self) {
        for Gone { node, name, rows } in std::mem::take(&mut self.gone) {
            let homeless = |row: &&Row| {
                let mut keys = self.next.bindings.candidates(&row.id);
                !keys.any(|key| self.next.targets.get(key).is_some_and(|entry| entry.rows().has(&row.id)))
            };
            if let Some(first) = rows.iter().find(homeless) {
                let others = rows.iter().filter(homeless).count() - 1;
                let others = if others == 0 { String::new() } else { format!(" and {others} more") };
                let message = format!(
                    "it is removed, but policy binding `{}`{others} is still bound to it; remove that as well",
                    first.id
                );
                let resource = Some(name.clone());
                self.problems.push(Problem {
                    index: None,
                    resource,
                    field: "".into(),
                    message,
                    missing: None,
                });
            }
            match node {
                Node::Target(key) => self.next.targets.release(key.0),
                Node::Policy(key) => self.next.policies.release(key),
                Node::Stage(key) => self.next.stages.release(key),
                // Nothing refers to one.
                Node::Route(_) => {}
            }
            let mut referrers = self.next.referrers(node);
            let Some(first) = referrers.next() else { continue };
            let more = referrers.count();
            let first = match first {
                Node::Target(key) => self.next.describe(key),
                Node::Policy(_) => "a policy".to_owned(),
                Node::Stage(_) => "a stage".to_owned(),
                Node::Route(slot) => self.next.routes.at(slot).map_or_else(String::new, |entry| {
                    ResourceName { kind: ResourceKind::Route, id: entry.route.id.to_string().into() }
                        .to_string()
                }),
            };
            let others = if more == 0 { String::new() } else { format!(" and {more} more") };
            let message =
                format!("it is removed, but {first}{others} still refers to it; remove that as well");
            self.problems.push(Problem {
                index: None,
                resource: Some(name),
                field: "".into(),
                message,
                missing: None,
            });
        }
    }

    fn finish(mut self, version: Option<Version>, expected: Option<u128>) -> Result<Derived, Vec<Problem>> {
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| problem.index);
            return Err(self.problems);
        }
        self.account_others();
        if let Some(expected) = expected.filter(|expected| *expected != self.next.digest.total()) {
            let message = format!(
                "everything together would sum up to {:032x}, and {expected:032x} was told; send everything anew",
                self.next.digest.total()
            );
            let (index, resource, missing) = (None, None, None);
            return Err(vec![Problem { index, resource, field: DIGEST.into(), message, missing }]);
        }
        let base = self.base.version;
        let mut changed = Changed { revision: base.revision, upserted: self.upserted, removed: self.removed };
        let is_same = changed.upserted == 0
            && changed.removed == 0
            && !self.account.differs
            && self.next.digest == self.base.digest;
        if is_same && !self.base.is_unset() && version.is_none_or(|version| version == base) {
            return Ok((None, changed, Difference::default()));
        }
        self.next.version = version.unwrap_or(Version { revision: base.revision + 1, ..base });
        changed.revision = self.next.version.revision;
        if self.standings_changed {
            self.next.directory.serial = self.next.serial;
        }
        let difference = self.account.difference();
        Ok((Some((self.next, self.touched.into_iter().collect())), changed, difference))
    }
}
