//! The gRPC doors agree: a question alone, in a batch and in a stream gets the answer that the core gives.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod generate;
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::generate::{any_question, any_world};
    use crate::support::make::{NOW, dummy, question, resource, target};
    use bindery::api::ask;
    use bindery::api::decision::DecisionApi;
    use bindery::evaluators::Evaluators;
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
    use std::collections::BTreeMap;
    use std::sync::Arc;
    use tokio_stream::StreamExt as _;
    use tonic::transport::Channel;

    /// The service on a free port of this machine, and a connection to it.
    async fn serve(store: Arc<Store>) -> Channel {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = DecisionApi::new(store, Arc::default()).into_service();
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
    }

    /// A world and questions about it, the same ones in every run.
    fn example(seed: u8, count: usize) -> (Arc<Store>, Vec<v1::CheckRequest>) {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let explain = prop::sample::select(vec![
            v1::ExplainLevel::Unspecified,
            v1::ExplainLevel::Reasons,
            v1::ExplainLevel::Full,
        ]);
        let questions = vec((any_question(), explain, any::<bool>()), count);
        let (world, questions) = (any_world(), questions).new_tree(&mut runner).unwrap().current();
        let store = Arc::new(Store::new(Settings::default()));
        apply(&store, Update::Replace(world.resources())).unwrap();
        let request = |(asked, explain, full_evaluation): &(_, v1::ExplainLevel, bool)| v1::CheckRequest {
            explain: (*explain).into(),
            full_evaluation: *full_evaluation,
            ..world.question(asked)
        };
        (store, questions.iter().map(request).collect())
    }

    /// An answer or an error's code. The text of an error is only looked at to be there.
    type Same = Result<v1::CheckResponse, u32>;

    /// The time that bindings took is never the same.
    fn without_times(mut answer: v1::CheckResponse) -> v1::CheckResponse {
        fn clear(explanation: &mut v1::Explanation) {
            explanation.bindings.iter_mut().for_each(|binding| binding.nanoseconds = 0);
            explanation.parents.iter_mut().for_each(clear);
        }
        answer.explanation.iter_mut().for_each(clear);
        answer
    }

    fn number(code: tonic::Code) -> u32 {
        u32::try_from(i32::from(code)).unwrap()
    }

    fn refused(code: u32, message: &str) -> u32 {
        assert!(!message.is_empty(), "an error with code {code} says nothing");
        code
    }

    async fn by_core(store: &Store, requests: &[v1::CheckRequest]) -> Vec<Same> {
        let mut answers = Vec::new();
        for request in requests {
            let answer =
                ask::check(store, &Evaluators::default(), request.clone(), Timestamp::new(NOW, 0)).await;
            let error = |failure: ask::Failure| refused(number(failure.code), &failure.message);
            answers.push(answer.map(without_times).map_err(error));
        }
        answers
    }

    async fn by_check(channel: Channel, requests: &[v1::CheckRequest]) -> Vec<Same> {
        let mut client = DecisionServiceClient::new(channel);
        let mut answers = Vec::new();
        for request in requests {
            let answer = client.check(request.clone()).await;
            let error = |status: tonic::Status| refused(number(status.code()), status.message());
            answers.push(answer.map(|answer| without_times(answer.into_inner())).map_err(error));
        }
        answers
    }

    async fn by_batch(channel: Channel, requests: &[v1::CheckRequest]) -> (Vec<Same>, u64) {
        use v1::check_batch_result::Result as Either;
        let request = v1::CheckBatchRequest { checks: requests.to_vec() };
        let answer = DecisionServiceClient::new(channel).check_batch(request).await.unwrap().into_inner();
        let one = |result: v1::CheckBatchResult| match result.result.unwrap() {
            Either::Response(answer) => Ok(without_times(answer)),
            Either::Error(error) => Err(refused(error.code, &error.message)),
        };
        (answer.results.into_iter().map(one).collect(), answer.revision)
    }

    async fn by_stream(channel: Channel, requests: &[v1::CheckRequest]) -> Vec<Same> {
        use v1::check_stream_response::Result as Either;
        // Ids that are neither small nor in order: they belong to the caller.
        let id = |index: usize| u64::MAX - (index as u64) * 7;
        let questions: Vec<v1::CheckStreamRequest> = requests
            .iter()
            .enumerate()
            .map(|(index, request)| v1::CheckStreamRequest { id: id(index), check: Some(request.clone()) })
            .collect();
        let mut client = DecisionServiceClient::new(channel);
        let mut stream = client.check_stream(tokio_stream::iter(questions)).await.unwrap().into_inner();
        let mut answers = BTreeMap::new();
        while let Some(answer) = stream.next().await {
            let answer = answer.unwrap();
            let same = match answer.result.unwrap() {
                Either::Response(answer) => Ok(without_times(answer)),
                Either::Error(error) => Err(refused(error.code, &error.message)),
            };
            assert!(answers.insert(answer.id, same).is_none(), "question {} was answered twice", answer.id);
        }
        assert_eq!(answers.len(), requests.len());
        (0..requests.len()).map(|index| answers.remove(&id(index)).unwrap()).collect()
    }

    #[tokio::test]
    async fn every_door_gives_the_answer_of_the_core() {
        let mut answered = 0;
        let mut failed = 0;
        for seed in 0..8 {
            let (store, requests) = example(seed, 150);
            let channel = serve(Arc::clone(&store)).await;
            let core = by_core(&store, &requests).await;
            assert_eq!(by_check(channel.clone(), &requests).await, core);
            let (batch, revision) = by_batch(channel.clone(), &requests).await;
            assert_eq!(batch, core);
            assert_eq!(revision, store.load().revision());
            assert_eq!(by_stream(channel, &requests).await, core);
            answered += core.iter().filter(|answer| answer.is_ok()).count();
            failed += core.iter().filter(|answer| answer.is_err()).count();
        }
        assert!(answered > 500 && failed > 50, "{answered} answers and {failed} errors are too few of one");
    }

    /// All answers of a batch stand on one revision, whatever the writer does meanwhile.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_batch_stands_on_one_revision() {
        let store = Arc::new(Store::new(Settings::default()));
        let says = |generation: u64| dummy("says", true, &format!("generation {generation}"));
        let application = target(T::Application("t".into()));
        let row = v1::PolicyBinding {
            target: Some(application.clone()),
            policy: "says".into(),
            ..Default::default()
        };
        let slug = v1::Application { slug: "t".into(), ..Default::default() };
        let first = vec![says(1), resource(R::Application(slug)), resource(R::PolicyBinding(row))];
        apply(&store, Update::Replace(first)).unwrap();
        let channel = serve(Arc::clone(&store)).await;
        let writer = {
            let store = Arc::clone(&store);
            tokio::task::spawn_blocking(move || {
                for generation in 2..2_000 {
                    let update = Update::Delta { upserts: vec![says(generation)], removals: Vec::new() };
                    assert_eq!(apply(&store, update).unwrap().revision, generation);
                }
            })
        };
        let requests = vec![question(application, "somebody"); 50];
        loop {
            let finished = writer.is_finished();
            let (answers, revision) = by_batch(channel.clone(), &requests).await;
            assert_eq!(answers.len(), requests.len());
            for answer in answers {
                let answer = answer.unwrap();
                assert_eq!(answer.revision, revision);
                assert_eq!(answer.messages, [format!("generation {revision}")]);
            }
            if finished {
                break;
            }
        }
        writer.await.unwrap();
    }

    /// The questions are the same in every run, and both answers and errors are among them.
    #[test]
    fn the_examples_are_the_same_every_time() {
        let (_, first) = example(3, 50);
        let (_, second) = example(3, 50);
        let (_, other) = example(4, 50);
        assert_eq!(first, second);
        assert_ne!(first, other);
    }
}
