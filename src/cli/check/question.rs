//! The question of `bindery check`, from arguments or a file.
//!
//! Must not know: who is asked.

use super::Trouble;
use crate::model::{TargetKind, TargetRef};
use crate::proto::resource::target_ref;
use crate::proto::v1;
use crate::sync::origin::{FileProblem, Origin};
use crate::sync::source;
use crate::sync::{bundle, yaml};
use clap::Args;
use prost_types::value::Kind;
use prost_types::{Struct, Timestamp, Value};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// The question.
#[derive(Args, Debug)]
#[command(next_help_heading = "The question")]
pub(in crate::cli) struct QuestionArgs {
    /// What is asked about, such as application/grafana
    #[arg(value_name = "TARGET", conflicts_with = "request")]
    pub(in crate::cli) target: Option<TargetRef>,

    #[command(flatten)]
    about: AboutArgs,

    /// Ask for the target's own bindings only, without what it leans on
    #[arg(long)]
    target_alone: bool,
}

/// Who is asked about, and what else is known.
#[derive(Args, Debug)]
#[command(next_help_heading = "The question")]
pub(in crate::cli) struct AboutArgs {
    /// Who is asked about, by username
    #[arg(long, value_name = "NAME", conflicts_with_all = ["user_id", "anonymous"])]
    user: Option<String>,

    /// Who is asked about, by id
    #[arg(long, value_name = "ID", conflicts_with = "anonymous")]
    user_id: Option<String>,

    /// Ask about somebody who is not signed in
    #[arg(long)]
    anonymous: bool,

    /// E-mail address, which policies see; it identifies nobody
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// Name of a group to vouch for, which counts for users whom the directory does not know; may be given several
    /// times
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,

    /// Id of a group to vouch for; may be given several times
    #[arg(long, value_name = "ID")]
    group_id: Vec<String>,

    /// Attribute of the subject; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    attribute: Vec<Entry>,

    /// Vouch for a superuser
    #[arg(long)]
    superuser: bool,

    /// The client's address
    #[arg(long, value_name = "IP", value_parser = ip)]
    client_ip: Option<IpAddr>,

    /// A value of the context; may be given several times
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    context: Vec<Entry>,

    /// File with a JSON object of context values; --context counts more than it
    #[arg(long, value_name = "FILE")]
    context_json: Option<PathBuf>,

    /// The moment to decide for, such as 2026-06-15T09:00:00Z [default: now]
    #[arg(long, value_name = "MOMENT", value_parser = moment)]
    time: Option<Timestamp>,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) struct Entry {
    pub(in crate::cli) key: String,
    pub(in crate::cli) value: Value,
}

/// Reads KEY=VALUE or KEY=@JSON.
pub(in crate::cli) fn entry(text: &str) -> Result<Entry, String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("`{text}` is no value with a key; write KEY=VALUE, or KEY=@JSON"))?;
    let value = match value.strip_prefix('@') {
        None => Value { kind: Some(Kind::StringValue(value.to_owned())) },
        Some(json) => {
            let json = serde_json::from_str(json)
                .map_err(|error| format!("`{json}` is not JSON: {error}; without the @ it is a text"))?;
            from_json(json)
        }
    };
    Ok(Entry { key: key.to_owned(), value })
}

fn ip(text: &str) -> Result<IpAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no IP address; write one such as 192.0.2.10 or 2001:db8::1"))
}

fn moment(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| format!("`{text}` is no moment; write one such as 2026-06-15T09:00:00Z"))
}

fn from_json(json: serde_json::Value) -> Value {
    use serde_json::Value as Json;
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(truth),
        // All numbers of free data are doubles, as in the protobuf JSON mapping.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => {
            Kind::ListValue(prost_types::ListValue { values: items.into_iter().map(from_json).collect() })
        }
        Json::Object(entries) => Kind::StructValue(fields(entries)),
    };
    Value { kind: Some(kind) }
}

fn fields(entries: serde_json::Map<String, serde_json::Value>) -> Struct {
    Struct { fields: entries.into_iter().map(|(key, value)| (key, from_json(value))).collect() }
}

