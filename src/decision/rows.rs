//! Policy bindings as they are kept: packed, since most of what a configuration is made of are these.
//!
//! A packed binding takes 28 bytes. What few of them have, an expiry or an id that is no UUID, stands beside them.
//! Must not know: how and where they are kept.

use super::Atom;
use crate::model::{Id, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// One policy binding with its names interned.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The binding's id.
    pub id: Id,
    /// Its subject side.
    pub subject: RowSubject,
    /// Position, ascending; ties are ordered by id.
    pub order: i32,
    /// Its switches and timeout.
    pub switches: Switches,
    /// From then on it counts as disabled; absent: never.
    pub expires: Option<Timestamp>,
}

/// The subject side of a row. Users and groups are atoms: an id or a name that some binding or group mentions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowSubject {
    /// A policy, by its key within the store.
    Policy(u32),
    /// A user.
    User(Atom),
    /// A group.
    Group(Atom),
}

/// The switches of a binding, and its timeout in milliseconds, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches(u32);

impl Switches {
    const ENABLED: u32 = 1;
    const NEGATE: u32 = 2;
    const FAILURE_RESULT: u32 = 4;
    const DRY_RUN: u32 = 8;
    const TARGET_BY_ID: u32 = 16;
    const POLICY_BY_ID: u32 = 32;
    // The next four say how a row is packed, and are never set outside of one.
    const USER: u32 = 64;
    const GROUP: u32 = 128;
    const TEXT_ID: u32 = 256;
    const EXPIRES: u32 = 512;
    const PACKING: u32 = Self::USER | Self::GROUP | Self::TEXT_ID | Self::EXPIRES;
    /// Where the timeout begins.
    const SHIFT: u32 = 10;

    /// The settings of a binding. A timeout beyond 69 minutes counts as these.
    pub fn new(enabled: bool, negate: bool, failure_result: bool, dry_run: bool, timeout: Duration) -> Self {
        let bit = |on: bool, bit: u32| if on { bit } else { 0 };
        let milliseconds =
            u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).min(u32::MAX >> Self::SHIFT);
        Self(
            bit(enabled, Self::ENABLED)
                | bit(negate, Self::NEGATE)
                | bit(failure_result, Self::FAILURE_RESULT)
                | bit(dry_run, Self::DRY_RUN)
                | (milliseconds << Self::SHIFT),
        )
    }

    /// Exists for a decision.
    pub const fn enabled(self) -> bool {
        self.0 & Self::ENABLED != 0
    }

    /// Flips pass and fail.
    pub const fn negate(self) -> bool {
        self.0 & Self::NEGATE != 0
    }

    /// The result when the policy errors.
    pub const fn failure_result(self) -> bool {
        self.0 & Self::FAILURE_RESULT != 0
    }

    /// Reported, never counted.
    pub const fn dry_run(self) -> bool {
        self.0 & Self::DRY_RUN != 0
    }

    /// As before, with how the binding names its target and its policy: by the id, where there is a name as well. It
    /// means nothing for a decision, only for what the binding is when it is handed on.
    #[must_use]
    pub const fn referring(self, target_by_id: bool, policy_by_id: bool) -> Self {
        let target = if target_by_id { Self::TARGET_BY_ID } else { 0 };
        let policy = if policy_by_id { Self::POLICY_BY_ID } else { 0 };
        Self(self.0 | target | policy)
    }

    /// Names its target by the id.
    pub const fn target_by_id(self) -> bool {
        self.0 & Self::TARGET_BY_ID != 0
    }

    /// Names its policy by the id.
    pub const fn policy_by_id(self) -> bool {
        self.0 & Self::POLICY_BY_ID != 0
    }

    /// Bounds one execution of the policy.
    pub const fn timeout(self) -> Duration {
        Duration::from_millis((self.0 >> Self::SHIFT) as u64)
    }
}

/// A row, packed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packed {
    /// Of a UUID; zeroes where the id is a text.
    id: [u8; 16],
    subject: u32,
    order: i32,
    switches: Switches,
}

