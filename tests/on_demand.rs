//! A server that holds only what it is asked about, beside a hub that holds everything: both answer the same.

#[cfg(test)]
mod tests {
    use bindery::api::decision::DecisionApi;
    use bindery::api::flow::{FlowApi, LIFETIME, Tokens};
    use bindery::evaluators::Evaluators;
    use bindery::model::{ResourceKind, ResourceName, Version};
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_client::DecisionServiceClient;
    use bindery::proto::v1::flow_service_client::FlowServiceClient;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::Update;
    use bindery::sync::demand::{Demand, DemandOptions};
    use bindery::sync::follow::{FollowOptions, Network, endpoint, follow};
    use bindery::sync::ledger::Ledger;
    use bindery::sync::service::{SyncApi, SyncOptions};
    use bindery::sync::sink::Nobody;
    use bindery::tls::client::Credentials;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::watch;
    use tokio_stream::wrappers::UnixListenerStream;
    use tonic::transport::Channel;
    use tonic::{Code, Status};
    use v1::resource::Resource as R;
    use v1::target_ref::Target as T;

    fn resource(resource: R) -> v1::Resource {
        v1::Resource { resource: Some(resource) }
    }

    fn application(slug: &str) -> v1::Resource {
        resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
    }

    fn group(name: &str) -> v1::Resource {
        resource(R::Group(v1::Group { name: name.into(), ..Default::default() }))
    }

    fn user(name: &str, groups: &[&str]) -> v1::Resource {
        let groups = groups.iter().map(|name| v1::GroupRef { name: (*name).into(), ..Default::default() });
        let groups = groups.collect();
        resource(R::User(v1::User { username: name.into(), groups, ..Default::default() }))
    }

    /// A route of the host `SLUG.example`.
    fn route(slug: &str) -> v1::Resource {
        let target = Some(v1::TargetRef { target: Some(T::Application(slug.into())) });
        let host = format!("{slug}.example");
        resource(R::Route(v1::Route { host, target, ..Default::default() }))
    }

    fn bind(target: T, group: &str) -> v1::Resource {
        let target = Some(v1::TargetRef { target: Some(target) });
        let group = Some(v1::GroupRef { name: group.into(), ..Default::default() });
        resource(R::PolicyBinding(v1::PolicyBinding { target, group, ..Default::default() }))
    }

    fn entitlement(application: &str, name: &str) -> v1::EntitlementRef {
        v1::EntitlementRef { application: application.into(), name: name.into(), ..Default::default() }
    }

    fn world() -> Vec<v1::Resource> {
        let right = v1::ApplicationEntitlement {
            application: "wiki".into(),
            name: "edit".into(),
            ..Default::default()
        };
        let mut all = vec![group("staff"), group("guests"), resource(R::Entitlement(right))];
        all.push(bind(T::Entitlement(entitlement("wiki", "edit")), "staff"));
        for number in 0..100 {
            all.push(application(&format!("app-{number}")));
            all.push(bind(T::Application(format!("app-{number}")), "guests"));
            all.push(user(&format!("user-{number}"), &["guests"]));
        }
        all.extend([application("wiki"), bind(T::Application("wiki".into()), "staff")]);
        all.extend([user("ada", &["staff"]), user("bob", &["guests"])]);
        all.push(resource(R::Flow(v1::Flow { slug: "login".into(), ..Default::default() })));
        for stage in ["password", "mfa"] {
            all.push(resource(R::Stage(v1::Stage { name: stage.into(), ..Default::default() })));
            let (id, flow, stage) = (format!("at-{stage}"), "login".into(), stage.into());
            let evaluate_on_plan = Some(true);
            let placed = v1::FlowStageBinding { id, flow, stage, evaluate_on_plan, ..Default::default() };
            all.push(resource(R::FlowStageBinding(placed)));
        }
        all.push(bind(T::FlowStageBinding("at-mfa".into()), "staff"));
        all.extend([route("wiki"), route("app-7")]);
        all
    }

    /// Serves what was routed on a socket in this directory.
    fn serve(directory: &Path, name: &str, routes: tonic::service::Routes) -> String {
        let path: PathBuf = directory.join(name);
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let incoming = UnixListenerStream::new(listener);
        tokio::spawn(tonic::transport::Server::builder().add_routes(routes).serve_with_incoming(incoming));
        format!("unix://{}", path.display())
    }

