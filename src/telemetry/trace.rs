//! Traces: whether a question is part of one is settled before anything is made for it; then it has a span, and one for
//! each target and policy that it led to.
//!
//! Must not know: how something was decided.

mod export;

use super::metrics::Metrics;
use super::otlp::Otlp;
use crate::model::{BindingReport, TargetReport};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tracing::{Dispatch, dispatcher};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt as _;

pub use opentelemetry::trace::FutureExt;

/// The header that names the span of whoever asks.
pub const TRACEPARENT: &str = "traceparent";
/// How many headers a trace's context has.
const FIELDS: [&str; 2] = [TRACEPARENT, "tracestate"];

/// Makes spans and sends them.
#[derive(Debug)]
pub struct Traces {
    /// What spans of `tracing` go to: those of questions, and nothing that others make.
    dispatch: Dispatch,
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    ratio: f64,
    personal: bool,
    chance: RandomState,
    count: AtomicU64,
}

/// A call as its span names it.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// Over gRPC: service and method.
    Grpc(&'static str, &'static str),
    /// Over HTTP: method and route.
    Http(&'static str, &'static str),
}

/// The span of a question that is part of a trace.
#[derive(Debug)]
pub struct Trace {
    span: tracing::Span,
    context: Context,
    tracer: SdkTracer,
    start: SystemTime,
    personal: bool,
}

/// What a question's span tells when it ends.
#[derive(Debug, Default)]
pub struct Facts<'a> {
    /// The target's kind and name.
    pub target: Option<(&'static str, String)>,
    /// The revision.
    pub revision: u64,
    /// allow, deny or error.
    pub decision: &'static str,
    /// Identifies the decision.
    pub decision_id: &'a str,
    /// The status code of gRPC, or of HTTP.
    pub code: i64,
    /// Why there is no answer, from a closed set.
    pub error: Option<&'static str>,
    /// The username, for those that want personal data.
    pub username: Option<&'a str>,
    /// What became of the target and what it leans on.
    pub report: Option<&'a TargetReport>,
}

/// The headers of a call, by a function that finds one.
struct Headers<'a, F>(F, std::marker::PhantomData<&'a ()>);

impl<'a, F: Fn(&str) -> Option<&'a str>> Extractor for Headers<'a, F> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0(key)
    }

    fn keys(&self) -> Vec<&str> {
        FIELDS.to_vec()
    }
}

impl Traces {
    /// Sends spans to this collector. `ratio`: the part of the questions without a parent that is traced; `personal`:
    /// whether spans name people. Needs a runtime.
    ///
    /// # Errors
    /// When there is no exporter to be had.
    pub fn new(otlp: &Otlp, ratio: f64, personal: bool, metrics: Arc<Metrics>) -> Result<Self, String> {
        let provider = export::provider(otlp, metrics)?;
        let tracer = provider.tracer("bindery");
        let spans = tracing_opentelemetry::layer()
            .with_tracer(tracer.clone())
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false);
        let dispatch = Dispatch::new(Registry::default().with(spans));
        let (chance, count) = (RandomState::new(), AtomicU64::new(0));
        Ok(Self { dispatch, provider, tracer, ratio, personal, chance, count })
    }

    /// Begins the span of a question, if it is to be traced: when the parent that its headers name is, or, without one, by
    /// chance.
    pub fn begin<'a>(&self, call: Call, header: impl Fn(&str) -> Option<&'a str>) -> Option<Box<Trace>> {
        let parent = match header(TRACEPARENT) {
            Some(text) => {
                // The flags stand last; what is not sampled costs no more than this look.
                let flags = text.get(53..55).and_then(|flags| u8::from_str_radix(flags, 16).ok());
                if flags.is_some_and(|flags| flags & 1 == 0) {
                    return None;
                }
                let found = TraceContextPropagator::new()
                    .extract_with_context(&Context::new(), &Headers(header, std::marker::PhantomData));
                found.span().span_context().is_valid().then_some(found)
            }
            None => None,
        };
        let parent = match parent {
            Some(parent) => parent,
            None if self.by_chance() => Context::new(),
            None => return None,
        };
        let (name, attributes) = match call {
            Call::Grpc(service, method) => (
                format!("{service}/{method}"),
                vec![
                    KeyValue::new("rpc.system", "grpc"),
                    KeyValue::new("rpc.service", service),
                    KeyValue::new("rpc.method", method),
                ],
            ),
            Call::Http(method, route) => (
                format!("{method} {route}"),
                vec![KeyValue::new("http.request.method", method), KeyValue::new("http.route", route)],
            ),
        };
        // Only here: the span remembers where it belongs, and everything else goes where logs go.
        let span = dispatcher::with_default(
            &self.dispatch,
            || tracing::info_span!(parent: None, "question", otel.name = name, otel.kind = "server"),
        );
        // Not before the span itself: what it led to is laid from here on.
        let start = SystemTime::now();
        // It fails only for a span that has begun.
        let _new = span.set_parent(parent);
        for attribute in attributes {
            span.set_attribute(attribute.key, attribute.value);
        }
        let context = span.context();
        Some(Box::new(Trace { span, context, tracer: self.tracer.clone(), start, personal: self.personal }))
    }

    fn by_chance(&self) -> bool {
        if self.ratio <= 0.0 || self.ratio >= 1.0 {
            return self.ratio > 0.0;
        }
        let chance = self.chance.hash_one(self.count.fetch_add(1, Ordering::Relaxed)) as f64;
        chance < self.ratio * u64::MAX as f64
    }

    /// Sends what is waiting, for so long at most. Blocks.
    pub fn close(&self, patience: Duration) {
        // Whoever does not take them in time does not get them.
        let _in_time = self.provider.shutdown_with_timeout(patience);
    }
}

