//! What is asked: questions from arguments or a file, encoded once for all calls.
//!
//! Must not know: how often and when they are sent.

use super::messages;
use crate::cli::check::question::QuestionArgs;
use crate::proto::{self, v1};
use crate::sync::source;
use crate::sync::{bundle, yaml};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use envoy_types::ext_authz::v3::pb::{Address, CheckRequest};
use envoy_types::pb::envoy::config::core::v3::{self as core, SocketAddress};
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Peer, Request};
use http::Uri;
use http::uri::PathAndQuery;
use prost::Message as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Questions that one batch may have.
const MOST_IN_A_BATCH: usize = 1_000;

/// How questions are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// One question a call
    Unary,
    /// Many questions a call
    Batch,
    /// One stream for each connection
    Stream,
    /// As Envoy asks, one request a call
    ExtAuthz,
    /// Ready-made messages, one a call, of any service that speaks gRPC
    Raw,
}

impl Mode {
    /// The mode as it is written.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Unary => "unary",
            Self::Batch => "batch",
            Self::Stream => "stream",
            Self::ExtAuthz => "ext_authz",
            Self::Raw => "raw",
        }
    }

    /// What is called. None: whoever asks has to say.
    const fn path(self) -> Option<&'static str> {
        match self {
            Self::Unary => Some("/bindery.v1.DecisionService/Check"),
            Self::Batch => Some("/bindery.v1.DecisionService/CheckBatch"),
            Self::Stream => Some("/bindery.v1.DecisionService/CheckStream"),
            Self::ExtAuthz => Some("/envoy.service.auth.v3.Authorization/Check"),
            Self::Raw => None,
        }
    }
}

/// What is asked, beside the arguments of a question.
#[derive(Args, Debug)]
#[command(next_help_heading = "What is asked")]
pub(super) struct AskArgs {
    /// How questions are put
    #[arg(long, value_enum, default_value_t = Mode::Unary)]
    pub(super) mode: Mode,

    /// Questions in a batch, at most 1,000
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    batch_size: usize,

    /// File of questions to use in turns, instead of one from arguments: bindery.v1.CheckRequest as JSON, one a line, or
    /// as YAML documents; with --mode ext-authz, one JSON object a line with url, method, headers, target, client_ip
    #[arg(long = "questions", id = "request", value_name = "FILE", conflicts_with_all = ["QuestionArgs", "AboutArgs"])]
    file: Option<PathBuf>,

    /// With --mode ext-authz: what the client wants
    #[arg(long, value_name = "URL", default_value = "http://bench.example/")]
    url: String,

    /// With --mode ext-authz: the client's method
    #[arg(long, value_name = "METHOD", default_value = "GET")]
    method: String,

    /// With --mode ext-authz: a header of the client's request; may be given several times
    #[arg(long, value_name = "NAME:VALUE")]
    header: Vec<String>,

    /// With --mode raw: what is called
    #[arg(long, value_name = "/PACKAGE.SERVICE/METHOD")]
    rpc: Option<String>,

    /// With --mode raw: file of requests to use in turns, as protobuf messages each of which follows its length, a varint
    #[arg(long, value_name = "FILE", conflicts_with_all = ["QuestionArgs", "AboutArgs", "request"])]
    messages: Option<PathBuf>,
}

/// The first question in full.
#[derive(Clone, Debug)]
pub(super) enum First {
    /// Of `DecisionService`.
    Check(Box<v1::CheckRequest>),
    /// Of Envoy's `Authorization`.
    Envoy(Box<CheckRequest>),
    /// Of some other service.
    Raw(Bytes),
}

/// What is sent.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    /// How it is sent.
    pub(super) mode: Mode,
    /// What is called.
    pub(super) path: PathAndQuery,
    /// Messages, used in turns. Never empty.
    pub(super) bodies: Vec<Bytes>,
    /// Questions in each.
    pub(super) each: u64,
    /// Different questions.
    pub(super) questions: usize,
    /// The first of them.
    pub(super) first: First,
}

/// A request of a client, as a line of a file tells it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    target: Option<String>,
    client_ip: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

