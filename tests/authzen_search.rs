//! Searches: page by page they come to the same as asking one by one, within their bounds, and while the configuration
//! changes.

#[cfg(test)]
#[path = "support"]
#[expect(dead_code, reason = "shared by several tests, none of which needs all of it")]
mod support {
    pub(crate) mod door;
    pub(crate) mod generate;
    pub(crate) mod make;
}

#[cfg(test)]
mod tests {
    use crate::support::door::{ask, door, put, settings, store, written};
    use crate::support::generate::any_world;
    use axum::Router;
    use bindery::decision::View as _;
    use bindery::model::{ResourceKind, TargetKind, TargetRef};
    use bindery::store::Store;
    use futures_util::FutureExt as _;
    use proptest::test_runner::{Config, TestRunner};
    use serde_json::{Value as Json, json};
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    const EVALUATION: &str = "/access/v1/evaluation";
    const SUBJECTS: &str = "/access/v1/search/subject";
    const ACTIONS: &str = "/access/v1/search/action";
    const RESOURCES: &str = "/access/v1/search/resource";

    fn resources(user: &str, kind: &str) -> Json {
        json!({"subject": {"type": "user", "id": user}, "action": {"name": "x"}, "resource": {"type": kind}})
    }

    fn subjects(kind: &str, id: &str) -> Json {
        json!({"subject": {"type": "user"}, "action": {"name": "x"}, "resource": {"type": kind, "id": id}})
    }

    /// All pages of a search: the ids in order, and how many pages there were.
    async fn all(door: &Router, path: &str, body: &Json, limit: Option<usize>) -> (Vec<String>, usize) {
        let (mut ids, mut token, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let mut body = body.clone();
            body["page"] = json!({"token": token});
            if let (Some(limit), true) = (limit, token.is_empty()) {
                body["page"]["limit"] = json!(limit);
            }
            let answer = ask(door, path, &body).await;
            assert_eq!(answer.status, 200, "{body}: {answer:?}");
            assert!(answer.body["context"]["error"].is_null(), "{answer:?}");
            let results = answer.body["results"].as_array().unwrap();
            assert_eq!(answer.body["page"]["count"], json!(results.len()));
            assert!(limit.is_none_or(|limit| results.len() <= limit));
            ids.extend(results.iter().map(|result| result["id"].as_str().unwrap().to_owned()));
            pages += 1;
            assert!(pages <= 1_000, "the search for {body} does not come to its end");
            token = answer.body["page"]["next_token"].as_str().unwrap().to_owned();
            if token.is_empty() {
                return (ids, pages);
            }
        }
    }

    async fn passes(door: &Router, user: &str, kind: &str, id: &str) -> bool {
        let body = json!({"subject": {"type": "user", "id": user}, "action": {"name": "x"},
                          "resource": {"type": kind, "id": id}});
        let answer = ask(door, EVALUATION, &body).await;
        assert!(answer.status == 200 && answer.body["context"]["error"].is_null(), "{answer:?}");
        answer.body["decision"].as_bool().unwrap()
    }

    /// Whether names are in strict order, and so none is there twice.
    fn in_order(names: &[String]) -> bool {
        names.windows(2).all(|pair| pair[0] < pair[1])
    }

    /// What is asked one by one, and what searches say, for everything in a store.
    async fn agree(store: &Arc<Store>, limit: usize, candidates: usize) {
        let door = door(store, settings(&format!("max_candidates = {candidates}")));
        let snapshot = store.load();
        let users: Vec<String> = snapshot.users().map(|user| user.username.to_string()).collect();
        for kind in TargetKind::ALL {
            let ids: Vec<String> =
                snapshot.ids_of(ResourceKind::Target(kind)).map(|id| id.to_string()).collect();
            let mut passing: BTreeSet<(String, String)> = BTreeSet::new();
            for user in users.iter().map(String::as_str).chain(["stranger"]) {
                for id in &ids {
                    if passes(&door, user, kind.name(), id).await {
                        passing.insert((user.to_owned(), id.clone()));
                    }
                }
                let (found, _) = all(&door, RESOURCES, &resources(user, kind.name()), Some(limit)).await;
                assert!(in_order(&found), "{found:?}");
                // Names lead to what is meant.
                let id_of = |name: &String| {
                    let key = snapshot.find(&TargetRef::of(kind, name)).unwrap();
                    snapshot.target(key).unwrap().target.id.to_string()
                };
                let found: BTreeSet<String> = found.iter().map(id_of).collect();
                let expected: BTreeSet<String> =
                    passing.iter().filter(|(name, _)| name == user).map(|(_, id)| id.clone()).collect();
                assert_eq!(found, expected, "{user} {}", kind.name());
            }
            for id in &ids {
                let (found, _) = all(&door, SUBJECTS, &subjects(kind.name(), id), Some(limit)).await;
                assert!(in_order(&found), "{found:?}");
                let expected: Vec<String> = passing
                    .iter()
                    .filter(|(user, of)| of == id && user != "stranger")
                    .map(|(user, _)| user.clone())
                    .collect();
                assert_eq!(found, expected, "{} {id}", kind.name());
            }
        }
    }

