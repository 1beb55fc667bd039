//! Lines of the decision log, as JSON.
//!
//! Must not know: where they go.

use super::queue::{Entry, Lost};
use super::{Outcome, Record};
use crate::model::{Question, Value};
use crate::telemetry::labels::Label as _;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde::ser::{SerializeMap as _, Serializer};
use serde_json::{Map, Value as Json, json};
use std::time::SystemTime;

/// What stands where something is masked.
const MASK: &str = "***";

/// What a line holds of a question beside who asked for what. By default nothing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// The username.
    pub username: bool,
    /// The client's address.
    pub client_ip: bool,
    /// Method, host, path and headers of the request.
    pub http: bool,
    /// The free values of the context.
    pub context: bool,
}

/// Paths to what is not shown, such as `http.headers.cookie`; `*` is any name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks(Vec<Vec<String>>);

impl Masks {
    /// Reads paths.
    ///
    /// # Errors
    /// When one is empty or has an empty name.
    pub fn new(paths: &[String]) -> Result<Self, String> {
        let read = |path: &String| {
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            if names.iter().any(String::is_empty) {
                return Err(format!(
                    "decision_log.mask: `{path}` is no path; write names with dots, such as http.headers.cookie"
                ));
            }
            Ok(names)
        };
        Ok(Self(paths.iter().map(read).collect::<Result<_, _>>()?))
    }

    fn apply(&self, line: &mut Line) {
        for path in &self.0 {
            let Some((first, rest)) = path.split_first() else { continue };
            for (_, value) in line.0.iter_mut().filter(|(name, _)| first == "*" || name == first) {
                mask(value, rest);
            }
        }
    }
}

fn mask(value: &mut Json, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        *value = Json::String(MASK.to_owned());
        return;
    };
    match value {
        Json::Object(map) => {
            map.iter_mut()
                .filter(|(name, _)| first == "*" || *name == first)
                .for_each(|(_, it)| mask(it, rest));
        }
        Json::Array(items) if first == "*" => items.iter_mut().for_each(|it| mask(it, rest)),
        _ => {}
    }
}

/// One line: names and values in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line(Vec<(&'static str, Json)>);

impl Serialize for Line {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Line {
    fn add(&mut self, name: &'static str, value: impl Into<Json>) {
        self.0.push((name, value.into()));
    }
}

/// How lines are made.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Which log it is: another one with each start of a process.
    pub(super) log: String,
    pub(super) include: Include,
    pub(super) masks: Masks,
}

impl Form {
    /// The first line.
    pub(super) fn start(&self, to: &mut Vec<u8>) {
        let mut line = Line::default();
        line.add("log", self.log.as_str());
        let start = json!({"version": env!("CARGO_PKG_VERSION"), "time": rfc3339(SystemTime::now())});
        line.add("start", start);
        write(&line, to);
    }

    /// The line of a record, or of records that are lost.
    pub(super) fn entry(&self, entry: &Entry, to: &mut Vec<u8>) {
        let mut line = Line::default();
        line.add("log", self.log.as_str());
        match entry {
            Entry::Record { sequence, left_out, record } => {
                line.add("sequence", *sequence);
                if *left_out > 0 {
                    line.add("left_out", *left_out);
                }
                self.record(&mut line, *sequence, record);
                self.masks.apply(&mut line);
            }
            Entry::Lost(lost) => {
                let Lost { from, to, reason, left_out } = *lost;
                let mut lost =
                    json!({"from": from, "to": to, "count": to - from + 1, "reason": reason.word()});
                if let (true, Json::Object(lost)) = (left_out > 0, &mut lost) {
                    lost.insert("left_out".to_owned(), left_out.into());
                }
                line.add("lost", lost);
            }
        }
        write(&line, to);
    }

    fn record(&self, line: &mut Line, sequence: u64, record: &Record) {
        line.add("time", rfc3339(record.time));
        match record.decision_id.as_str() {
            "" => line.add("decision_id", format!("{}{sequence:016x}", self.log)),
            id => line.add("decision_id", id),
        }
        if let Some(trace) = &record.trace_id {
            line.add("trace_id", trace.as_str());
        }
        line.add("door", record.door.word());
        line.add("revision", record.revision);
        line.add("epoch", format!("{:016x}", record.epoch));
        line.add("stale", record.stale);
        if let Some(target) = &record.target {
            line.add("target", json!({"kind": target.kind().name(), "name": target.name()}));
        }
        let mut subject = Map::new();
        if let Some(id) = &record.subject_id {
            subject.insert("id".to_owned(), json!(id));
        }
        if let Some(name) = record.username.as_ref().filter(|_| self.include.username) {
            subject.insert("username".to_owned(), json!(name));
        }
        subject.insert("known".to_owned(), json!(record.known));
        if record.anonymous {
            subject.insert("anonymous".to_owned(), json!(true));
        }
        line.add("subject", subject);
        let outcome = match record.outcome {
            Outcome::Answered(answer) => answer.word(),
            Outcome::Error => "error",
        };
        line.add("outcome", outcome);
        if let Some(reason) = record.reason {
            line.add("reason", reason);
        }
        if let Some(binding) = &record.deciding_binding {
            line.add("deciding_binding", binding.to_string());
        }
        if !record.messages.is_empty() {
            line.add("messages", record.messages.as_slice());
        }
        line.add("duration_us", u64::try_from(record.took.as_micros()).unwrap_or(u64::MAX));
        if let Some(question) = &record.question {
            self.question(line, question);
        }
    }

    fn question(&self, line: &mut Line, question: &Question) {
        let context = &question.context;
        if let Some(address) = context.client_ip.filter(|_| self.include.client_ip) {
            line.add("client_ip", address.to_string());
        }
        if let Some(http) = context.http.as_ref().filter(|_| self.include.http) {
            line.add(
                "http",
                json!({"method": http.method, "host": http.host, "path": http.path, "headers": http.headers}),
            );
        }
        if self.include.context && context.values != Value::Null {
            line.add("context", plain(&context.values));
        }
    }
}

fn write(line: &Line, to: &mut Vec<u8>) {
    // Into memory, and with names that are text: nothing can go wrong.
    if serde_json::to_writer(&mut *to, line).is_ok() {
        to.push(b'\n');
    }
}

fn rfc3339(time: SystemTime) -> String {
    DateTime::<Utc>::from(time).to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// A value as JSON; whole numbers without a fraction.
fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => json!(*number as i64),
        Value::Number(number) => json!(number),
        Value::String(text) => json!(text),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(map) => map.iter().map(|(name, value)| (name.to_string(), plain(value))).collect(),
    }
}
