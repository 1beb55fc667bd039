//! What must come out of a vector.
//!
//! Mostly that is what its `expected` says. Where `VECTORS.md` tells that bindery decides otherwise, it is computed
//! anew, by the rules written there, from what the vector says of each policy.

use super::{Vector, items, text};
use crate::support::message::Message;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// What came of one binding set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) passing: bool,
    pub(crate) messages: Vec<Message>,
    /// How many bindings counted.
    pub(crate) counted: usize,
    /// Result and messages of each policy binding, by its place in the list.
    pub(crate) sources: Vec<(usize, bool, Vec<Message>)>,
}

/// One binding set of a vector, and for whom it is evaluated.
pub(crate) struct Set<'a> {
    pub(crate) vector: &'a Vector,
    pub(crate) mode: &'a str,
    pub(crate) bindings: &'a Json,
    /// An id, `anonymous` or `unsaved`.
    pub(crate) user: &'a str,
    pub(crate) empty_result: bool,
    /// Reads an error that is no policy error as authentik does: a fail, whatever the failure result.
    pub(crate) as_authentik: bool,
    /// What expressions see, where they are evaluated rather than looked up.
    pub(crate) seen: Option<&'a Seen>,
}

/// What an expression of a flow sees.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// The plan's context, as it was when the set's turn came.
    pub(crate) context: BTreeMap<String, Json>,
    /// What policies of the set put into the plan's context. It is in their own context from the next set on.
    pub(crate) kept: RefCell<BTreeMap<String, Json>>,
    /// How many stages the plan has, where there is one.
    pub(crate) stages: Option<usize>,
}

impl Seen {
    fn number(&self, key: &str) -> Option<f64> {
        self.context.get(key).and_then(Json::as_f64)
    }
}

/// The groups of a user, with all ancestors.
fn groups_of(vector: &Vector, user: &str) -> Vec<String> {
    let users = vector.list("users");
    let groups = vector.list("groups");
    let Some(user) = users.iter().find(|candidate| candidate["id"] == user) else { return Vec::new() };
    let mut mine: Vec<String> = items(&user["groups"]).iter().map(|group| text(group).to_owned()).collect();
    let mut next = 0;
    while next < mine.len() {
        let group = groups.iter().find(|group| group["id"] == mine[next].as_str()).unwrap();
        for parent in items(&group["parents"]) {
            if !mine.iter().any(|known| known == text(parent)) {
                mine.push(text(parent).to_owned());
            }
        }
        next += 1;
    }
    mine
}

/// Whether one of a user's groups makes superusers.
pub(crate) fn is_superuser(vector: &Vector, user: &str) -> bool {
    let mine = groups_of(vector, user);
    let groups = vector.list("groups");
    groups
        .iter()
        .any(|group| group["is_superuser"] == true && mine.iter().any(|id| group["id"] == id.as_str()))
}

impl Set<'_> {
    /// Evaluates the set by the rules of `VECTORS.md`. Results of expressions are taken from the vector's `sources`.
    pub(crate) fn evaluate(&self) -> Outcome {
        let policies = self.vector.list("policies");
        let mut bindings: Vec<(usize, &Json)> = items(self.bindings).iter().enumerate().collect();
        bindings.retain(|(_, binding)| binding["enabled"] == true);
        bindings.sort_by_key(|(_, binding)| binding["order"].as_i64());

        let mut results = Vec::new();
        let mut sources = Vec::new();
        for (index, binding) in &bindings {
            let Some(id) = binding["subject"]["policy"].as_str() else { continue };
            let policy = policies.iter().find(|policy| policy["id"] == id).unwrap();
            let (passing, messages) = self.policy(*index, binding, policy);
            results.push((passing, messages.clone()));
            sources.push((*index, passing, messages));
        }
        let counted = bindings.len();
        if let Some(passing) = self.memberships(&bindings) {
            results.push((passing, Vec::new()));
        }
        let passing = match (results.is_empty(), self.mode) {
            (true, _) => self.empty_result,
            (false, "any") => results.iter().any(|(passing, _)| *passing),
            (false, _) => results.iter().all(|(passing, _)| *passing),
        };
        let messages = results.into_iter().flat_map(|(_, messages)| messages).collect();
        Outcome { passing, messages, counted, sources }
    }

    /// The one result of all users and groups together, if there are any.
    fn memberships(&self, bindings: &[(usize, &Json)]) -> Option<bool> {
        let mine = groups_of(self.vector, self.user);
        let has_key = !["anonymous", "unsaved"].contains(&self.user);
        let mut total = 0;
        let mut passing = 0;
        for (_, binding) in bindings {
            let subject = &binding["subject"];
            let (user, group) = (subject["user"].as_str(), subject["group"].as_str());
            if subject["policy"].is_null() && (user.is_some() || group.is_some()) {
                total += 1;
            }
            let is_me = user.map(|user| user == self.user);
            let is_mine = group.map(|group| mine.iter().any(|known| known == group));
            let wanted = Some(binding["negate"] != true);
            if has_key && (is_me == wanted || is_mine == wanted) {
                passing += 1;
            }
        }
        match (total, passing) {
            (0, 0) => None,
            _ if self.mode == "any" => Some(passing > 0),
            _ => Some(passing == total),
        }
    }

    fn policy(&self, index: usize, binding: &Json, policy: &Json) -> (bool, Vec<Message>) {
        let failure_result = binding["failure_result"] == true;
        let message = || vec![Message::Text(text(&policy["message"]).to_owned())];
        match text(&policy["kind"]) {
            "dummy" => {
                let texts: Vec<&str> = items(&policy["messages"]).iter().map(text).collect();
                ((policy["result"] == true) != (binding["negate"] == true), Message::texts(&texts))
            }
            "raise" => (failure_result, message()),
            "raise_bare" => (failure_result, Message::texts(&[""])),
            "raise_other" if self.as_authentik => (false, message()),
            "raise_other" => (failure_result, message()),
            "expression" if self.seen.is_some() => {
                let (result, messages) = self.expression(text(&policy["body"]), self.seen.unwrap());
                match result {
                    Ok(passing) => (passing != (binding["negate"] == true), messages),
                    Err(error) => (failure_result, vec![error]),
                }
            }
            kind => {
                let sources = self.vector.json["expected"]["sources"].as_array().into_iter().flatten();
                let mut its = sources.filter(|source| source["binding"] == index);
                let source = its.next().unwrap_or_else(|| {
                    panic!("{}: nothing is said of the {kind} policy at {index}", self.vector.name)
                });
                (source["passing"] == true, said(policy, &source["messages"], ""))
            }
        }
    }
}