/// Adds entries to free data; none at all is absent.
fn data(option: &str, mut data: Struct, entries: Vec<Entry>) -> Result<Option<Struct>, Trouble> {
    let mut given = BTreeMap::new();
    for Entry { key, value } in entries {
        if given.contains_key(&key) {
            return Err(Trouble::question(format!("--{option}: the key `{key}` is given twice; remove one")));
        }
        given.insert(key, value);
    }
    data.fields.extend(given);
    Ok((!data.fields.is_empty()).then_some(data))
}

impl QuestionArgs {
    /// The question of the arguments.
    pub(in crate::cli) fn request(self) -> Result<v1::CheckRequest, Trouble> {
        let target = self.target.ok_or_else(|| Trouble::question("say what is asked about"))?;
        let nobody = self.about.is_about_nobody();
        let from_event = target.kind() == TargetKind::NotificationRule;
        if nobody && from_event {
            let text = "a notification rule is asked about an event, which only --request FILE can give; write the \
                        event there under `context`";
            return Err(Trouble::question(text));
        }
        if nobody {
            let text = "say who is asked about: --user NAME, --user-id ID or --anonymous";
            return Err(Trouble::question(text));
        }
        let scope = if self.target_alone { v1::Scope::TargetAlone } else { v1::Scope::WithParents };
        let request = self.about.request()?;
        Ok(v1::CheckRequest { target: Some(target_ref(&target)), scope: scope.into(), ..request })
    }
}

impl AboutArgs {
    /// Whether nobody is named, not even the anonymous subject.
    pub(in crate::cli) fn is_about_nobody(&self) -> bool {
        self.user.is_none() && self.user_id.is_none() && !self.anonymous
    }

    /// The question without its target. When nobody is named it is about the anonymous subject.
    pub(in crate::cli) fn request(self) -> Result<v1::CheckRequest, Trouble> {
        let anonymous = self.anonymous || self.is_about_nobody();
        let subject = v1::Subject {
            user_id: self.user_id.unwrap_or_default(),
            username: self.user.unwrap_or_default(),
            email: self.email.unwrap_or_default(),
            group_ids: self.group_id,
            group_names: self.group,
            attributes: data("attribute", Struct::default(), self.attribute)?,
            is_superuser: self.superuser,
            anonymous,
            ..Default::default()
        };
        let values = self.context_json.map(context_file).transpose()?.unwrap_or_default();
        let context = v1::Context {
            client_ip: self.client_ip.map(|ip| ip.to_string()).unwrap_or_default(),
            time: self.time,
            values: data("context", values, self.context)?,
            ..Default::default()
        };
        Ok(v1::CheckRequest { subject: Some(subject), context: Some(context.into()), ..Default::default() })
    }
}

/// The question of a file.
pub(super) fn from_file(path: PathBuf) -> Result<v1::CheckRequest, Trouble> {
    let trouble = |problems: Vec<FileProblem>| unread("the question cannot be read", &problems);
    let (name, text) = read(path)?;
    let documents = source::documents(&name, &text, &yaml::Limits::default())
        .map_err(|problem| trouble(vec![problem]))?;
    match documents.as_slice() {
        [document] => bundle::message(document, "bindery.v1.CheckRequest", &name).map_err(trouble),
        _ => {
            let message = format!("has {} documents; write one question", documents.len());
            Err(trouble(vec![FileProblem { origin: Origin { file: name.clone(), line: 1 }, message }]))
        }
    }
}

fn context_file(path: PathBuf) -> Result<Struct, Trouble> {
    let (name, text) = read(path)?;
    serde_json::from_str(&text).map(fields).map_err(|error| {
        let origin = Origin { file: name, line: error.line().max(1) };
        let message = format!("is no JSON object: {error}");
        unread("the context cannot be read", &[FileProblem { origin, message }])
    })
}

fn read(path: PathBuf) -> Result<source::TextFile, Trouble> {
    let (mut files, problems) = source::read_files(&[path]);
    match files.pop() {
        Some(file) if problems.is_empty() && files.is_empty() => Ok(file),
        None => Err(unread("the file cannot be read", &problems)),
        Some(_) => Err(Trouble::question("name one file, not a directory")),
    }
}

