//! One revision of the configuration: what readers see.
//!
//! Must not know: how a revision comes about.

use super::atoms::{Atoms, Space, group_name};
use super::directory::{Directory, UserEntry};
use super::freshness::Freshness;
use super::hot::{Hot, HotEntry, HotStats};
use super::index::{NameIndex, Slots};
use super::reputation::ReputationTable;
use super::routes::RouteTable;
use super::{GroupAuthority, Map, PolicyEntry, Settings};
use crate::decision::flow::{FlowLayout, FlowView, PlacedStage};
use crate::decision::{
    BindingSet, BoundTarget, Held, Lean, Member, RowSubject, Standing, TargetKey, Unresolved, View,
};
use crate::model::{
    Digest, Group, GroupRef, Id, IdRef, Policy, ReputationScore, ResourceKind, Stage, Subject, TargetDetail,
    TargetKind, TargetRef, User, Value, Version,
};
use crate::policy::{Compiled, HeldGroup, Places, World};
use equivalent::{Comparable, Equivalent};
use imbl::{OrdMap, OrdSet};
use std::cmp::Ordering;
use std::net::IpAddr;
use std::sync::Arc;

/// What can be referred to, and what refers, for the index of references.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Node {
    Target(TargetKey),
    Policy(u32),
    Stage(u32),
    Route(u32),
}

/// An entitlement's name within its application, to look it up by without a copy of it.
struct Owned<'a>(TargetKey, &'a str);

impl Equivalent<(TargetKey, Box<str>)> for Owned<'_> {
    fn equivalent(&self, key: &(TargetKey, Box<str>)) -> bool {
        self.compare(key).is_eq()
    }
}

impl Comparable<(TargetKey, Box<str>)> for Owned<'_> {
    fn compare(&self, (application, name): &(TargetKey, Box<str>)) -> Ordering {
        (self.0, self.1).cmp(&(*application, name))
    }
}

/// How many resources of each sort a revision has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Targets of all kinds.
    pub targets: usize,
    /// Policy bindings.
    pub bindings: usize,
    /// Policies.
    pub policies: usize,
    /// Stages.
    pub stages: usize,
    /// Users.
    pub users: usize,
    /// Groups.
    pub groups: usize,
    /// Reputation rows.
    pub reputation_scores: usize,
    /// Routes.
    pub routes: usize,
}

/// One revision of the configuration. Never changes; a copy shares everything with its origin.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Which snapshot of its store it is. Every change makes a new one, also one that leaves the version.
    pub(super) serial: u64,
    pub(super) version: Version,
    pub(super) digest: Digest,
    /// Resources that were sent in another form than the plain one, as they were sent.
    pub(super) odd: Map<(ResourceKind, Id), Arc<[u8]>>,
    pub(super) settings: Settings,
    pub(super) targets: Slots<Arc<BoundTarget>>,
    /// By kind, in the order of [`TargetKind::ALL`].
    pub(super) target_names: [NameIndex; TargetKind::ALL.len()],
    /// By application and name.
    pub(super) entitlements: OrdMap<(TargetKey, Box<str>), TargetKey>,
    /// Which target each binding is bound to.
    pub(super) bindings: NameIndex,
    pub(super) policies: Slots<Arc<PolicyEntry>>,
    pub(super) policy_names: NameIndex,
    pub(super) stages: Slots<Arc<Stage>>,
    pub(super) stage_names: NameIndex,
    /// What is referred to, and by what.
    pub(super) references: OrdSet<(Node, Node)>,
    pub(super) atoms: Atoms,
    pub(super) directory: Directory,
    pub(super) reputation: ReputationTable,
    pub(super) routes: RouteTable,
    /// Not part of the configuration, so no revision tells when it changes.
    pub(super) places: Option<Arc<dyn Places>>,
    pub(super) freshness: Arc<Freshness>,
    /// Shared by all revisions of a store: most of what is hot stays valid from one to the next.
    hot: Arc<Hot>,
}