impl Set<'_> {
    /// One of the few expressions that flows are tried with: what it says, or its error.
    fn expression(&self, body: &str, seen: &Seen) -> (Result<bool, Message>, Vec<Message>) {
        let (mut messages, mut passing) = (Vec::new(), Ok(false));
        for line in body.lines() {
            let between = |start: &str, end: &str| line.strip_prefix(start)?.strip_suffix(end);
            let number = |text: &str| text.parse::<f64>().unwrap();
            let planned = || seen.stages.map(|stages| stages as f64);
            if line == "ak_message('n=' + str(context.get('n')))" {
                let n = seen.number("n").map_or("None".to_owned(), |n| n.to_string());
                messages.push(Message::Text(format!("n={n}")));
            } else if line == "ak_message(str(len(context['flow_plan'].bindings)))" {
                messages.push(Message::Text(seen.stages.unwrap().to_string()));
            } else if let Some(text) = between("ak_message('", "')") {
                messages.push(Message::Text(text.to_owned()));
            } else if let Some(text) = between("raise ValueError('", "')") {
                passing = Err(Message::Text(text.to_owned()));
            } else if line == "context['flow_plan'].context['mark'] = 7" {
                seen.kept.borrow_mut().insert("mark".into(), 7.into());
            } else if line == "return True" {
                passing = Ok(true);
            } else if line == "return request.user.is_authenticated" {
                passing = Ok(self.user != "anonymous");
            } else if line == "return context.get('flag', False)" {
                passing = Ok(seen.context.get("flag") == Some(&Json::Bool(true)));
            } else if let Some(name) = between("return request.user.username == '", "'") {
                let users = self.vector.list("users");
                let user = users.iter().find(|user| user["id"] == self.user);
                passing = Ok(user.is_some_and(|user| user["username"] == name));
            } else if let Some(name) = between("return ak_is_group_member(request.user, name='", "')") {
                let groups = self.vector.list("groups");
                let group = groups.iter().find(|group| group["name"] == name);
                let mine = groups_of(self.vector, self.user);
                passing = match self.user {
                    // Django's anonymous user has no such groups, and somebody who is not saved cannot have any.
                    "anonymous" | "unsaved" => Err(Message::Some),
                    _ => Ok(group.is_some_and(|group| mine.iter().any(|id| group["id"] == id.as_str()))),
                };
            } else if let Some(limit) = between("return context.get('n', 0) > ", "") {
                passing = Ok(seen.number("n").unwrap_or(0.0) > number(limit));
            } else if let Some(wanted) = between("return context.get('n') == ", "") {
                passing = Ok(seen.number("n") == Some(number(wanted)));
            } else if let Some(wanted) = between("return context.get('mark') == ", "") {
                passing = Ok(seen.number("mark") == Some(number(wanted)));
            } else if let Some(limit) = between(
                "return len(context['flow_plan'].bindings) > ",
                " if 'flow_plan' in context else True",
            ) {
                passing = Ok(planned().is_none_or(|stages| stages > number(limit)));
            } else if let Some(wanted) = between("return len(context['flow_plan'].bindings) == ", "") {
                passing = Ok(planned() == Some(number(wanted)));
            } else {
                panic!("{}: an expression that the rules do not know: {line}", self.vector.name);
            }
        }
        (passing, messages)
    }
}

