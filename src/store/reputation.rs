//! Reputation rows, found by address and by name.
//!
//! Must not know: how scores are summed up.

use super::Map;
use crate::model::{Id, ReputationScore};
use imbl::OrdSet;
use std::sync::Arc;

/// The rows of one revision.
#[derive(Clone, Debug, Default)]
pub(super) struct ReputationTable {
    pub(super) rows: Map<Id, Arc<ReputationScore>>,
    by_ip: OrdSet<(Box<str>, Id)>,
    by_identifier: OrdSet<(Box<str>, Id)>,
}

impl ReputationTable {
    /// Adds or replaces a row. Tells whether anything changed.
    pub(super) fn upsert(&mut self, score: ReputationScore) -> bool {
        if self.rows.get(&score.id).is_some_and(|old| **old == score) {
            return false;
        }
        self.remove(&score.id.clone());
        self.by_ip.insert((score.ip.clone(), score.id.clone()));
        self.by_identifier.insert((score.identifier.clone(), score.id.clone()));
        self.rows.insert(score.id.clone(), Arc::new(score));
        true
    }

    /// Removes a row. Tells whether it was there.
    pub(super) fn remove(&mut self, id: &Id) -> bool {
        let Some(old) = self.rows.remove(id) else { return false };
        self.by_ip.remove(&(old.ip.clone(), id.clone()));
        self.by_identifier.remove(&(old.identifier.clone(), id.clone()));
        true
    }

    /// Calls `visit` once for each row of this address or name, or for every row when both are absent.
    pub(super) fn visit(
        &self,
        ip: Option<&str>,
        identifier: Option<&str>,
        visit: &mut dyn FnMut(&ReputationScore),
    ) {
        if ip.is_none() && identifier.is_none() {
            self.rows.values().for_each(|row| visit(row));
            return;
        }
        if self.rows.is_empty() {
            return;
        }
        for row in ip.into_iter().flat_map(|ip| self.of(&self.by_ip, ip)) {
            visit(row);
        }
        for row in identifier.into_iter().flat_map(|identifier| self.of(&self.by_identifier, identifier)) {
            // A row that the address has found already counts once.
            if ip != Some(&*row.ip) {
                visit(row);
            }
        }
    }

    fn of<'a>(
        &'a self,
        index: &'a OrdSet<(Box<str>, Id)>,
        text: &'a str,
    ) -> impl Iterator<Item = &'a ReputationScore> {
        index
            .range((Box::from(text), Id::new(""))..)
            .take_while(move |(key, _)| **key == *text)
            .filter_map(|(_, id)| self.rows.get(id).map(|row| &**row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &str, ip: &str, identifier: &str) -> ReputationScore {
        ReputationScore {
            id: Id::new(id),
            ip: ip.into(),
            identifier: identifier.into(),
            score: 1,
            expires: None,
        }
    }

    fn found(table: &ReputationTable, ip: Option<&str>, identifier: Option<&str>) -> Vec<String> {
        let mut ids = Vec::new();
        table.visit(ip, identifier, &mut |row| ids.push(row.id.to_string()));
        ids.sort();
        ids
    }

    #[test]
    fn finds_each_row_once() {
        let mut table = ReputationTable::default();
        for row in [row("a", "1.1.1.1", "bob"), row("b", "1.1.1.1", "eve"), row("c", "1.1.1.11", "bob")] {
            assert!(table.upsert(row));
        }
        assert!(!table.upsert(row("a", "1.1.1.1", "bob")));
        assert_eq!(found(&table, Some("1.1.1.1"), Some("bob")), ["a", "b", "c"]);
        assert_eq!(found(&table, Some("1.1.1.1"), None), ["a", "b"]);
        assert_eq!(found(&table, None, Some("eve")), ["b"]);
        assert_eq!(found(&table, None, None), ["a", "b", "c"]);
        assert!(table.upsert(row("a", "9.9.9.9", "bob")));
        assert_eq!(found(&table, Some("1.1.1.1"), None), ["b"]);
        assert!(table.remove(&Id::new("a")) && !table.remove(&Id::new("a")));
        assert_eq!(found(&table, None, Some("bob")), ["c"]);
    }
}
