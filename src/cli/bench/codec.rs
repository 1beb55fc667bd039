//! Messages as bytes: a request is encoded once and sent often, and of an answer only the decision is read.
//!
//! Must not know: where they go.

use super::tally::{Failure, Outcome};
use bytes::{BufMut, Bytes};
use prost::Message;
use std::marker::PhantomData;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Code, Status};

/// Space for one message at first: most are short, and it is taken anew for every call.
const ROOM: usize = 512;
/// How much is written at once.
const WRITE: usize = 32 * 1024;

/// Sends bytes as they are, and reads `T`.
pub(super) struct Raw<T>(PhantomData<fn() -> T>);

impl<T> Default for Raw<T> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Message + Default + 'static> Codec for Raw<T> {
    type Encode = Bytes;
    type Decode = T;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<T> Encoder for Raw<T> {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ROOM, WRITE)
    }
}

impl<T: Message + Default> Decoder for Raw<T> {
    type Item = T;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<T>, Status> {
        let read = T::decode(buffer).map(Some);
        read.map_err(|error| Status::internal(format!("the answer cannot be read: {error}")))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(ROOM, WRITE)
    }
}

/// An answer, as far as it is read.
pub(super) trait Answer: Message + Default + 'static {
    /// What it says.
    fn outcome(&self) -> Outcome;
}

/// Of a `bindery.v1.CheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Checked {
    #[prost(int32, tag = "1")]
    decision: i32,
}

impl Checked {
    fn told(&self) -> Result<bool, Failure> {
        match self.decision {
            1 => Ok(true),
            2 => Ok(false),
            _ => Err(SENSELESS),
        }
    }
}

impl Answer for Checked {
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.add(self.told());
        outcome
    }
}

/// Of a `bindery.v1.CheckError`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Refused {
    #[prost(int32, tag = "1")]
    code: i32,
}

/// An answer that is neither one thing nor the other.
const SENSELESS: Failure = Failure { code: Code::Internal, local: true };

fn either(response: Option<&Checked>, error: Option<&Refused>) -> Result<bool, Failure> {
    match (response, error) {
        (_, Some(error)) => Err(Failure { code: Code::from(error.code), local: false }),
        (Some(response), None) => response.told(),
        (None, None) => Err(SENSELESS),
    }
}

/// Of a `bindery.v1.CheckBatchResult`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Item {
    #[prost(message, tag = "1")]
    response: Option<Checked>,
    #[prost(message, tag = "2")]
    error: Option<Refused>,
}

/// Of a `bindery.v1.CheckBatchResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Batch {
    #[prost(message, repeated, tag = "1")]
    results: Vec<Item>,
}

impl Answer for Batch {
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        for Item { response, error } in &self.results {
            outcome.add(either(response.as_ref(), error.as_ref()));
        }
        outcome
    }
}

/// A `bindery.v1.CheckStreamRequest` whose question is there already.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Streamed {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    /// On the wire a message looks like bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub(super) check: Bytes,
}

/// Of a `bindery.v1.CheckStreamResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamAnswer {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(message, tag = "2")]
    response: Option<Checked>,
    #[prost(message, tag = "3")]
    error: Option<Refused>,
}

impl Answer for StreamAnswer {
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        outcome.add(either(self.response.as_ref(), self.error.as_ref()));
        outcome
    }
}

/// An answer of which nothing is read: that it came is what counts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Unread {}

impl Answer for Unread {
    fn outcome(&self) -> Outcome {
        Outcome { unread: 1, ..Outcome::default() }
    }
}

/// Of Envoy's `CheckResponse`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct EnvoyAnswer {
    #[prost(message, tag = "1")]
    status: Option<Refused>,
}

impl Answer for EnvoyAnswer {
    fn outcome(&self) -> Outcome {
        let mut outcome = Outcome::default();
        // To Envoy, no status is OK.
        outcome.add(Ok(self.status.as_ref().is_none_or(|status| status.code == 0)));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1;

    fn response(decision: v1::Decision) -> v1::CheckResponse {
        let explanation = Some(v1::Explanation { summary: "because".into(), ..Default::default() });
        v1::CheckResponse {
            decision: decision.into(),
            messages: vec!["m".into()],
            revision: 7,
            explanation,
            ..Default::default()
        }
    }

    fn error(code: Code) -> v1::CheckError {
        v1::CheckError {
            code: u32::try_from(i32::from(code)).unwrap(),
            message: "no".into(),
            ..Default::default()
        }
    }

    fn read<T: Answer>(message: &impl Message) -> Outcome {
        T::decode(message.encode_to_vec().as_slice()).unwrap().outcome()
    }

    #[test]
    fn the_decision_is_read_out_of_whole_answers() {
        let allowed = read::<Checked>(&response(v1::Decision::Allow));
        assert_eq!((allowed.allowed, allowed.denied), (1, 0));
        let denied = read::<Checked>(&response(v1::Decision::Deny));
        assert_eq!((denied.allowed, denied.denied), (0, 1));
        assert_eq!(read::<Checked>(&response(v1::Decision::Unspecified)).errors(), 1);
    }

    #[test]
    fn every_result_of_a_batch_counts() {
        use v1::check_batch_result::Result as R;
        let results = [
            Some(R::Response(response(v1::Decision::Allow))),
            Some(R::Response(response(v1::Decision::Deny))),
            Some(R::Error(error(Code::ResourceExhausted))),
            Some(R::Error(error(Code::NotFound))),
            None,
        ];
        let results = results.map(|result| v1::CheckBatchResult { result }).to_vec();
        let outcome = read::<Batch>(&v1::CheckBatchResponse { results, revision: 1 });
        assert_eq!((outcome.allowed, outcome.denied, outcome.shed(), outcome.errors()), (1, 1, 1, 2));
    }

    #[test]
    fn streamed_questions_and_answers_are_those_of_the_schema() {
        let check = v1::CheckRequest { return_context: true, ..Default::default() };
        let sent = Streamed { id: 300, check: check.encode_to_vec().into() };
        let received = v1::CheckStreamRequest::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(received, v1::CheckStreamRequest { id: 300, check: Some(check) });
        let result = Some(v1::check_stream_response::Result::Error(error(Code::ResourceExhausted)));
        let answer = v1::CheckStreamResponse { id: 300, result }.encode_to_vec();
        let answer = StreamAnswer::decode(answer.as_slice()).unwrap();
        assert_eq!((answer.id, answer.outcome().shed()), (300, 1));
    }

    #[test]
    fn an_answer_that_nobody_reads_counts_whatever_it_says() {
        for decision in [v1::Decision::Allow, v1::Decision::Deny] {
            let outcome = read::<Unread>(&response(decision));
            assert_eq!((outcome.unread, outcome.answered(), outcome.errors()), (1, 1, 0));
        }
        assert_eq!(read::<Unread>(&v1::CheckResponse::default()).answered(), 1);
    }

    #[test]
    fn envoys_answers_are_read_as_envoy_does() {
        use envoy_types::ext_authz::v3::pb::CheckResponse;
        let mut answer = CheckResponse::default();
        assert_eq!(read::<EnvoyAnswer>(&answer).allowed, 1);
        answer.status = Some(Default::default());
        assert_eq!(read::<EnvoyAnswer>(&answer).allowed, 1);
        if let Some(status) = &mut answer.status {
            status.code = 7;
        }
        assert_eq!(read::<EnvoyAnswer>(&answer).denied, 1);
    }
}
