//! What is told of a gateway's requests: metrics, the decision log, traces.
//!
//! Must not know: how a request is judged.

use super::asked::Asked;
use super::reason::Why;
use super::{Gateway, Judgement, Verdict};
use crate::api::note::{About, Noting, Reply, Told, Watch, room};
use crate::model::{Subject, TargetRef};
use crate::store::Snapshot;
use crate::telemetry::Telemetry;
use crate::telemetry::labels::{Answer, Door, GatewayDoor, GatewayReason};
use crate::telemetry::trace::{FutureExt as _, Trace};
use std::sync::Arc;

/// What a request went through, for those that tell of it.
#[derive(Default)]
pub(super) struct Course {
    pub(super) watch: Watch,
    pub(super) target: Option<TargetRef>,
    pub(super) subject: Option<Subject>,
    pub(super) reply: Option<Reply>,
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

const fn counted(door: GatewayDoor) -> Door {
    match door {
        GatewayDoor::ExtAuthz => Door::ExtAuthz,
        GatewayDoor::ForwardAuth => Door::ForwardAuth,
    }
}

impl Gateway {
    /// What a gateway is to do with a request that came in at this door, as part of this trace.
    pub(in crate::api) async fn judge(
        &self,
        asked: &Asked,
        door: GatewayDoor,
        trace: Option<Box<Trace>>,
    ) -> Judgement {
        let telemetry = self.telemetry();
        let noting = Noting::begin(telemetry, counted(door), None).with(trace);
        let mut course = Course { watch: noting.watch(telemetry), ..Course::default() };
        let mut facts = self.facts(Why::Undecided);
        let work = self.decide(asked, &mut facts, &mut course);
        let decided = match noting.trace.as_deref().map(Trace::work) {
            Some(context) => work.with_context(context).await,
            None => work.await,
        };
        let judgement = self.judgement(asked, facts, decided);
        self.note(door, noting, &judgement, course).await;
        judgement
    }

    /// Where its work is told.
    pub(in crate::api) fn telemetry(&self) -> &Telemetry {
        self.api.telemetry()
    }

    /// Tells of a request that has its answer.
    async fn note(&self, door: GatewayDoor, mut noting: Noting, judgement: &Judgement, course: Course) {
        let telemetry = self.telemetry();
        let Judgement { facts, verdict } = judgement;
        let reason = facts.why.word();
        telemetry.metrics.gateway_answered(door, GatewayReason::named(reason));
        let Course { target, subject, reply, snapshot, watch } = course;
        let kind = target.as_ref().map(TargetRef::kind);
        if watch.record {
            noting.learn(About { target, subject: subject.unwrap_or_default() });
        }
        let (answer, failure) = match verdict {
            Verdict::Pass { .. } => (Some(Answer::Allow), None),
            Verdict::Stop { .. } => (Some(Answer::Deny), None),
            Verdict::Fail(failure) => (None, Some(failure)),
        };
        let (response, noted) = match reply {
            Some(Reply { response, noted }) => (Some(response), Some(noted)),
            None => (None, None),
        };
        let told = Told {
            answer,
            decision_id: &facts.decision_id,
            reason: Some(reason),
            failure,
            response: response.as_ref(),
            noted,
            kind,
            snapshot: snapshot.as_deref(),
        };
        room(noting.end(telemetry, told)).await;
    }

    /// Judges a request that this door does not take from this gateway.
    pub(in crate::api) async fn refuse(
        &self,
        asked: &Asked,
        why: Why,
        door: GatewayDoor,
        trace: Option<Box<Trace>>,
    ) -> Judgement {
        let noting = Noting::begin(self.telemetry(), counted(door), None).with(trace);
        let course = Course { watch: noting.watch(self.telemetry()), ..Course::default() };
        let judgement = self.stop(asked, self.facts(why), None, &[]);
        self.note(door, noting, &judgement, course).await;
        judgement
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Reason;
    use crate::telemetry::labels::{GATEWAY_REASONS, Label as _};

    #[test]
    fn every_reason_has_its_word_in_metrics() {
        let own = [
            Why::Allowed,
            Why::Denied,
            Why::NotSignedIn,
            Why::InactiveUser,
            Why::NoRoute,
            Why::AmbiguousPath,
            Why::MalformedRequest,
            Why::OtherHost,
            Why::CutBody,
            Why::UntrustedGateway,
            Why::Undecided,
        ];
        let words = own.into_iter().map(Why::word).chain(Reason::ALL.iter().map(|it| it.as_str()));
        let words: Vec<&str> = words.chain(["other"]).collect();
        assert_eq!(words, GATEWAY_REASONS);
        assert!(words.iter().all(|word| GatewayReason::named(word).word() == *word));
    }
}