/// Encodes what is asked.
///
/// # Errors
/// What is wrong with arguments or the file.
pub(super) fn prepare(ask: AskArgs, question: QuestionArgs) -> Result<Prepared, String> {
    let path = path(&ask)?;
    if let Some(file) = &ask.messages {
        let bodies = messages::read(file).map_err(|why| format!("messages: {why}"))?;
        let first = bodies.first().cloned().ok_or("messages: there are none in the file")?;
        let questions = bodies.len();
        return Ok(Prepared { mode: ask.mode, path, bodies, each: 1, questions, first: First::Raw(first) });
    }
    if ask.mode == Mode::ExtAuthz {
        let requests = match &ask.file {
            Some(path) => wanted(path)?,
            None => {
                let target = question.target.map(|target| target.to_string());
                let headers = ask.header.iter().map(|text| header(text)).collect::<Result<_, _>>()?;
                vec![envoy(Wanted { url: ask.url, method: ask.method, headers, target, client_ip: None })?]
            }
        };
        let first = requests.first().cloned().ok_or("questions: there are none in the file")?;
        return Ok(Prepared {
            mode: ask.mode,
            path,
            bodies: requests.iter().map(|request| request.encode_to_vec().into()).collect(),
            each: 1,
            questions: requests.len(),
            first: First::Envoy(Box::new(first)),
        });
    }
    let questions = match &ask.file {
        Some(path) => checks(path)?,
        None => vec![question.request().map_err(|trouble| told(trouble.told()))?],
    };
    let first = questions.first().cloned().ok_or("questions: there are none in the file")?;
    let (each, bodies) = if ask.mode == Mode::Batch {
        if !(1..=MOST_IN_A_BATCH).contains(&ask.batch_size) {
            return Err(format!("batch-size: {} is not from 1 to {MOST_IN_A_BATCH}", ask.batch_size));
        }
        (ask.batch_size, batches(&questions, ask.batch_size))
    } else {
        (1, questions.iter().map(|question| question.encode_to_vec().into()).collect())
    };
    Ok(Prepared {
        mode: ask.mode,
        path,
        bodies,
        each: each as u64,
        questions: questions.len(),
        first: First::Check(Box::new(first)),
    })
}

/// What is called. Whatever else only raw messages have is there with them, and nowhere else.
fn path(ask: &AskArgs) -> Result<PathAndQuery, String> {
    let raw = ask.mode == Mode::Raw;
    for (name, given) in [("rpc", ask.rpc.is_some()), ("messages", ask.messages.is_some())] {
        match (raw, given) {
            (true, false) => Err(format!("{name}: missing; --mode raw wants --rpc and --messages")),
            (false, true) => Err(format!("{name}: there is none but with --mode raw; give that as well")),
            _ => Ok(()),
        }?;
    }
    let path = ask.mode.path().or(ask.rpc.as_deref()).unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let wrong = || format!("rpc: `{path}` is no method; write /PACKAGE.SERVICE/METHOD");
    match parts.as_slice() {
        ["", service, method] if !service.is_empty() && !method.is_empty() && !method.contains('?') => {
            path.parse().map_err(|_| wrong())
        }
        _ => Err(wrong()),
    }
}

/// Batches that have every question at least once; the last goes on with the first questions.
fn batches(questions: &[v1::CheckRequest], size: usize) -> Vec<Bytes> {
    let mut turn = questions.iter().cycle();
    let batch = |_| {
        let checks = turn.by_ref().take(size).cloned().collect();
        v1::CheckBatchRequest { checks }.encode_to_vec().into()
    };
    (0..questions.len().div_ceil(size)).map(batch).collect()
}

fn told((message, problems): (String, Vec<String>)) -> String {
    if problems.is_empty() { message } else { format!("{message}: {}", problems.join("; ")) }
}

fn read(path: &Path) -> Result<source::TextFile, String> {
    let (mut files, problems) = source::read_files(&[path.to_owned()]);
    match files.pop() {
        Some(file) if problems.is_empty() && files.is_empty() => Ok(file),
        None => {
            let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
            Err(format!("questions: the file cannot be read: {}", problems.join("; ")))
        }
        Some(_) => Err("questions: name one file, not a directory".to_owned()),
    }
}

