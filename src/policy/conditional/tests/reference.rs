//! A slow, obvious evaluator over the raw JSON of a program that is known to be right: it resolves each variable to
//! JSON, and compares JSON with JSON. It shares nothing with the compiled one but the moment's parser.

use super::super::time;
use super::{NOW, Setting};
use crate::model::{GroupRef, Timestamp};
use ipnet::IpNet;
use serde_json::Value as Json;
use std::net::IpAddr;

/// Why it ended early.
pub(super) enum End {
    Stop(bool),
    Missing,
}

pub(super) struct Reference<'a> {
    pub(super) setting: &'a Setting,
    pub(super) values: Json,
    pub(super) fail_missing: bool,
}

impl Reference<'_> {
    /// Pass or fail.
    pub(super) fn run(&mut self, program: &Json) -> bool {
        match self.actions(program["actions"].as_array().unwrap()) {
            Ok(()) => true,
            Err(End::Stop(passing)) => passing,
            Err(End::Missing) => false,
        }
    }

    fn actions(&mut self, actions: &[Json]) -> Result<(), End> {
        for action in actions.iter().filter(|action| action["enabled"] != false) {
            match action["type"].as_str().unwrap() {
                "condition" if !self.node(&action["condition"])? => return Err(End::Stop(false)),
                "condition" => {}
                "if" => {
                    let branch =
                        if self.node(&action["condition"])? { "then_actions" } else { "else_actions" };
                    self.actions(action[branch].as_array().map_or(&[], Vec::as_slice))?;
                }
                "set" => {
                    let new = match action["value"]["type"].as_str().unwrap() {
                        "literal" => Some(action["value"]["value"].clone()),
                        _ => self.variable(&action["value"]["variable"]),
                    };
                    let Some(new) = new else {
                        if self.fail_missing {
                            return Err(End::Missing);
                        }
                        continue;
                    };
                    let (key, param) =
                        (&action["target"]["key"], action["target"]["param"].as_str().unwrap());
                    if key == "plan.context" {
                        self.values[param] = new;
                    } else {
                        if !self.values["prompt_data"].is_object() {
                            self.values["prompt_data"] = Json::Object(Default::default());
                        }
                        self.values["prompt_data"][param] = new;
                    }
                }
                _ => return Err(End::Stop(action["result"] == "pass")),
            }
        }
        Ok(())
    }

    fn node(&self, node: &Json) -> Result<bool, End> {
        if node["type"] == "group" {
            let mut passed = 0;
            let children = node["children"].as_array().unwrap();
            for (index, child) in children.iter().enumerate() {
                passed += usize::from(self.node(child)?);
                match node["op"].as_str().unwrap() {
                    "all" if passed <= index => return Ok(false),
                    "any" if passed > 0 => return Ok(true),
                    "none" if passed > 0 => return Ok(false),
                    _ => {}
                }
            }
            return Ok(node["op"] != "any");
        }
        let found = self.variable(&node["variable"]);
        match node["operator"].as_str().unwrap() {
            "is_set" => return Ok(found.is_some()),
            "is_not_set" => return Ok(found.is_none()),
            _ => {}
        }
        let other = match node["value"]["type"].as_str() {
            None => Some(Json::Null),
            Some("literal") => Some(node["value"]["value"].clone()),
            Some(_) => self.variable(&node["value"]["variable"]),
        };
        let (Some(found), Some(other)) = (found, other) else {
            return if self.fail_missing { Err(End::Missing) } else { Ok(false) };
        };
        let fold = node["options"]["case_sensitive"] == false;
        // Cast to text, a moment is compared as it is written.
        let is_text = node["variable"]["cast"] == "string";
        let holds = compare(node["operator"].as_str().unwrap(), &found, &other, fold, is_text);
        Ok(holds != (node["options"]["negate"] == true))
    }

    fn variable(&self, variable: &Json) -> Option<Json> {
        let user = self.setting.user.as_ref()?;
        let param = variable["param"].as_str().unwrap_or_default();
        let text = |text: &str| Some(Json::String(text.to_owned()));
        let found = match variable["key"].as_str().unwrap() {
            "user.email" => text(&user.email),
            "user.username" => text(&user.username),
            "user.type" => text(&user.kind),
            "user.id" => text(&user.id.to_string()),
            "user.is_active" => Some(Json::Bool(user.is_active)),
            "user.last_login" => user.last_login.map(|moment| Json::String(time::text(moment))),
            "user.groups" => {
                let names = user.groups.iter().map(|group| match group {
                    GroupRef::Id(name) | GroupRef::Name(name) => Json::String(name.to_string()),
                });
                Some(Json::Array(names.collect()))
            }
            "request.client_ip" => self.setting.context.client_ip.and_then(|it| text(&it.to_string())),
            "plan.context" => self.values.get(param).cloned(),
            "prompt_data" => self.values.get("prompt_data").and_then(|data| data.get(param)).cloned(),
            other => panic!("{other}"),
        };
        let found = found.filter(|found| !found.is_null())?;
        match variable["cast"].as_str() {
            None => Some(found),
            Some("string") => match found {
                Json::String(_) => Some(found),
                Json::Number(number) => text(&number.as_f64().unwrap().to_string()),
                _ => None,
            },
            Some("number") => number(&found).map(Json::from),
            Some("boolean") => match &found {
                Json::Bool(_) => Some(found),
                other => {
                    let other = other
                        .as_f64()
                        .map_or_else(|| other.as_str().unwrap_or("").to_lowercase(), |n| n.to_string());
                    ["true", "1", "false", "0"]
                        .contains(&&*other)
                        .then(|| Json::Bool(["true", "1"].contains(&&*other)))
                }
            },
            Some("datetime") => time::moment(found.as_str()?).and_then(|moment| text(&time::text(moment))),
            Some(_) => found.as_str()?.parse::<IpAddr>().ok().map(|_| found),
        }
    }
}

