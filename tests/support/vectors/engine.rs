//! Engine vectors: one target with its bindings. Those of policy kinds and of expressions have the same form.

use super::{Ask, Case, Messages, Plan, Vector, config, items, question, rules, text};
use crate::support::make::{resource, target};
use bindery::proto::v1;
use bindery::proto::v1::resource::Resource as R;
use bindery::proto::v1::target_ref::Target as T;

pub(super) fn case(vector: &Vector) -> Case {
    let json = &vector.json;
    let bindings = items(&json["bindings"]);
    let slug = json["target"]["slug"].as_str().unwrap_or("t");
    let application = target(T::Application(slug.into()));
    let empty_result = json["empty_result"].as_bool();
    let mut resources = config::base(vector);
    resources.push(config::application(slug, &json["target"], empty_result));
    resources.extend(config::bindings(&json["bindings"], &application, "b"));

    if json["tags"].as_array().unwrap().iter().any(|tag| tag == "malformed") {
        let sides = |index: &usize| bindings[*index]["subject"].as_object().unwrap().len();
        let wrong = (0..bindings.len()).filter(|index| sides(index) != 1);
        let refused = wrong.map(|index| config::binding_id("b", index)).collect();
        return Case { plans: vec![Plan { resources, refused, asks: Vec::new() }], skipped: None };
    }

    let expected = rules::engine(vector);
    let sources = expected.sources.iter();
    let sources: Vec<_> = sources
        .map(|(index, passing, messages)| (config::binding_id("b", *index), *passing, messages.clone()))
        .collect();
    let context = question::context(vector, &json["request"]);
    let mut asks = Vec::new();
    for subject in question::subjects(vector, text(&json["request"]["user"])) {
        let what = if subject.user_id.is_empty() { "asked by username" } else { "asked by id" };
        let request = question::ask(&application, Some(subject), context.clone(), v1::Scope::WithParents);
        let explained = v1::CheckRequest { explain: v1::ExplainLevel::Full.into(), ..request.clone() };
        for request in [request, explained] {
            asks.push(Ask {
                what,
                request,
                passing: expected.passing,
                messages: Messages::These(expected.messages.clone()),
                reason: None,
                sources: sources.clone(),
            });
        }
    }
    with_reputation(vector, resources, asks)
}

/// Reputation rows come with the configuration or with the question, and the answer is the same.
fn with_reputation(vector: &Vector, resources: Vec<v1::Resource>, asks: Vec<Ask>) -> Case {
    let scores = config::reputation(vector);
    if scores.is_empty() {
        return Case::plan(resources, asks);
    }
    let given = |ask: &Ask| {
        let mut request = ask.request.clone();
        let context = request.context.get_or_insert_default();
        context.reputation = Some(v1::ReputationScores { scores: scores.clone() });
        Ask {
            what: "with reputation rows in the question",
            request,
            passing: ask.passing,
            messages: match &ask.messages {
                Messages::These(messages) => Messages::These(messages.clone()),
                Messages::NotCompared | Messages::Joined(_) => Messages::NotCompared,
            },
            reason: ask.reason,
            sources: ask.sources.clone(),
        }
    };
    let with_question = asks.iter().map(given).collect();
    let with_configuration = resources
        .iter()
        .cloned()
        .chain(scores.iter().map(|score| resource(R::ReputationScore(score.clone()))))
        .collect();
    let plan = |resources, asks| Plan { resources, refused: Vec::new(), asks };
    Case { plans: vec![plan(with_configuration, asks), plan(resources, with_question)], skipped: None }
}
