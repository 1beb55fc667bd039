//! The pure planner is held to authentik's: every planner vector is planned and walked, stage by stage.
//!
//! What must come out is what the vector expects; where an error that is no policy error takes part, which bindery
//! reads as any other error, it is computed by the rules of `VECTORS.md` instead.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod message;
    pub(crate) mod vectors;
}

#[cfg(test)]
mod tests {
    use crate::support::make::NOW;
    use crate::support::message::{Message, agree};
    use crate::support::vectors::{self, Vector, items, planner, rules::Set, text};
    use bindery::decision::View as _;
    use bindery::decision::flow::{Journey, PlanStage, Planned, Stepped, Travellers};
    use bindery::model::{Context, Reason, Subject, TargetKind, TargetRef, Timestamp, Value};
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use serde_json::Value as Json;
    use std::collections::BTreeMap;
    use std::io::Write as _;

    /// Prints past the test runner, which keeps what tests print to itself.
    macro_rules! told {
        ($($text:tt)*) => { writeln!(std::io::stderr(), $($text)*).unwrap() };
    }

    /// What a run through a flow shows.
    #[derive(Clone, Debug)]
    enum Run {
        Refused { authentication: bool, messages: Vec<Message> },
        Empty,
        Walked { planned: Vec<(String, bool)>, shown: Vec<(Option<String>, Vec<Message>)> },
    }

    impl Run {
        fn agrees(&self, found: &Self) -> bool {
            match (self, found) {
                (Self::Empty, Self::Empty) => true,
                (
                    Self::Refused { authentication, messages },
                    Self::Refused { authentication: other, messages: found },
                ) => authentication == other && agree(messages, found),
                (Self::Walked { planned, shown }, Self::Walked { planned: others, shown: found }) => {
                    planned == others
                        && shown.len() == found.len()
                        && shown.iter().zip(found).all(|(a, b)| a.0 == b.0 && agree(&a.1, &b.1))
                }
                _ => false,
            }
        }
    }

    /// The context before the k-th step.
    fn context_at(vector: &Vector, steps: usize) -> BTreeMap<String, Json> {
        let json = &vector.json;
        let mut context: BTreeMap<String, Json> = BTreeMap::new();
        let mut merge = |more: &Json| {
            for (key, value) in more.as_object().into_iter().flatten() {
                context.insert(key.clone(), value.clone());
            }
        };
        merge(&json["request"]["context"]);
        items(&json["steps"]).iter().take(steps).for_each(|step| merge(&step["set"]));
        context
    }

    /// What `expected` says.
    fn expected(vector: &Vector) -> Run {
        let expected = &vector.json["expected"];
        let texts = |list: &Json| Message::texts(&items(list).iter().map(text).collect::<Vec<_>>());
        match text(&expected["outcome"]) {
            "empty" => Run::Empty,
            "not_applicable" => Run::Refused {
                authentication: expected["reason"] == "authentication",
                messages: texts(&expected["messages"]),
            },
            _ => {
                let stage = |json: &Json| (text(&json["stage"]).to_owned(), json["reevaluate"] == true);
                let shown =
                    |json: &Json| (json["stage"].as_str().map(str::to_owned), texts(&json["messages"]));
                Run::Walked {
                    planned: items(&expected["planned"]).iter().map(stage).collect(),
                    shown: items(&expected["shown"]).iter().map(shown).collect(),
                }
            }
        }
    }

    /// The same by the rules, slowly.
    fn by_the_rules(vector: &Vector) -> Run {
        let json = &vector.json;
        let who = |steps| {
            let pending =
                context_at(vector, steps).get("pending_user").and_then(Json::as_str).map(str::to_owned);
            pending.unwrap_or_else(|| text(&json["request"]["http_user"]).to_owned())
        };
        let evaluate = |set: &Json, user: &str| {
            let (mode, bindings) = (text(&set["mode"]), &set["bindings"]);
            let outcome =
                Set { vector, mode, bindings, user, empty_result: true, as_authentik: false }.evaluate();
            (outcome.passing, outcome.messages)
        };
        // The requirement has nothing to do with errors, so the vector's word on it stands.
        if let refused @ Run::Refused { authentication: true, .. } = expected(vector) {
            return refused;
        }
        let (passing, messages) = evaluate(&json["flow"], &who(0));
        if !passing {
            return Run::Refused { authentication: false, messages };
        }
        let mut stages: Vec<&Json> = items(&json["stages"]).iter().collect();
        stages.sort_by_key(|stage| stage["order"].as_i64());
        stages.retain(|stage| stage["evaluate_on_plan"] != true || evaluate(stage, &who(0)).0);
        if stages.is_empty() && json["allow_empty_flows"] != true {
            return Run::Empty;
        }
        let planned =
            stages.iter().map(|stage| (text(&stage["id"]).to_owned(), stage["re_evaluate_policies"] == true));
        let planned = planned.collect();
        let (mut shown, mut flashed, mut step) = (Vec::new(), Vec::new(), 1);
        for stage in stages {
            if stage["re_evaluate_policies"] == true {
                let (passing, messages) = evaluate(stage, &who(step));
                flashed.extend(messages);
                if !passing {
                    continue;
                }
            }
            shown.push((Some(text(&stage["id"]).to_owned()), std::mem::take(&mut flashed)));
            step += 1;
        }
        shown.push((None, flashed));
        Run::Walked { planned, shown }
    }

