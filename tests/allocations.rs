//! A question about static bindings is answered without an allocation, from the message that was decoded to its answer.
//!
//! One test alone in its process, since allocations of every thread are counted.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::make::{NOW, group_name, question, resource, target};
    use bindery::api::ask::{Attempt, attempt};
    use bindery::api::decision::DecisionApi;
    use bindery::evaluators::Evaluators;
    use bindery::model::Timestamp;
    use bindery::proto::v1;
    use bindery::proto::v1::decision_service_server::DecisionService as _;
    use bindery::proto::v1::resource::Resource as R;
    use bindery::proto::v1::target_ref::Target as T;
    use bindery::store::{Settings, Store};
    use bindery::sync::apply::{Update, apply};
    use prost::Message as _;
    use std::sync::Arc;

    #[global_allocator]
    static ALLOCATOR: dhat::Alloc = dhat::Alloc;

    fn bind(slug: &str, group: &str, order: i32) -> v1::Resource {
        resource(R::PolicyBinding(v1::PolicyBinding {
            id: format!("{slug}/{group}/{order}"),
            target: Some(target(T::Application(slug.into()))),
            group: Some(group_name(group)),
            order,
            ..Default::default()
        }))
    }

    /// `wiki` with five bindings and `portal` with a thousand, each of which lets `staff` in by its last one; `vault`, into
    /// which nobody may; and an endpoint of `wiki`.
    fn store() -> Arc<Store> {
        let application = |slug: &str| {
            resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
        };
        let mut resources: Vec<v1::Resource> = ["wiki", "portal", "vault"].map(application).into();
        let user =
            v1::User { username: "alice".into(), groups: vec![group_name("staff")], ..Default::default() };
        resources.push(resource(R::User(user)));
        let endpoint = v1::RacEndpoint {
            id: "desktop".into(),
            name: "desktop".into(),
            application: "wiki".into(),
            ..Default::default()
        };
        resources.push(resource(R::RacEndpoint(endpoint)));
        for (slug, count) in [("wiki", 5), ("portal", 1_000)] {
            resources.extend((1..count).map(|order| bind(slug, &format!("other-{order}"), order)));
            resources.push(bind(slug, "staff", count));
        }
        resources.push(bind("vault", "nobody", 0));
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(resources)).unwrap();
        Arc::new(store)
    }

    /// The question as it comes out of its message.
    fn decoded(question: &v1::CheckRequest) -> v1::CheckRequest {
        v1::CheckRequest::decode(&*question.encode_to_vec()).unwrap()
    }

    /// How many allocations `work` makes, with what it returns.
    fn allocations<T>(work: impl FnOnce() -> T) -> (u64, T) {
        let before = dhat::HeapStats::get().total_blocks;
        let result = work();
        (dhat::HeapStats::get().total_blocks - before, result)
    }

    #[test]
    fn a_static_question_allocates_nothing() {
        let _profiler = dhat::Profiler::builder().testing().build();
        assert_eq!(allocations(|| Box::new(7)).0, 1, "what is counted");
        let store = store();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let api = DecisionApi::new(Arc::clone(&store), Arc::new(Evaluators::default()));
        let application = |slug: &str| question(target(T::Application(slug.into())), "alice");
        let unknown = |groups: &[&str]| {
            let group_names = groups.iter().map(ToString::to_string).collect();
            let subject = Some(v1::Subject { username: "bob".into(), group_names, ..Default::default() });
            v1::CheckRequest { subject, ..application("wiki") }
        };
        let endpoint = v1::RacEndpointRef { id: "desktop".into(), ..Default::default() };
        let anonymous = Some(v1::Subject { anonymous: true, ..Default::default() });
        let context = Some(v1::Context { client_ip: "192.0.2.7".into(), ..Default::default() });
        let questions = [
            ("five bindings", application("wiki"), v1::Decision::Allow),
            ("a thousand bindings", application("portal"), v1::Decision::Allow),
            ("a denial", application("vault"), v1::Decision::Deny),
            (
                "an endpoint and its application",
                question(target(T::RacEndpoint(endpoint)), "alice"),
                v1::Decision::Allow,
            ),
            ("groups that the caller vouches for", unknown(&["staff", "guests"]), v1::Decision::Allow),
            ("nobody's groups", unknown(&[]), v1::Decision::Deny),
            ("nobody", v1::CheckRequest { subject: anonymous, ..application("wiki") }, v1::Decision::Deny),
            (
                "an address",
                v1::CheckRequest { context: context.map(Box::new), ..application("wiki") },
                v1::Decision::Allow,
            ),
        ];
        for (name, question, decision) in questions {
            // The first time, caches are filled.
            for is_first in [true, false, false] {
                let (snapshot, request) = (store.load(), decoded(&question));
                let (count, answer) = allocations(|| attempt(&snapshot, request, Timestamp::new(NOW, 0)));
                let Ok(Attempt::Answered(reply)) = answer else { panic!("{name} is answered at once") };
                assert_eq!(reply.response.decision(), decision, "{name}");
                assert!(is_first || count == 0, "{name}: {count} allocations");
                // The service's own: the future that the generated code wants in a box.
                let request = tonic::Request::new(decoded(&question));
                let (count, answer) = allocations(|| runtime.block_on(api.check(request)));
                assert_eq!(answer.unwrap().get_ref().decision(), decision, "{name}");
                assert!(is_first || count <= 1, "{name}: {count} allocations of the service");
            }
        }
        // Twice the same with an explanation: that may cost something, and shows that the counting counts.
        let explained = v1::CheckRequest { explain: v1::ExplainLevel::Full.into(), ..application("wiki") };
        let (count, _) = allocations(|| attempt(&store.load(), explained, Timestamp::new(NOW, 0)));
        assert!(count > 5, "{count}");
    }
}
