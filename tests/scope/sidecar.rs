//! Bodies as policies of a configuration, and questions that each decide one of them.

use super::data;
use bindery::api::ask::check;
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::Timestamp;
use bindery::policy::{Compiled, World as _};
use bindery::proto::v1;
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Update, apply};
use bindery::sync::suite::{self, BundleSource};
use bindery::sync::yaml::Limits;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

/// What a policy said.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Answer { passing: bool, messages: Vec<String> },
    Error(String),
}

impl Said {
    /// The one message of a snippet's policy, or its error.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Answer { messages, .. } => messages.join("\n"),
            Self::Error(text) => format!("! {text}"),
        }
    }
}

pub(crate) struct Sidecar {
    store: Store,
    runtime: tokio::runtime::Runtime,
    evaluators: Evaluators,
    /// What every configuration has: groups, users, targets.
    usual: Json,
}

impl Sidecar {
    /// With one policy for each body, in the world of `directory.yaml`.
    pub(crate) fn new(bodies: &[&str]) -> Self {
        let named: Vec<_> = bodies.iter().enumerate().map(|(index, body)| (name(index), *body)).collect();
        Self::of(&named)
    }

    /// With these policies, by name.
    pub(crate) fn of<N: AsRef<str>>(named: &[(N, &str)]) -> Self {
        let usual = data::json("directory.yaml");
        let mut bundle = usual["bundle"].clone();
        let policies = bundle["policies"].as_array_mut().unwrap();
        for (name, source) in named {
            policies.push(json!({"name": name.as_ref(), "expression": {"source": source}}));
        }
        let resources = read(&bundle, &json!({"application": "wiki"}), &json!({}), &json!({})).0;
        let store = Store::new(Settings::default());
        if let Err(problems) = apply(&store, Update::Replace(resources)) {
            panic!("{problems:?}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let isolation = Isolation::Process(env!("CARGO_BIN_EXE_bindery").into());
        // What is not optimized takes its time.
        let options = PythonOptions { limit: Duration::from_secs(20), ..PythonOptions::new(isolation) };
        Self { store, runtime, evaluators: Evaluators::default().with_python(options), usual }
    }

    /// Asks about the policy of this body: binds it to the target alone.
    pub(crate) fn ask(&mut self, index: usize, question: &Json) -> Said {
        self.ask_named(&name(index), question)
    }

    /// The same of the policy of this name. Users of the question are put into the directory.
    pub(crate) fn ask_named(&mut self, name: &str, question: &Json) -> Said {
        let part = |key: &str| question.get(key).unwrap_or(&self.usual[key]).clone();
        let (target, subject, context) = (part("target"), part("subject"), part("context"));
        let mut binding = json!({"policy_bindings": [{"id": "asked", "target": target, "policy": name}]});
        if let Some(users) = question.get("users") {
            binding["users"] = users.clone();
        }
        let (resources, mut request) = read(&binding, &target, &subject, &context);
        let update = Update::Delta { upserts: resources, removals: Vec::new() };
        if let Err(problems) = apply(&self.store, update) {
            panic!("{problems:?}");
        }
        request.explain = v1::ExplainLevel::Full.into();
        request.scope = v1::Scope::TargetAlone.into();
        let now = Timestamp::new(0, 0);
        let answer = self.runtime.block_on(check(&self.store, &self.evaluators, request, now)).unwrap();
        let explanation = answer.explanation.unwrap();
        let [binding] = explanation.bindings.as_slice() else { panic!("{explanation:?}") };
        match &binding.error {
            // The name of the policy, which says nothing here.
            Some(text) => Said::Error(text.trim_end_matches(&format!(" ({name})")).to_owned()),
            None => Said::Answer {
                passing: answer.decision == i32::from(v1::Decision::Allow),
                messages: answer.messages,
            },
        }
    }

    /// How a policy was compiled.
    pub(crate) fn compiled(&self, name: &str) -> Arc<Compiled> {
        self.store.load().policy(name).unwrap_or_else(|| panic!("there is no policy `{name}`"))
    }
}

/// What the policy of this body is called.
pub(crate) fn name(index: usize) -> String {
    format!("body-{index}")
}

/// Resources and a question from their JSON forms, by way of a suite.
fn read(
    bundle: &Json,
    target: &Json,
    subject: &Json,
    context: &Json,
) -> (Vec<v1::Resource>, v1::CheckRequest) {
    let check = json!({"target": target, "subject": subject, "context": context});
    let suite =
        json!({"bundle": bundle, "tests": [{"name": "asked", "check": check, "expect": {"error": "x"}}]});
    let file = "suite".into();
    let mut suites = suite::read(&suite.to_string(), &file, &Limits::default())
        .unwrap_or_else(|problems| panic!("{problems:?} in {suite}"));
    let suite = suites.remove(0);
    let BundleSource::Inline(resources) = suite.bundle else { panic!("no bundle") };
    let request = suite.cases.into_iter().next().unwrap().0.check.unwrap();
    (resources.into_iter().map(|(resource, _)| resource).collect(), request)
}