fn unread(what: &str, problems: &[FileProblem]) -> Trouble {
    Trouble::files(what, problems.iter().map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        question: QuestionArgs,
        #[arg(long)]
        request: Option<PathBuf>,
    }

    fn request(arguments: &[&str]) -> Result<v1::CheckRequest, String> {
        let parsed = Alone::try_parse_from([&["check"], arguments].concat()).unwrap();
        parsed
            .question
            .request()
            .map_err(|trouble| [trouble.problems, vec![trouble.error.message]].concat().join("\n"))
    }

    #[test]
    fn values_are_texts_or_json() {
        let kind = |text| entry(text).map(|entry| entry.value.kind.unwrap());
        assert_eq!(kind("a=1"), Ok(Kind::StringValue("1".into())));
        assert_eq!(kind("a="), Ok(Kind::StringValue(String::new())));
        assert_eq!(kind("a=b=c"), Ok(Kind::StringValue("b=c".into())));
        assert_eq!(kind("a=@1"), Ok(Kind::NumberValue(1.0)));
        assert_eq!(kind("a=@null"), Ok(Kind::NullValue(0)));
        assert_eq!(kind("a=@\"@x\""), Ok(Kind::StringValue("@x".into())));
        let Ok(Kind::StructValue(data)) = kind("a=@{\"b\": [true]}") else { panic!() };
        assert!(matches!(data.fields["b"].kind, Some(Kind::ListValue(_))));
        assert!(kind("a=@{").unwrap_err().contains("`{` is not JSON"));
        assert!(kind("=x").unwrap_err().contains("write KEY=VALUE"));
    }

    #[test]
    fn every_argument_arrives() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"a\": 1, \"b\": 2}").unwrap();
        let request = request(&[
            "entitlement/grafana/editor",
            "--user=ada",
            "--email=a@b",
            "--group=x",
            "--group=y",
            "--group-id=7",
            "--attribute=k=v",
            "--superuser",
            "--client-ip=2001:DB8::1",
            "--context=a=@3",
            "--context-json",
            file.path().to_str().unwrap(),
            "--time=2026-06-15T09:00:00Z",
            "--target-alone",
        ])
        .unwrap();
        let json = proto::to_json("bindery.v1.CheckRequest", &request).unwrap();
        let expected = serde_json::json!({
            "target": {"entitlement": {"application": "grafana", "name": "editor"}},
            "subject": {
                "username": "ada", "email": "a@b", "group_names": ["x", "y"], "group_ids": ["7"],
                "attributes": {"k": "v"}, "is_superuser": true,
            },
            "context": {"client_ip": "2001:db8::1", "values": {"a": 3.0, "b": 2.0}, "time": "2026-06-15T09:00:00Z"},
            "scope": "SCOPE_TARGET_ALONE",
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn targets_keep_their_text_form() {
        for kind in TargetKind::ALL {
            let target = target_ref(&TargetRef::Named(kind, "x".into()));
            let json = proto::to_json("bindery.v1.TargetRef", &target).unwrap();
            assert!(json.get(kind.name()).is_some(), "{json}");
        }
    }

    #[test]
    fn what_is_missing_or_twice_is_said() {
        for (arguments, part) in [
            (&["application/a"][..], "--user NAME, --user-id ID or --anonymous"),
            (&["notification_rule/a"], "only --request FILE"),
            (&["application/a", "--anonymous", "--context=a=1", "--context=a=2"], "`a` is given twice"),
            (&["application/a", "--anonymous", "--context-json=/no/such"], "cannot be read: "),
        ] {
            let error = request(arguments).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_file_gives_the_whole_question() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.yaml");
        std::fs::write(&path, "target: {application: a}\nsubject: {anonymous: true}\nscope: target_alone\n")
            .unwrap();
        assert_eq!(from_file(path.clone()).unwrap().scope(), v1::Scope::TargetAlone);
        for (text, part) in
            [("a: 1\n", "q.yaml:1: "), ("--- {}\n--- {}\n", "has 2 documents"), ("[", "q.yaml:")]
        {
            std::fs::write(&path, text).unwrap();
            let problems = from_file(path.clone()).unwrap_err().problems.join("\n");
            assert!(problems.contains(part), "{problems}");
        }
    }
}
