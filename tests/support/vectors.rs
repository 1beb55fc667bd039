//! The golden vectors: authentik's own decisions as data. Reads the files, turns each vector into configurations and
//! questions with what must come out, and asks somebody ([`Pdp`]) who claims to decide alike.
//!
//! What counts as alike, with every exception, is written in `tests/vectors/VECTORS.md`.

mod composites;
mod config;
mod engine;
pub(crate) mod planner;
mod question;
pub(crate) mod rules;
pub(crate) mod walk;

use crate::support::message::{Message, agree};
use bindery::proto::v1;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Vectors that bindery differs from on purpose beyond the exceptions of `VECTORS.md`, by the start of the name, with
/// the reason.
pub(crate) const ON_PURPOSE: &[(&str, &str)] = &[(
    "ge_hist_geo_empty_before_",
    "a sign-in has a place or none; an empty place, an error of the interpreter, cannot be synced",
)];

/// Who is held to the vectors.
pub(crate) trait Pdp {
    /// Takes the ranges of breached passwords that there are, by prefix.
    fn know_ranges(&mut self, _ranges: &[(String, String)]) {}
    /// Takes a whole configuration, or refuses it; then the ids of the bindings at fault are given.
    fn load(&mut self, resources: Vec<v1::Resource>) -> Result<(), Refusal>;
    /// Answers a question.
    fn ask(&self, request: &v1::CheckRequest) -> Result<Reply, Unanswered>;
}

/// Why a configuration was refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) bindings: Vec<String>,
    pub(crate) text: String,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Unanswered {
    /// An error.
    Error(String),
    /// The question takes what is not there on purpose.
    Beyond(&'static str),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) passing: bool,
    pub(crate) messages: Vec<Message>,
    /// Why, if it is known.
    pub(crate) reason: Option<v1::Reason>,
    /// Each binding by id, with its result and messages, if they are known.
    pub(crate) sources: Option<Vec<(String, bool, Vec<Message>)>>,
}

/// A vector, with what its file shares between all.
pub(crate) struct Vector {
    pub(crate) json: Json,
    pub(crate) name: String,
}

/// A file of vectors.
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) vectors: Vec<Vector>,
}

/// A configuration and what is asked of it.
pub(crate) struct Plan {
    pub(crate) resources: Vec<v1::Resource>,
    /// Not empty: the configuration must be refused, and these bindings be named.
    pub(crate) refused: Vec<String>,
    pub(crate) asks: Vec<Ask>,
}

/// A question and what must come out.
pub(crate) struct Ask {
    pub(crate) what: &'static str,
    pub(crate) request: v1::CheckRequest,
    pub(crate) passing: bool,
    pub(crate) messages: Messages,
    pub(crate) reason: Option<v1::Reason>,
    pub(crate) sources: Vec<(String, bool, Vec<Message>)>,
}

/// The messages that must come out.
pub(crate) enum Messages {
    NotCompared,
    These(Vec<Message>),
    /// As one text.
    Joined(String),
}

/// What is to be done for one vector: questions, and why something, or all of it, is not asked.
#[derive(Default)]
pub(crate) struct Case {
    pub(crate) plans: Vec<Plan>,
    pub(crate) skipped: Option<String>,
}

impl Case {
    pub(crate) fn skip(reason: String) -> Self {
        Self { plans: Vec::new(), skipped: Some(reason) }
    }

    pub(crate) fn plan(resources: Vec<v1::Resource>, asks: Vec<Ask>) -> Self {
        Self { plans: vec![Plan { resources, refused: Vec::new(), asks }], skipped: None }
    }
}

impl Vector {
    /// The list of this name: what the file shares, then the vector's own; of two of one id, the own one.
    pub(crate) fn list(&self, key: &str) -> Vec<Json> {
        let mut all: Vec<Json> = Vec::new();
        for item in
            [&self.json["shared"][key], &self.json[key]].into_iter().filter_map(Json::as_array).flatten()
        {
            all.retain(|earlier| earlier["id"] != item["id"]);
            all.push(item.clone());
        }
        all
    }