fn number(json: &Json) -> Option<f64> {
    match json {
        Json::Number(number) => number.as_f64(),
        Json::String(text) => text.trim().parse().ok().filter(|number: &f64| number.is_finite()),
        _ => None,
    }
}

fn moment(json: &Json) -> Timestamp {
    time::moment(json.as_str().unwrap()).unwrap()
}

/// Text without case: what a test's few letters need.
fn lower(json: &Json, fold: bool) -> String {
    let text =
        json.as_str().map_or_else(|| json.as_f64().map_or(String::new(), |n| n.to_string()), str::to_owned);
    if fold { text.replace('ß', "ss").to_lowercase() } else { text }
}

fn equal(a: &Json, b: &Json, fold: bool) -> bool {
    if let (Some(a), Some(b)) = (as_moment(a), as_moment(b)) {
        return a == b;
    }
    if a.is_number() {
        return number(a) == number(b);
    }
    if let (Some(a), Some(b)) = (as_address(a), as_address(b)) {
        return a == b;
    }
    lower(a, fold) == lower(b, fold)
}

fn as_moment(json: &Json) -> Option<Timestamp> {
    time::moment(json.as_str()?)
}

fn as_address(json: &Json) -> Option<IpAddr> {
    json.as_str()?.parse().ok()
}

fn order(a: &Json, b: &Json) -> std::cmp::Ordering {
    if a.is_number() {
        return number(a).unwrap().total_cmp(&number(b).unwrap());
    }
    moment(a).cmp(&moment(b))
}

fn has(list: &Json, item: &Json, fold: bool) -> bool {
    list.as_array().unwrap().iter().any(|one| equal(one, item, fold))
}

fn compare(operator: &str, a: &Json, b: &Json, fold: bool, is_text: bool) -> bool {
    let equal = |a: &Json, b: &Json, fold: bool| {
        if is_text { lower(a, fold) == lower(b, fold) } else { equal(a, b, fold) }
    };
    let (text, part) = (lower(a, fold), lower(b, fold));
    let length = a.as_array().map_or(0.0, |list| list.len() as f64);
    let items = b.as_array().map_or(&[][..], Vec::as_slice);
    match operator {
        "eq" => equal(a, b, fold),
        "ne" => !equal(a, b, fold),
        "in" => items.iter().any(|item| equal(a, item, fold)),
        "not_in" => !items.iter().any(|item| equal(a, item, fold)),
        "contains" => text.contains(&part),
        "starts_with" => text.starts_with(&part),
        "ends_with" => text.ends_with(&part),
        // Patterns of the test have no sign with a meaning but the anchor. They know pairs of letters, and not that one
        // letter can be two.
        "matches" => {
            let plain =
                |json: &Json| json.as_str().map(|text| if fold { text.to_lowercase() } else { text.into() });
            let (text, part) = (plain(a).unwrap_or_else(|| lower(a, fold)), plain(b).unwrap());
            match part.strip_prefix('^') {
                Some(start) => text.starts_with(start),
                None => text.contains(&part),
            }
        }
        "lt" => order(a, b).is_lt(),
        "lte" => order(a, b).is_le(),
        "gt" => order(a, b).is_gt(),
        "gte" => order(a, b).is_ge(),
        "between" => order(a, &items[0]).is_ge() && order(a, &items[1]).is_le(),
        "is_true" => a == true,
        "is_false" => a == false,
        "within_last" | "older_than" => {
            let span = time::span(b.as_str().unwrap()).unwrap();
            let age = NOW.nanoseconds_since(moment(a));
            (age <= span) == (operator == "within_last")
        }
        "in_network" => items
            .iter()
            .any(|net| net.as_str().unwrap().parse::<IpNet>().unwrap().contains(&as_address(a).unwrap())),
        "is_private" => as_address(a).unwrap().to_string().starts_with("10."),
        "is_global" => !as_address(a).unwrap().to_string().starts_with("10."),
        "has_item" => has(a, b, fold),
        "has_any" => items.iter().any(|item| has(a, item, fold)),
        "has_all" => items.iter().all(|item| has(a, item, fold)),
        "is_empty" => length == 0.0,
        "length_eq" => length == number(b).unwrap(),
        "length_gt" => length > number(b).unwrap(),
        "length_lt" => length < number(b).unwrap(),
        other => panic!("{other}"),
    }
}
