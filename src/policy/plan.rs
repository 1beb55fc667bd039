//! The plan of a flow among a policy's context: `flow_plan.context` is the plan's own, and outlives the decision.
//!
//! Must not know: flows, planning.

use crate::model::Value;
use std::collections::BTreeMap;

/// Under which policies see the plan.
const FLOW_PLAN: &str = "flow_plan";

/// Makes what changed in the context from `before` to `after` a change of the plan's context too, where there is a plan.
/// A program in Python says itself what is to be kept; for policies that cannot, every change is.
pub fn keep_in_plan(before: &Value, after: &mut Value) {
    let Some(Value::Map(plan)) = before.get(FLOW_PLAN) else { return };
    let (Value::Map(before), Value::Map(after)) = (before, after) else { return };
    let mut plan = match after.remove(FLOW_PLAN) {
        Some(Value::Map(plan)) => plan,
        _ => plan.clone(),
    };
    let mut kept = match plan.remove("context") {
        Some(Value::Map(kept)) => kept,
        // Its values are those of the context around it.
        _ => before.iter().filter(|(key, _)| &***key != FLOW_PLAN).map(owned).collect(),
    };
    kept.retain(|key, _| after.contains_key(key) || !before.contains_key(key));
    let changed = after.iter().filter(|(key, value)| before.get(*key) != Some(*value)).map(owned);
    kept.extend(changed);
    plan.insert("context".into(), Value::Map(kept));
    after.insert(FLOW_PLAN.into(), Value::Map(plan));
}

fn owned<K: Clone>((key, value): (&K, &Value)) -> (K, Value) {
    (key.clone(), value.clone())
}

/// The entries of a map; none of anything else.
pub(super) fn into_map(value: Value) -> BTreeMap<Box<str>, Value> {
    match value {
        Value::Map(map) => map,
        _ => BTreeMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, Value)]) -> Value {
        Value::Map(entries.iter().map(|(key, value)| (Box::from(*key), value.clone())).collect())
    }

    fn number(number: u8) -> Value {
        Value::Number(number.into())
    }

    #[test]
    fn without_a_plan_nothing_is_kept() {
        let (before, mut after) = (map(&[("a", number(1))]), map(&[("a", number(2))]));
        keep_in_plan(&before, &mut after);
        assert_eq!(after, map(&[("a", number(2))]));
    }

    #[test]
    fn what_changed_is_kept_and_nothing_else() {
        let plan = |context: Option<Value>| {
            let context = context.map(|context| ("context", context));
            map(&[Some(("flow_pk", number(7))), context].into_iter().flatten().collect::<Vec<_>>())
        };
        let before =
            map(&[("a", number(1)), ("b", number(1)), ("gone", number(1)), ("flow_plan", plan(None))]);
        // The policy may have sent the plan back or not.
        for sent in [None, Some(("flow_plan", plan(None)))] {
            let entries = [Some(("a", number(2))), Some(("b", number(1))), Some(("new", number(3))), sent];
            let mut after = map(&entries.into_iter().flatten().collect::<Vec<_>>());
            keep_in_plan(&before, &mut after);
            let kept = after.get("flow_plan").and_then(|plan| plan.get("context")).unwrap();
            assert_eq!(*kept, map(&[("a", number(2)), ("b", number(1)), ("new", number(3))]));
            assert_eq!(after.get("flow_plan").and_then(|plan| plan.get("flow_pk")), Some(&number(7)));
        }
        // What only the plan has stays, and what only an earlier policy had does not become the plan's.
        let own = plan(Some(map(&[("a", number(1)), ("own", number(5))])));
        let before = map(&[("a", number(1)), ("theirs", number(6)), ("flow_plan", own)]);
        let mut after = before.clone();
        if let Value::Map(after) = &mut after {
            after.insert("a".into(), number(2));
        }
        keep_in_plan(&before, &mut after);
        let kept = after.get("flow_plan").and_then(|plan| plan.get("context")).unwrap();
        assert_eq!(*kept, map(&[("a", number(2)), ("own", number(5))]));
    }
}