impl Packed {
    pub(super) const fn subject(&self) -> RowSubject {
        if self.switches.0 & Switches::GROUP != 0 {
            RowSubject::Group(Atom(self.subject))
        } else if self.switches.0 & Switches::USER != 0 {
            RowSubject::User(Atom(self.subject))
        } else {
            RowSubject::Policy(self.subject)
        }
    }

    pub(super) const fn switches(&self) -> Switches {
        self.switches
    }

    /// Whether it takes part in a decision: it is enabled, and not only for show. It may have expired.
    pub(super) const fn counts(&self) -> bool {
        self.switches.0 & (Switches::ENABLED | Switches::DRY_RUN) == Switches::ENABLED
    }

    pub(super) const fn expires(&self) -> bool {
        self.switches.0 & Switches::EXPIRES != 0
    }
}

/// What few rows have, by their places.
#[derive(Debug, Default)]
struct Rest {
    ids: Vec<(u32, Id)>,
    expiries: Vec<(u32, Timestamp)>,
}

fn at<T>(list: &[(u32, T)], index: u32) -> Option<&T> {
    let place = list.binary_search_by_key(&index, |(index, _)| *index).ok()?;
    list.get(place).map(|(_, item)| item)
}

/// The bindings of a target, in the order of evaluation. A copy shares them.
#[derive(Clone, Debug)]
pub struct Rows {
    packed: Arc<[Packed]>,
    rest: Option<Arc<Rest>>,
}

impl Default for Rows {
    fn default() -> Self {
        Self { packed: Arc::from([]), rest: None }
    }
}

impl Rows {
    /// Packs rows that are in the order of evaluation.
    pub fn new(rows: Vec<Row>) -> Self {
        let mut rest = Rest::default();
        let pack = |(index, row): (u32, Row)| {
            let (subject, mut packing) = match row.subject {
                RowSubject::Policy(key) => (key, 0),
                RowSubject::User(atom) => (atom.0, Switches::USER),
                RowSubject::Group(atom) => (atom.0, Switches::GROUP),
            };
            if let Some(moment) = row.expires {
                packing |= Switches::EXPIRES;
                rest.expiries.push((index, moment));
            }
            let id = row.id.as_uuid().unwrap_or_else(|| {
                packing |= Switches::TEXT_ID;
                rest.ids.push((index, row.id));
                [0; 16]
            });
            let switches = Switches((row.switches.0 & !Switches::PACKING) | packing);
            Packed { id, subject, order: row.order, switches }
        };
        let packed = (0..).zip(rows).map(pack).collect();
        let rest = (!rest.ids.is_empty() || !rest.expiries.is_empty()).then(|| {
            rest.ids.shrink_to_fit();
            rest.expiries.shrink_to_fit();
            Arc::new(rest)
        });
        Self { packed, rest }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The row at a place.
    pub fn get(&self, index: u32) -> Option<Row> {
        self.packed.get(index as usize).map(|packed| self.unpack(index, packed))
    }

    /// Each of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Row> + ExactSizeIterator + '_ {
        self.packed.iter().enumerate().map(|(index, packed)| self.unpack(narrow(index), packed))
    }

    /// The one with this id, without unpacking the others.
    pub fn find(&self, id: &Id) -> Option<Row> {
        self.places_of(id).next().and_then(|index| self.get(index))
    }

    /// Whether one has this id.
    pub fn has(&self, id: &Id) -> bool {
        self.places_of(id).next().is_some()
    }

    fn places_of<'a>(&'a self, id: &'a Id) -> impl Iterator<Item = u32> + 'a {
        let uuid = id.as_uuid();
        let is_it = move |(index, packed): &(usize, &Packed)| match uuid {
            Some(uuid) => packed.id == uuid && packed.switches.0 & Switches::TEXT_ID == 0,
            None => packed.switches.0 & Switches::TEXT_ID != 0 && self.text_id(narrow(*index)) == Some(id),
        };
        self.packed.iter().enumerate().filter(is_it).map(|(index, _)| narrow(index))
    }

