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
    use bindery::model::{Expression, ExpressionLanguage, Id, Policy, PolicyKind, Timestamp};
    use bindery::policy::Compiled;
    use bindery::proto::v1;
    use bindery::proto::v1::policy::Kind;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use futures_util::future::join_all;
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

    /// How many bodies are asked at a time.
    const SOME: usize = 3;

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
        // On a busy machine anything may be late, and is then an error as any other.
        let late = text.is_some_and(|text| text.starts_with("timed out after"));
        let fits = late
            || match &body.end {
                // The interpreter's own limit and the server's run out together; either may be first.
                End::Error("timed out") => {
                    text.is_some_and(|text| text.contains("ran longer than its timeout"))
                }
                End::Error(part) => text.is_some_and(|text| text.contains(part)),
                End::AnyError => text.is_some(),
                End::Value(passing) => text.is_none() && said.raw_result == *passing,
                End::Any => true,
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

    /// Asks a hostile body and an honest one in turns. What was wrong, and how long the slowest took.
    async fn besieged(body: &Body) -> (Vec<String>, Duration) {
        let mut policies = vec![("hostile", &*body.source, true)];
        policies.extend(body.others.iter().map(|(name, source)| (*name, &**source, true)));
        let server = Server::new(&policies, |_| ());
        let (mut wrong, mut slowest) = (Vec::new(), Duration::ZERO);
        // Twice: the second time it is known, and its worker may be the one of before.
        for _ in 0..2 {
            let start = Instant::now();
            let said = server.ask("hostile").await;
            let took = start.elapsed();
            wrong.extend(judge(body, &said, took).err());
            slowest = slowest.max(took);
            server.honest().await;
        }
        (wrong, slowest)
    }

    #[test]
    fn every_hostile_body_ends_in_time_and_harms_nobody() {
        let _alone = children::alone();
        let runtime = runtime();
        let mut wrong = Vec::new();
        let (mut slowest, mut largest) = ((Duration::ZERO, ""), (0, ""));
        let only = std::env::var("HOSTILE").unwrap_or_default();
        let bodies: Vec<Body> = bodies::all().into_iter().filter(|body| body.name.contains(&only)).collect();
        // Some at a time: most of them wait for their timeouts.
        for some in bodies.chunks(SOME) {
            let watch = children::Watch::start();
            let ended = runtime.block_on(join_all(some.iter().map(besieged)));
            for (body, (how, took)) in some.iter().zip(ended) {
                wrong.extend(how.into_iter().map(|how| format!("{}: {how}", body.name)));
                if took > slowest.0 {
                    slowest = (took, body.name);
                }
            }
            let names: Vec<&str> = some.iter().map(|body| body.name).collect();
            if !children::none_left() {
                wrong.push(format!("one of {names:?} left {:?} behind", children::of_this_process()));
            }
            let highest = watch.highest();
            if highest > largest.0 {
                largest = (highest, some[0].name);
            }
            if highest > MEMORY + BESIDES {
                wrong.push(format!("one of {names:?}: a worker took {} MiB", highest >> 20));
            }
        }
        let told = format!(
            "{} bodies; the slowest answer came after {:?} ({}), the largest worker took {} MiB (near {})",
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

    #[test]
    fn no_source_overflows_the_stack_of_who_reads_it() {
        let mut refused = 0;
        let sources = sources::nested();
        let count = sources.len();
        for (name, source) in sources {
            let read = move || {
                let language = ExpressionLanguage::Python;
                let kind = PolicyKind::Expression(Expression { language, source: source.into() });
                let policy = Policy { id: Id::new("p"), name: "p".into(), execution_logging: false, kind };
                let compiled = Compiled::new(&policy).unwrap();
                let broken = compiled.python().unwrap().broken().map(str::to_owned);
                assert!(
                    broken.as_deref().is_none_or(|text| text.len() > 8 && text.len() < 500),
                    "{broken:?}"
                );
                broken.is_some()
            };
            // As much as a thread of the server has. An overflow would end this program, so the last line says where.
            if std::env::var_os("HOSTILE").is_some() {
                writeln!(std::io::stderr(), "{name}").unwrap();
            }
            let start = Instant::now();
            let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(read).unwrap();
            refused += usize::from(thread.join().unwrap());
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{name} took {:?} to be read",
                start.elapsed()
            );
        }
        writeln!(std::io::stderr(), "{count} long sources were read, {refused} of them refused").unwrap();
        assert!(refused > count / 2);
    }

    #[test]
    fn no_source_stands_outside_of_its_body() {
        let _alone = children::alone();
        let runtime = runtime();
        let sources = sources::escapes();
        let names: Vec<String> = (0..sources.len()).map(|index| format!("escape{index}")).collect();
        let mut policies = Vec::new();
        for ((_, source), name) in sources.iter().zip(&names) {
            policies.push((name.as_str(), source.as_str(), false));
        }
        let server = Server::new(&policies, |_| ());
        runtime.block_on(async {
            for ((name, _), policy) in sources.iter().zip(&names) {
                let said = server.ask(policy).await;
                assert!(!said.result, "{name} passed: {said:?}");
                server.honest().await;
            }
        });
    }

    /// Asked without end by several, while others are asked.
    #[test]
    fn hostile_policies_hold_nobody_up() {
        let _alone = children::alone();
        let runtime = runtime();
        let policies = [
            ("loops", "while True:\n    pass", true),
            ("grows", "a = 'x'\nwhile True:\n    a = a + a", true),
            ("matches", "while True:\n    regex_match('a' * 5000 + 'b', r'(a*)*\\1$')", true),
            ("calls", "while True:\n    ak_call_policy('loops')", true),
            (
                "dives",
                "def a():\n    try:\n        return a()\n    except RecursionError:\n        return a()\nreturn a()",
                true,
            ),
        ];
        let server = Arc::new(Server::new(&policies, |_| ()));
        let watch = children::Watch::start();
        runtime.block_on(async {
            server.honest().await;
            let mut siege = JoinSet::new();
            for (name, ..) in policies {
                for _ in 0..3 {
                    let server = Arc::clone(&server);
                    siege.spawn(async move {
                        loop {
                            let said = server.ask(name).await;
                            assert!(said.error.is_some_and(|text| !text.is_empty()) && said.result);
                        }
                    });
                }
            }
            let mut slowest = Duration::ZERO;
            for _ in 0..60 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let start = Instant::now();
                server.honest().await;
                slowest = slowest.max(start.elapsed());
                // Two that are in the pool, two beside it, and those that are being ended.
                let children = children::of_this_process().len();
                assert!(children <= 12, "{children} workers");
            }
            writeln!(std::io::stderr(), "under siege the slowest honest answer took {slowest:?}").unwrap();
            assert!(slowest < Duration::from_secs(5), "{slowest:?}");
            assert!(siege.try_join_next().is_none(), "a hostile question came to a strange end");
            siege.shutdown().await;
            server.honest().await;
        });
        drop(server);
        assert!(children::none_left(), "{:?}", children::of_this_process());
        let highest = watch.highest();
        assert!(highest < MEMORY + BESIDES, "{} MiB", highest >> 20);
    }

    /// One worker for all, so that what one leaves behind would be there for the next.
    #[test]
    fn nothing_of_a_run_is_there_in_the_next() {
        let _alone = children::alone();
        let runtime = runtime();
        let spoil = "global PolicyRequest, User, str, len, _host, _messages, left\nleft = 1\n\
                     def nothing(*args, **named):\n    return False\n\
                     PolicyRequest.left = 1\nUser.left = 1\nrequest.left = 1\nrequest.user.left = 1\n\
                     context['left'] = 1\nrequest.user.attributes['left'] = 1\n\
                     for module in (re, json, math):\n    for name in ('search', 'loads', 'floor'):\n        \
                     try:\n            setattr(module, name, nothing)\n        except Exception:\n            pass\n\
                     str = len = _host = nothing\n_messages = ['left']\nreturn True";
        let look = "import re\nimport json\nimport math\n\
                    if re.search('a', 'a') is None or json.loads('[1]') != [1] or math.floor(1.5) != 1:\n    return True\n\
                    if 'left' in context or 'left' in request.user.attributes or hasattr(request, 'left'):\n    return True\n\
                    if hasattr(request.user, 'left') or hasattr(PolicyRequest, 'left') or hasattr(User, 'left'):\n    return True\n\
                    if str(1) != '1' or len([1]) != 1 or not ip_address('::1').is_loopback or len(_messages) > 0:\n    return True\n\
                    try:\n    return left == 1\nexcept NameError:\n    return False";
        let mutable = "def a(b=[]):\n    b.append(1)\n    return len(b)\nclass C:\n    d = []\nC.d.append(1)\n\
                       return a() != 1 or len(C.d) != 1";
        let spoil = format!("import re\nimport json\nimport math\n{spoil}");
        let policies =
            [("spoils", spoil.as_str(), false), ("looks", look, false), ("mutable", mutable, false)];
        let server = Server::new(&policies, |options| options.workers = 1);
        runtime.block_on(async {
            for _ in 0..3 {
                let said = server.ask("spoils").await;
                assert!(said.error.is_none() || said.error.as_deref() != Some(""), "{said:?}");
                for other in ["looks", "mutable"] {
                    let said = server.ask(other).await;
                    assert!(said.error.is_none() && !said.result, "{said:?}");
                    assert!(said.messages.is_empty(), "{said:?}");
                }
                server.honest().await;
            }
        });
    }

    #[test]
    fn questions_that_nobody_waits_for_any_more_leave_nothing_behind() {
        let _alone = children::alone();
        let runtime = runtime();
        let policies = [
            ("loops", "while True:\n    pass", true),
            ("calls", "return ak_call_policy('loops').passing", true),
            ("outer", "a = ak_call_policy('quick')\nreturn a.passing", true),
            ("quick", "a = 0\nfor b in range(3000):\n    a += b\nreturn True", true),
        ];
        let server = Arc::new(Server::new(&policies, |_| ()));
        runtime.block_on(async {
            for round in 0..40_u64 {
                for (name, ..) in policies {
                    let server = Arc::clone(&server);
                    let task = tokio::spawn(async move { server.ask(name).await });
                    tokio::time::sleep(Duration::from_millis(round % 13)).await;
                    task.abort();
                    let _cancelled = task.await;
                }
                if round % 8 == 0 {
                    server.honest().await;
                    assert!(server.ask("quick").await.error.is_none());
                }
            }
            // An answer of another one's run would show here.
            for _ in 0..20 {
                server.honest().await;
            }
        });
        drop(server);
        assert!(children::none_left(), "{:?}", children::of_this_process());
    }

    #[test]
    fn a_worker_that_was_ended_from_outside_is_not_missed() {
        let _alone = children::alone();
        let runtime = runtime();
        let server = Server::new(&[], |_| ());
        runtime.block_on(async {
            for _ in 0..3 {
                server.honest().await;
                for child in children::of_this_process() {
                    let ended = std::process::Command::new("kill").args(["-9", &child.to_string()]).status();
                    assert!(ended.unwrap().success());
                }
                assert!(children::none_left());
            }
            server.honest().await;
        });
    }
}
