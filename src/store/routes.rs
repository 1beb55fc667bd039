//! The table of routes: from a request's host, path and method to the most specific route that it fits, in time that grows
//! with the request, not with the routes.
//!
//! Each host has a tree of path segments. A copy shares everything with its origin, and a change copies the way to the
//! place that changes. Must not know: where routes come from, whether a target is there.

use super::Map;
use super::index::{NameIndex, Slots};
use super::snapshot::Snapshot;
use crate::decision::TargetKey;
use crate::model::{Id, Route, RouteHost, TargetRef};
use imbl::OrdMap;
use percent_encoding::percent_decode_str;
use smallvec::SmallVec;
use std::hash::Hash;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// The longest host that a wildcard can stand above, in bytes: two are `*.`.
const LONGEST_BELOW: usize = 251;
/// Segments of a request's path up to this length are read without an allocation where they have escapes.
const SHORT: usize = 128;

/// The route that a request fits best.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteMatch<'a> {
    /// The route's id.
    pub id: &'a Id,
    /// The target that is asked about, as the route names it.
    pub target: &'a TargetRef,
    /// The target's key in this snapshot; absent in a store that holds only a part, where the target may have to be
    /// fetched first.
    pub key: Option<TargetKey>,
    /// Whether the anonymous subject is asked about where nobody is signed in.
    pub anonymous: bool,
    /// Whether the route is for one host, or for those below one, rather than for any.
    pub names_host: bool,
}

/// A route with what its reference resolved to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RouteEntry {
    pub(super) route: Arc<Route>,
    /// Absent in a store that holds only a part.
    pub(super) target: Option<TargetKey>,
}

/// Why a route cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// The route that some request fits just as well.
    pub(super) with: Id,
    /// By which method; absent: neither has any.
    pub(super) method: Option<Box<str>>,
}

/// The routes of one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct RouteTable {
    entries: Slots<Arc<RouteEntry>>,
    ids: NameIndex,
    any: Arc<PathNode>,
    names: Map<Arc<str>, Arc<PathNode>>,
    addresses: Map<Ipv6Addr, Arc<PathNode>>,
    below: Map<Arc<str>, Arc<PathNode>>,
}

/// What is known of paths that begin with the same segments.
#[derive(Clone, Debug, Default)]
struct PathNode {
    /// The route without methods.
    every: Option<u32>,
    by_method: OrdMap<Arc<str>, u32>,
    /// By their next segment, without escapes.
    children: Map<Arc<[u8]>, Arc<PathNode>>,
}

impl PathNode {
    fn is_empty(&self) -> bool {
        self.every.is_none() && self.by_method.is_empty() && self.children.is_empty()
    }

    fn pick(&self, method: &str) -> Option<u32> {
        self.by_method.get(method).copied().or(self.every)
    }

    /// The best route for a path that begins with a slash.
    fn find(&self, path: &str, method: &str) -> Option<u32> {
        let (mut node, mut best) = (self, self.pick(method));
        for segment in path.split('/').skip(1) {
            if node.children.is_empty() {
                break;
            }
            let child = if segment.contains('%') {
                let plain: SmallVec<[u8; SHORT]> = percent_decode_str(segment).collect();
                node.children.get(&*plain)
            } else {
                node.children.get(segment.as_bytes())
            };
            let Some(child) = child else { break };
            node = child;
            best = node.pick(method).or(best);
        }
        best
    }

    fn clash(&self, route: &Route) -> Option<(u32, Option<Box<str>>)> {
        if route.methods.is_all() {
            return self.every.map(|slot| (slot, None));
        }
        route.methods.iter().find_map(|method| Some((*self.by_method.get(method)?, Some(method.into()))))
    }

    fn set(&mut self, route: &Route, slot: u32) {
        if route.methods.is_all() {
            self.every = Some(slot);
        }
        for method in route.methods.iter() {
            self.by_method.insert(method.into(), slot);
        }
    }

    fn unset(&mut self, route: &Route) {
        if route.methods.is_all() {
            self.every = None;
        }
        for method in route.methods.iter() {
            self.by_method.remove(method);
        }
    }

    /// Changes the node at the end of these segments. What is empty afterwards goes; there are few segments, so that it
    /// may call itself for each.
    fn change(
        node: &mut Arc<Self>,
        segments: &mut dyn Iterator<Item = Arc<[u8]>>,
        change: &mut dyn FnMut(&mut Self),
    ) {
        let node = Arc::make_mut(node);
        let Some(segment) = segments.next() else { return change(node) };
        let Some(child) = place(&mut node.children, &segment) else { return };
        Self::change(child, segments, change);
        if child.is_empty() {
            node.children.remove(&segment);
        }
    }
}

/// The node of a key, to be changed; an empty one where there was none.
fn place<'a, K: Hash + Eq + Clone>(
    map: &'a mut Map<K, Arc<PathNode>>,
    key: &K,
) -> Option<&'a mut Arc<PathNode>> {
    if !map.contains_key(key) {
        map.insert(key.clone(), Arc::default());
    }
    map.get_mut(key)
}

