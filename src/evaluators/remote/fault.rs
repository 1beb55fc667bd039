//! What went wrong with a call, as a text that names the address and says what to do.
//!
//! Must not know: circuits; only whether a fault speaks against the address as a whole.

use std::error::Error;
use std::time::Duration;
use tokio::time::Instant;
use tonic::{Code, Status};

/// The most of an evaluator's own words, in characters.
const MAX_WORDS: usize = 500;
/// The transport ends calls by itself when their time is over; then its clock may be this much ahead of ours.
const TICK: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub(super) struct Fault {
    pub(super) text: String,
    /// Whether it speaks against the address, not only against one policy there.
    pub(super) counts: bool,
}

impl Fault {
    /// The time is over.
    pub(super) fn late(address: &str, policy: &str, after: Duration) -> Self {
        let milliseconds = after.as_millis();
        let text = format!(
            "`{address}` gave no answer for policy `{policy}` in time ({milliseconds} ms); raise the binding's timeout, \
             or make the policy faster"
        );
        Self { text, counts: true }
    }

    /// An answer beyond bounds.
    pub(super) fn answer(address: &str, policy: &str, what: &str) -> Self {
        let text = format!("`{address}` gave an answer for policy `{policy}` that is refused: {what}");
        Self { text, counts: false }
    }

    /// Whether a status says no more than that the time is over.
    pub(super) fn is_late(status: &Status, deadline: Instant) -> bool {
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled) && Instant::now() + TICK >= deadline
    }

    /// A status that is not OK, be it the evaluator's or the transport's.
    pub(super) fn of(status: &Status, address: &str, policy: &str, max_answer: usize) -> Self {
        let words = words(status.message());
        let text = match status.code() {
            _ if status.source().is_some() => format!(
                "`{address}` cannot be reached for policy `{policy}`: {}; check that the evaluator runs and listens there",
                causes(status)
            ),
            Code::OutOfRange if status.message().contains("decoded message length too large") => format!(
                "`{address}` gave an answer for policy `{policy}` of more than {max_answer} bytes; make it smaller"
            ),
            Code::OutOfRange if status.message().contains("encoded message length too large") => format!(
                "the question of policy `{policy}` is too large to be sent to `{address}`; bind the policy where less \
                 context is known"
            ),
            Code::NotFound => format!(
                "`{address}` knows no policy `{policy}` ({words}); correct the name in the configuration, or add the \
                 policy there"
            ),
            Code::Unimplemented => format!(
                "`{address}` does not offer bindery.v1.PolicyEvaluator ({words}); check which server listens there"
            ),
            Code::Unauthenticated | Code::PermissionDenied => format!(
                "`{address}` refuses to decide policy `{policy}`: {} ({words}); let bindery in there",
                code_name(status.code())
            ),
            code => format!(
                "`{address}` failed on policy `{policy}`: {} ({words}); look into the log of the evaluator",
                code_name(code)
            ),
        };
        let counts = matches!(
            status.code(),
            Code::Unavailable
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Cancelled
                | Code::Internal
                | Code::Unknown
                | Code::DataLoss
        );
        Self { text, counts }
    }
}

/// An evaluator's own words: of bounded length, on one line.
fn words(text: &str) -> String {
    let plain = text.chars().map(|sign| if sign.is_control() { ' ' } else { sign });
    let words: String = plain.take(MAX_WORDS).collect();
    if words.trim().is_empty() { "without a reason".to_owned() } else { words }
}

/// What tonic calls every error on the way, which says nothing.
const HOLLOW: &str = "transport error";

/// An error of the transport with what caused it: the outermost alone says little.
fn causes(status: &Status) -> String {
    let mut text = words(status.message());
    let mut next = status.source();
    while let Some(cause) = next {
        let cause_text = words(&cause.to_string());
        if cause_text != HOLLOW && !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// A status code as the documentation of gRPC writes it.
pub const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, message: &str) -> Fault {
        Fault::of(&Status::new(code, message), "unix:/a", "hours", 9)
    }

    #[test]
    fn what_speaks_against_one_policy_leaves_the_others_alone() {
        for code in [
            Code::NotFound,
            Code::InvalidArgument,
            Code::PermissionDenied,
            Code::Unimplemented,
            Code::FailedPrecondition,
            Code::OutOfRange,
            Code::Unauthenticated,
        ] {
            assert!(!of(code, "x").counts, "{code:?}");
        }
        for code in [Code::Unavailable, Code::Internal, Code::Unknown, Code::ResourceExhausted] {
            assert!(of(code, "x").counts, "{code:?}");
        }
    }

    #[test]
    fn each_text_names_the_address_and_what_to_do() {
        for code in (0..17).map(Code::from_i32) {
            let text = of(code, "because").text;
            assert!(text.contains("`unix:/a`") && text.contains("; ") && text.contains("because"), "{text}");
        }
        let text = of(Code::Internal, "").text;
        assert!(text.contains("INTERNAL (without a reason)"), "{text}");
    }

    #[test]
    fn an_evaluators_words_are_kept_short_and_on_one_line() {
        let text = of(Code::Internal, &format!("a\nb{}", "x".repeat(5_000))).text;
        assert!(text.contains("a b") && text.len() < 700, "{text}");
    }
}