    struct Running {
        hub: Arc<Ledger>,
        part: Arc<Ledger>,
        client: DecisionServiceClient<Channel>,
        flows: FlowServiceClient<Channel>,
        demand: Arc<Demand>,
        _directory: tempfile::TempDir,
        _stop: watch::Sender<bool>,
    }

    async fn start(options: DemandOptions) -> Running {
        let directory = tempfile::tempdir().unwrap();
        let history = Version { epoch: 9, revision: 0 };
        let hub = Arc::new(Ledger::new(Arc::new(Store::with_history(Settings::default(), history))));
        let (stop, stopping) = watch::channel(false);
        let sync = SyncOptions {
            node: "hub".into(),
            closed_to_publishers: Some("files"),
            max_followers: 10,
            heartbeat: Duration::from_secs(1),
        };
        let mut routes = tonic::service::Routes::builder();
        routes.add_service(SyncApi::new(Arc::clone(&hub), sync, stopping).into_service());
        let address = serve(directory.path(), "hub", routes.routes());
        let demand = Arc::new(Demand::new(options));
        let part = Arc::new(Ledger::new(Arc::new(Store::new(Settings::default()))));
        let following = FollowOptions {
            on_demand: Some(Arc::clone(&demand)),
            ..FollowOptions::new(vec![address], "part".into())
        };
        let network =
            Network { connect_timeout: Duration::from_secs(5), credentials: Credentials::default() };
        tokio::spawn(follow(Arc::clone(&part), following, network, Nobody));
        let api = DecisionApi::new(Arc::clone(part.store()), Arc::new(Evaluators::default()));
        let mut routes = tonic::service::Routes::builder();
        let api = api.with_demand(Arc::clone(&demand) as _);
        let tokens = Arc::new(Tokens::random(LIFETIME).unwrap());
        routes.add_service(FlowApi::new(api.clone(), tokens).into_service());
        routes.add_service(api.into_service());
        let address = serve(directory.path(), "part", routes.routes());
        let channel = endpoint(&address).unwrap().connect().await.unwrap();
        let (client, flows) = (DecisionServiceClient::new(channel.clone()), FlowServiceClient::new(channel));
        Running { hub, part, client, flows, demand, _directory: directory, _stop: stop }
    }

    fn ask(target: T, username: &str) -> v1::CheckRequest {
        let subject = v1::Subject { username: username.into(), ..Default::default() };
        let target = Some(v1::TargetRef { target: Some(target) });
        v1::CheckRequest { target, subject: Some(subject), ..Default::default() }
    }

    impl Running {
        async fn check(&mut self, target: T, username: &str) -> Result<bool, Status> {
            let answer = self.client.check(ask(target, username)).await?.into_inner();
            Ok(answer.decision() == v1::Decision::Allow)
        }

        /// Waits until the part stands on what the hub has.
        async fn level(&self) {
            let revision = self.hub.store().load().revision();
            self.part.store().reach(revision, Duration::from_secs(30)).await;
        }
    }

    #[tokio::test]
    async fn a_part_answers_as_the_whole_and_holds_little() {
        let mut running = start(DemandOptions::default()).await;
        running.hub.update(Update::Replace(world())).unwrap();
        let wiki = || T::Application("wiki".into());
        assert!(running.check(wiki(), "ada").await.unwrap());
        assert!(!running.check(wiki(), "bob").await.unwrap());
        let edit = || T::Entitlement(entitlement("wiki", "edit"));
        assert!(running.check(edit(), "ada").await.unwrap());
        assert!(!running.check(edit(), "bob").await.unwrap());
        // A target and a user that do not exist are known not to.
        let status = running.check(T::Application("none".into()), "ada").await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{status}");
        assert!(!running.check(wiki(), "nobody").await.unwrap());
        let counts = running.part.store().load().counts();
        assert_eq!((counts.targets, counts.bindings, counts.users, counts.groups), (2, 2, 2, 2));
        // What changes is enforced, and what did not exist comes into being.
        running.hub.update(Update::Delta { upserts: vec![user("ada", &[])], removals: vec![] }).unwrap();
        running.level().await;
        assert!(!running.check(wiki(), "ada").await.unwrap());
        let none = vec![application("none"), bind(T::Application("none".into()), "guests")];
        running.hub.update(Update::Delta { upserts: none, removals: vec![] }).unwrap();
        running.level().await;
        assert!(running.check(T::Application("none".into()), "bob").await.unwrap());
        // Many at once, of things that were never asked about.
        let checks = (0..50).map(|n| ask(T::Application(format!("app-{n}")), &format!("user-{n}"))).collect();
        let batch = running.client.check_batch(v1::CheckBatchRequest { checks }).await.unwrap().into_inner();
        for result in batch.results {
            let Some(v1::check_batch_result::Result::Response(answer)) = result.result else { panic!() };
            assert_eq!(answer.decision(), v1::Decision::Allow);
        }
        let snapshot = running.part.store().load();
        assert_eq!(snapshot.counts().targets, 53);
        assert_eq!(*snapshot.digest(), snapshot.recount());
        assert!(!running.demand.is_empty());
    }

