//! One target: evaluates its binding set, after the rules of "One target" in the semantics.
//!
//! Order of work: static bindings first, since they cost nanoseconds, then policies that answer at once, and only
//! then those that have to be waited for. Results and messages stand in binding order all the same.
//! Must not know: what the target leans on.

use super::rows::Packed;
use super::{BindingSet, Bound, BoundSubject, BoundTarget, Member, Row, Switches, TargetKey, Ticks, View};
use crate::model::{BindingReport, Context, Deciding, Group, Mode, SkipReason, Timestamp, Value};
use crate::policy::{Calls, Changes, Deferred, Evaluation, Groups, HeldGroup, Input, Verdict};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// A policy that has to be waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// Whose binding it is.
    pub target: TargetKey,
    /// Which binding: the index of its row.
    pub row: u32,
    /// Whether this is not the binding's own policy but one that it called.
    pub called: bool,
    /// What has to happen.
    pub deferred: Deferred,
    /// After this long, all that the binding waits for taken together, it counts as an error.
    pub timeout: Duration,
}

/// What came of a policy that was waited for.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Whose binding it is.
    pub target: TargetKey,
    /// Which binding: the index of its row.
    pub row: u32,
    /// Whether this is not the binding's own policy but one that it called.
    pub called: bool,
    /// What it said, or its error.
    pub verdict: Verdict,
}

/// What came of one binding set.
#[derive(Debug, Default)]
pub struct SetResult {
    /// The outcome. Without a counted binding: the target's empty result.
    pub passing: bool,
    /// How many bindings counted.
    pub counted: usize,
    /// The earliest moment at which the outcome could change by itself.
    pub valid_until: Option<Timestamp>,
    /// When the last counted binding will have expired; absent when one of them never does.
    pub emptied: Option<Timestamp>,
    /// Messages of the policies.
    pub messages: Vec<Box<str>>,
    /// The bindings, if asked for.
    pub bindings: Vec<BindingReport>,
    /// What policies changed in the context, taken together.
    pub changes: Option<Box<Changes>>,
    /// Not empty: the outcome is not known until these have answered.
    pub waiting: Vec<Waiting>,
    /// The binding that decided alone.
    pub deciding: Option<Deciding>,
    /// The kinds of policies that errored.
    pub policy_errors: Vec<&'static str>,
}

/// The parts of an evaluation that do not change from target to target.
pub(super) struct Run<'a, V> {
    pub(super) view: &'a V,
    pub(super) context: &'a Context,
    pub(super) member: &'a Member<'a>,
    pub(super) answered: &'a [Answered],
    pub(super) full: bool,
    pub(super) report: bool,
    pub(super) ticks: Option<Ticks<'a>>,
}

/// The groups of a member, looked up when a policy asks for them.
struct Belonging<'a, V> {
    view: &'a V,
    member: &'a Member<'a>,
}

impl<V: View> Groups for Belonging<'_, V> {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        self.view.groups_of(self.member)
    }

    fn any(&self, direct: bool, is: &mut dyn FnMut(HeldGroup<'_>) -> bool) -> bool {
        self.view.any_group_of(self.member, direct, is)
    }
}

/// What came of one binding that takes part.
struct Slot<'a> {
    bound: &'a Bound,
    expires: Option<Timestamp>,
    state: State,
    nanoseconds: u64,
}

enum State {
    Skipped,
    Static {
        raw: bool,
        result: bool,
    },
    Policy {
        verdict: Verdict,
        result: bool,
    },
    Waiting(Deferred),
    /// It has to see what a policy before it does to the context, and that one is waited for.
    Later,
}

/// What a policy sees of the question, with what the policies before it changed.
struct Scene<'a> {
    context: Cow<'a, Context>,
    attributes: Option<Value>,
    changed: bool,
}

impl Scene<'_> {
    fn change(&mut self, changes: &Changes) {
        self.changed = true;
        if let Some(values) = &changes.values {
            self.context.to_mut().values = values.clone();
        }
        if let Some(attributes) = &changes.attributes {
            self.attributes = Some(attributes.clone());
        }
    }
}