impl RouteTable {
    /// The slot of a route.
    pub(super) fn slot_of(&self, id: &Id) -> Option<u32> {
        let mut slots = self.ids.candidates(id);
        slots.find(|slot| self.at(*slot).is_some_and(|entry| entry.route.id == *id))
    }

    /// The route in a slot.
    pub(super) fn at(&self, slot: u32) -> Option<&Arc<RouteEntry>> {
        self.entries.get(slot)
    }

    /// The route with this id.
    pub(super) fn get(&self, id: &Id) -> Option<&Arc<RouteEntry>> {
        self.at(self.slot_of(id)?)
    }

    /// Every route, in no order.
    pub(super) fn values(&self) -> impl Iterator<Item = &Arc<RouteEntry>> {
        self.entries.values()
    }

    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Adds a route whose id is not there. Gives its slot.
    ///
    /// # Errors
    /// The route that some request fits just as well; then nothing is added.
    pub(super) fn insert(&mut self, entry: RouteEntry) -> Result<u32, Clash> {
        let route = Arc::clone(&entry.route);
        if let Some((slot, method)) = self.node(&route).and_then(|node| node.clash(&route)) {
            let with = self.at(slot).map_or_else(|| Id::new(""), |other| other.route.id.clone());
            return Err(Clash { with, method });
        }
        let slot = self.entries.reserve();
        self.ids.insert(&route.id, slot);
        self.entries.set(slot, Arc::new(entry));
        self.change(&route, &mut |node| node.set(&route, slot));
        Ok(slot)
    }

    /// Puts a route into the slot of one that covers the same and has the same id.
    pub(super) fn replace(&mut self, slot: u32, entry: RouteEntry) {
        self.entries.set(slot, Arc::new(entry));
    }

    /// Removes a route. Gives its slot and what was there.
    pub(super) fn remove(&mut self, id: &Id) -> Option<(u32, Arc<RouteEntry>)> {
        let slot = self.slot_of(id)?;
        let entry = self.entries.remove(slot)?;
        self.entries.release(slot);
        self.ids.remove(id, slot);
        self.change(&entry.route, &mut |node| node.unset(&entry.route));
        Some((slot, entry))
    }

    /// The node of a route, if there is one.
    fn node(&self, route: &Route) -> Option<&PathNode> {
        let root = match &route.host {
            RouteHost::Any => Some(&self.any),
            RouteHost::Exact(name) => self.names.get(name.as_str()),
            RouteHost::Below(name) => self.below.get(name.as_str()),
            RouteHost::Address(address) => self.addresses.get(address),
        };
        let start: &PathNode = root?;
        route.path_prefix.segments().try_fold(start, |node, segment| Some(&**node.children.get(&segment)?))
    }

    fn change(&mut self, route: &Route, change: &mut dyn FnMut(&mut PathNode)) {
        fn at<K: Hash + Eq + Clone>(
            map: &mut Map<K, Arc<PathNode>>,
            key: K,
            work: impl FnOnce(&mut Arc<PathNode>),
        ) {
            let Some(root) = place(map, &key) else { return };
            work(root);
            if root.is_empty() {
                map.remove(&key);
            }
        }
        let mut work =
            |root: &mut Arc<PathNode>| PathNode::change(root, &mut route.path_prefix.segments(), change);
        match &route.host {
            RouteHost::Any => work(&mut self.any),
            RouteHost::Exact(name) => at(&mut self.names, name.as_str().into(), work),
            RouteHost::Below(name) => at(&mut self.below, name.as_str().into(), work),
            RouteHost::Address(address) => at(&mut self.addresses, *address, work),
        }
    }

    /// The best route for a request.
    fn find(&self, host: &str, path: &str, method: &str) -> Option<&RouteEntry> {
        if !path.starts_with('/') {
            return None;
        }
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let exact = match address.map(str::parse::<Ipv6Addr>) {
            Some(Ok(address)) => self.addresses.get(&address),
            _ => self.names.get(host),
        };
        let slot = exact
            .and_then(|root| root.find(path, method))
            .or_else(|| self.find_below(host, path, method))
            .or_else(|| self.any.find(path, method))?;
        self.at(slot).map(|entry| &**entry)
    }

    /// The best route for all hosts below one that this one is below, the longest first.
    fn find_below(&self, host: &str, path: &str, method: &str) -> Option<u32> {
        if self.below.is_empty() {
            return None;
        }
        let mut rest = host;
        while let Some((_, above)) = rest.split_once('.') {
            rest = above;
            if rest.len() > LONGEST_BELOW {
                continue;
            }
            let found = self.below.get(rest).and_then(|root| root.find(path, method));
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl Snapshot {
    /// The route that a request fits best; nothing when it fits none. `host` is in lower case, without a port and without a
    /// dot at its end, an IPv6 address in brackets; `path` is raw, without a query, and known not to be ambiguous. A segment
    /// is the same with and without its escapes.
    pub fn route(&self, host: &str, path: &str, method: &str) -> Option<RouteMatch<'_>> {
        let RouteEntry { route, target } = self.routes.find(host, path, method)?;
        let names_host = route.host != RouteHost::Any;
        let (id, key, anonymous) = (&route.id, *target, route.anonymous);
        Some(RouteMatch { id, target: &route.target, key, anonymous, names_host })
    }
}

#[cfg(test)]
mod tests;
