//! Changes to routes: their places in the table, and the targets that they lead to.
//!
//! Must not know: how a route is found.

use super::Draft;
use crate::decision::{TargetKey, Unresolved, View as _};
use crate::model::{Id, ResourceKind, ResourceName, Route};
use crate::store::routes::{Clash, RouteEntry};
use crate::store::snapshot::Node;
use std::collections::HashSet;
use std::sync::Arc;

impl Draft<'_> {
    /// Takes routes, and looks up anew what the others lead to where that may be another target now. All targets of the
    /// update have to be known.
    pub(super) fn upsert_routes(&mut self, routes: Vec<(usize, Route)>) {
        let given: HashSet<Id> = routes.iter().map(|(_, route)| route.id.clone()).collect();
        // All old places are given up before any new one is taken, so that routes may swap them.
        let (mut same, mut stays, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (index, route) in routes {
            let old = self.next.routes.slot_of(&route.id);
            let old = old.and_then(|slot| Some((slot, self.next.routes.at(slot)?)));
            match old {
                Some((slot, old)) if *old.route == route => same.push((index, slot)),
                Some((slot, old)) if old.route.covers_the_same(&route) => stays.push((index, slot, route)),
                _ => {
                    self.take_route_out(&route.id);
                    new.push((index, route));
                }
            }
        }
        for (index, slot) in same {
            self.lead_anew(Some(index), slot);
        }
        for (index, slot, route) in stays {
            let Some(target) = self.target_of(Some(index), &route) else {
                let old = self.next.routes.at(slot).and_then(|old| old.target);
                self.refer(slot, old, None);
                continue;
            };
            self.replace_route(slot, Arc::new(route), target);
            self.upserted += 1;
        }
        for (index, route) in new {
            self.put_route(index, route);
        }
        for slot in self.routes_of_changed_targets(&given) {
            self.lead_anew(None, slot);
        }
    }

    fn put_route(&mut self, index: usize, route: Route) {
        let name = name_of(&route);
        let target = self.target_of(Some(index), &route);
        let (host, prefix) = (route.host.to_string(), route.path_prefix.as_str().to_owned());
        let entry = RouteEntry { route: Arc::new(route), target: target.flatten() };
        match self.next.routes.insert(entry) {
            Ok(slot) => {
                self.refer(slot, None, target.flatten());
                self.upserted += 1;
            }
            Err(Clash { with, method: Some(method) }) => {
                let message = format!(
                    "`{method}` requests to `{host}{prefix}` fit route `{with}` just as well; leave the method to \
                     one of the two"
                );
                self.problem(index, &name, "methods", message);
            }
            Err(Clash { with, method: None }) => {
                let message = format!(
                    "requests of any method to `{host}{prefix}` fit route `{with}` just as well; remove one of the \
                     two, or give it methods"
                );
                self.problem(index, &name, "path_prefix", message);
            }
        }
    }

    /// The target that a route leads to. Nothing: it leads nowhere, which is noted. Nothing in that: it is looked up when
    /// somebody asks, since only a part of all targets is held.
    fn target_of(&mut self, index: Option<usize>, route: &Route) -> Option<Option<TargetKey>> {
        if self.partial {
            return Some(None);
        }
        match self.next.find(&route.target) {
            Ok(key) => Some(Some(key)),
            Err(Unresolved::NotFound(missing)) => {
                let kind = ResourceKind::Target(missing.kind());
                self.dangling(index, &name_of(route), "target", kind, &missing.name());
                None
            }
            Err(error) => {
                self.problem(index, &name_of(route), "target", format!("{error}; correct one of the two"));
                None
            }
        }
    }

    /// Looks up once more what a route leads to.
    fn lead_anew(&mut self, index: Option<usize>, slot: u32) {
        let Some(entry) = self.next.routes.at(slot).cloned() else { return };
        let is_gone = |key: TargetKey| self.next.target(key).is_none();
        if index.is_none()
            && entry.target.is_some_and(is_gone)
            && self.next.find(&entry.route.target).is_err()
        {
            // It is told with the target that is gone.
            return;
        }
        let Some(target) = self.target_of(index, &entry.route) else {
            // Told already; not once more with a target that is gone.
            self.refer(slot, entry.target, None);
            return;
        };
        if target != entry.target {
            self.replace_route(slot, Arc::clone(&entry.route), target);
        }
    }

    /// Puts a route in the place of one that covers the same.
    fn replace_route(&mut self, slot: u32, route: Arc<Route>, target: Option<TargetKey>) {
        let old = self.next.routes.at(slot).and_then(|old| old.target);
        self.next.routes.replace(slot, RouteEntry { route, target });
        self.refer(slot, old, target);
    }

    fn refer(&mut self, slot: u32, old: Option<TargetKey>, new: Option<TargetKey>) {
        if let Some(old) = old {
            self.next.references.remove(&(Node::Target(old), Node::Route(slot)));
        }
        if let Some(new) = new {
            self.next.references.insert((Node::Target(new), Node::Route(slot)));
        }
    }

    /// The routes, apart from those that are given, of targets that are changed, that lean on what is called differently,
    /// or that are gone.
    fn routes_of_changed_targets(&self, given: &HashSet<Id>) -> Vec<u32> {
        if self.next.routes.len() == 0 {
            return Vec::new();
        }
        let gone = self.gone.iter().filter_map(|gone| match gone.node {
            Node::Target(key) => Some(key),
            Node::Policy(_) | Node::Stage(_) | Node::Route(_) => None,
        });
        let mut slots: Vec<u32> = self
            .placed
            .iter()
            .copied()
            .chain(gone)
            .flat_map(|key| self.next.referrers(Node::Target(key)))
            .filter_map(|node| if let Node::Route(slot) = node { Some(slot) } else { None })
            .filter(|slot| self.next.routes.at(*slot).is_some_and(|entry| !given.contains(&entry.route.id)))
            .collect();
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn take_route_out(&mut self, id: &Id) -> bool {
        let Some((slot, old)) = self.next.routes.remove(id) else { return false };
        self.refer(slot, old.target, None);
        true
    }

    pub(super) fn remove_route(&mut self, id: &Id) -> bool {
        self.take_route_out(id)
    }
}

fn name_of(route: &Route) -> ResourceName {
    ResourceName { kind: ResourceKind::Route, id: route.id.to_string().into() }
}
