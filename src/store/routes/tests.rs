//! The table by itself: what a change shares with the table before, and what is left when everything has gone.

use super::*;
use crate::model::{Methods, PathPrefix};

fn entry(id: &str, host: &str, prefix: &str, methods: &[&str]) -> RouteEntry {
    let methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
    let route = Route {
        id: Id::new(id),
        host: RouteHost::parse(host).unwrap(),
        path_prefix: PathPrefix::parse(prefix).unwrap(),
        methods: Methods::parse(&methods).unwrap(),
        target: format!("application/{id}").parse().unwrap(),
        anonymous: false,
    };
    RouteEntry { route: Arc::new(route), target: None }
}

fn table(entries: Vec<RouteEntry>) -> RouteTable {
    let mut table = RouteTable::default();
    for entry in entries {
        table.insert(entry).unwrap();
    }
    table
}

fn found(table: &RouteTable, host: &str, path: &str, method: &str) -> Option<String> {
    table.find(host, path, method).map(|entry| entry.route.id.to_string())
}

#[test]
fn a_change_leaves_the_tables_before_as_they_were_and_shares_what_stays() {
    let before = table(vec![
        entry("a", "a.example", "/x", &[]),
        entry("b", "b.example", "/x/y", &["GET"]),
        entry("c", "b.example", "/z", &[]),
    ]);
    let mut after = before.clone();
    after.remove(&Id::new("b")).unwrap();
    after.insert(entry("d", "b.example", "/x/y", &["GET"])).unwrap();
    after.insert(entry("e", "*.example", "", &[])).unwrap();
    assert_eq!(found(&before, "b.example", "/x/y", "GET").as_deref(), Some("b"));
    assert_eq!(found(&after, "b.example", "/x/y", "GET").as_deref(), Some("d"));
    assert_eq!(found(&before, "c.example", "/", "GET"), None);
    assert_eq!(found(&after, "c.example", "/", "GET").as_deref(), Some("e"));
    let same = |host: &str| Arc::ptr_eq(&before.names[host], &after.names[host]);
    assert!(same("a.example") && !same("b.example"));
    let below = |table: &RouteTable| Arc::clone(&table.names["b.example"].children[&b"z"[..]]);
    assert!(Arc::ptr_eq(&below(&before), &below(&after)));
}

#[test]
fn what_goes_leaves_nothing() {
    let all = || {
        vec![
            entry("a", "", "/x/y/z", &["GET", "PUT"]),
            entry("b", "", "/x/y/z", &[]),
            entry("c", "", "", &[]),
            entry("d", "a.example", "/x", &["GET"]),
            entry("e", "*.example", "/x", &[]),
            entry("f", "[::1]", "/x/y", &[]),
        ]
    };
    let mut table = table(all());
    assert_eq!((table.len(), table.values().count()), (6, 6));
    assert_eq!(table.get(&Id::new("d")).map(|entry| entry.route.host.to_string()), Some("a.example".into()));
    // The longest goes last, and the shortest.
    for order in [["c", "a", "b", "f", "e", "d"], ["d", "e", "f", "b", "a", "c"]] {
        for id in order {
            assert!(table.remove(&Id::new(id)).is_some());
            assert!(table.remove(&Id::new(id)).is_none() && table.get(&Id::new(id)).is_none());
        }
        assert!(table.any.is_empty() && table.any.children.is_empty());
        assert!(table.names.is_empty() && table.below.is_empty() && table.addresses.is_empty());
        assert_eq!((table.len(), table.entries.len()), (0, 0));
        for entry in all() {
            table.insert(entry).unwrap();
        }
    }
    assert_eq!(found(&table, "x", "/x/y/z/0", "PUT").as_deref(), Some("a"));
}

#[test]
fn what_fits_equally_well_is_told_and_not_taken() {
    let mut table = table(vec![
        entry("a", "a.example", "/x", &["GET", "PUT"]),
        entry("b", "a.example", "/x", &[]),
        entry("c", "a.example", "/x/y", &["POST"]),
    ]);
    let clash =
        |with: &str, method: Option<&str>| Err(Clash { with: Id::new(with), method: method.map(Into::into) });
    assert_eq!(table.insert(entry("d", "A.example", "/x/", &["POST", "PUT"])), clash("a", Some("PUT")));
    assert_eq!(table.insert(entry("d", "a.example", "/x", &[])), clash("b", None));
    assert_eq!(table.len(), 3);
    assert_eq!(found(&table, "a.example", "/x", "POST").as_deref(), Some("b"));
    // Another host, another prefix, other methods.
    for (id, host, prefix, methods) in [
        ("e", "*.example", "/x", &["GET"][..]),
        ("f", "a.example", "/x/y", &[]),
        ("g", "a.example", "/x", &["POST"]),
    ] {
        table.insert(entry(id, host, prefix, methods)).unwrap();
    }
    assert_eq!(found(&table, "a.example", "/x", "POST").as_deref(), Some("g"));
}

#[test]
fn what_a_route_leads_to_may_change_without_its_place() {
    let mut table = RouteTable::default();
    let slot = table.insert(entry("a", "", "", &[])).unwrap();
    let before = table.clone();
    table.replace(slot, RouteEntry { target: Some(TargetKey(3)), ..entry("a", "", "", &[]) });
    let target = |table: &RouteTable| table.find("x", "/", "GET").map(|entry| entry.target);
    assert_eq!((target(&before), target(&table)), (Some(None), Some(Some(TargetKey(3)))));
    assert!(Arc::ptr_eq(&before.any, &table.any));
}
