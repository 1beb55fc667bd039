//! The dummy policy: a fixed result, for tests and examples.
//!
//! Must not know: how time passes; a wait is handed back to the caller.

use super::{Deferred, Evaluation, Verdict};
use crate::model;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Dummy {
    verdict: Verdict,
    wait: Option<(Duration, Duration)>,
}

impl Dummy {
    pub(super) fn new(config: &model::Dummy) -> Self {
        let verdict = match &config.error {
            Some(text) => Verdict::error(text.clone()),
            None => Verdict { messages: config.messages.clone(), ..Verdict::of(config.result) },
        };
        let wait = (!config.wait_max.is_zero()).then_some((config.wait_min, config.wait_max));
        Self { verdict, wait }
    }

    pub(super) fn evaluate(&self) -> Evaluation {
        let verdict = self.verdict.clone();
        match self.wait {
            Some((min, max)) => Evaluation::Deferred(Deferred::Wait { min, max, verdict }),
            None => Evaluation::Done(verdict),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(result: bool) -> model::Dummy {
        let wait = Duration::ZERO;
        model::Dummy { result, wait_min: wait, wait_max: wait, messages: vec!["dummy".into()], error: None }
    }

    #[test]
    fn gives_its_result_and_messages() {
        let Evaluation::Done(verdict) = Dummy::new(&config(true)).evaluate() else { panic!("deferred") };
        assert_eq!((verdict.result, verdict.messages), (Ok(true), vec!["dummy".into()]));
    }

    #[test]
    fn an_error_has_no_messages() {
        let error = Some("broken".into());
        let Evaluation::Done(verdict) = Dummy::new(&model::Dummy { error, ..config(true) }).evaluate() else {
            panic!("deferred")
        };
        assert_eq!((verdict.result, verdict.messages), (Err("broken".into()), vec![]));
    }

    #[test]
    fn a_wait_is_handed_back() {
        let wait_max = Duration::from_secs(2);
        let evaluation = Dummy::new(&model::Dummy { wait_max, ..config(false) }).evaluate();
        assert!(matches!(evaluation, Evaluation::Deferred(Deferred::Wait { max, .. }) if max == wait_max));
    }
}
