//! The one place that maps failures to gRPC status codes, with what a gateway does about each:
//!
//! - `INVALID_ARGUMENT`: the gateway asks wrongly; it must not retry, and fails closed. A plan token that is refused is
//!   one: plan again.
//! - `NOT_FOUND`: the target is not in the configuration; the gateway fails closed until it is pushed.
//! - `UNAVAILABLE`: no configuration yet, one that is too old, or what the question is about is not held; the gateway may retry, and applies its failure mode meanwhile.
//! - `FAILED_PRECONDITION`: the revision asked for is not reached; the caller waits and asks again.
//! - `RESOURCE_EXHAUSTED`: too much at once; the caller asks for less, or later.
//! - `ABORTED`: a search was to stay on one revision, and another came into force; search from the beginning.
//! - `UNIMPLEMENTED`: this server cannot do that, as it is set up; the caller asks another one.
//! - `INTERNAL`: a mistake of bindery; the gateway fails closed, and somebody has to look.
//!
//! Must not know: why a question failed.

use super::ask::Failure;
use crate::proto::v1;
use crate::telemetry::labels::ErrorReason;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of error reasons.
const DOMAIN: &str = "bindery";

/// The setting at fault when a configuration is older than it may be.
pub(super) const MAX_STALENESS: &str = "max_staleness";
/// The setting at fault when what a question is about is not held.
pub(super) const ON_DEMAND: &str = "on_demand";

/// The field at fault when a plan token is refused.
pub(super) const TOKEN: &str = "token";

/// The field at fault when somebody is asked about who is neither a user nor anonymous.
pub(super) const SUBJECT_TYPE: &str = "subject.type";

/// The reason of an error, for metrics and the decision log.
pub(super) fn reason_of(failure: &Failure) -> ErrorReason {
    match failure.code {
        Code::InvalidArgument if failure.field == TOKEN => ErrorReason::PlanRefused,
        Code::InvalidArgument => ErrorReason::InvalidQuestion,
        Code::NotFound if failure.field == SUBJECT_TYPE => ErrorReason::UnknownSubjectType,
        Code::NotFound => ErrorReason::UnknownTarget,
        Code::Unavailable => match failure.field.as_str() {
            MAX_STALENESS => ErrorReason::ConfigurationTooOld,
            ON_DEMAND => ErrorReason::NotHeld,
            _ => ErrorReason::NoConfiguration,
        },
        Code::FailedPrecondition => ErrorReason::RevisionNotReached,
        Code::ResourceExhausted => ErrorReason::TooMuch,
        Code::Aborted => ErrorReason::RevisionChanged,
        Code::Unimplemented => ErrorReason::NotOffered,
        _ => ErrorReason::Failed,
    }
}

/// The reason of an error, for programs.
pub(super) fn reason(failure: &Failure) -> &'static str {
    match reason_of(failure) {
        ErrorReason::PlanRefused => "PLAN_REFUSED",
        ErrorReason::InvalidQuestion => "INVALID_QUESTION",
        ErrorReason::UnknownSubjectType => "UNKNOWN_SUBJECT_TYPE",
        ErrorReason::UnknownTarget => "UNKNOWN_TARGET",
        ErrorReason::ConfigurationTooOld => "CONFIGURATION_TOO_OLD",
        ErrorReason::NotHeld => "NOT_HELD",
        ErrorReason::NoConfiguration => "NO_CONFIGURATION",
        ErrorReason::RevisionNotReached => "REVISION_NOT_REACHED",
        ErrorReason::TooMuch => "TOO_MUCH",
        ErrorReason::RevisionChanged => "REVISION_CHANGED",
        ErrorReason::NotOffered => "NOT_OFFERED",
        ErrorReason::Failed => "FAILED",
    }
}

/// The status of a failure over HTTP.
pub(super) const fn http(code: Code) -> u16 {
    match code {
        Code::InvalidArgument => 400,
        Code::NotFound => 404,
        Code::Aborted => 409,
        Code::FailedPrecondition => 412,
        Code::ResourceExhausted => 429,
        Code::Unimplemented => 501,
        Code::Unavailable => 503,
        _ => 500,
    }
}

/// The status of a failure, with google.rpc details: which field, and a reason for programs.
pub(super) fn status(failure: Failure) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason(&failure), DOMAIN, std::collections::HashMap::<String, String>::new());
    if failure.code == Code::InvalidArgument {
        details.add_bad_request_violation(failure.field, failure.message.clone());
    }
    Status::with_error_details(failure.code, failure.message, details)
}

/// The failure as a message, for one question of many.
pub(super) fn error(failure: Failure) -> v1::CheckError {
    let code = u32::try_from(i32::from(failure.code)).unwrap_or_default();
    v1::CheckError { code, message: failure.message, field: failure.field }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: Code) -> Failure {
        Failure { code, field: "subject".into(), message: "subject: missing".into() }
    }

    #[test]
    fn a_wrong_field_is_in_the_details() {
        let status = status(failure(Code::InvalidArgument));
        assert_eq!((status.code(), status.message()), (Code::InvalidArgument, "subject: missing"));
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["subject"]);
    }

    #[test]
    fn programs_can_tell_failures_apart() {
        for (code, reason) in [
            (Code::InvalidArgument, "INVALID_QUESTION"),
            (Code::NotFound, "UNKNOWN_TARGET"),
            (Code::Unavailable, "NO_CONFIGURATION"),
            (Code::FailedPrecondition, "REVISION_NOT_REACHED"),
            (Code::ResourceExhausted, "TOO_MUCH"),
            (Code::Internal, "FAILED"),
        ] {
            let info = status(failure(code)).get_details_error_info().unwrap();
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "bindery"));
            assert_eq!(error(failure(code)).code, u32::try_from(i32::from(code)).unwrap());
        }
        let failure_of_token = Failure { field: TOKEN.to_owned(), ..failure(Code::InvalidArgument) };
        assert_eq!(status(failure_of_token).get_details_error_info().unwrap().reason, "PLAN_REFUSED");
        for (field, reason) in [(MAX_STALENESS, "CONFIGURATION_TOO_OLD"), (ON_DEMAND, "NOT_HELD")] {
            let failure = Failure { field: field.to_owned(), ..failure(Code::Unavailable) };
            assert_eq!(status(failure).get_details_error_info().unwrap().reason, reason);
        }
    }
}
