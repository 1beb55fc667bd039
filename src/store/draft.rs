//! Deriving the next revision: a change is checked as a whole against what it would lead to, then becomes the next
//! snapshot, whole or not at all. The work grows with the change, not with what exists.
//!
//! Must not know: where a change came from.

mod bindings;
mod directory;
mod targets;

use super::snapshot::{Node, Snapshot};
use crate::decision::{Row, TargetKey};
use crate::model::{
    Field, Group, Id, Policy, PolicyBinding, Problem, ReputationScore, ResourceKind, ResourceName, Stage,
    Target, User,
};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A resource to add or to replace.
#[derive(Clone, Debug, PartialEq)]
pub enum Upsert {
    /// A target of any kind.
    Target(Target),
    /// A policy binding.
    Binding(PolicyBinding),
    /// A policy.
    Policy(Policy),
    /// A stage.
    Stage(Stage),
    /// A user.
    User(User),
    /// A group.
    Group(Group),
    /// A reputation row.
    ReputationScore(ReputationScore),
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
        }
    }

    /// The resource's id.
    pub const fn id(&self) -> &Id {
        match self {
            Self::Target(Target { id, .. })
            | Self::Binding(PolicyBinding { id, .. })
            | Self::Policy(Policy { id, .. })
            | Self::Stage(Stage { id, .. })
            | Self::User(User { id, .. })
            | Self::Group(Group { id, .. })
            | Self::ReputationScore(ReputationScore { id, .. }) => id,
        }
    }

    /// The resource's name in a sentence.
    pub fn name(&self) -> ResourceName {
        ResourceName { kind: self.kind(), id: self.id().to_string().into() }
    }
}

/// A change to the configuration. Indices in problems count `upserts`.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Resources to add or to replace; each resource at most once.
    pub upserts: Vec<Upsert>,
    /// Resources to remove. One that is not there is no error, since a removal may come twice.
    pub removals: Vec<ResourceName>,
    /// Whether everything that `upserts` does not name is removed, too.
    pub replace: bool,
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

/// The next revision, if there is one, with the targets whose bindings changed.
type Derived = (Option<(Snapshot, Vec<TargetKey>)>, Changed);

/// What would be wrong with a change.
pub(super) fn examine(base: &Snapshot, change: Change) -> Vec<Problem> {
    derive(base, change).err().unwrap_or_default()
}

/// Derives the next revision from `base`; nothing when the change changes nothing.
pub(super) fn derive(base: &Snapshot, change: Change) -> Result<Derived, Vec<Problem>> {
    let mut draft = Draft::new(base);
    draft.take(change);
    draft.finish(base)
}

/// What is removed, for messages about what still refers to it.
struct Gone {
    node: Node,
    name: ResourceName,
    /// For a target, the bindings that it had and that this update did not remove.
    rows: Arc<[Row]>,
}

/// The next revision in the making.
struct Draft {
    next: Snapshot,
    problems: Vec<Problem>,
    gone: Vec<Gone>,
    touched: HashSet<TargetKey>,
    upserted: usize,
    removed: usize,
    /// Whether a group or an atom changed, so that standings have to be computed anew.
    standings_changed: bool,
}

impl Draft {
    fn new(base: &Snapshot) -> Self {
        let mut next = base.clone();
        next.revision = base.revision + 1;
        Self {
            next,
            problems: Vec::new(),
            gone: Vec::new(),
            touched: HashSet::new(),
            upserted: 0,
            removed: 0,
            standings_changed: false,
        }
    }

    /// Notes what is wrong with an upsert.
    fn problem(&mut self, index: usize, resource: &ResourceName, field: impl Into<Field>, message: String) {
        let resource = Some(resource.clone());
        self.problems.push(Problem {
            index: Some(index),
            resource,
            field: field.into(),
            message,
            missing: None,
        });
    }

    /// Notes a reference to something that is not there.
    fn dangling(
        &mut self,
        index: usize,
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
        let Change { upserts, mut removals, replace } = change;
        let upserts = self.without_doubles(upserts);
        if replace {
            removals = self.not_named(&upserts);
        } else {
            // What is both removed and added is replaced.
            let named = names_of(&upserts);
            removals.retain(|name| !named.contains(&(name.kind, &Id::new(&name.id))));
        }
        // Bindings first: what they are bound to may be removed with them.
        let (bindings, others): (Vec<_>, Vec<_>) =
            removals.into_iter().partition(|name| name.kind == ResourceKind::PolicyBinding);
        let mut rows = bindings::RowChanges::default();
        for name in &bindings {
            self.remove_binding(&mut rows, &Id::new(&name.id));
        }
        others.iter().for_each(|name| self.remove(name));

        // Then what nothing has to be known for, then what refers to it, bindings last.
        let (mut targets, mut policies, mut stages, mut bindings) = (vec![], vec![], vec![], vec![]);
        for (index, upsert) in upserts {
            match upsert {
                Upsert::Group(group) => self.upsert_group(index, group),
                Upsert::User(user) => self.upsert_user(index, user),
                Upsert::ReputationScore(score) => {
                    self.upserted += usize::from(self.next.reputation.upsert(score))
                }
                Upsert::Target(target) => targets.push((index, target)),
                Upsert::Policy(policy) => policies.push((index, policy)),
                Upsert::Stage(stage) => stages.push((index, stage)),
                Upsert::Binding(binding) => bindings.push((index, binding)),
            }
        }
        self.upsert_stages(stages);
        self.upsert_policies(policies);
        self.upsert_targets(targets);
        for (index, binding) in bindings {
            self.upsert_binding(&mut rows, index, binding);
        }
        self.rewrite_rows(rows);
        self.check_gone();
    }