/// The lines that hold something, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .map(str::trim)
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.is_empty())
}

fn checks(path: &Path) -> Result<Vec<v1::CheckRequest>, String> {
    let (name, text) = read(path)?;
    let wrong = |line: usize, why: String| format!("{name}:{line}: {why}");
    if lines(&text).all(|(_, line)| line.starts_with('{') && line.ends_with('}')) {
        return lines(&text)
            .map(|(number, line)| {
                let json = serde_json::from_str(line).map_err(|error| wrong(number, error.to_string()))?;
                proto::from_json("bindery.v1.CheckRequest", json).map_err(|error| wrong(number, error))
            })
            .collect();
    }
    let documents =
        source::documents(&name, &text, &yaml::Limits::default()).map_err(|problem| problem.to_string())?;
    let message = |document| {
        bundle::message(document, "bindery.v1.CheckRequest", &name)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
    };
    documents.iter().map(message).collect()
}

fn wanted(path: &Path) -> Result<Vec<CheckRequest>, String> {
    let (name, text) = read(path)?;
    lines(&text)
        .map(|(number, line)| {
            let wrong = |why: String| format!("{name}:{number}: {why}");
            let wanted = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
            envoy(wanted).map_err(wrong)
        })
        .collect()
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_ascii_lowercase(), value.trim().to_owned())),
        _ => Err(format!("header: `{text}` has no name; write NAME:VALUE")),
    }
}