    #[test]
    fn page_by_page_is_the_same_as_one_by_one() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut runner =
            TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
        runner
            .run(&(any_world(), 1_usize..4, 1_usize..6), |(world, limit, candidates)| {
                runtime.block_on(agree(&store(world.resources()), limit, candidates));
                Ok(())
            })
            .unwrap();
    }

    /// Applications `a000` on, every third of which ada may reach, every second of these after a wait.
    fn slow(count: usize, wait: &str) -> Arc<Store> {
        let mut bundle = format!(
            "users: [{{username: ada}}, {{username: bob}}]\n\
             policies:\n\
             - {{name: pass, dummy: {{result: true}}}}\n\
             - {{name: fail, dummy: {{result: false}}}}\n\
             - {{name: later, dummy: {{result: true, wait_min: {wait}, wait_max: {wait}}}}}\n\
             applications:\n"
        );
        for index in 0..count {
            bundle.push_str(&format!("- {{slug: a{index:03}}}\n"));
        }
        bundle.push_str("policy_bindings:\n");
        for index in 0..count {
            let policy = ["later", "fail", "fail", "pass", "fail", "fail"][index % 6];
            bundle.push_str(&format!(
                "- {{target: {{application: a{index:03}}}, policy: {policy}, timeout: 3600s}}\n"
            ));
        }
        store(written(&bundle))
    }

    fn every_third(count: usize) -> Vec<String> {
        (0..count).step_by(3).map(|index| format!("a{index:03}")).collect()
    }

    #[tokio::test]
    async fn what_waits_comes_in_its_place() {
        let store = slow(100, "0.002s");
        for (limit, candidates) in [(1, 10_000), (7, 10_000), (7, 3), (100, 10_000), (100, 1)] {
            let door =
                door(&store, settings(&format!("max_candidates = {candidates}\npage_time_ms = 60000")));
            let (found, pages) = all(&door, RESOURCES, &resources("ada", "application"), Some(limit)).await;
            assert_eq!(found, every_third(100), "{limit} {candidates}");
            // The last page may be empty: what comes after the last result has to be looked at.
            let most = 34_usize.div_ceil(limit).max(100_usize.div_ceil(candidates));
            assert!(pages <= most + 34, "{pages} pages of {limit}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_ends_when_its_time_is_up_and_goes_on_with_the_next() {
        // Sixteen at a time wait for ten seconds each, and a page has two.
        let store = slow(100, "10s");
        let door = door(&store, settings("page_time_ms = 2000"));
        let (found, pages) = all(&door, RESOURCES, &resources("ada", "application"), None).await;
        assert_eq!(found, every_third(100));
        assert!(pages > 5, "{pages}");
    }

    #[tokio::test]
    async fn there_are_so_many_searches_at_a_time_and_no_more() {
        let store = slow(10, "3600s");
        let door = door(&store, settings(""));
        let body = resources("ada", "application");
        let mut running = Vec::new();
        for index in 0..16 {
            let mut search = Box::pin(ask(&door, RESOURCES, &body));
            assert!(search.as_mut().now_or_never().is_none(), "search {index} is over");
            running.push(search);
        }
        let answer = ask(&door, RESOURCES, &body).await;
        assert_eq!((answer.error().0, answer.error().1), (429, "TOO_MUCH"));
        assert_eq!(answer.header("retry-after"), Some("1"));
        // One that is given up makes room.
        running.pop();
        let mut search = Box::pin(ask(&door, RESOURCES, &body));
        assert!(search.as_mut().now_or_never().is_none());
    }

    #[tokio::test]
    async fn others_have_their_turn_during_a_search() {
        let store = slow(3_000, "0s");
        let door =
            door(&store, settings("max_candidates = 3000\nmax_page_size = 3000\npage_time_ms = 60000"));
        // The order is made beforehand, since that leaves all the time to others.
        ask(&door, RESOURCES, &resources("ada", "application")).await;
        let (turns, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let other = {
            let (turns, over) = (Arc::clone(&turns), Arc::clone(&over));
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    turns.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
            })
        };
        let (found, pages) = all(&door, RESOURCES, &resources("ada", "application"), Some(3_000)).await;
        over.store(true, Ordering::Relaxed);
        other.await.unwrap();
        assert_eq!((found.len(), pages), (1_000, 1));
        assert!(turns.load(Ordering::Relaxed) >= 3_000 / 32, "{turns:?}");
    }

    /// Applications of these names, open to all.
    fn open(names: &[&str]) -> Vec<bindery::proto::v1::Resource> {
        let names: Vec<String> = names.iter().map(|name| format!("{{slug: {name}}}")).collect();
        written(&format!("users: [{{username: ada}}]\napplications: [{}]\n", names.join(", ")))
    }

    #[tokio::test]
    async fn a_search_goes_on_after_the_last_name_in_what_is_in_force() {
        let store = store(open(&["a", "b", "c", "d", "e"]));
        let door = door(&store, settings(""));
        let page = async |page: Json| {
            let mut body = resources("ada", "application");
            body["page"] = page;
            ask(&door, RESOURCES, &body).await
        };
        let ids = |answer: &Json| -> Vec<String> {
            let results = answer["results"].as_array().unwrap();
            results.iter().map(|result| result["id"].as_str().unwrap().to_owned()).collect()
        };
        let first = page(json!({"limit": 2})).await;
        let strict = page(json!({"limit": 2, "properties": {"same_revision": true}})).await;
        assert_eq!(
            (ids(&first.body), ids(&strict.body)),
            (vec!["a".into(), "b".into()], vec!["a".into(), "b".into()])
        );
        let (token, strict) =
            (first.body["page"]["next_token"].clone(), strict.body["page"]["next_token"].clone());
        assert_eq!(ids(&page(json!({"token": strict})).await.body), ["c", "d"]);
        // The last one that was seen goes, one comes before it, one after it goes, one comes after it.
        put(&store, open(&["a", "aa", "d", "e", "f"]));
        let second = page(json!({"token": token})).await;
        assert_eq!(ids(&second.body), ["d", "e"]);
        assert_eq!(second.body["context"]["revision"], json!(2));
        let third = page(json!({"token": second.body["page"]["next_token"]})).await;
        assert_eq!(
            (ids(&third.body), third.body["page"]["next_token"].as_str()),
            (vec!["f".into()], Some(""))
        );
        let answer = page(json!({"token": strict})).await;
        let (status, reason, field, message) = answer.error();
        assert_eq!((status, reason, field), (409, "REVISION_CHANGED", "page.token"));
        assert!(message.contains("began on revision 1, and revision 2 is in force"), "{message}");
    }

    #[tokio::test]
    async fn a_token_goes_with_its_search_only() {
        let store = store(open(&["a", "b", "c"]));
        let door = door(&store, settings("max_page_size = 2"));
        let body = |page: Json| {
            let mut body = resources("ada", "application");
            body["context"] = json!({"x": 1, "y": {"a": 1, "b": 2}});
            body["page"] = page;
            body
        };
        // More than is allowed is the most that is.
        let first = ask(&door, RESOURCES, &body(json!({"limit": 1_000_000}))).await;
        assert_eq!(first.body["page"]["count"], json!(2));
        let token = first.body["page"]["next_token"].as_str().unwrap().to_owned();
        for page in [
            json!({"token": token}),
            json!({"token": token, "limit": 1_000_000}),
            json!({"token": token, "limit": 2}),
        ] {
            let answer = ask(&door, RESOURCES, &body(page)).await;
            assert_eq!((answer.status, &answer.body["page"]["count"]), (200, &json!(1)), "{answer:?}");
        }
        // The same in another order is the same.
        let text = body(json!({"token": token})).to_string();
        let swapped = text.replace(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#);
        assert_ne!(text, swapped);
        let answer = crate::support::door::hand(&door, crate::support::door::post(RESOURCES, swapped)).await;
        assert_eq!(answer.status, 200);
        let mut changed = Vec::new();
        for (path, value) in [
            ("/subject/id", json!("bob")),
            ("/action/name", json!("y")),
            ("/resource/type", json!("device")),
            ("/context/x", json!(2)),
        ] {
            let mut body = body(json!({"token": token}));
            *body.pointer_mut(path).unwrap() = value;
            changed.push((RESOURCES, body, "page.token"));
        }
        changed.push((RESOURCES, body(json!({"token": token, "limit": 1})), "page.token"));
        changed.push((
            RESOURCES,
            body(json!({"token": token, "properties": {"same_revision": true}})),
            "page.token",
        ));
        let mut other = body(json!({"token": token}));
        other["resource"]["id"] = json!("a");
        changed.push((SUBJECTS, other.clone(), "page.token"));
        changed.push((ACTIONS, other, "page.token"));
        let cut = &token[..token.len() - 3];
        let long = "x".repeat(8_193);
        for wrong in [cut, "x", "====", "e30", long.as_str()] {
            changed.push((RESOURCES, body(json!({"token": wrong})), "page.token"));
        }
        for (page, field) in [
            (json!([]), "page"),
            (json!({"token": 1}), "page.token"),
            (json!({"limit": -1}), "page.limit"),
            (json!({"limit": 1.5}), "page.limit"),
            (json!({"limit": 1e300}), "page.limit"),
            (json!({"limit": "2"}), "page.limit"),
            (json!({"properties": 1}), "page.properties"),
            (json!({"properties": {"same_revision": 1}}), "page.properties.same_revision"),
        ] {
            changed.push((RESOURCES, body(page), field));
        }
        for (path, body, field) in changed {
            let answer = ask(&door, path, &body).await;
            let (status, reason, named, _) = answer.error();
            assert_eq!((status, reason, named), (400, "INVALID_QUESTION", field), "{path} {body}");
        }
        // Nothing at all may be asked for, and then it goes on where it was.
        let none = ask(&door, RESOURCES, &body(json!({"limit": 0}))).await;
        assert_eq!(none.body["results"], json!([]));
        let token = none.body["page"]["next_token"].as_str().unwrap();
        assert!(!token.is_empty());
        let none = ask(&door, RESOURCES, &body(json!({"token": token}))).await;
        assert_eq!((none.status, &none.body["results"]), (200, &json!([])));
    }

    #[tokio::test]
    async fn policies_see_the_candidate_as_they_would_when_asked_about_it() {
        let store = store(written(
            r#"
users: [{id: "1", username: ada}, {id: "2", username: bob}]
applications: [{slug: a}, {id: x, slug: b}, {slug: c}, {slug: whom}]
policies:
  - name: b alone
    expression: {language: cel, source: "context.authzen.resource.id == 'b' && context.authzen.resource.type == 'page'"}
  - name: bob alone
    expression: {language: cel, source: "context.authzen.subject.id in ['bob', '2'] && context.action == 'x'"}
policy_bindings:
  - {target: {application: a}, policy: b alone}
  - {target: {application: b}, policy: b alone}
  - {target: {application: c}, policy: b alone}
  - {target: {application: whom}, policy: bob alone}
"#,
        ));
        let types = "[resource_types]\npage = \"application/{id}\"\n";
        let named = door(&store, settings(types));
        assert_eq!(all(&named, RESOURCES, &resources("ada", "page"), None).await.0, ["b"]);
        assert_eq!(all(&named, RESOURCES, &resources("bob", "page"), None).await.0, ["b", "whom"]);
        assert!(passes(&named, "ada", "page", "b").await);
        // By its id it is another id, and an application is no page.
        assert!(!passes(&named, "ada", "page", "x").await);
        assert!(!passes(&named, "ada", "application", "b").await);
        assert_eq!(all(&named, SUBJECTS, &subjects("page", "whom"), None).await.0, ["bob"]);
        let by_id = door(&store, settings(&format!("subject_id = \"user_id\"\n{types}")));
        assert_eq!(all(&by_id, SUBJECTS, &subjects("page", "whom"), None).await.0, ["2"]);
        assert!(passes(&by_id, "2", "page", "whom").await && !passes(&by_id, "1", "page", "whom").await);
    }

    #[tokio::test]
    async fn actions_come_in_pages_as_well() {
        let store = store(written(
            "users: [{username: ada}]\napplications: [{slug: a}]\n\
             policies: [{name: p, expression: {language: cel, source: \"context.action in ['a', 'c', 'd', 'f']\"}}]\n\
             policy_bindings: [{target: {application: a}, policy: p}]\n",
        ));
        let names = ["f", "e", "d", "c", "b", "a"];
        let door = door(&store, settings(&format!("actions = {names:?}")));
        for (limit, expected) in [(1, 5), (2, 3), (3, 2), (4, 1), (100, 1)] {
            let (mut found, mut pages, mut token) = (Vec::new(), 0, String::new());
            loop {
                let body = json!({"subject": {"type": "user", "id": "ada"},
                    "resource": {"type": "application", "id": "a"}, "page": {"limit": limit, "token": token}});
                let answer = ask(&door, ACTIONS, &body).await;
                let results = answer.body["results"].as_array().unwrap();
                assert!(results.len() <= limit && answer.body["page"]["count"] == json!(results.len()));
                found.extend(results.iter().map(|it| it["name"].as_str().unwrap().to_owned()));
                pages += 1;
                token = answer.body["page"]["next_token"].as_str().unwrap().to_owned();
                if token.is_empty() {
                    break;
                }
            }
            // In the order of the settings.
            assert_eq!(found, ["f", "d", "c", "a"], "{limit}");
            assert!(pages <= expected, "{limit}: {pages}");
        }
        // A token leads nowhere when its action is gone.
        let body = |token: &Json| {
            json!({"subject": {"type": "user", "id": "ada"},
            "resource": {"type": "application", "id": "a"}, "page": {"limit": 1, "token": token}})
        };
        let first = ask(&door, ACTIONS, &body(&json!(""))).await;
        let others = crate::support::door::door(&store, settings("actions = [\"a\"]"));
        let answer = ask(&others, ACTIONS, &body(&first.body["page"]["next_token"])).await;
        assert_eq!((answer.error().0, answer.error().2), (400, "page.token"));
    }

    #[tokio::test]
    async fn who_reaches_what_is_not_there_is_nobody_and_told() {
        let store = store(open(&["a"]));
        let door = door(&store, settings(""));
        let answer = ask(&door, SUBJECTS, &subjects("application", "attic")).await;
        assert_eq!((answer.status, &answer.body["results"]), (200, &json!([])));
        let error = &answer.body["context"]["error"];
        assert_eq!((&error["reason"], &error["field"]), (&json!("UNKNOWN_TARGET"), &json!("resource.id")));
        assert_eq!(
            error["message"],
            json!("resource.id: there is no application `attic` in the configuration")
        );
        let mut robots = resources("ada", "application");
        robots["subject"]["type"] = json!("robot");
        let answer = ask(&door, RESOURCES, &robots).await;
        assert_eq!(answer.body["results"], json!([]));
        assert_eq!(answer.body["context"]["error"]["reason"], json!("UNKNOWN_SUBJECT_TYPE"));
        let mut nobody = subjects("application", "a");
        nobody["subject"]["type"] = json!("anonymous");
        assert_eq!(ask(&door, SUBJECTS, &nobody).await.body["results"], json!([]));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn every_page_is_of_one_revision_while_the_configuration_changes() {
        // In each revision, all of these names or all of those.
        let names =
            |prefix: char| -> Vec<String> { (0..200).map(|index| format!("{prefix}{index:03}")).collect() };
        let world = |prefix: char| {
            let names = names(prefix);
            open(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (these, those) = (world('p'), world('q'));
        let store = store(these.clone());
        let door = door(&store, settings("page_size = 1000\npage_time_ms = 60000"));
        let over = Arc::new(AtomicBool::new(false));
        let writing = {
            let (store, over) = (Arc::clone(&store), Arc::clone(&over));
            tokio::task::spawn_blocking(move || {
                while !over.load(Ordering::Relaxed) {
                    put(&store, those.clone());
                    put(&store, these.clone());
                }
            })
        };
        let (mut searches, mut seen) = (0, BTreeSet::new());
        while searches < 30 || seen.len() < 2 {
            let (found, pages) = all(&door, RESOURCES, &resources("ada", "application"), None).await;
            let prefix = found[0].chars().next().unwrap();
            assert_eq!((found, pages), (names(prefix), 1));
            seen.insert(prefix);
            searches += 1;
        }
        over.store(true, Ordering::Relaxed);
        writing.await.unwrap();
    }
}
