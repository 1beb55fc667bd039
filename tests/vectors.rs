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
    use crate::support::vectors::walk::{self, Guide};
    use crate::support::vectors::{self, Pdp, Refusal, Reply, Unanswered, rules};
    use bindery::api::ask::check;
    use bindery::api::flow::{LIFETIME, Tokens, next_on, plan_on};
    use bindery::evaluators::python::{Isolation, PythonOptions};
    use bindery::evaluators::{BreachSource, Evaluators};
    use bindery::model::{ResourceKind, Timestamp};
    use bindery::places::Databases;
    use bindery::proto::v1;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use mmdb_writer::{Value as Data, Writer};
    use serde_json::Value as Json;
    use std::io::Write as _;
    use std::sync::Arc;

    /// bindery itself.
    struct Bindery {
        store: Store,
        runtime: tokio::runtime::Runtime,
        evaluators: Evaluators,
        tokens: Tokens,
        /// Range files of breached passwords.
        ranges: tempfile::TempDir,
    }

    impl Bindery {
        fn new() -> Self {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let ranges = tempfile::tempdir().unwrap();
            let evaluators = Evaluators::default()
                .with_python(python())
                .with_breaches(BreachSource::directory(ranges.path()).unwrap());
            let (store, tokens) = (Store::new(Settings::default()), Tokens::random(LIFETIME).unwrap());
            Self { store, runtime, evaluators, tokens, ranges }
        }
    }

    fn python() -> PythonOptions {
        let isolation = Isolation::Process(env!("CARGO_BIN_EXE_bindery").into());
        // What is decided must not depend on how busy the machine is.
        PythonOptions { limit: std::time::Duration::from_secs(20), ..PythonOptions::new(isolation) }
    }

    impl Pdp for Bindery {
        fn know_ranges(&mut self, ranges: &[(String, String)]) {
            for entry in std::fs::read_dir(self.ranges.path()).unwrap() {
                std::fs::remove_file(entry.unwrap().path()).unwrap();
            }
            for (prefix, range) in ranges {
                std::fs::write(self.ranges.path().join(prefix), range).unwrap();
            }
        }

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

    impl Guide for Bindery {
        fn load(&mut self, resources: Vec<v1::Resource>) {
            apply(&self.store, Update::Replace(resources)).unwrap();
        }

        fn plan(&self, request: v1::PlanFlowRequest) -> v1::PlanFlowResponse {
            let (snapshot, now) = (self.store.load(), Timestamp::new(NOW, 0));
            let answer = plan_on(&snapshot, &self.evaluators, &self.tokens, request, now);
            self.runtime.block_on(answer).unwrap()
        }

        fn next(&self, request: v1::NextStageRequest) -> v1::NextStageResponse {
            let (snapshot, now) = (self.store.load(), Timestamp::new(NOW, 0));
            let answer = next_on(&snapshot, &self.evaluators, &self.tokens, request, now);
            self.runtime.block_on(answer).unwrap()
        }
    }

    /// Flows are walked from planning to the end. What must come out is computed by the rules, which are held to authentik's
    /// outcomes first: they know what bindery reads otherwise on purpose (an error that is no policy error), and which
    /// texts are the interpreter's own.
    #[test]
    fn bindery_plans_and_steps_as_authentik_does() {
        let mut differ = Vec::new();
        for file in vectors::read() {
            let flows = file.vectors.iter().filter(|vector| vector.json["stages"].is_array());
            let (mut bindery, mut agree, mut count) = (Bindery::new(), 0, 0);
            for vector in flows {
                count += 1;
                let expected = walk::expected(vector);
                let by_the_rules = walk::by_the_rules(vector, true);
                assert!(by_the_rules.agrees(&expected), "{}: {expected:?}, {by_the_rules:?}", vector.name);
                let wanted = walk::by_the_rules(vector, false);
                let found = walk::walk(vector, &mut bindery);
                if wanted.agrees(&found) {
                    agree += 1;
                } else {
                    differ.push(format!("{}: expected {wanted:?}, got {found:?}", vector.name));
                }
            }
            if count > 0 {
                let (name, differ) = (&file.name, count - agree);
                writeln!(std::io::stderr(), "bindery's plans: {name}: {agree} agree, {differ} differ")
                    .unwrap();
            }
        }
        assert!(differ.is_empty(), "{} differ: {}", differ.len(), differ[..differ.len().min(20)].join("\n"));
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

    /// A database of one network, with what stands in the data at these keys.
    fn database(kind: &str, data: &Json, paths: &[(&str, &[&str])]) -> Vec<u8> {
        let mut writer = Writer::builder(kind).description(&[("en", "one network for a test")]).build();
        let mut record = Data::map::<&str, Data, _>([]);
        for (key, path) in paths {
            let value = match &data[key] {
                Json::String(text) => Data::from(text.as_str()),
                Json::Number(number) if *key == "asn" => {
                    Data::from(u32::try_from(number.as_u64().unwrap()).unwrap())
                }
                Json::Number(number) => Data::from(number.as_f64().unwrap()),
                _ => continue,
            };
            let nested = path.iter().rev().fold(value, |inner, key| Data::map([(*key, inner)]));
            record = Data::merge_deep(&record, &nested);
        }
        writer.insert_value("192.0.2.0/24".parse::<ipnet::IpNet>().unwrap(), record).unwrap();
        writer.to_bytes().unwrap()
    }

    /// The same once more, with what the context says of places taken out of it and put into databases.
    #[test]
    fn places_from_databases_decide_as_places_from_the_context() {
        let directory = tempfile::tempdir().unwrap();
        let (city, asn) = (directory.path().join("city.mmdb"), directory.path().join("asn.mmdb"));
        let mut agree = 0;
        for vector in vectors::read().into_iter().flat_map(|file| file.vectors) {
            let context = &vector.json["request"]["context"];
            // Databases have no empty entries, and no numbers that are texts.
            let is_whole = |key: &str, field: &str| !context[key][field].is_null();
            let has_city = is_whole("geoip", "country") && is_whole("geoip", "lat");
            let has_asn = is_whole("asn", "network") && context["asn"]["asn"].is_u64();
            if vector.json["kind"] != "geoip" || !(has_city || has_asn) {
                continue;
            }
            let cities: &[(&str, &[&str])] = &[
                ("continent", &["continent", "code"]),
                ("country", &["country", "iso_code"]),
                ("lat", &["location", "latitude"]),
                ("long", &["location", "longitude"]),
                ("city", &["city", "names", "en"]),
            ];
            let systems: &[(&str, &[&str])] =
                &[("asn", &["autonomous_system_number"]), ("as_org", &["autonomous_system_organization"])];
            std::fs::write(&city, database("GeoLite2-City", &context["geoip"], cities)).unwrap();
            std::fs::write(&asn, database("GeoLite2-ASN", &context["asn"], systems)).unwrap();
            let databases =
                Databases::open(has_city.then(|| city.clone()), has_asn.then(|| asn.clone())).unwrap();
            let mut pdp = Bindery::new();
            pdp.store.set_places(Arc::new(databases));
            for mut plan in vector.case().plans {
                for ask in &mut plan.asks {
                    let context = ask.request.context.as_mut().unwrap();
                    context.client_ip = "192.0.2.10".into();
                    let values = &mut context.values.as_mut().unwrap().fields;
                    if has_city {
                        values.remove("geoip").unwrap();
                    }
                    if has_asn {
                        values.remove("asn").unwrap();
                    }
                }
                vectors::follow(&plan, &mut pdp).unwrap_or_else(|how| panic!("{}: {how:?}", vector.name));
                agree += 1;
            }
        }
        writeln!(std::io::stderr(), "through databases: {agree} agree").unwrap();
        assert!(agree > 100 || !vectors::directory().1, "only {agree} vectors have places");
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