impl Snapshot {
    pub(super) fn empty(settings: Settings) -> Self {
        Self {
            serial: 0,
            version: Version::default(),
            digest: Digest::default(),
            odd: Map::default(),
            settings,
            targets: Slots::default(),
            target_names: std::array::from_fn(|_| NameIndex::default()),
            entitlements: OrdMap::new(),
            bindings: NameIndex::default(),
            policies: Slots::default(),
            policy_names: NameIndex::default(),
            stages: Slots::default(),
            stage_names: NameIndex::default(),
            references: OrdSet::new(),
            atoms: Atoms::default(),
            directory: Directory::default(),
            reputation: ReputationTable::default(),
            routes: RouteTable::default(),
            places: None,
            freshness: Arc::default(),
            hot: Arc::default(),
        }
    }

    /// The revision; 0: no configuration yet.
    pub const fn revision(&self) -> u64 {
        self.version.revision
    }

    /// The revision with its epoch.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// Whether there is no configuration yet. One without resources is one.
    pub const fn is_unset(&self) -> bool {
        self.serial == 0
    }

    /// What all resources sum up to.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How current the store is, as of now rather than of this snapshot.
    pub fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    /// How many resources there are.
    pub fn counts(&self) -> Counts {
        Counts {
            targets: self.targets.len(),
            bindings: self.bindings.len(),
            policies: self.policies.len(),
            stages: self.stages.len(),
            users: self.directory.users.len(),
            groups: self.directory.groups.len(),
            reputation_scores: self.reputation.rows.len(),
            routes: self.routes.len(),
        }
    }

    pub(super) fn hot_stats(&self) -> HotStats {
        self.hot.stats()
    }

    pub(super) fn drop_hot(&self, keys: &[TargetKey]) {
        self.hot.drop_all(keys.iter().copied());
    }

    /// The target with this id or unique name.
    pub(super) fn target_named(&self, kind: TargetKind, name: &str) -> Option<TargetKey> {
        let has_name = |key: &TargetKey| {
            let target = self.target(*key).map(|entry| &entry.target);
            target.is_some_and(|target| target.key.as_deref() == Some(name) || target.id.is(name))
        };
        self.target_names.get(kind as usize)?.candidates(name).map(TargetKey).find(has_name)
    }

    /// The policy with this id or name.
    pub(super) fn policy_named(&self, name: &str) -> Option<&Arc<PolicyEntry>> {
        let mut found = self.policy_names.candidates(name).filter_map(|key| self.policies.get(key));
        found.find(|entry| *entry.policy.name == *name || entry.policy.id.is(name))
    }

    /// The stage with this id or name, and its key.
    pub(super) fn stage_named(&self, name: &str) -> Option<(u32, &Arc<Stage>)> {
        let mut found =
            self.stage_names.candidates(name).filter_map(|key| Some((key, self.stages.get(key)?)));
        found.find(|(_, stage)| *stage.name == *name || stage.id.is(name))
    }

    /// What refers to this.
    pub(super) fn referrers(&self, node: Node) -> impl Iterator<Item = Node> {
        let first = (node, Node::Target(TargetKey(0)));
        self.references.range(first..).take_while(move |(to, _)| *to == node).map(|(_, from)| *from)
    }

    /// Every policy, in no order: its configuration and what is compiled of it.
    pub fn policies(&self) -> impl Iterator<Item = (&Policy, &Compiled)> {
        self.policies.values().map(|entry| (&entry.policy, &*entry.compiled))
    }

    /// Every user, in no order.
    pub fn users(&self) -> impl Iterator<Item = &Arc<User>> {
        self.directory.users.values().map(|entry| &entry.user)
    }

    /// The user with this username.
    pub fn user_named(&self, name: &str) -> Option<&Arc<User>> {
        self.directory.usernames.get(name).map(|entry| &entry.user)
    }

    /// The user with this id.
    pub fn user_with_id(&self, id: &str) -> Option<&Arc<User>> {
        self.directory.users.get(&IdRef::new(id)).map(|entry| &entry.user)
    }

    /// The group with this id.
    pub fn group_with_id(&self, id: &str) -> Option<&Arc<Group>> {
        let atom = self.atoms.find((Space::GroupId, id))?;
        self.directory.groups.get(&atom).map(|entry| &entry.group)
    }