impl State {
    fn result(&self) -> Option<bool> {
        match self {
            Self::Static { result, .. } | Self::Policy { result, .. } => Some(*result),
            Self::Skipped | Self::Waiting(_) | Self::Later => None,
        }
    }
}

impl<V: View> Run<'_, V> {
    /// Evaluates the bindings of one target.
    pub(super) fn evaluate(&self, target: &Arc<BoundTarget>) -> SetResult {
        if self.report && target.is_static() {
            // An explanation names each of them, and nothing of that is worth keeping.
            return self.evaluate_set(target, &BindingSet::one_by_one(target, |_| None));
        }
        if target.is_plain() {
            return self.evaluate_static(target, target.rows().packed(), None);
        }
        let set = self.view.binding_set(target);
        match &set.index {
            Some(index) if !self.member.anonymous => {
                let others = index.others.iter();
                let others = others.filter_map(|row| Some((*row, target.rows().packed_at(*row)?)));
                self.evaluate_static(target, others, Some(index))
            }
            Some(_) => self.evaluate_static(target, target.rows().packed(), None),
            None => self.evaluate_set(target, &set),
        }
    }

    /// The result without a counted binding.
    pub(super) fn empty_result(&self, target: &BoundTarget) -> bool {
        target.target.empty_result.unwrap_or_else(|| self.view.default_empty_result())
    }

    /// As [`Run::evaluate`], for whatever is bound.
    fn evaluate_set(&self, target: &BoundTarget, set: &BindingSet) -> SetResult {
        let (rows, mode) = (target.rows(), target.mode());
        let mut slots: SmallVec<[Slot<'_>; 8]> = SmallVec::new();
        let mut decided = false;
        for bound in &set.active {
            let expires = if bound.expires { rows.expiry(bound.row) } else { None };
            if expires.is_some_and(|moment| moment <= self.context.now) {
                continue;
            }
            let mut slot = Slot { bound, expires, state: State::Skipped, nanoseconds: 0 };
            if !decided && bound.subject.is_static() {
                self.timed(&mut slot, |run, bound| run.check_static(bound));
                decided = self.decides(mode, &slot);
            }
            slots.push(slot);
        }
        let mut scene = Scene { context: Cow::Borrowed(self.context), attributes: None, changed: false };
        let mut unsettled = false;
        for slot in slots.iter_mut().filter(|slot| !slot.bound.subject.is_static()) {
            if decided {
                break;
            }
            if unsettled {
                slot.state = State::Later;
                continue;
            }
            self.timed(slot, |run, bound| run.run_policy(target, bound, &scene));
            decided = self.decides(mode, slot);
            match &slot.state {
                // A dry run changes nothing for the others.
                _ if slot.bound.dry_run => {}
                State::Policy { verdict: Verdict { changes: Some(changes), .. }, .. } => {
                    scene.change(changes)
                }
                State::Waiting(_) => unsettled = slot.bound.subject.changes_context(),
                _ => {}
            }
        }
        let mut out = self.combine(target, &slots, decided);
        if scene.changed {
            let values = Some(scene.context.into_owned().values);
            out.changes = Some(Box::new(Changes { values, attributes: scene.attributes }));
        }
        out
    }

    fn is_member(&self, bound: &Bound) -> bool {
        match bound.subject {
            BoundSubject::User(user) => self.member.standing.is_user(user),
            BoundSubject::Group(group) => self.member.standing.is_in(group),
            BoundSubject::Policy(_) | BoundSubject::Missing(_) => false,
        }
    }

    fn timed(&self, slot: &mut Slot<'_>, work: impl FnOnce(&Self, &Bound) -> State) {
        match self.ticks {
            None => slot.state = work(self, slot.bound),
            Some(ticks) => {
                let start = ticks();
                slot.state = work(self, slot.bound);
                slot.nanoseconds = ticks().saturating_sub(start);
            }
        }
    }

    fn check_static(&self, bound: &Bound) -> State {
        let raw = self.is_member(bound);
        // "Not in group X" is no proof of anything about somebody unknown.
        State::Static { raw, result: !self.member.anonymous && (raw != bound.negate) }
    }

    fn run_policy(&self, target: &BoundTarget, bound: &Bound, scene: &Scene<'_>) -> State {
        let mine = |answered: &&Answered| answered.target == target.key && answered.row == bound.row;
        let earlier = || self.answered.iter().filter(mine);
        let verdict = match (earlier().find(|answered| !answered.called), &bound.subject) {
            (Some(answered), _) => answered.verdict.clone(),
            (None, BoundSubject::Policy(policy)) => {
                let mut person = self.member.person();
                if let Some(attributes) = &scene.attributes {
                    person.attributes = attributes;
                }
                let called: SmallVec<[Verdict; 1]> =
                    earlier().map(|answered| answered.verdict.clone()).collect();
                let calls = Calls::answered(&called);
                let (context, bound_to) = (&*scene.context, Some(&target.target));
                let groups = Belonging { view: self.view, member: self.member };
                let input = Input {
                    person,
                    context,
                    target: bound_to,
                    groups: &groups,
                    world: self.view,
                    calls: &calls,
                };
                match policy.evaluate(&input) {
                    Evaluation::Done(verdict) => verdict,
                    Evaluation::Deferred(deferred) => return State::Waiting(deferred),
                }
            }
            (None, BoundSubject::Missing(text)) => Verdict::error(text.clone()),
            (None, BoundSubject::User(_) | BoundSubject::Group(_)) => Verdict::of(false),
        };
        let result = match &verdict.result {
            Ok(passing) => *passing != bound.negate,
            // A failure result is not flipped.
            Err(_) => switches(target, bound).failure_result(),
        };
        State::Policy { verdict, result }
    }

    /// Whether this result makes the rest unnecessary: a pass under any that no passing of time takes away.
    fn decides(&self, mode: Mode, slot: &Slot<'_>) -> bool {
        mode == Mode::Any
            && !self.full
            && !slot.bound.dry_run
            && slot.state.result() == Some(true)
            && slot.until().is_none()
    }

    fn combine(&self, target: &BoundTarget, slots: &[Slot<'_>], decided: bool) -> SetResult {
        let mut out = SetResult::default();
        let mut waiting = Vec::new();
        let mut counted: SmallVec<[Counted; 8]> = SmallVec::new();
        for slot in slots {
            match &slot.state {
                State::Waiting(deferred) => waiting.push(waiting_for(target, slot.bound, deferred)),
                State::Policy { verdict, .. } if !slot.bound.dry_run => match &verdict.result {
                    Ok(_) => out.messages.extend(verdict.messages.iter().cloned()),
                    Err(text) => {
                        out.messages.push(text.clone());
                        out.policy_errors.push(slot.bound.subject.kind());
                    }
                },
                _ => {}
            }
            if !slot.bound.dry_run {
                out.counted += 1;
                if let Some(result) = slot.state.result() {
                    let (expires, until) = (slot.expires, slot.until());
                    counted.push(Counted { row: slot.bound.row, result, expires, until });
                }
            }
        }
        let any_passed = counted.iter().any(|one| one.result);
        let (mode, empty_result) = (target.mode(), self.empty_result(target));
        out.passing = match mode {
            _ if out.counted == 0 => empty_result,
            Mode::Any => any_passed,
            Mode::All => counted.iter().all(|one| one.result),
        };
        let alone = match mode {
            Mode::Any => counted.iter().find(|one| one.result),
            Mode::All => counted.iter().find(|one| !one.result),
        };
        let alone = alone.or(counted.first().filter(|_| out.counted == 1));
        out.deciding = alone.map(|one| Deciding { target: target.key.0, row: one.row });
        // A pass under any stands whatever the others will say; everything else needs all messages.
        if !(decided || (mode == Mode::Any && any_passed && !self.full)) {
            out.waiting = waiting;
        }
        if !decided {
            out.emptied = counted.iter().map(|one| one.expires).reduce(later).flatten();
            out.valid_until = validity(mode, empty_result, out.passing, &counted, out.emptied);
        }
        if self.report {
            out.bindings = self.report(target, slots);
        }
        out
    }

    fn report(&self, target: &BoundTarget, slots: &[Slot<'_>]) -> Vec<BindingReport> {
        let report = |(index, row): (u32, Row)| {
            let mut report = BindingReport {
                id: row.id,
                order: row.order,
                subject: self.view.subject_text(row.subject).into(),
                skipped: None,
                raw_result: false,
                negated: row.switches.negate(),
                result: false,
                dry_run: row.switches.dry_run(),
                messages: Vec::new(),
                error: None,
                nanoseconds: 0,
            };
            let Some(slot) = slots.iter().find(|slot| slot.bound.row == index) else {
                let expired = row.switches.enabled();
                report.skipped = Some(if expired { SkipReason::Expired } else { SkipReason::Disabled });
                return report;
            };
            report.nanoseconds = slot.nanoseconds;
            match &slot.state {
                State::Skipped | State::Waiting(_) | State::Later => {
                    report.skipped = Some(SkipReason::Decided)
                }
                State::Static { raw, result } => (report.raw_result, report.result) = (*raw, *result),
                State::Policy { verdict, result } => {
                    report.result = *result;
                    report.messages.clone_from(&verdict.messages);
                    match &verdict.result {
                        Ok(raw) => report.raw_result = *raw,
                        Err(text) => report.error = Some(text.clone()),
                    }
                }
            }
            report
        };
        (0..).zip(target.rows().iter()).map(report).collect()
    }
}

fn switches(target: &BoundTarget, bound: &Bound) -> Switches {
    target.rows().packed_at(bound.row).map(Packed::switches).unwrap_or_default()
}

fn waiting_for(target: &BoundTarget, bound: &Bound, deferred: &Deferred) -> Waiting {
    let (called, deferred) = match deferred {
        Deferred::Called(deferred) => (true, (**deferred).clone()),
        deferred => (false, deferred.clone()),
    };
    let timeout = switches(target, bound).timeout();
    Waiting { target: target.key, row: bound.row, called, deferred, timeout }
}

impl Slot<'_> {
    /// When this binding's result could change: its policy says so, or it expires.
    fn until(&self) -> Option<Timestamp> {
        let policy = match &self.state {
            State::Policy { verdict, .. } => verdict.valid_until,
            _ => None,
        };
        earlier(policy, self.expires)
    }
}

/// The earlier of two moments; absent means never.
pub(super) fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The later of two moments; absent means never, and never is later than all.
pub(super) fn later(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    a.zip(b).map(|(a, b)| a.max(b))
}

/// A binding that counted.
struct Counted {
    /// Which binding.
    row: u32,
    result: bool,
    /// When it stops to count.
    expires: Option<Timestamp>,
    /// Until when it says the same; not after its expiry.
    until: Option<Timestamp>,
}

/// The earliest moment at which the outcome could change by itself, never too late and, for expiries, not too early.
fn validity(
    mode: Mode,
    empty_result: bool,
    passing: bool,
    counted: &[Counted],
    emptied: Option<Timestamp>,
) -> Option<Timestamp> {
    // Bindings that hold the outcome up: passing ones under any, failing ones under all. While one of them lasts,
    // the outcome does.
    let holding = match mode {
        Mode::Any => passing,
        Mode::All => !passing,
    };
    if holding {
        let held = counted.iter().filter(|one| one.result == passing).map(|one| one.until);
        return held.reduce(later).flatten();
    }
    // Otherwise every binding says the same: the outcome lasts until a policy says something else, or until all
    // have expired and the empty result says something else.
    let policies = counted.iter().filter(|one| one.until != one.expires).map(|one| one.until);
    let first = policies.reduce(earlier).flatten();
    if empty_result == passing { first } else { earlier(first, emptied) }
}