    fn text_id(&self, index: u32) -> Option<&Id> {
        at(&self.rest.as_ref()?.ids, index)
    }

    fn unpack(&self, index: u32, packed: &Packed) -> Row {
        let id = if packed.switches.0 & Switches::TEXT_ID == 0 {
            Id::from_uuid(packed.id)
        } else {
            self.text_id(index).cloned().unwrap_or_else(|| Id::new(""))
        };
        let switches = Switches(packed.switches.0 & !Switches::PACKING);
        let expires = if packed.expires() { self.expiry(index) } else { None };
        Row { id, subject: packed.subject(), order: packed.order, switches, expires }
    }

    /// When the row at a place expires.
    pub(super) fn expiry(&self, index: u32) -> Option<Timestamp> {
        at(&self.rest.as_ref()?.expiries, index).copied()
    }

    pub(super) fn packed(&self) -> impl Iterator<Item = (u32, &Packed)> {
        self.packed.iter().enumerate().map(|(index, packed)| (narrow(index), packed))
    }

    pub(super) fn packed_at(&self, index: u32) -> Option<&Packed> {
        self.packed.get(index as usize)
    }

    /// Whether all that are enabled are pure membership checks.
    pub(super) fn is_static(&self) -> bool {
        let is_policy = |packed: &&Packed| packed.switches.0 & (Switches::USER | Switches::GROUP) == 0;
        !self.packed.iter().filter(is_policy).any(|packed| packed.switches.enabled())
    }
}

/// Far fewer than that are bound to one target.
fn narrow(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_rows_stay_small() {
        assert_eq!(size_of::<Packed>(), 28);
        assert_eq!(size_of::<Rows>(), 24);
    }

    #[test]
    fn switches_keep_each_setting() {
        for bits in 0..16_u8 {
            let on = |bit: u8| bits & bit != 0;
            let timeout = Duration::from_millis(u64::from(bits) * 90_000);
            let flags = Switches::new(on(1), on(2), on(4), on(8), timeout);
            assert_eq!(flags.timeout(), timeout);
            assert_eq!((flags.enabled(), flags.negate()), (on(1), on(2)));
            assert_eq!((flags.failure_result(), flags.dry_run()), (on(4), on(8)));
        }
    }

    #[test]
    fn what_is_packed_comes_out_again() {
        let switches = |bits: u8| {
            let on = |bit: u8| bits & bit != 0;
            let timeout = Duration::from_millis(u64::from(bits));
            Switches::new(on(1), on(2), on(4), on(8), timeout).referring(on(16), on(32))
        };
        let ids =
            ["6f1c2b1e-0000-4000-8000-00000000000a", "a text", "", "00000000-0000-0000-0000-000000000000"];
        let subjects =
            [RowSubject::Policy(u32::MAX), RowSubject::User(Atom(0)), RowSubject::Group(Atom(u32::MAX))];
        let mut rows = Vec::new();
        for (index, id) in ids.iter().enumerate() {
            for (other, subject) in subjects.into_iter().enumerate() {
                for expires in [None, Some(Timestamp::MAX), Some(Timestamp::new(7, 5))] {
                    let bits = u8::try_from(rows.len()).unwrap();
                    let id = if other == 0 { Id::new(id) } else { Id::new(&format!("{id}{index}{other}")) };
                    rows.push(Row { id, subject, order: -3, switches: switches(bits), expires });
                }
            }
        }
        let packed = Rows::new(rows.clone());
        assert_eq!(packed.iter().collect::<Vec<_>>(), rows);
        assert_eq!((packed.len(), packed.is_empty()), (36, false));
        for row in &rows {
            assert_eq!(packed.find(&row.id).map(|found| found.id), Some(row.id.clone()));
            assert!(packed.has(&row.id));
        }
        assert_eq!(packed.find(&Id::new("another")), None);
        assert!(!packed.is_static());
        let groups: Vec<Row> = rows.into_iter().filter(|row| row.subject != subjects[0]).collect();
        assert!(Rows::new(groups).is_static() && Rows::default().is_static());
    }
}
