//! What policies see of a flow on the way: the plan's context, and under `flow_plan` the plan itself, as authentik's
//! planner puts them before each binding set.
//!
//! Must not know: what is made of a result.

use super::{FlowView, Journey, PlacedStage, PlanEntry};
use crate::decision::BoundTarget;
use crate::decision::engine::{Run, SetResult};
use crate::model::{Context, Explain, Id, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Under which policies see the plan.
const FLOW_PLAN: &str = "flow_plan";
/// Under which the plan's context has whom the flow is about.
const PENDING_USER: &str = "pending_user";
/// What an evaluator adds to what policies see, from the question. It is no part of the plan's context.
const OF_THE_QUESTION: [&str; 3] = ["geoip", "asn", "event"];

type Map = BTreeMap<Box<str>, Value>;

/// The way so far.
pub(super) struct Road<'a, V> {
    journey: &'a Journey<'a, V>,
    flow: &'a Id,
    /// Its values are the plan's context, as it is by now.
    context: Cow<'a, Context>,
    /// The stages that policies see.
    stages: VecDeque<PlacedStage>,
    changed: bool,
}

impl<'a, V: FlowView> Road<'a, V> {
    pub(super) fn new(journey: &'a Journey<'a, V>, flow: &'a Id) -> Self {
        let context = Cow::Borrowed(journey.context);
        Self { journey, flow, context, stages: VecDeque::new(), changed: false }
    }

    /// The plan has this stage, too.
    pub(super) fn join(&mut self, placed: &PlacedStage) {
        self.stages.push_back(placed.clone());
    }

    /// The first stage has left the plan.
    pub(super) fn leave(&mut self) {
        self.stages.pop_front();
    }

    /// The plan's context, if policies changed it.
    pub(super) fn changed(self) -> Option<Value> {
        self.changed.then(|| self.context.into_owned().values)
    }

    /// Evaluates one binding set; `planned`: policies see the plan, as they do but for those of the flow itself.
    pub(super) fn evaluate(&self, target: &Arc<BoundTarget>, planned: bool) -> SetResult {
        let journey = self.journey;
        let report = journey.explain == Explain::Full;
        let run = |context: &Context| {
            let (view, member) = (journey.view, journey.travellers.subject());
            let (answered, ticks) = (journey.answered, journey.ticks.filter(|_| report));
            Run { view, context, member, answered, full: true, report, ticks }.evaluate(target)
        };
        if !planned || target.is_static() {
            return run(&self.context);
        }
        let mut context = Context::clone(&self.context);
        let mut values = into_map(std::mem::take(&mut context.values));
        values.insert(FLOW_PLAN.into(), self.plan());
        context.values = Value::Map(values);
        run(&context)
    }

    /// The plan without its context, whose values are those of the context around it.
    fn plan(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let stage = |placed: &PlacedStage| {
            let stage = &placed.stage;
            let stage = [("pk", stage.id.to_string().as_str()), ("name", &stage.name), ("kind", &stage.kind)]
                .map(|(key, value)| (key.into(), text(value)));
            let binding = [
                ("pk", text(&placed.binding.to_string())),
                ("order", Value::Number(f64::from(placed.order))),
                ("evaluate_on_plan", Value::Bool(placed.evaluate_on_plan)),
                ("re_evaluate_policies", Value::Bool(placed.re_evaluate_policies)),
                ("stage", Value::Map(Map::from(stage))),
            ];
            Value::Map(binding.into_iter().map(|(key, value)| (key.into(), value)).collect())
        };
        let marker = |placed: &PlacedStage| {
            let again = PlanEntry::from(placed).re_evaluate;
            text(if again { "ReevaluateMarker" } else { "StageMarker" })
        };
        // authentik writes it without hyphens.
        let flow = self.flow.to_string();
        let flow = if self.flow.is_uuid() { flow.replace('-', "") } else { flow };
        Value::Map(Map::from([
            ("flow_pk".into(), text(&flow)),
            ("bindings".into(), Value::List(self.stages.iter().map(stage).collect())),
            ("markers".into(), Value::List(self.stages.iter().map(marker).collect())),
        ]))
    }

    /// Takes over what policies changed in the plan's context.
    ///
    /// authentik hands policies a copy of it whose values are shared: a new entry is theirs alone, unless they put it
    /// into `flow_plan.context`; a map or list that was there before is the plan's own.
    pub(super) fn take(&mut self, result: &mut SetResult) {
        let Some(values) = result.changes.take().and_then(|changes| changes.values) else { return };
        let mut seen = into_map(values);
        let plan = seen.remove(FLOW_PLAN).map(into_map).and_then(|mut plan| plan.remove("context"));
        let before = match &self.context.values {
            Value::Map(map) => Cow::Borrowed(map),
            _ => Cow::Owned(Map::new()),
        };
        let mut after = match plan {
            Some(Value::Map(plan)) => plan,
            _ => {
                let mut after = Map::clone(&before);
                for (key, value) in &mut after {
                    if let (Value::Map(_) | Value::List(_), Some(found)) = (&*value, seen.remove(key)) {
                        *value = found;
                    }
                }
                after
            }
        };
        for key in OF_THE_QUESTION {
            if !before.contains_key(key) {
                after.remove(key);
            }
        }
        // A policy sees more of somebody than the caller gave; it is still who the caller gave.
        if let (Some(given), Some(found)) = (before.get(PENDING_USER), after.get(PENDING_USER))
            && is_same_user(given, found)
        {
            after.insert(PENDING_USER.into(), given.clone());
        }
        if after == *before {
            return;
        }
        self.changed = true;
        self.context.to_mut().values = Value::Map(after);
    }
}

fn into_map(value: Value) -> Map {
    match value {
        Value::Map(map) => map,
        _ => Map::new(),
    }
}

/// Whether two forms of the pending user are the same one: by key, or by username where there is no key.
fn is_same_user(given: &Value, found: &Value) -> bool {
    let key = |user: &Value| match user.get("pk").or_else(|| user.get("user_id")) {
        Some(Value::String(text)) => Some(text.to_string()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let name = |user: &Value| user.get("username").or(Some(user)).and_then(Value::as_str).map(str::to_owned);
    match (key(given), key(found)) {
        (Some(given), Some(found)) => given == found,
        _ => name(given).is_some() && name(given) == name(found),
    }
}