impl Trace {
    /// The trace's id, in hexadecimal.
    pub fn id(&self) -> String {
        self.context.span().span_context().trace_id().to_string()
    }

    /// What work for this question runs in.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Ends the span with what is known.
    pub fn end(self, call_is_grpc: bool, facts: &Facts<'_>) {
        if let Some(report) = facts.report {
            self.target(&self.context, report, self.start);
        }
        let span = &self.span;
        let code = if call_is_grpc { "rpc.grpc.status_code" } else { "http.response.status_code" };
        span.set_attribute(code, facts.code);
        if let Some((kind, name)) = &facts.target {
            span.set_attribute("bindery.target.kind", *kind);
            span.set_attribute("bindery.target.name", name.clone());
        }
        span.set_attribute("bindery.revision", i64::try_from(facts.revision).unwrap_or(i64::MAX));
        span.set_attribute("bindery.decision", facts.decision);
        if !facts.decision_id.is_empty() {
            span.set_attribute("bindery.decision_id", facts.decision_id.to_owned());
        }
        if let Some(name) = facts.username.filter(|_| self.personal) {
            span.set_attribute("enduser.id", name.to_owned());
        }
        if let Some(error) = facts.error {
            span.set_attribute("error.type", error);
            span.set_status(Status::error(error));
        }
        // It ends with the last that holds it.
    }

    /// A span for a target and those that it leans on, made afterwards: they were looked at one after the other.
    fn target(&self, parent: &Context, report: &TargetReport, start: SystemTime) -> SystemTime {
        let span = self
            .tracer
            .span_builder(format!("{} {}", report.kind.name(), report.name))
            .with_start_time(start)
            .with_attributes([
                KeyValue::new("bindery.target.kind", report.kind.name()),
                KeyValue::new("bindery.target.name", report.name.to_string()),
                KeyValue::new("bindery.decision", if report.decision.is_allow() { "allow" } else { "deny" }),
            ])
            .start_with_context(&self.tracer, parent);
        let context = parent.with_span(span);
        let mut at = start;
        for parent in &report.parents {
            at = self.target(&context, parent, at);
        }
        for binding in report.bindings.iter().filter(|it| it.skipped.is_none()) {
            let end = at + Duration::from_nanos(binding.nanoseconds);
            if binding.subject.starts_with("policy/") {
                self.policy(&context, binding, at, end);
            }
            at = end;
        }
        context.span().end_with_timestamp(at);
        at
    }

    fn policy(&self, parent: &Context, binding: &BindingReport, start: SystemTime, end: SystemTime) {
        let mut span = self
            .tracer
            .span_builder(binding.subject.to_string())
            .with_start_time(start)
            .with_attributes([
                KeyValue::new("bindery.binding.id", binding.id.to_string()),
                KeyValue::new("bindery.binding.order", i64::from(binding.order)),
                KeyValue::new("bindery.result", binding.result),
            ])
            .start_with_context(&self.tracer, parent);
        if let Some(error) = &binding.error {
            // What a policy says may be about somebody.
            let text = if self.personal { error.to_string() } else { "the policy errored".to_owned() };
            span.set_status(Status::error(text));
        }
        span.end_with_timestamp(end);
    }
}

/// A span under the one that this work runs in; nothing where it runs in none.
#[derive(Debug)]
pub struct Child(Context);

impl Child {
    /// Begins it.
    pub fn begin(name: &'static str, kind: ChildKind) -> Option<Self> {
        let parent = Context::current();
        let is_sampled = parent.has_active_span() && parent.span().span_context().is_sampled();
        let tracer = is_sampled.then(|| parent.get::<Maker>().map(|maker| maker.0.clone())).flatten()?;
        let kind = match kind {
            ChildKind::Inside => SpanKind::Internal,
            ChildKind::Call => SpanKind::Client,
        };
        let span = tracer.span_builder(name).with_kind(kind).start_with_context(&tracer, &parent);
        Some(Self(parent.with_span(span)))
    }

    /// What its work runs in.
    pub fn context(&self) -> Context {
        self.0.clone()
    }

    /// Ends it, with an error's reason where there is one.
    pub fn end(self, error: Option<&'static str>) {
        let span = self.0.span();
        if let Some(error) = error {
            span.set_status(Status::error(error));
        }
        span.end();
    }
}

/// What a span under another one stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildKind {
    /// Work in this process.
    Inside,
    /// A call of another one.
    Call,
}

/// Where work finds what makes spans.
#[derive(Debug)]
struct Maker(SdkTracer);

impl Trace {
    /// What the work of this question runs in, so that [`Child::begin`] finds it.
    pub fn work(&self) -> Context {
        self.context.with_value(Maker(self.tracer.clone()))
    }
}

/// Adds the headers that tell another server of the span that this work runs in.
pub fn inject(add: impl FnMut(&'static str, &str)) {
    struct Added<F>(F);
    impl<F: FnMut(&'static str, &str)> Injector for Added<F> {
        fn set(&mut self, key: &str, value: String) {
            // An empty state says nothing.
            if let Some(field) = FIELDS.into_iter().find(|field| *field == key && !value.is_empty()) {
                self.0(field, &value);
            }
        }
    }
    let context = Context::current();
    if SpanContext::is_valid(context.span().span_context()) {
        TraceContextPropagator::new().inject_context(&context, &mut Added(add));
    }
}