    /// The upserts with their indices; a resource that stands twice is a problem.
    fn without_doubles(&mut self, upserts: Vec<Upsert>) -> Vec<(usize, Upsert)> {
        let mut first: HashMap<(ResourceKind, Id), usize> = HashMap::with_capacity(upserts.len());
        let mut kept = Vec::with_capacity(upserts.len());
        for (index, upsert) in upserts.into_iter().enumerate() {
            match first.insert((upsert.kind(), upsert.id().clone()), index) {
                None => kept.push((index, upsert)),
                Some(_) => {
                    let message =
                        "there are two of this id; remove one, or give them different ids".to_owned();
                    self.problem(index, &upsert.name(), "id", message);
                }
            }
        }
        kept
    }

    /// Everything that the upserts of a replacement do not name.
    fn not_named(&self, upserts: &[(usize, Upsert)]) -> Vec<ResourceName> {
        let named = names_of(upserts);
        let next = &self.next;
        let targets = next.targets.values().map(|e| (ResourceKind::Target(e.target.kind()), &e.target.id));
        let rows = next.targets.values().flat_map(|e| e.rows.iter());
        let bindings = rows.map(|row| (ResourceKind::PolicyBinding, &row.id));
        let policies = next.policies.values().map(|e| (ResourceKind::Policy, &e.policy.id));
        let stages = next.stages.values().map(|stage| (ResourceKind::Stage, &stage.id));
        let users = next.directory.users.keys().map(|id| (ResourceKind::User, id));
        let groups = next.directory.groups.values().map(|e| (ResourceKind::Group, &e.group.id));
        let scores = next.reputation.rows.keys().map(|id| (ResourceKind::ReputationScore, id));
        targets
            .chain(bindings)
            .chain(policies)
            .chain(stages)
            .chain(users)
            .chain(groups)
            .chain(scores)
            .filter(|name| !named.contains(name))
            .map(|(kind, id)| ResourceName { kind, id: id.to_string().into() })
            .collect()
    }

    fn remove(&mut self, name: &ResourceName) {
        let id = Id::new(&name.id);
        let removed = match name.kind {
            ResourceKind::Target(kind) => self.remove_target(kind, name),
            ResourceKind::Policy => self.remove_policy(name),
            ResourceKind::Stage => self.remove_stage(name),
            ResourceKind::User => self.remove_user(&id),
            ResourceKind::Group => self.remove_group(&id),
            ResourceKind::ReputationScore => self.next.reputation.remove(&id),
            ResourceKind::PolicyBinding => false,
        };
        self.removed += usize::from(removed);
    }

    /// What was removed must not be referred to by what stays.
    fn check_gone(&mut self) {
        for Gone { node, name, rows } in std::mem::take(&mut self.gone) {
            let homeless = |row: &&Row| {
                let mut keys = self.next.bindings.candidates(&row.id);
                !keys.any(|key| {
                    self.next
                        .targets
                        .get(key)
                        .is_some_and(|entry| entry.rows.iter().any(|other| other.id == row.id))
                })
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
            }
            let mut referrers = self.next.referrers(node);
            let Some(first) = referrers.next() else { continue };
            let more = referrers.count();
            let first = match first {
                Node::Target(key) => self.next.describe(key),
                Node::Policy(_) => "a policy".to_owned(),
                Node::Stage(_) => "a stage".to_owned(),
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

    fn finish(mut self, base: &Snapshot) -> Result<Derived, Vec<Problem>> {
        if !self.problems.is_empty() {
            self.problems.sort_by_key(|problem| problem.index);
            return Err(self.problems);
        }
        let mut changed = Changed { revision: base.revision, upserted: self.upserted, removed: self.removed };
        if changed.upserted == 0 && changed.removed == 0 && base.revision > 0 {
            return Ok((None, changed));
        }
        changed.revision = self.next.revision;
        if self.standings_changed {
            self.next.directory.revision = self.next.revision;
        }
        Ok((Some((self.next, self.touched.into_iter().collect())), changed))
    }
}

fn names_of(upserts: &[(usize, Upsert)]) -> HashSet<(ResourceKind, &Id)> {
    upserts.iter().map(|(_, upsert)| (upsert.kind(), upsert.id())).collect()
}