/// The messages that a policy gave, as exact as they have to match.
///
/// Texts of the interpreter's errors may differ. A text is the interpreter's own when the vector says so, or, where
/// it does not say, when it is nothing that the expression says itself and looks like one of the interpreter's.
pub(crate) fn said(policy: &Json, messages: &Json, outcome_kind: &str) -> Vec<Message> {
    const INTERPRETER: &[&str] = &[
        " was never closed (",
        "not supported between instances of",
        "' object has no attribute '",
        " does not appear to be an IPv4 or IPv6 address",
        " is not defined",
        "can only concatenate ",
        "expected an indented block",
        "invalid syntax",
        "division by zero",
        "cannot pickle '",
    ];
    let texts: Vec<&str> = items(messages).iter().map(text).collect();
    match text(&policy["kind"]) {
        // An error that has no text has none here either.
        _ if !["", "ok"].contains(&outcome_kind) && texts == [""] => vec![Message::Text(String::new())],
        _ if !["", "ok"].contains(&outcome_kind) => vec![Message::Some],
        "expression" => {
            let own = |message: &str| INTERPRETER.iter().any(|part| message.contains(part));
            let message = |message: &&str| match own(message) && !text(&policy["body"]).contains(message) {
                true => Message::Some,
                false => Message::Text((*message).to_owned()),
            };
            texts.iter().map(message).collect()
        }
        // The first says that it is too weak, the others are suggestions.
        "password" if policy["check_zxcvbn"] == true && texts.first() == Some(&"Password is too weak.") => {
            vec![Message::Text(texts[0].to_owned()), Message::Rest]
        }
        _ => Message::texts(&texts),
    }
}

/// Whether authentik fails to hand an expression's value on; bindery has no such limit, and the value is truthy.
pub(crate) fn is_unpicklable(vector: &Vector) -> bool {
    ["expr_unpicklable_", "expr_yield_generator_"].iter().any(|start| vector.name.starts_with(start))
}

/// What must come out of an engine vector.
pub(crate) fn engine(vector: &Vector) -> Outcome {
    let json = &vector.json;
    let expected = &json["expected"];
    let policies = vector.list("policies");
    let bound: Vec<(&Json, &Json)> = items(&json["bindings"])
        .iter()
        .filter(|binding| binding["enabled"] == true)
        .filter_map(|binding| {
            let id = binding["subject"]["policy"].as_str()?;
            Some((binding, policies.iter().find(|policy| policy["id"] == id).unwrap()))
        })
        .collect();
    let counted = items(&json["bindings"]).iter().filter(|binding| binding["enabled"] == true).count();
    let alone = |passing, messages| Outcome { passing, messages, counted, sources: Vec::new() };
    let outcome_kind = json["outcome_kind"].as_str().unwrap_or_default();

    if is_unpicklable(vector) {
        let [(binding, _)] = bound[..] else { panic!("{}: one binding is expected", vector.name) };
        return alone(binding["negate"] != true, Vec::new());
    }
    if !expected["error"].is_null() || outcome_kind == "other_error" {
        let [(binding, _)] = bound[..] else { panic!("{}: one binding is expected", vector.name) };
        return alone(binding["failure_result"] == true, vec![Message::Some]);
    }
    if bound.iter().any(|(_, policy)| policy["kind"] == "raise_other") {
        return set(vector, false).evaluate();
    }
    let passing = expected["passing"] == true;
    if let [(_, policy)] = bound[..] {
        return alone(passing, said(policy, &expected["messages"], outcome_kind));
    }
    // Policies of other kinds stand beside the expressions: each message as exact as its own policy has it.
    if !expected["sources"].is_null() && bound.iter().any(|(_, policy)| policy["kind"] == "expression") {
        let by_rules = set(vector, false).evaluate();
        return Outcome { passing, ..by_rules };
    }
    let texts: Vec<&str> = items(&expected["messages"]).iter().map(text).collect();
    let mut outcome = alone(passing, Message::texts(&texts));
    for source in expected["sources"].as_array().into_iter().flatten() {
        // Those without a place are users and groups together, or an error of another kind, which was dealt with.
        let Some(index) = source["binding"].as_u64() else { continue };
        let messages: Vec<&str> = items(&source["messages"]).iter().map(text).collect();
        let index = index.try_into().unwrap();
        outcome.sources.push((index, source["passing"] == true, Message::texts(&messages)));
    }
    outcome
}

/// The binding set of an engine vector.
pub(crate) fn set(vector: &Vector, as_authentik: bool) -> Set<'_> {
    let json = &vector.json;
    Set {
        vector,
        mode: text(&json["target"]["mode"]),
        bindings: &json["bindings"],
        user: text(&json["request"]["user"]),
        empty_result: json["empty_result"].as_bool().unwrap_or(true),
        as_authentik,
        seen: None,
    }
}