    /// An entry of the state that stands beside the configuration.
    pub(crate) fn state(&self, key: &str) -> &Json {
        let own = &self.json["state"][key];
        if own.is_null() { &self.json["shared"]["state"][key] } else { own }
    }

    /// The ranges of breached passwords of the state, by prefix.
    pub(crate) fn ranges(&self) -> Vec<(String, String)> {
        let ranges = self.state("hibp").as_object().into_iter().flatten();
        let lines = |lines: &Json| items(lines).iter().map(text).collect::<Vec<_>>().join("\r\n");
        ranges.map(|(prefix, answer)| (prefix.clone(), lines(answer))).collect()
    }

    /// The kind of a policy.
    pub(crate) fn kind_of(&self, policy: &str) -> String {
        let policies = self.list("policies");
        let policy = policies.iter().find(|candidate| candidate["id"] == policy).unwrap();
        text(&policy["kind"]).into()
    }

    /// What is to be done for this vector.
    pub(crate) fn case(&self) -> Case {
        if let Some((_, reason)) = ON_PURPOSE.iter().find(|(start, _)| self.name.starts_with(start)) {
            return Case::skip(format!("different on purpose: {reason}"));
        }
        let has = |key: &str| !self.json[key].is_null();
        if has("flow") {
            planner::case(self)
        } else if has("device") || has("entitlements") || has("notification_rule") || has("app") {
            composites::case(self)
        } else {
            engine::case(self)
        }
    }
}

/// A text that must be there.
pub(crate) fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_else(|| panic!("not a text: {json}"))
}

/// The items of a list that must be there.
pub(crate) fn items(json: &Json) -> &[Json] {
    json.as_array().unwrap_or_else(|| panic!("not a list: {json}"))
}

/// Where the vectors are, and whether that is where they belong.
pub(crate) fn directory() -> (PathBuf, bool) {
    match std::env::var_os("BINDERY_VECTORS") {
        Some(directory) => (directory.into(), false),
        None => (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), true),
    }
}

/// Every file of vectors there, in the order of names.
pub(crate) fn read() -> Vec<File> {
    let (directory, _) = directory();
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    paths.sort();
    paths.iter().map(|path| read_file(path)).collect()
}

fn read_file(path: &Path) -> File {
    let content: Json = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(content["format"], 1, "{}: a format that this test does not know", path.display());
    let vectors = items(&content["vectors"]).iter().map(|vector| {
        let mut json = vector.clone();
        json["shared"] = content["shared"].clone();
        Vector { name: text(&vector["name"]).to_owned(), json }
    });
    File { name: path.file_name().unwrap().to_string_lossy().into_owned(), vectors: vectors.collect() }
}

/// How often somebody agreed with the vectors of a file.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) agree: usize,
    pub(crate) differ: Vec<String>,
    pub(crate) skipped: BTreeMap<String, usize>,
}

impl Tally {
    /// The counts as a line.
    pub(crate) fn line(&self, file: &str) -> String {
        let mut line = format!("{file}: {} agree, {} differ", self.agree, self.differ.len());
        for (reason, count) in &self.skipped {
            write!(line, ", {count} skipped ({reason})").unwrap();
        }
        line
    }
}