    /// Which target is asked about is known before it is asked about, and its routes stay when it goes.
    #[tokio::test]
    async fn routes_are_held_as_a_whole_beside_a_part_of_the_targets() {
        let options = DemandOptions { cold: Duration::from_millis(200), ..DemandOptions::default() };
        let mut running = start(options).await;
        running.hub.update(Update::Replace(world())).unwrap();
        running.level().await;
        let routed = |running: &Running, slug: &str| {
            let snapshot = running.part.store().load();
            let found = snapshot.route(&format!("{slug}.example"), "/", "GET")?;
            assert_eq!(found.key, None);
            Some(found.target.to_string())
        };
        assert_eq!(running.part.store().load().counts().targets, 0);
        assert_eq!(routed(&running, "wiki").as_deref(), Some("application/wiki"));
        assert_eq!(routed(&running, "app-7").as_deref(), Some("application/app-7"));
        assert!(running.check(T::Application("wiki".into()), "ada").await.unwrap());
        assert_eq!(running.part.store().load().counts().targets, 1);
        // What nobody asks about any more goes.
        let goes = async {
            while running.part.store().load().counts().targets > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), goes).await.expect("it never goes");
        assert_eq!(routed(&running, "wiki").as_deref(), Some("application/wiki"));
        let removals = vec![ResourceName { kind: ResourceKind::Route, id: "app-7.example/".into() }];
        let upserts = vec![route("app-8")];
        running.hub.update(Update::Delta { upserts, removals }).unwrap();
        running.level().await;
        assert_eq!(routed(&running, "app-7"), None);
        assert_eq!(routed(&running, "app-8").as_deref(), Some("application/app-8"));
        let snapshot = running.part.store().load();
        assert_eq!((snapshot.counts().routes, *snapshot.digest()), (2, snapshot.recount()));
        assert!(running.check(T::Application("wiki".into()), "ada").await.unwrap());
    }

    #[tokio::test]
    async fn a_flow_is_fetched_with_its_stages_and_with_whom_it_is_about() {
        let mut running = start(DemandOptions::default()).await;
        running.hub.update(Update::Replace(world())).unwrap();
        for (pending, stages) in [("bob", vec!["password"]), ("ada", vec!["mfa", "password"])] {
            let values = serde_json::json!({"pending_user": pending});
            let values = bindery::proto::from_json("google.protobuf.Struct", values).unwrap();
            let request = v1::PlanFlowRequest {
                flow: "login".into(),
                subject: Some(v1::Subject { anonymous: true, ..Default::default() }),
                context: Some(v1::Context { values: Some(values), ..Default::default() }),
                ..Default::default()
            };
            let planned = running.flows.plan_flow(request).await.unwrap().into_inner();
            let names: Vec<_> = planned.plan.unwrap().stages.into_iter().map(|it| it.stage).collect();
            assert_eq!(names, stages, "{pending}");
        }
        let unknown = v1::PlanFlowRequest {
            flow: "logout".into(),
            subject: Some(v1::Subject { anonymous: true, ..Default::default() }),
            ..Default::default()
        };
        assert_eq!(running.flows.plan_flow(unknown).await.unwrap_err().code(), Code::NotFound);
    }

    #[tokio::test]
    async fn what_cannot_be_fetched_is_not_decided() {
        let options = DemandOptions { patience: Duration::from_millis(100), ..DemandOptions::default() };
        let mut running = start(options).await;
        // The hub has nothing yet.
        let status = running.check(T::Application("wiki".into()), "ada").await.unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        running.hub.update(Update::Replace(world())).unwrap();
        running.level().await;
        assert!(running.check(T::Application("wiki".into()), "ada").await.unwrap());
    }
}
