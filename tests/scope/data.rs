//! Cases, snippets, and what they give.

use bindery::sync::yaml::{self, Content, Limits, Node, Scalar};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scope")
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A YAML file as JSON.
pub(crate) fn json(name: &str) -> Json {
    let documents = yaml::parse(&read(name), &Limits::default())
        .unwrap_or_else(|error| panic!("{name}, line {}: {error}", error.line));
    value(&documents[0])
}

fn value(node: &Node) -> Json {
    match (&node.content, node.scalar()) {
        (Content::Sequence(items), _) => items.iter().map(value).collect(),
        (Content::Mapping(entries), _) => {
            entries.iter().map(|(key, item)| (key.text().unwrap().to_owned(), value(item))).collect()
        }
        (_, Some(Scalar::Bool(truth))) => truth.into(),
        (_, Some(Scalar::Int(number))) => number.into(),
        (_, Some(Scalar::Float(number))) => number.into(),
        (_, Some(Scalar::Text(text))) => text.into(),
        _ => Json::Null,
    }
}

fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key).map(|text| text.as_str().unwrap_or_else(|| panic!("{key} is no text: {json}")).to_owned())
}

/// One body, one question, and what comes of it.
#[derive(Debug)]
pub(crate) struct Case {
    /// The first cell of the row that it is a case of.
    pub(crate) row: String,
    pub(crate) file: String,
    pub(crate) body: String,
    /// `subject`, `context` and `target`, as far as they are not the usual ones.
    pub(crate) question: Json,
    pub(crate) passes: bool,
    pub(crate) messages: Option<Vec<String>>,
    /// A part of the error's text.
    pub(crate) error: Option<String>,
    /// authentik does it, we do not.
    pub(crate) refused: bool,
    /// Both do it, differently.
    pub(crate) differs: bool,
}

/// The files with cases. Each is a mapping from rows to lists of cases; a case has a `body`, the question, and one of
/// `passes` (with `messages`), `raises` (as in authentik) and `refused` (an error only here).
const CASES: &[&str] = &[
    "request.yaml",
    "user.yaml",
    "groups.yaml",
    "http.yaml",
    "context.yaml",
    "functions.yaml",
    "addresses.yaml",
    "imports.yaml",
    "published.yaml",
];

pub(crate) fn cases() -> Vec<Case> {
    let cases = cases_of(CASES);
    assert!(cases.iter().all(|case| !case.body.is_empty()), "a case has no body");
    cases
}

/// The cases of these files.
pub(crate) fn cases_of(files: &[&str]) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in files {
        let Json::Object(rows) = json(file) else { panic!("{file} is no mapping") };
        for (row, list) in rows {
            for json in list.as_array().unwrap_or_else(|| panic!("{row} has no list")) {
                cases.push(case(file, &row, json));
            }
        }
    }
    cases
}

fn case(file: &str, row: &str, json: &Json) -> Case {
    const KEYS: &[&str] = &[
        "body", "subject", "context", "target", "users", "passes", "messages", "raises", "refused", "differs",
    ];
    let map = json.as_object().unwrap_or_else(|| panic!("{row}: a case is a mapping"));
    if let Some(unknown) = map.keys().find(|key| !KEYS.contains(&key.as_str())) {
        panic!("{row}: `{unknown}` is no key of a case");
    }
    let (raises, refused) = (text(json, "raises"), text(json, "refused"));
    let messages = json["messages"].as_array().map(|list| {
        list.iter().map(|text| text.as_str().unwrap_or_else(|| panic!("{row}: {text}")).to_owned()).collect()
    });
    let question: Map<String, Json> = map
        .iter()
        .filter(|(key, _)| KEYS[1..5].contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    let outcomes = [json.get("passes").is_some(), raises.is_some(), refused.is_some()];
    assert_eq!(outcomes.iter().filter(|set| **set).count(), 1, "{row}: one outcome is expected: {json}");
    Case {
        row: row.to_owned(),
        file: file.to_owned(),
        body: text(json, "body").unwrap_or_default(),
        question: Json::Object(question),
        passes: json["passes"] == true,
        messages,
        refused: refused.is_some(),
        error: raises.or(refused),
        differs: json.get("differs").is_some(),
    }
}

/// A piece of pure Python: the body of a function.
pub(crate) struct Snippet {
    pub(crate) name: String,
    /// The row of the docs that it belongs to, if any.
    pub(crate) row: Option<String>,
    body: String,
}

impl Snippet {
    /// A policy whose message tells the value that the snippet gives, or its exception.
    pub(crate) fn told(&self) -> String {
        let body: String = self.body.lines().map(|line| format!("    {line}\n")).collect();
        format!(
            "def snippet():\n{body}\ntry:\n    ak_message(repr(snippet()))\nexcept Exception as error:\n    \
             ak_message('! ' + type(error).__name__ + ': ' + str(error))\nreturn True\n"
        )
    }
}

/// `snippets.txt`: lines `=== name` or `=== name | row` and a body below each.
pub(crate) fn snippets() -> Vec<Snippet> {
    let text = read("snippets.txt");
    let (_, all) = text.split_once("\n=== ").unwrap();
    all.split("\n=== ")
        .map(|one| {
            let (head, body) = one.split_once('\n').unwrap();
            let (name, row) = match head.split_once(" | ") {
                Some((name, row)) => (name, Some(row.to_owned())),
                None => (head, None),
            };
            Snippet { name: name.to_owned(), row, body: body.to_owned() }
        })
        .collect()
}

/// What CPython 3.11 makes of each snippet.
pub(crate) fn expected() -> BTreeMap<String, String> {
    serde_json::from_str(&read("expected.json")).unwrap()
}

/// A snippet that gives something else here.
pub(crate) struct Difference {
    /// The row of the docs that says why.
    pub(crate) row: String,
    /// What it gives here.
    pub(crate) here: String,
}

impl Difference {
    /// Whether it does not run here at all.
    pub(crate) fn is_error(&self) -> bool {
        self.here.starts_with('!')
    }
}

/// `differences.yaml`: a mapping from rows to mappings from snippets to what they give.
pub(crate) fn differences() -> BTreeMap<String, Difference> {
    let Json::Object(rows) = json("differences.yaml") else { panic!("no mapping") };
    let mut found = BTreeMap::new();
    for (row, snippets) in rows {
        for (name, here) in snippets.as_object().unwrap_or_else(|| panic!("{row} has no mapping")) {
            let here = here.as_str().unwrap_or_else(|| panic!("{name}: {here}")).to_owned();
            assert!(
                found.insert(name.clone(), Difference { row: row.clone(), here }).is_none(),
                "{name} twice"
            );
        }
    }
    found
}