/// Holds somebody to every vector of a file. One configuration replaces the other, so what stays behind shows.
pub(crate) fn hold<P: Pdp>(file: &File, new: impl Fn() -> P) -> Tally {
    let mut tally = Tally::default();
    let mut pdp = new();
    for vector in &file.vectors {
        let case = vector.case();
        if let Some(reason) = case.skipped {
            *tally.skipped.entry(reason).or_default() += 1;
        }
        if case.plans.is_empty() {
            continue;
        }
        let ranges = vector.ranges();
        pdp.know_ranges(&ranges);
        match case.plans.iter().try_for_each(|plan| follow(plan, &mut pdp)) {
            Ok(()) => tally.agree += 1,
            Err(Mismatch::Beyond(what)) => *tally.skipped.entry(format!("beyond: {what}")).or_default() += 1,
            Err(Mismatch::Differs(how)) => {
                let fresh = case.plans.iter().try_for_each(|plan| {
                    let mut pdp = new();
                    pdp.know_ranges(&ranges);
                    follow(plan, &mut pdp)
                });
                let only = if fresh.is_ok() { " (only after other configurations)" } else { "" };
                tally.differ.push(format!("{}{only}: {how}", vector.name));
            }
        }
    }
    tally
}

#[derive(Debug)]
pub(crate) enum Mismatch {
    Differs(String),
    Beyond(&'static str),
}

/// Has somebody take a configuration and answer all that is asked of it.
pub(crate) fn follow(plan: &Plan, pdp: &mut impl Pdp) -> Result<(), Mismatch> {
    let loaded = pdp.load(plan.resources.clone());
    match (loaded, plan.refused.is_empty()) {
        (Ok(()), true) => {}
        (Ok(()), false) => {
            return Err(Mismatch::Differs(format!("expected a refusal of {:?}, got none", plan.refused)));
        }
        (Err(refusal), true) => {
            return Err(Mismatch::Differs(format!("expected no refusal, got {}", refusal.text)));
        }
        (Err(refusal), false) => {
            return match plan.refused.iter().find(|id| !refusal.bindings.contains(id)) {
                None => Ok(()),
                Some(id) => Err(Mismatch::Differs(format!(
                    "expected a refusal that names binding `{id}`, got {}",
                    refusal.text
                ))),
            };
        }
    }
    plan.asks.iter().try_for_each(|ask| question_and_answer(ask, pdp))
}

fn question_and_answer(ask: &Ask, pdp: &impl Pdp) -> Result<(), Mismatch> {
    let differs = |expected: String, got: String| {
        Err(Mismatch::Differs(format!("{}\n    expected {expected}\n    got      {got}", ask.what)))
    };
    let reply = match pdp.ask(&ask.request) {
        Ok(reply) => reply,
        Err(Unanswered::Beyond(what)) => return Err(Mismatch::Beyond(what)),
        Err(Unanswered::Error(text)) => return differs("an answer".into(), format!("error {text}")),
    };
    if reply.passing != ask.passing {
        return differs(format!("passing {}", ask.passing), format!("{reply:?}"));
    }
    let agrees = match &ask.messages {
        Messages::NotCompared => true,
        Messages::These(messages) => agree(messages, &reply.messages),
        Messages::Joined(joined) => {
            let texts = reply.messages.iter().filter_map(|message| match message {
                Message::Text(text) => Some(text.as_str()),
                Message::Some | Message::Rest => None,
            });
            texts.collect::<Vec<_>>().join(", ") == *joined
        }
    };
    if !agrees {
        let expected = match &ask.messages {
            Messages::NotCompared => String::new(),
            Messages::These(messages) => format!("{messages:?}"),
            Messages::Joined(joined) => format!("{joined:?}"),
        };
        return differs(expected, format!("{:?}", reply.messages));
    }
    if let (Some(wanted), Some(found)) = (ask.reason, reply.reason)
        && wanted != found
    {
        return differs(format!("{wanted:?}"), format!("{found:?}"));
    }
    let Some(found) = &reply.sources else { return Ok(()) };
    for (id, passing, messages) in &ask.sources {
        let its = found.iter().find(|(candidate, ..)| candidate == id);
        if !its.is_some_and(|(_, result, said)| result == passing && agree(messages, said)) {
            return differs(format!("binding `{id}`: {passing}, {messages:?}"), format!("{its:?}"));
        }
    }
    Ok(())
}
