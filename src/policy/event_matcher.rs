//! The event matcher: compares fields of the event in the context, as authentik's does since 2023: every field that
//! is set must be equal, and each leaves its message, matching or not.
//!
//! Must not know: where events come from.

use super::{Input, Verdict};
use crate::model::{self, Event, Value};
use std::borrow::Cow;

#[derive(Debug)]
pub(super) struct EventMatcher(model::EventMatcher);

impl EventMatcher {
    pub(super) fn new(config: &model::EventMatcher) -> Self {
        Self(config.clone())
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Verdict {
        let Some(event) = &input.context.event else {
            // A raw value under `event` is no event: authentik's matcher breaks on the first field it looks at.
            return match input.context.values.get("event") {
                None => Verdict::of(false),
                Some(_) if self.0 == model::EventMatcher::default() => Verdict::of(true),
                Some(_) => Verdict::error(
                    "the context's `event` is not an event; give it as the context's own field",
                ),
            };
        };
        let model = match self.0.model.is_some().then(|| event_model(event)).transpose() {
            Ok(model) => model,
            Err(text) => return Verdict::error(text),
        };
        let config = &self.0;
        let fields = [
            (config.action.as_deref(), Some(&*event.action), "Action matched."),
            (config.client_ip.as_deref(), event.client_ip.as_deref(), "Client IP matched."),
            (config.app.as_deref(), Some(&*event.app), "App matched."),
            (config.model.as_deref(), model.as_deref(), "Model matched."),
        ];
        let mut verdict = Verdict::of(true);
        for (wanted, found, message) in fields {
            let Some(wanted) = wanted else { continue };
            if found != Some(wanted) {
                verdict.result = Ok(false);
            }
            verdict = verdict.with_message(message);
        }
        verdict
    }
}

/// `app.model` of the object that the event is about; a part that is missing reads `None`, as in authentik.
fn event_model(event: &Event) -> Result<String, &'static str> {
    let model = match event.context.get("model") {
        None => None,
        Some(Value::Map(model)) => Some(model),
        Some(_) => return Err("the event's `model` is not a mapping with `app` and `model_name`"),
    };
    let part = |key| match model.and_then(|model| model.get(key)) {
        Some(Value::String(text)) => Cow::Borrowed(&**text),
        Some(Value::Number(number)) => Cow::Owned(number.to_string()),
        Some(Value::Bool(true)) => Cow::Borrowed("True"),
        Some(Value::Bool(false)) => Cow::Borrowed("False"),
        _ => Cow::Borrowed("None"),
    };
    Ok(format!("{}.{}", part("app"), part("model_name")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, PolicyKind, Timestamp};
    use crate::policy::tests::{ALICE, verdict};

    fn login_failed() -> Context {
        let event = Event {
            action: "login_failed".into(),
            app: "authentik.core".into(),
            client_ip: Some("192.0.2.7".into()),
            ..Event::default()
        };
        Context { event: Some(event), ..Context::at(Timestamp::new(0, 0)) }
    }

    fn ask(matcher: model::EventMatcher, context: &Context) -> Verdict {
        verdict(PolicyKind::EventMatcher(matcher), ALICE, context)
    }

    #[test]
    fn every_set_field_must_match_and_leaves_its_message() {
        let matcher = model::EventMatcher {
            action: Some("login_failed".into()),
            app: Some("other".into()),
            ..model::EventMatcher::default()
        };
        let verdict = ask(matcher, &login_failed());
        assert_eq!(verdict.result, Ok(false));
        assert_eq!(verdict.messages, ["Action matched.".into(), "App matched.".into()]);
    }

    #[test]
    fn nothing_set_matches_every_event_and_no_event_fails() {
        assert_eq!(ask(model::EventMatcher::default(), &login_failed()).result, Ok(true));
        let verdict = ask(model::EventMatcher::default(), &Context::at(Timestamp::new(0, 0)));
        assert_eq!((verdict.result, verdict.messages.len()), (Ok(false), 0));
    }

    #[test]
    fn a_missing_model_reads_none() {
        let matcher =
            model::EventMatcher { model: Some("None.None".into()), ..model::EventMatcher::default() };
        assert_eq!(ask(matcher, &login_failed()).result, Ok(true));
    }

    #[test]
    fn a_query_errors() {
        let matcher = model::EventMatcher { query: Some("x".into()), ..model::EventMatcher::default() };
        assert!(ask(matcher, &login_failed()).result.unwrap_err().contains("event query"));
    }
}