    fn user(&self, subject: &Subject) -> Option<&Arc<UserEntry>> {
        match (&subject.user_id, &subject.username) {
            // An id that the directory does not know is somebody else than a user of the same name: names are
            // given to new people, ids are not.
            (Some(id), _) => self.directory.users.get(&IdRef::new(id)),
            (None, Some(name)) => self.directory.usernames.get(&**name),
            (None, None) => None,
        }
    }

    /// Resolves the subject of a question against the directory.
    pub fn member<'a>(&'a self, subject: &'a Subject) -> Member<'a> {
        if subject.anonymous {
            let standing = Held::Own(Standing::default());
            return Member { claimed: subject, user: None, standing, anonymous: true, is_superuser: false };
        }
        let Some(entry) = self.user(subject) else {
            // A username that the directory has given to somebody else is not the subject's: a token of a user who
            // was deleted must not become a new user of the same name.
            let username = subject.username.as_deref();
            let username = username.filter(|name| !self.directory.usernames.contains_key(*name));
            let standing = self.claimed_standing(subject, subject.user_id.as_deref(), username);
            let is_superuser = subject.is_superuser || standing.is_superuser;
            let standing = Held::Own(standing);
            return Member { claimed: subject, user: None, standing, anonymous: false, is_superuser };
        };
        let known = self.directory.standing(&self.atoms, entry);
        let (standing, vouched) = match self.settings.group_authority {
            GroupAuthority::Directory => (Held::Kept(known), false),
            authority => {
                let mut claimed = self.claimed_standing(subject, None, None);
                (claimed.id, claimed.username) = (known.id, known.username);
                if authority == GroupAuthority::Union {
                    claimed.is_superuser |= known.is_superuser;
                    claimed.groups.extend_from_slice(&known.groups);
                    claimed.groups.sort_unstable();
                    claimed.groups.dedup();
                }
                (Held::Own(claimed), subject.is_superuser)
            }
        };
        let is_superuser = standing.is_superuser || vouched;
        Member { claimed: subject, user: Some(&entry.user), standing, anonymous: false, is_superuser }
    }

    fn claimed_standing(&self, subject: &Subject, id: Option<&str>, username: Option<&str>) -> Standing {
        let ids = subject.group_ids.iter().map(|id| (Space::GroupId, id.as_str()));
        let names = subject.group_names.iter().map(|name| (Space::GroupName, name.as_str()));
        self.directory.compute(&self.atoms, id, username, ids.chain(names))
    }

    /// The name of a group that the directory knows under this id.
    pub fn group_display(&self, group: &GroupRef) -> String {
        let entry = self.atoms.find(group_name(group)).and_then(|atom| self.directory.group(atom));
        entry.map_or_else(|| group.to_string(), |entry| entry.group.name.to_string())
    }

    fn compile(&self, entry: &Arc<BoundTarget>) -> HotEntry {
        let mut policies: Vec<Arc<PolicyEntry>> = Vec::new();
        let set = BindingSet::new(entry, |key| {
            let policy = self.policies.get(key)?;
            policies.push(Arc::clone(policy));
            Some(Arc::clone(&policy.compiled))
        });
        HotEntry::new(Arc::new(set), Arc::clone(entry), policies.into(), self.serial)
    }

    fn is_valid(&self, hot: &HotEntry, key: TargetKey) -> bool {
        let same_policy = |old: &Arc<PolicyEntry>| {
            self.policies.get(old.key).is_some_and(|policy| Arc::ptr_eq(policy, old))
        };
        self.target(key).is_some_and(|target| Arc::ptr_eq(target, &hot.target))
            && hot.policies.iter().all(same_policy)
    }

    /// The name of an entitlement's or endpoint's application, or of whatever else a target is found by.
    pub(super) fn describe(&self, key: TargetKey) -> String {
        match self.target(key) {
            Some(entry) => format!("{} `{}`", entry.target.kind().noun(), entry.target.display_name()),
            None => "a target".to_owned(),
        }
    }
}

impl World for Snapshot {
    fn reputation(
        &self,
        ip: Option<&str>,
        identifier: Option<&str>,
        visit: &mut dyn FnMut(&ReputationScore),
    ) {
        self.reputation.visit(ip, identifier, visit);
    }

