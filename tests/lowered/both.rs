//! A body natively and by the interpreter.

use crate::scope::data;
use bindery::decision::{Member, View as _};
use bindery::evaluators::Evaluators;
use bindery::evaluators::python::{Isolation, PythonOptions};
use bindery::model::{
    Context, Event, EventUser, Expression, ExpressionLanguage, Group, HttpRequest, Id, Policy, PolicyKind,
    Subject, TargetKind, TargetRef, Timestamp, Value,
};
use bindery::policy::python::{NotLowered, Outcome};
use bindery::policy::{Calls, Compiled, Deferred, Evaluation, Groups, HeldGroup, Input};
use bindery::store::{Settings, Snapshot, Store};
use bindery::sync::apply::{Update, apply};
use bindery::sync::suite::{self, BundleSource};
use bindery::sync::yaml::Limits;
use serde_json::json;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How much was compared.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Bodies that can run.
    pub(crate) bodies: usize,
    /// Those that are lowered.
    pub(crate) lowered: usize,
    /// Questions to these.
    pub(crate) asked: usize,
    /// Those that were answered natively.
    pub(crate) native: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bodies, lowered, asked, native } = self;
        write!(
            out,
            "{bodies} that can run, {lowered} lowered; {asked} questions to these, {native} answered natively"
        )
    }
}

/// Who asks for what under which circumstances.
pub(crate) struct Asked {
    subject: Subject,
    target: TargetRef,
    context: Context,
}

pub(crate) struct Both {
    snapshot: Arc<Snapshot>,
    runtime: tokio::runtime::Runtime,
    evaluators: Evaluators,
}

struct Belonging<'a> {
    snapshot: &'a Snapshot,
    member: &'a Member<'a>,
}

impl Groups for Belonging<'_> {
    fn all(&self) -> Vec<(Arc<Group>, bool)> {
        self.snapshot.groups_of(self.member)
    }

    fn any(&self, direct: bool, is: &mut dyn FnMut(HeldGroup<'_>) -> bool) -> bool {
        self.snapshot.any_group_of(self.member, direct, is)
    }
}

