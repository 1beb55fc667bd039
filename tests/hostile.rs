//! Hostile policies in Python: whatever a body does, its question is answered in time, the next one as well, memory
//! stays within its bounds, and no process is left behind.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
}

#[cfg(test)]
#[path = "hostile"]
mod hostile {
    pub(crate) mod bodies;
    pub(crate) mod children;
    pub(crate) mod sources;
}

#[cfg(test)]
mod tests {
    use crate::hostile::bodies::{self, Body, End};
    use crate::hostile::children;
    use crate::hostile::sources;
    use crate::support::make::{NOW, data, group_name, policy, question, resource, target};
    use bindery::api::ask::check;
    use bindery::evaluators::Evaluators;
    use bindery::evaluators::python::{Isolation, PythonOptions};
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::policy::Kind;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use serde_json::json;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::time::{Duration, Instant};
    use tokio::runtime::Runtime;
    use tokio::task::JoinSet;

    /// The timeout of every hostile policy.
    const TIMEOUT: Duration = Duration::from_millis(300);
    /// When its answer has to be there at the latest, on a busy machine.
    const LATEST: Duration = Duration::from_secs(2);
    /// Memory for the programs of a worker.
    const MEMORY: u64 = 64 << 20;
    /// What a worker takes for itself, and what it may take beyond before it notices.
    const BESIDES: u64 = 48 << 20;

    fn expression(name: &str, source: &str) -> v1::Resource {
        policy(name, Kind::Expression(v1::ExpressionPolicy { source: source.into(), ..Default::default() }))
    }

    /// An application of this name with this policy bound to it.
    fn bound(name: &str, failure_result: bool, timeout: Duration) -> [v1::Resource; 2] {
        let nanos = i32::try_from(timeout.subsec_nanos()).unwrap();
        let seconds = i64::try_from(timeout.as_secs()).unwrap();
        let binding = v1::PolicyBinding {
            target: Some(target(T::Application(name.into()))),
            policy: name.into(),
            failure_result,
            timeout: Some(prost_types::Duration { seconds, nanos }),
            ..Default::default()
        };
        let application = v1::Application { slug: name.into(), ..Default::default() };
        [resource(R::Application(application)), resource(R::PolicyBinding(binding))]
    }

    /// What a good policy looks like, and what must go on whatever others do.
    const HONEST: &str = "ak_message('hello ' + request.user.username)\nreturn ak_is_group_member(request.user, \
                          name='staff') and context['device']['trusted']";

    /// Somebody, and the group that she is in.
    fn directory() -> Vec<v1::Resource> {
        let group = v1::Group { id: "staff".into(), name: "staff".into(), ..Default::default() };
        let groups = vec![group_name("staff")];
        let user = v1::User { id: "7".into(), username: "ada".into(), groups, ..Default::default() };
        vec![resource(R::Group(group)), resource(R::User(user))]
    }

    struct Server {
        store: Store,
        evaluators: Evaluators,
    }

    impl Server {
        fn new(policies: &[(&str, &str, bool)], change: impl Fn(&mut PythonOptions)) -> Self {
            let mut resources = directory();
            resources.push(expression("honest", HONEST));
            resources.extend(bound("honest", false, Duration::from_secs(20)));
            for (name, source, failure_result) in policies {
                resources.push(expression(name, source));
                resources.extend(bound(name, *failure_result, TIMEOUT));
            }
            let store = Store::new(Settings::default());
            apply(&store, Update::Replace(resources)).unwrap();
            let mut options = PythonOptions::new(Isolation::Process(env!("CARGO_BIN_EXE_bindery").into()));
            options.memory = MEMORY;
            change(&mut options);
            Self { store, evaluators: Evaluators::default().with_python(options) }
        }

        /// Asks about a policy, and gives what became of its binding.
        async fn ask(&self, name: &str) -> v1::BindingExplanation {
            let mut request = question(target(T::Application(name.into())), "7");
            request.context.as_mut().unwrap().values = Some(data(&json!({"device": {"trusted": true}})));
            request.explain = v1::ExplainLevel::Full.into();
            let now = Timestamp::new(NOW, 0);
            let answer = check(&self.store, &self.evaluators, request, now).await.unwrap();
            answer.explanation.unwrap().bindings.into_iter().next().unwrap()
        }

        async fn honest(&self) {
            let said = self.ask("honest").await;
            assert_eq!(said.error, None);
            assert_eq!(said.messages, ["hello ada"]);
            assert!(said.result, "{said:?}");
        }
    }

    fn runtime() -> Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    }

    /// Whether a body ended as it should; the text says how it did otherwise.
    fn judge(body: &Body, said: &v1::BindingExplanation, took: Duration) -> Result<(), String> {
        let text = said.error.as_deref();
        let fits = match &body.end {
            End::Error(part) => text.is_some_and(|text| text.contains(part)),
            End::AnyError => text.is_some_and(|text| !text.trim().is_empty()),
            End::Value(passing) => text.is_none() && said.raw_result == *passing,
            End::Any => text.is_none_or(|text| !text.trim().is_empty()),
        };
        let short: String = text.unwrap_or_default().chars().take(200).collect();
        if !fits {
            return Err(format!("ended with {:?} {short:?}", said.raw_result));
        }
        if text.is_some() && !said.result {
            return Err(format!("its failure result does not count: {short:?}"));
        }
        if took > LATEST {
            return Err(format!("took {took:?}, {short:?}"));
        }
        Ok(())
    }

    #[test]
    fn every_hostile_body_ends_in_time_and_harms_nobody() {
        let _alone = children::alone();
        let runtime = runtime();
        let mut wrong = Vec::new();
        let (mut slowest, mut largest) = ((Duration::ZERO, ""), (0, ""));
        let bodies = bodies::all();
        let only = std::env::var("HOSTILE").unwrap_or_default();
        runtime.block_on(async {
            for body in bodies.iter().filter(|body| body.name.contains(&only)) {
                let mut policies = vec![("hostile", &*body.source, true)];
                policies.extend(body.others.iter().map(|(name, source)| (*name, &**source, true)));
                let server = Server::new(&policies, |_| ());
                let watch = children::Watch::start();
                // Twice: the second time it is known, and its worker may be the one of before.
                for _ in 0..2 {
                    let start = Instant::now();
                    let said = server.ask("hostile").await;
                    let took = start.elapsed();
                    if let Err(how) = judge(body, &said, took) {
                        wrong.push(format!("{}: {how}", body.name));
                    }
                    if took > slowest.0 {
                        slowest = (took, body.name);
                    }
                    server.honest().await;
                }
                drop(server);
                if !children::none_left() {
                    wrong.push(format!("{}: left {:?} behind", body.name, children::of_this_process()));
                }
                let highest = watch.highest();
                if highest > largest.0 {
                    largest = (highest, body.name);
                }
                if highest > MEMORY + BESIDES {
                    wrong.push(format!("{}: a worker took {} MiB", body.name, highest >> 20));
                }
            }
        });
        let told = format!(
            "{} bodies; the slowest answer came after {:?} ({}), the largest worker took {} MiB ({})",
            bodies.len(),
            slowest.0,
            slowest.1,
            largest.0 >> 20,
            largest.1
        );
        // Straight to the stream: it is to be seen when all is well, too.
        writeln!(std::io::stderr(), "{told}").unwrap();
        assert!(wrong.is_empty(), "{told}\n{}", wrong.join("\n"));
    }
}