    fn subject(user: &str) -> Subject {
        match user {
            "anonymous" => Subject { anonymous: true, ..Subject::default() },
            "unsaved" => Subject { anonymous: true, username: Some("newbie".into()), ..Subject::default() },
            id => Subject { user_id: Some(id.into()), ..Subject::default() },
        }
    }

    fn value(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::Number(number) => Value::Number(number.as_f64().unwrap()),
            Json::String(text) => Value::String(text.as_str().into()),
            Json::Array(items) => Value::List(items.iter().map(value).collect()),
            Json::Object(map) => {
                Value::Map(map.iter().map(|(key, it)| (key.as_str().into(), value(it))).collect())
            }
        }
    }

    /// What the planner makes of it.
    fn walk(vector: &Vector) -> Run {
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(planner::resources(vector))).unwrap();
        let snapshot = store.load();
        let flow = snapshot.find(&TargetRef::Named(TargetKind::Flow, "f".into())).unwrap();
        let session = subject(text(&vector.json["request"]["http_user"]));
        let requesting = snapshot.member(&session);
        // Calls `with` with the journey as it is before the k-th step.
        let at = |steps: usize, with: &mut dyn FnMut(&Journey<'_, _>)| {
            let mut values = context_at(vector, steps);
            let pending = values.remove("pending_user").map(|user| subject(text(&user)));
            let pending = pending.as_ref().map(|subject| snapshot.member(subject));
            let values =
                Value::Map(values.iter().map(|(key, it)| (key.as_str().into(), value(it))).collect());
            let context = Context { values, ..Context::at(Timestamp::new(NOW, 0)) };
            let travellers = Travellers { requesting: &requesting, pending: pending.as_ref() };
            with(&Journey { view: &*snapshot, flow, travellers, context: &context, answered: &[] });
        };
        let messages = |found: &[Box<str>]| Message::texts(found);
        let mut planned = None;
        at(0, &mut |journey| planned = journey.plan(vector.json["allow_empty_flows"] == true));
        let plan: Vec<PlanStage> = match planned.unwrap() {
            Planned::Plan(stages) => stages,
            Planned::Empty => return Run::Empty,
            Planned::NotApplicable { reason, messages: found, .. } => {
                let authentication = matches!(reason, Reason::Authentication(_));
                return Run::Refused { authentication, messages: messages(&found) };
            }
            Planned::Waiting(waiting) => panic!("{waiting:?}"),
        };
        let (mut shown, mut left, mut step) = (Vec::new(), plan.as_slice(), 1);
        loop {
            let mut stepped = None;
            at(step, &mut |journey| stepped = Some(journey.next(left)));
            let Some(Stepped::Next { stage, messages: found }) = stepped else { panic!("{stepped:?}") };
            let Some((index, stage)) = stage else {
                shown.push((None, messages(&found)));
                break;
            };
            shown.push((Some(stage.stage.to_string()), messages(&found)));
            left = &left[index + 1..];
            step += 1;
        }
        let planned = plan.iter().map(|stage| (stage.stage.to_string(), stage.re_evaluate)).collect();
        Run::Walked { planned, shown }
    }

    fn binds(vector: &Vector, wanted: impl Fn(&str) -> bool) -> bool {
        let stages = items(&vector.json["stages"]).iter().flat_map(|stage| items(&stage["bindings"]));
        let bindings = items(&vector.json["flow"]["bindings"]).iter().chain(stages);
        bindings
            .filter(|binding| binding["enabled"] == true)
            .filter_map(|binding| binding["subject"]["policy"].as_str())
            .any(|policy| wanted(&vector.kind_of(policy)))
    }

    #[test]
    fn plans_and_steps_are_authentiks() {
        let (mut agree, mut skipped, mut differ) = (0, 0, Vec::new());
        for file in vectors::read() {
            for vector in file.vectors.iter().filter(|vector| vector.json["stages"].is_array()) {
                if binds(vector, |kind| kind == "expression") {
                    skipped += 1;
                    continue;
                }
                let wanted = if binds(vector, |kind| kind == "raise_other") {
                    by_the_rules(vector)
                } else {
                    let wanted = expected(vector);
                    assert!(
                        by_the_rules(vector).agrees(&wanted),
                        "{}: the rules are read wrongly",
                        vector.name
                    );
                    wanted
                };
                let found = walk(vector);
                if wanted.agrees(&found) {
                    agree += 1;
                } else {
                    differ.push(format!("{}: expected {wanted:?}, got {found:?}", vector.name));
                }
            }
        }
        told!(
            "planner: {agree} agree, {} differ, {skipped} skipped (expressions see the plan that is being made, which comes with the flow service)",
            differ.len()
        );
        assert!(differ.is_empty(), "{}", differ[..differ.len().min(20)].join("\n"));
        assert!(agree > 200, "only {agree} vectors were planned");
    }
}