    fn policy(&self, name: &str) -> Option<Arc<Compiled>> {
        self.policy_named(name).map(|entry| Arc::clone(&entry.compiled))
    }

    fn city(&self, address: IpAddr) -> Option<Value> {
        self.places.as_ref()?.city(address)
    }

    fn asn(&self, address: IpAddr) -> Option<Value> {
        self.places.as_ref()?.asn(address)
    }
}

impl View for Snapshot {
    fn find(&self, target: &TargetRef) -> Result<TargetKey, Unresolved> {
        let found = match target {
            TargetRef::Named(kind, name) => self.target_named(*kind, name),
            TargetRef::Entitlement { application, name } => self
                .target_named(TargetKind::Application, application)
                .and_then(|application| self.entitlements.get(&Owned(application, name)).copied()),
            TargetRef::RacEndpointOf { id, application } => {
                let endpoint = self.target_named(TargetKind::RacEndpoint, id);
                let application_key = self.target_named(TargetKind::Application, application);
                let lean = endpoint.and_then(|key| self.target(key)).map(|entry| entry.lean);
                let belongs =
                    application_key.is_some_and(|application| lean == Some(Lean::Needs(application)));
                if endpoint.is_some() && !belongs {
                    return Err(Unresolved::OtherApplication {
                        endpoint: id.as_str().into(),
                        application: application.as_str().into(),
                    });
                }
                endpoint
            }
        };
        found.ok_or_else(|| Unresolved::NotFound(target.clone()))
    }

    fn target(&self, key: TargetKey) -> Option<&Arc<BoundTarget>> {
        self.targets.get(key.0)
    }

    fn binding_set(&self, target: &Arc<BoundTarget>) -> Arc<BindingSet> {
        let key = target.key;
        self.hot.get(key, self.serial, |hot| self.is_valid(hot, key), || self.compile(target))
    }

    fn default_empty_result(&self) -> bool {
        self.settings.default_empty_result
    }

    fn groups_of(&self, member: &Member<'_>) -> Vec<(Arc<Group>, bool)> {
        self.groups(member)
    }

    fn any_group_of(
        &self,
        member: &Member<'_>,
        direct: bool,
        is: &mut dyn FnMut(HeldGroup<'_>) -> bool,
    ) -> bool {
        self.any_group(member, direct, is)
    }

    fn subject_text(&self, subject: RowSubject) -> String {
        match subject {
            RowSubject::Policy(key) => match self.policies.get(key) {
                Some(entry) => format!("policy/{}", entry.policy.name),
                None => "policy/".to_owned(),
            },
            RowSubject::User(user) => self.atoms.text(user),
            RowSubject::Group(group) => match self.directory.group(group) {
                Some(entry) => format!("group/name/{}", entry.group.name),
                None => self.atoms.text(group),
            },
        }
    }
}

impl FlowView for Snapshot {
    fn flow(&self, key: TargetKey) -> Option<FlowLayout> {
        let TargetDetail::Flow(flow) = &self.target(key)?.target.detail else { return None };
        let place = |node: Node| {
            let Node::Target(key) = node else { return None };
            let entry = self.target(key)?;
            let TargetDetail::FlowStageBinding(detail) = &entry.target.detail else { return None };
            let placed = PlacedStage {
                key,
                binding: entry.target.id.clone(),
                stage: Arc::clone(self.stages.get(entry.placed?.1)?),
                order: detail.order,
                evaluate_on_plan: detail.evaluate_on_plan,
                re_evaluate_policies: detail.re_evaluate_policies,
                invalid_response_action: detail.invalid_response_action,
            };
            Some(placed)
        };
        let mut stages: Vec<PlacedStage> = self.referrers(Node::Target(key)).filter_map(place).collect();
        stages.sort_by(|a, b| (a.order, &a.binding).cmp(&(b.order, &b.binding)));
        let (authentication, denied_action) = (flow.authentication, flow.denied_action);
        Some(FlowLayout { id: self.target(key)?.target.id.clone(), authentication, denied_action, stages })
    }
}
