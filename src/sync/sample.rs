//! Small configurations for the tests of the sync protocol, and ledgers that hold them.
//!
//! Must not know: streams.

use super::apply::{Sent, Update};
use super::ledger::Ledger;
use crate::model::{ResourceKind, ResourceName, TargetKind, Version};
use crate::proto::v1;
use crate::store::{Replace, Settings, Store};
use bytes::Bytes;
use prost::Message as _;
use std::sync::Arc;
use v1::resource::Resource as R;

/// The epoch of what is published in tests.
pub(super) const EPOCH: u64 = 0xE1;

pub(super) const fn at(revision: u64) -> Version {
    Version { epoch: EPOCH, revision }
}

pub(super) fn resource(resource: R) -> v1::Resource {
    v1::Resource { resource: Some(resource) }
}

pub(super) fn application(slug: &str) -> v1::Resource {
    resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
}

pub(super) fn user(name: &str, groups: &[&str]) -> v1::Resource {
    let groups = groups.iter().map(|name| v1::GroupRef { name: (*name).into(), ..Default::default() });
    resource(R::User(v1::User { username: name.into(), groups: groups.collect(), ..Default::default() }))
}

pub(super) fn group(name: &str) -> v1::Resource {
    resource(R::Group(v1::Group { name: name.into(), ..Default::default() }))
}

/// A binding of a group to an application.
pub(super) fn binding(slug: &str, group: &str) -> v1::Resource {
    let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) });
    let id = format!("{slug}-{group}");
    let group = Some(v1::GroupRef { name: group.into(), ..Default::default() });
    resource(R::PolicyBinding(v1::PolicyBinding { id, target, group, ..Default::default() }))
}

/// A route of a host to an application, spelled in another form than the plain one.
pub(super) fn route(id: &str, slug: &str) -> v1::Resource {
    let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) });
    let (id, host, path_prefix) = (id.into(), format!("{id}.example"), "/x/".into());
    resource(R::Route(v1::Route { id, host, path_prefix, target, ..Default::default() }))
}

/// The application that requests to the host of a route lead to.
pub(super) fn led(ledger: &Ledger, id: &str) -> Option<String> {
    let snapshot = ledger.store().load();
    snapshot.route(&format!("{id}.example"), "/x/y", "GET").map(|found| found.target.name().into_owned())
}

pub(super) fn bytes(resources: &[v1::Resource]) -> Vec<Bytes> {
    resources.iter().map(|resource| resource.encode_to_vec().into()).collect()
}

pub(super) fn named(kind: ResourceKind, id: &str) -> ResourceName {
    ResourceName { kind, id: id.into() }
}

pub(super) fn user_named(id: &str) -> ResourceName {
    named(ResourceKind::User, id)
}

pub(super) fn application_named(id: &str) -> ResourceName {
    named(ResourceKind::Target(TargetKind::Application), id)
}

pub(super) fn upserts(upserts: Vec<v1::Resource>) -> Update {
    Update::Delta { upserts, removals: Vec::new() }
}

/// An empty ledger.
pub(super) fn empty() -> Arc<Ledger> {
    Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))))
}

/// A ledger that holds these, at revision 1.
pub(super) fn holding(resources: &[v1::Resource]) -> Arc<Ledger> {
    let ledger = empty();
    replace(&ledger, resources, at(1));
    ledger
}

/// Brings a ledger to exactly these.
pub(super) fn replace(ledger: &Ledger, resources: &[v1::Resource], version: Version) {
    let (upserts, version) = (bytes(resources), Some(version));
    ledger.commit(Sent { upserts, replace: Replace::All, version, ..Sent::default() }, false).unwrap();
}

/// Whether both hold the same, and know it.
pub(super) fn same(one: &Ledger, other: &Ledger) -> bool {
    let (a, b) = (one.store().load(), other.store().load());
    a.version() == b.version() && a.digest() == b.digest() && *b.digest() == b.recount()
}