impl Both {
    /// In the world of `scope/directory.yaml`.
    pub(crate) fn new() -> Self {
        let usual = data::json("directory.yaml");
        let check = json!({"target": {"application": "wiki"}, "subject": {}});
        let suite = json!({
            "bundle": usual["bundle"],
            "tests": [{"name": "none", "check": check, "expect": {"error": "x"}}],
        });
        let mut suites = suite::read(&suite.to_string(), &"suite".into(), &Limits::default())
            .unwrap_or_else(|problems| panic!("{problems:?}"));
        let BundleSource::Inline(resources) = suites.remove(0).bundle else { panic!("no bundle") };
        let store = Store::new(Settings::default());
        let resources = resources.into_iter().map(|(resource, _)| resource).collect();
        apply(&store, Update::Replace(resources)).unwrap_or_else(|problems| panic!("{problems:?}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // What is not optimized takes its time.
        let options =
            PythonOptions { limit: Duration::from_secs(60), ..PythonOptions::new(Isolation::Thread) };
        let evaluators = Evaluators::default().with_python(options);
        Self { snapshot: store.load(), runtime, evaluators }
    }

    /// Asks both, and says how they differ; otherwise, why the body is not lowered, if it is not.
    pub(crate) fn compare(
        &mut self,
        body: &str,
        questions: &[Asked],
        tally: &mut Tally,
    ) -> Result<Option<NotLowered>, String> {
        let compiled = compiled(body);
        let program = compiled.python().unwrap();
        if program.broken().is_some() || body.contains("yield") {
            return Ok(None);
        }
        tally.bodies += 1;
        if let Some(why) = program.not_lowered() {
            return Ok(Some(why.clone()));
        }
        tally.lowered += 1;
        for (number, asked) in questions.iter().enumerate() {
            tally.asked += 1;
            let both = self.with_input(asked, |input| {
                let Evaluation::Done(verdict) = compiled.evaluate(input) else { return None };
                let Deferred::Python(call) = program.interpreted(input) else { panic!("no call") };
                Some((verdict, program.valued(input), call))
            });
            let Some((verdict, valued, call)) = both else { continue };
            tally.native += 1;
            let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
            let reference = self.runtime.block_on(self.evaluators.interpret(&self.snapshot, &call, deadline));
            if verdict != reference.verdict {
                return Err(format!("question {number}: {verdict:?}, and the interpreter {reference:?}"));
            }
            match valued {
                Ok(Outcome { verdict: again, raw }) if again == verdict && raw == reference.raw => {}
                Ok(outcome) => {
                    return Err(format!("question {number}: {outcome:?}, and the interpreter {reference:?}"));
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }

    /// What a policy is given when this is asked.
    pub(crate) fn with_input<T>(&self, asked: &Asked, with: impl FnOnce(&Input<'_>) -> T) -> T {
        let (snapshot, calls) = (&*self.snapshot, Calls::default());
        let member = snapshot.member(&asked.subject);
        let groups = Belonging { snapshot, member: &member };
        let target = snapshot.find(&asked.target).ok().and_then(|key| snapshot.target(key));
        with(&Input {
            person: member.person(),
            context: &asked.context,
            target: target.map(|it| &it.target),
            groups: &groups,
            world: snapshot,
            calls: &calls,
        })
    }
}

/// A body as a policy.
pub(crate) fn compiled(body: &str) -> Compiled {
    let kind =
        PolicyKind::Expression(Expression { language: ExpressionLanguage::Python, source: body.into() });
    let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
    Compiled::new(&policy).unwrap_or_else(|error| panic!("{body}: {}", error.message))
}

fn map(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(value),
        serde_json::Value::Number(value) => Value::Number(value.as_f64().unwrap()),
        serde_json::Value::String(value) => Value::String(value.into()),
        serde_json::Value::Array(list) => Value::List(list.into_iter().map(map).collect()),
        serde_json::Value::Object(entries) => {
            Value::Map(entries.into_iter().map(|(key, value)| (key.into(), map(value))).collect())
        }
    }
}

fn named(username: &str) -> Subject {
    Subject { username: Some(username.to_owned()), ..Subject::default() }
}

/// Every kind of somebody, of something, and of circumstances.
pub(crate) fn questions() -> Vec<Asked> {
    let claimed = Subject {
        email: Some("zoe@acme.example".to_owned()),
        group_names: vec!["staff".to_owned(), "unheard of".to_owned()],
        attributes: map(json!({"dept": "eng", "level": 2, "phones": ["+1"], "nested": {"a": 1}, "n": 2.5})),
        ..named("zoe")
    };
    let enrolled = Subject { anonymous: true, ..named("newcomer") };
    let nobody = Subject { anonymous: true, ..Subject::default() };
    let target = |kind, name: &str| TargetRef::Named(kind, name.into());
    let wiki = || target(TargetKind::Application, "wiki");
    let now = Timestamp::new(1_780_000_000, 0);
    let request = HttpRequest {
        method: "POST".into(),
        scheme: "https".into(),
        host: "acme.example".into(),
        path: "/app/ä".into(),
        query: "next=%2Fapp%2F&x=1&x=2&flag".into(),
        headers: [
            ("user-agent", "Mozilla/5.0 Firefox/128"),
            ("x-test", "yes"),
            ("cookie", "a=1; b=2; a=3"),
            ("content-type", "application/x-www-form-urlencoded"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into(),
        brand_title: Some("Acme".into()),
        remote_address: None,
        body: b"uid=ada&flag=on".to_vec().into(),
    };
    let event = Event {
        action: "login".into(),
        app: "authentik.core".into(),
        client_ip: Some("192.0.2.1".into()),
        context: map(json!({"a": 1})),
        user: Some(EventUser { id: "7".into(), username: "ada".into(), email: "ada@acme.example".into() }),
    };
    let values = map(json!({
        "n": 1, "amount": 7, "flag": true, "text": "staff", "list": [1, "a", null, 2.5, true], "is_sso": true,
        "geoip": {"country": "DE", "city": "Berlin"}, "asn": {"asn": 64500, "as_org": "Org"}, "ip": "10.0.0.77",
        "prompt_data": {"username": "new-name", "email": "n@acme.example"}, "half": 0.5, "none": null, "empty": {},
        "it's": "quoted", "deep": {"a": {"b": [1, {"c": "d"}]}},
    }));
    let objects = map(json!({
        "n": 0, "source": {"name": "GitHub", "slug": "github"}, "application": {"slug": "wiki"},
        "pending_user": {"username": "ada"}, "event": {"action": "logout", "context": {}},
        "flow_plan": {"bindings": [{"order": 1}, {"order": 2}], "context": {"mark": 1}},
    }));
    let plain = || Context::at(now);
    let rich = || Context { client_ip: Some("10.1.2.3".parse().unwrap()), values: values.clone(), ..plain() };
    let with_http = || Context { http: Some(request.clone()), ..rich() };
    let six = Context { client_ip: Some("2001:db8::7".parse().unwrap()), ..with_http() };
    let get = HttpRequest { method: "GET".into(), path: "/if/flow/login/".into(), ..HttpRequest::default() };
    [
        (named("ada"), wiki(), plain()),
        (named("ada"), wiki(), rich()),
        (named("ada"), wiki(), with_http()),
        (named("bela"), target(TargetKind::Source, "github"), six),
        (named("root"), target(TargetKind::Flow, "login"), Context { values: objects.clone(), ..rich() }),
        (
            named("cleo"),
            target(TargetKind::Device, "KITE-7"),
            Context { event: Some(event.clone()), ..plain() },
        ),
        (claimed, wiki(), with_http()),
        (
            named("ada"),
            target(TargetKind::NotificationRule, "alarms"),
            Context { event: Some(event), ..rich() },
        ),
        (enrolled, target(TargetKind::Application, "none"), Context { values: objects, ..with_http() }),
        (nobody, wiki(), Context { http: Some(get), ..rich() }),
    ]
    .map(|(subject, target, context)| Asked { subject, target, context })
    .into()
}
