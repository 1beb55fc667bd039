//! Targets to which only memberships are bound, and of which nothing is explained: most of all questions.
//!
//! Must not know: policies.

use super::engine::{Run, SetResult, later};
use super::rows::Packed;
use super::set::Index;
use super::{BoundTarget, RowSubject, View};
use crate::model::{Deciding, Mode, Timestamp};

impl<V: View> Run<'_, V> {
    /// As [`Run::evaluate`], for a target without policies and without a report: most of all questions. It keeps sums
    /// instead of results, and ends at the first binding that decides for good. Bindings of the index, where there is
    /// one, are not among `rows`.
    pub(super) fn evaluate_static<'r>(
        &self,
        target: &BoundTarget,
        rows: impl Iterator<Item = (u32, &'r Packed)>,
        index: Option<&Index>,
    ) -> SetResult {
        // What decides alone: a pass under any, a fail under all.
        let deciding = target.mode() == Mode::Any;
        let name = |row: Option<u32>| row.map(|row| Deciding { target: target.key.0, row });
        let decided =
            |row| SetResult { passing: deciding, counted: 1, deciding: name(row), ..SetResult::default() };
        let found = index.and_then(|index| index.first_about(&self.member.standing));
        let mut out = SetResult::default();
        let mut decided_until: Option<Option<Timestamp>> = None;
        let mut emptied: Option<Timestamp> = None;
        let (mut first, mut decider) = (None, None);
        let before = found.unwrap_or(u32::MAX);
        for (row, packed) in rows.take_while(|(row, _)| *row < before).filter(|(_, packed)| packed.counts()) {
            let expires = if packed.expires() { target.rows().expiry(row) } else { None };
            if expires.is_some_and(|moment| moment <= self.context.now) {
                continue;
            }
            let raw = match packed.subject() {
                RowSubject::User(user) => self.member.standing.is_user(user),
                RowSubject::Group(group) => self.member.standing.is_in(group),
                RowSubject::Policy(_) => false,
            };
            first = first.or(Some(row));
            if (!self.member.anonymous && raw != packed.switches().negate()) == deciding {
                decider = decider.or(Some(row));
                let Some(moment) = expires else { return decided(decider) };
                decided_until =
                    Some(decided_until.map_or(Some(moment), |so_far| later(so_far, Some(moment))));
            }
            emptied = if out.counted == 0 { expires } else { later(emptied, expires) };
            out.counted += 1;
        }
        if found.is_some() {
            return decided(decider.or(found));
        }
        // None of the index decides, and all of it counts and never expires.
        if let Some(index) = index.filter(|index| index.len() > 0) {
            first = [first, index.first].into_iter().flatten().min();
            (emptied, out.counted) = (None, out.counted + index.len());
        }
        let empty_result = self.empty_result(target);
        out.emptied = emptied;
        out.deciding = name(decider.or(first.filter(|_| out.counted == 1)));
        (out.passing, out.valid_until) = match decided_until {
            _ if out.counted == 0 => (empty_result, None),
            Some(until) => (deciding, until),
            None => (!deciding, emptied.filter(|_| empty_result == deciding)),
        };
        out
    }
}