/// The request as Envoy tells it.
fn envoy(wanted: Wanted) -> Result<CheckRequest, String> {
    let wrong =
        |why: &str| format!("url: `{}` {why}; write one such as https://app.example/path", wanted.url);
    let url: Uri = wanted.url.parse().map_err(|_| wrong("is no address"))?;
    let host = url.authority().ok_or_else(|| wrong("names no host"))?.to_string();
    let path = url.path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let own = [(":method", &wanted.method), (":path", &path), (":authority", &host)];
    let own = own.map(|(name, value)| (name.to_owned(), value.clone()));
    let headers = wanted.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let http = HttpRequest {
        id: "bench".to_owned(),
        headers: own.into_iter().chain(headers).collect(),
        method: wanted.method,
        path,
        host,
        scheme: url.scheme_str().unwrap_or("http").to_owned(),
        protocol: "HTTP/1.1".to_owned(),
        ..HttpRequest::default()
    };
    let client = wanted.client_ip.unwrap_or_else(|| "192.0.2.1".to_owned());
    let client = SocketAddress { address: client, ..SocketAddress::default() };
    let source = Peer {
        address: Some(core::Address { address: Some(Address::SocketAddress(client)) }),
        ..Peer::default()
    };
    Ok(CheckRequest {
        attributes: Some(AttributeContext {
            source: Some(source),
            request: Some(Request { http: Some(http), ..Request::default() }),
            context_extensions: wanted
                .target
                .map(|it| ("bindery.target".to_owned(), it))
                .into_iter()
                .collect(),
            ..AttributeContext::default()
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        question: QuestionArgs,
        #[command(flatten)]
        ask: AskArgs,
    }

    fn prepared(arguments: &[&str]) -> Result<Prepared, String> {
        let Alone { question, ask } = Alone::try_parse_from([&["bench"], arguments].concat()).unwrap();
        prepare(ask, question)
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::Builder::new().suffix(".json").tempfile().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn of_file(text: &str, more: &[&str]) -> Result<Prepared, String> {
        let file = file(text);
        prepared(&[&["--questions", file.path().to_str().unwrap()], more].concat())
    }

    fn slug(body: &Bytes) -> String {
        slug_of(&v1::CheckRequest::decode(body.clone()).unwrap())
    }

    fn slug_of(question: &v1::CheckRequest) -> String {
        match question.target.clone().unwrap().target.unwrap() {
            v1::target_ref::Target::Application(slug) => slug,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn lines_of_json_and_documents_of_yaml_say_the_same() {
        let lines = "{\"target\": {\"application\": \"a\"}}\n\n{\"target\": {\"application\": \"b\"}}\n";
        let documents = "target: {application: a}\n---\ntarget:\n  application: b\n";
        for text in [lines, documents] {
            let prepared = of_file(text, &[]).unwrap();
            assert_eq!(prepared.bodies.iter().map(slug).collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!((prepared.questions, prepared.each), (2, 1));
        }
    }

    #[test]
    fn batches_have_every_question() {
        let lines: String =
            ["a", "b", "c"].map(|name| format!("{{\"target\": {{\"application\": \"{name}\"}}}}\n")).concat();
        let prepared = of_file(&lines, &["--mode=batch", "--batch-size=2"]).unwrap();
        let batches: Vec<Vec<_>> = prepared
            .bodies
            .iter()
            .map(|body| {
                v1::CheckBatchRequest::decode(body.clone()).unwrap().checks.iter().map(slug_of).collect()
            })
            .collect();
        assert_eq!(batches, [["a", "b"], ["c", "a"]]);
        assert_eq!((prepared.questions, prepared.each), (3, 2));
    }

    #[test]
    fn a_request_of_envoy_has_what_a_gateway_tells() {
        let arguments = [
            "application/wiki",
            "--mode=ext-authz",
            "--url=https://wiki.example:8443/a?b=c",
            "--header=X-Authentik-Username: ada",
        ];
        let First::Envoy(request) = prepared(&arguments).unwrap().first else { panic!() };
        let attributes = request.attributes.unwrap();
        assert_eq!(attributes.context_extensions["bindery.target"], "application/wiki");
        let http = attributes.request.unwrap().http.unwrap();
        assert_eq!(
            (http.host.as_str(), http.path.as_str(), http.scheme.as_str()),
            ("wiki.example:8443", "/a?b=c", "https")
        );
        assert_eq!(http.headers["x-authentik-username"], "ada");
        assert_eq!(http.headers[":path"], "/a?b=c");
        let lines =
            "{\"url\": \"http://a.example\"}\n{\"url\": \"http://b.example/x\", \"method\": \"POST\"}";
        assert_eq!(of_file(lines, &["--mode=ext-authz"]).unwrap().bodies.len(), 2);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let wrong = |result: Result<Prepared, String>| result.unwrap_err();
        for (text, more, part) in [
            ("", &[][..], "there are none"),
            ("{\"target\": {\"application\": \"a\"}}\n{\"nonsense\": 1}", &[], ":2: "),
            ("{\"url\": \"/x\"}", &["--mode=ext-authz"], "names no host"),
            ("{\"host\": \"x\"}", &["--mode=ext-authz"], ":1: unknown field `host`"),
        ] {
            let error = wrong(of_file(text, more));
            assert!(error.contains(part), "{error}");
        }
        for (arguments, part) in [
            (&["application/a"][..], "--user NAME"),
            (&["application/a", "--user=a", "--mode=batch", "--batch-size=0"], "from 1 to 1000"),
            (&["--mode=ext-authz", "--header=x"], "write NAME:VALUE"),
            (&["--questions=/no/such"], "cannot be read"),
            (&["--mode=raw", "--messages=m"], "rpc: missing"),
            (&["--mode=raw", "--rpc=/a.B/C"], "messages: missing"),
            (&["application/a", "--user=a", "--rpc=/a.B/C"], "give that as well"),
            (&["--mode=raw", "--messages=m", "--rpc=a.B/C"], "write /PACKAGE.SERVICE/METHOD"),
            (&["--mode=raw", "--messages=m", "--rpc=/a.B/C?d"], "write /PACKAGE.SERVICE/METHOD"),
            (
                &["--mode=raw", "--messages=/no/such", "--rpc=/a.B/C"],
                "messages: the file `/no/such` cannot be read",
            ),
        ] {
            let error = wrong(prepared(arguments));
            assert!(error.contains(part), "{error}");
        }
    }
}
