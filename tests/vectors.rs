//! Holds the decision core to authentik's own engine: golden vectors, see `tests/vectors/VECTORS.md`.
//!
//! `BINDERY_VECTORS` names another directory of vectors. Counts are printed for each file.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
    pub(crate) mod message;
    pub(crate) mod reference;
    pub(crate) mod vectors;
}

#[cfg(test)]
mod tests {
    use crate::support::make::NOW;
    use crate::support::message::Message;
    use crate::support::reference::{Reference, Wrong};
    use crate::support::vectors::{self, Pdp, Refusal, Reply, Unanswered, rules};
    use bindery::api::ask::check;
    use bindery::evaluators::Evaluators;
    use bindery::evaluators::python::{Isolation, PythonOptions};
    use bindery::model::{ResourceKind, Timestamp};
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use std::io::Write as _;

    /// bindery itself.
    struct Bindery {
        store: Store,
        evaluators: Evaluators,
        runtime: tokio::runtime::Runtime,
    }

    impl Bindery {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let evaluators = Evaluators::default().with_python(python());
            Self { store: Store::new(Settings::default()), evaluators, runtime }
        }
    }

    fn python() -> PythonOptions {
        PythonOptions::new(Isolation::Process(env!("CARGO_BIN_EXE_bindery").into()))
    }

    impl Pdp for Bindery {
        fn load(&mut self, resources: Vec<v1::Resource>) -> Result<(), Refusal> {
            let before = self.store.load().revision();
            let Err(problems) = apply(&self.store, Update::Replace(resources)) else { return Ok(()) };
            assert_eq!(self.store.load().revision(), before, "a refused update changed something");
            let names = problems.iter().filter_map(|problem| problem.resource.as_ref());
            let bindings = names.filter(|name| name.kind == ResourceKind::PolicyBinding);
            let text = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            Err(Refusal { bindings: bindings.map(|name| name.id.to_string()).collect(), text })
        }

        fn ask(&self, request: &v1::CheckRequest) -> Result<Reply, Unanswered> {
            let now = Timestamp::new(NOW, 0);
            let answer = self.runtime.block_on(check(&self.store, &self.evaluators, request.clone(), now));
            let answer = answer.map_err(|failure| Unanswered::Error(format!("{failure:?}")))?;
            let explained = |explanation: &v1::Explanation| {
                let source = |binding: &v1::BindingExplanation| {
                    let texts = match &binding.error {
                        Some(text) => vec![text.clone()],
                        None => binding.messages.clone(),
                    };
                    (binding.binding_id.clone(), binding.result, Message::texts(&texts))
                };
                explanation.bindings.iter().map(source).collect()
            };
            let full = request.explain() == v1::ExplainLevel::Full;
            Ok(Reply {
                passing: answer.decision() == v1::Decision::Allow,
                messages: Message::texts(&answer.messages),
                reason: answer.explanation.as_ref().map(v1::Explanation::reason),
                sources: answer.explanation.as_ref().filter(|_| full).map(explained),
            })
        }
    }

    impl Pdp for Reference {
        fn load(&mut self, resources: Vec<v1::Resource>) -> Result<(), Refusal> {
            let update = Update::Replace(resources);
            self.apply(&update);
            let mut bindings = Vec::new();
            for resource in &self.resources {
                if let Some(R::PolicyBinding(binding)) = &resource.resource {
                    let sides = [!binding.policy.is_empty(), binding.user.is_some(), binding.group.is_some()];
                    let on_entitlement = matches!(
                        binding.target.as_ref().and_then(|target| target.target.as_ref()),
                        Some(v1::target_ref::Target::Entitlement(_))
                    );
                    if sides.iter().filter(|set| **set).count() != 1 || (on_entitlement && sides[0]) {
                        bindings.push(binding.id.clone());
                    }
                }
            }
            if bindings.is_empty() {
                Ok(())
            } else {
                Err(Refusal { text: format!("{bindings:?}"), bindings })
            }
        }

        fn ask(&self, request: &v1::CheckRequest) -> Result<Reply, Unanswered> {
            match self.check(request) {
                Ok(outcome) => Ok(Reply {
                    passing: outcome.passing,
                    messages: outcome.messages,
                    reason: Some(outcome.reason),
                    sources: None,
                }),
                Err(Wrong::Beyond(what)) => Err(Unanswered::Beyond(what)),
                Err(wrong) => Err(Unanswered::Error(format!("{wrong:?}"))),
            }
        }
    }

    /// Holds somebody to every file, says how it went, and fails on any difference.
    fn hold<P: Pdp>(who: &str, new: impl Fn() -> P) {
        let mut differ = Vec::new();
        let mut agree = 0;
        for file in vectors::read() {
            let tally = vectors::hold(&file, &new);
            // Straight to the stream: the counts are to be seen when all is well, too.
            writeln!(std::io::stderr(), "{who}: {}", tally.line(&file.name)).unwrap();
            agree += tally.agree;
            differ.extend(tally.differ.into_iter().map(|how| format!("{}: {how}", file.name)));
        }
        assert!(agree > 0, "no vector was asked");
        let first: Vec<&str> = differ.iter().take(20).map(String::as_str).collect();
        let count = differ.len();
        assert!(differ.is_empty(), "{who} differs from {count} vectors, first:\n{}", first.join("\n"));
    }

    #[test]
    fn bindery_decides_as_authentik_does() {
        hold("bindery", Bindery::new);
    }

    #[test]
    fn the_reference_decides_as_authentik_does() {
        hold("the reference", || Reference::new(true));
    }

    /// The rules that expectations are computed with, where they have to be, give authentik's own outcomes when they
    /// read errors as authentik does.
    #[test]
    fn the_rules_give_every_outcome_of_the_engine() {
        let mut checked = 0;
        for file in vectors::read() {
            for vector in &file.vectors {
                let expected = &vector.json["expected"];
                if vector.json["bindings"].is_null()
                    || expected["sources"].is_null()
                    || rules::is_unpicklable(vector)
                {
                    continue;
                }
                let outcome = rules::set(vector, true).evaluate();
                let texts: Vec<&str> =
                    vectors::items(&expected["messages"]).iter().map(vectors::text).collect();
                assert_eq!(outcome.passing, expected["passing"] == true, "{}", vector.name);
                let found = crate::support::message::agree(&outcome.messages, &Message::texts(&texts));
                assert!(found, "{}: {:?} and not {texts:?}", vector.name, outcome.messages);
                checked += 1;
            }
        }
        assert!(checked > 2_000 || !vectors::directory().1, "only {checked} vectors could be checked");
    }

    #[test]
    fn every_vector_is_there() {
        if !vectors::directory().1 {
            return;
        }
        let found: Vec<(String, usize)> =
            vectors::read().into_iter().map(|file| (file.name, file.vectors.len())).collect();
        let expected = [
            ("composites.json", 175),
            ("expression-http.json", 259),
            ("expression.json", 332),
            ("hand.json", 362),
            ("planner-hand.json", 70),
            ("planner-random.json", 700),
            ("policy-kinds.json", 550),
            ("random.json", 2100),
        ];
        assert_eq!(found, expected.map(|(name, count)| (name.to_owned(), count)));
    }
}
