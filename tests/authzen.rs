//! AuthZEN over HTTP: the specification's examples, its interop scenario and its test of conformance as cases, and what
//! becomes of requests that are wrong.

#[cfg(test)]
#[path = "support"]
mod support {
    pub(crate) mod door;
}

#[cfg(test)]
mod tests {
    use crate::support::door::{
        Answer, ask, bundle, door, hand, over_wire, post, put, serve, settings, store, written,
    };
    use axum::Router;
    use axum::body::{Body, Bytes};
    use axum::http::{Method, Request};
    use bindery::api::authzen::{AuthzenSettings, MAX_BODY, router};
    use bindery::api::decision::DecisionApi;
    use bindery::evaluators::Evaluators;
    use bindery::model::{Subject, TargetRef};
    use bindery::store::{OnDemand, Settings, Staleness, Store, Wanted};
    use bindery::sync::source::{SourceSpec, load};
    use http_body_util::Full;
    use serde::Deserialize;
    use serde_json::{Value as Json, json};
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::time::Duration;

    const EVALUATION: &str = "/access/v1/evaluation";
    const EVALUATIONS: &str = "/access/v1/evaluations";
    const SUBJECTS: &str = "/access/v1/search/subject";
    const RESOURCES: &str = "/access/v1/search/resource";
    const ACTIONS: &str = "/access/v1/search/action";
    const POSTED: [&str; 5] = [EVALUATION, EVALUATIONS, SUBJECTS, RESOURCES, ACTIONS];
    const METADATA: &str = "/.well-known/authzen-configuration";

    /// A file of cases.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Suite {
        bundle: String,
        settings: AuthzenSettings,
        cases: Vec<Case>,
    }

    /// A request and what must come back.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Case {
        name: String,
        post: Option<String>,
        get: Option<String>,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        body: Option<Json>,
        status: Option<u16>,
        /// What must be in the answer; objects may have more, lists may not.
        answer: Json,
        #[serde(default)]
        answer_headers: BTreeMap<String, String>,
        /// Keeps the token of the next page under this name, for `$name` in later bodies.
        keep: Option<String>,
    }

    /// Whether all that is expected is there.
    fn holds(expected: &Json, given: &Json) -> bool {
        match (expected, given) {
            (Json::Object(expected), Json::Object(given)) => expected
                .iter()
                .all(|(name, expected)| given.get(name).is_some_and(|given| holds(expected, given))),
            (Json::Array(expected), Json::Array(given)) => {
                expected.len() == given.len() && expected.iter().zip(given).all(|(a, b)| holds(a, b))
            }
            _ => expected == given,
        }
    }

    /// Runs every case over a connection; how many there were.
    async fn run(file: &str) -> usize {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/authzen").join(file);
        let suite: Suite = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let address = serve(door(&store(bundle(&suite.bundle)), suite.settings)).await;
        let mut kept: BTreeMap<String, String> = BTreeMap::new();
        let mut wrong = Vec::new();
        let count = suite.cases.len();
        for case in suite.cases {
            let (method, path) = match (&case.post, &case.get) {
                (Some(path), None) => ("POST", path),
                (None, Some(path)) => ("GET", path),
                _ => panic!("{}: neither post nor get", case.name),
            };
            let mut request = Request::builder().method(method).uri(format!("{address}{path}"));
            for (name, value) in &case.headers {
                request = request.header(name, value);
            }
            if case.body.is_some() {
                request = request.header("content-type", "application/json");
            }
            let mut body = case.body.map(|body| body.to_string()).unwrap_or_default();
            for (name, token) in &kept {
                body = body.replace(&format!("${name}"), token);
            }
            let answer = over_wire(request.body(Full::from(body)).unwrap()).await;
            let headers = case.answer_headers.iter().all(|(name, value)| answer.header(name) == Some(value));
            if answer.status != case.status.unwrap_or(200) || !headers || !holds(&case.answer, &answer.body) {
                wrong.push(format!("{}: {answer:?}, and not {}", case.name, case.answer));
            }
            if let Some(name) = case.keep {
                kept.insert(name, answer.body["page"]["next_token"].as_str().unwrap().to_owned());
            }
        }
        assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
        count
    }

    #[tokio::test]
    async fn the_examples_of_the_specification_have_its_answers() {
        assert!(run("specification.json").await >= 20);
    }

    #[tokio::test]
    async fn the_todo_application_of_the_interop_scenario_is_decided_as_it_says() {
        assert!(run("todo.json").await >= 80);
    }

    #[tokio::test]
    async fn the_test_of_conformance_is_passed() {
        assert!(run("conformance.json").await >= 45);
    }

    /// A small company.
    fn company() -> Arc<Store> {
        store(written(
            r#"
groups: [{name: staff}, {name: writers, parents: [{name: staff}]}]
users:
  - {id: u-ada, username: ada, groups: [{name: writers}], attributes: {level: 3}}
  - {id: u-bob, username: bob}
  - {id: u-old, username: old, groups: [{name: staff}], is_active: false}
applications: [{slug: wiki}, {slug: open}, {slug: other}, {slug: told}, {slug: seen}, {slug: closing}]
entitlements: [{application: wiki, name: edit}]
devices: [{identifier: laptop}]
rac_endpoints: [{id: desk, application: wiki}]
notification_rules: [{name: alarms}]
policies:
  - name: told
    dummy: {result: false, messages: {texts: [come back tomorrow, or never]}}
  - name: level
    expression: {language: cel, source: "has(subject.attributes.level) && subject.attributes.level >= 3"}
  - name: seen
    expression:
      language: cel
      source: |
        context.place == "office" && request.client_ip == "192.0.2.7" && request.method == "PUT"
        && request.headers["x-a"] == "1" && now == timestamp("2026-06-15T09:00:00Z")
        && context.action == "read" && context.authzen.action.properties.deep == true
        && context.authzen.resource.type == "application" && context.authzen.resource.id == "seen"
        && context.authzen.subject.type == "user" && context.authzen.subject.properties.badge == 7
  - name: failed login
    event_matcher: {action: login_failed}
policy_bindings:
  - {target: {application: wiki}, group: {name: staff}}
  - {target: {entitlement: {application: wiki, name: edit}}, group: {name: writers}}
  - {target: {application: told}, policy: told}
  - {target: {application: other}, policy: level}
  - {target: {application: seen}, policy: seen}
  - {target: {device: laptop}, user: {username: ada}}
  - {target: {application: closing}, user: {username: ada}, expires: "2100-01-01T00:00:00Z"}
  - {target: {notification_rule: alarms}, policy: failed login}
"#,
        ))
    }

    fn plain() -> Router {
        door(&company(), AuthzenSettings::default())
    }

    fn question(user: &str, kind: &str, id: &str) -> Json {
        json!({
            "subject": {"type": "user", "id": user},
            "action": {"name": "access"},
            "resource": {"type": kind, "id": id},
        })
    }

    fn with(mut json: Json, path: &str, value: Json) -> Json {
        *json.pointer_mut(path).unwrap() = value;
        json
    }

    /// Puts a member into a question, and the objects around it.
    fn and(mut json: Json, path: &str, value: Json) -> Json {
        let mut place = &mut json;
        for name in path.split('.') {
            place = &mut place[name];
        }
        *place = value;
        json
    }

    async fn decide(door: &Router, question: &Json) -> bool {
        let answer = ask(door, EVALUATION, question).await;
        assert_eq!(answer.status, 200, "{question}: {answer:?}");
        assert!(answer.body["context"]["error"].is_null(), "{question}: {answer:?}");
        answer.body["decision"].as_bool().unwrap()
    }

    #[tokio::test]
    async fn every_kind_of_target_is_a_type_of_resource() {
        let door = plain();
        for (user, kind, id, expected) in [
            ("ada", "application", "wiki", true),
            ("bob", "application", "wiki", false),
            ("ada", "entitlement", "wiki/edit", true),
            ("bob", "entitlement", "wiki/edit", false),
            ("ada", "device", "laptop", true),
            ("bob", "device", "laptop", false),
            ("ada", "rac_endpoint", "desk", true),
            ("bob", "rac_endpoint", "desk", false),
        ] {
            assert_eq!(decide(&door, &question(user, kind, id)).await, expected, "{user} {kind} {id}");
        }
        // An endpoint may be asked about with its application, which has to be its own.
        let desk = question("ada", "rac_endpoint", "desk");
        let its =
            |application: &str| and(desk.clone(), "resource.properties.application", json!(application));
        assert!(decide(&door, &its("wiki")).await);
        let answer = ask(&door, EVALUATION, &its("open")).await;
        let (status, reason, field, message) = answer.error();
        assert_eq!((status, reason, field), (400, "INVALID_QUESTION", "resource.id"));
        assert_eq!(message, "resource.id: the RAC endpoint `desk` is not one of application `open`");
        // A rule for notifications is asked about an event.
        let alarms = question("ada", "notification_rule", "alarms");
        let event =
            |action: &str| and(alarms.clone(), "context.event", json!({"action": action, "colour": 1}));
        assert!(decide(&door, &event("login_failed")).await);
        assert!(!decide(&door, &event("login")).await);
    }

    #[tokio::test]
    async fn what_is_not_there_is_denied_and_told() {
        let door = plain();
        for (question, reason, field, message) in [
            (
                question("ada", "application", "attic"),
                "UNKNOWN_TARGET",
                "resource.id",
                "resource.id: there is no application `attic` in the configuration",
            ),
            (
                question("ada", "book", "1"),
                "UNKNOWN_TARGET",
                "resource.type",
                "resource.type: `book` is no type of resource here; the types are application, ",
            ),
            (
                // A slash in a type makes no other target of it.
                question("ada", "application/wiki", "edit"),
                "UNKNOWN_TARGET",
                "resource.type",
                "resource.type: `application/wiki` is no type",
            ),
            (
                with(question("ada", "application", "wiki"), "/subject/type", json!("robot")),
                "UNKNOWN_SUBJECT_TYPE",
                "subject.type",
                "subject.type: `robot` is no type of subject here; the types are user, anonymous",
            ),
        ] {
            let answer = ask(&door, EVALUATION, &question).await;
            assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(false)), "{answer:?}");
            let error = &answer.body["context"]["error"];
            assert_eq!((&error["status"], &error["reason"]), (&json!(404), &json!(reason)), "{answer:?}");
            assert_eq!(error["field"], json!(field), "{answer:?}");
            assert!(error["message"].as_str().unwrap().starts_with(message), "{answer:?}");
            assert_eq!(answer.body["context"]["revision"], json!(1));
        }
    }

    #[tokio::test]
    async fn a_denial_says_why_and_messages_only_where_it_may() {
        let answer = ask(&plain(), EVALUATION, &question("bob", "application", "wiki")).await;
        let mut context = answer.body["context"].clone();
        let id = context.as_object_mut().unwrap().remove("id").unwrap();
        assert_eq!(id.as_str().unwrap().len(), 32);
        let summary = "`bob` may not reach application `wiki`: none of its bindings passes";
        let expected = json!({"revision": 1, "reason": "bindings", "reason_admin": {"403": summary}});
        assert_eq!((answer.body["decision"].as_bool(), context), (Some(false), expected));

        let told = question("ada", "application", "told");
        let hidden = ask(&plain(), EVALUATION, &told).await;
        assert!(
            hidden.body["context"]["messages"].is_null() && hidden.body["context"]["reason_user"].is_null()
        );
        let shown = door(&company(), settings("show_messages = true"));
        let answer = ask(&shown, EVALUATION, &told).await;
        assert_eq!(answer.body["context"]["messages"], json!(["come back tomorrow", "or never"]));
        assert_eq!(answer.body["context"]["reason_user"], json!({"403": "come back tomorrow\nor never"}));

        let answer = ask(&plain(), EVALUATION, &question("ada", "application", "closing")).await;
        assert_eq!(answer.body["context"]["valid_until"], json!("2100-01-01T00:00:00Z"));
        // Ids tell decisions apart.
        let ids: BTreeSet<String> = {
            let door = plain();
            let mut ids = BTreeSet::new();
            for _ in 0..10 {
                let answer = ask(&door, EVALUATION, &told).await;
                ids.insert(answer.body["context"]["id"].as_str().unwrap().to_owned());
            }
            ids
        };
        assert_eq!(ids.len(), 10);
    }

    #[tokio::test]
    async fn inactive_users_are_denied_before_anything_is_asked() {
        let door = plain();
        for id in ["wiki", "open", "attic"] {
            let answer = ask(&door, EVALUATION, &question("old", "application", id)).await;
            let context = &answer.body["context"];
            assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(false)), "{answer:?}");
            assert_eq!(context["reason"], json!("inactive_user"), "{answer:?}");
        }
        // By id as well, also when a name is given with it that somebody else has.
        let by_id = and(question("ada", "application", "open"), "subject.properties.user_id", json!("u-old"));
        let answer = ask(&door, EVALUATION, &by_id).await;
        assert_eq!(answer.body["context"]["reason"], json!("inactive_user"), "{answer:?}");
        for (path, body) in [
            (
                RESOURCES,
                json!({"subject": {"type": "user", "id": "old"}, "action": {"name": "x"},
                               "resource": {"type": "application"}}),
            ),
            (ACTIONS, question("old", "application", "open")),
        ] {
            let answer = ask(&door, path, &body).await;
            assert_eq!((answer.status, &answer.body["results"]), (200, &json!([])), "{answer:?}");
        }
        let everybody = json!({"subject": {"type": "user"}, "action": {"name": "x"},
                               "resource": {"type": "application", "id": "open"}});
        let answer = ask(&door, SUBJECTS, &everybody).await;
        let names = json!([{"type": "user", "id": "ada"}, {"type": "user", "id": "bob"}]);
        assert_eq!(answer.body["results"], names);
    }

    #[tokio::test]
    async fn a_callers_word_counts_for_those_whom_the_directory_does_not_know() {
        let door = plain();
        let groups = |user: &str| {
            and(question(user, "application", "wiki"), "subject.properties.groups", json!(["writers"]))
        };
        assert!(decide(&door, &groups("guest")).await);
        assert!(!decide(&door, &groups("bob")).await);
        let level = |user: &str, path: &str, level: i32| {
            and(question(user, "application", "other"), path, json!(level))
        };
        for path in ["subject.properties.level", "subject.properties.attributes.level"] {
            assert!(decide(&door, &level("guest", path, 3)).await, "{path}");
            assert!(!decide(&door, &level("guest", path, 2)).await, "{path}");
            // The directory says 3 of ada, and nothing of bob.
            assert!(decide(&door, &level("ada", path, 1)).await, "{path}");
            assert!(!decide(&door, &level("bob", path, 3)).await, "{path}");
        }
        // What is known under `attributes` counts more than a property of the same name.
        let both = and(
            level("guest", "subject.properties.level", 1),
            "subject.properties.attributes",
            json!({"level": 3}),
        );
        assert!(decide(&door, &both).await);
        // Nobody is in no group, whatever is said.
        let nobody = with(groups("staff"), "/subject/type", json!("anonymous"));
        assert!(!decide(&door, &nobody).await);
        let nobody = json!({"subject": {"type": "anonymous"}, "action": {"name": "x"},
                            "resource": {"type": "application", "id": "open"}});
        assert!(decide(&door, &nobody).await);
    }

    #[tokio::test]
    async fn policies_see_the_context_and_the_entities() {
        let door = plain();
        let whole = json!({
            "subject": {"type": "user", "id": "ada", "properties": {"badge": 7}},
            "action": {"name": "read", "properties": {"deep": true}},
            "resource": {"type": "application", "id": "seen"},
            "context": {
                "client_ip": "192.0.2.7", "time": "2026-06-15T11:00:00+02:00", "place": "office",
                "http": {"method": "PUT", "headers": {"x-a": "1"}, "newer": 1},
                // These are what the entities say, whatever the context does.
                "action": "write", "authzen": {},
            },
        });
        assert!(decide(&door, &whole).await);
        for (path, value) in [
            ("context.client_ip", json!("192.0.2.8")),
            ("context.time", json!("2026-06-15T09:00:01Z")),
            ("context.place", json!("home")),
            ("context.http.method", json!("GET")),
            ("context.http.headers", json!({"x-a": "2"})),
            ("action.name", json!("write")),
            ("action.properties.deep", json!(false)),
            ("subject.properties.badge", json!(8)),
        ] {
            assert!(!decide(&door, &and(whole.clone(), path, value)).await, "{path}");
        }
        // A moment may be without seconds; the address may be the subject's.
        for time in ["2026-06-15T09:00Z", "2026-06-15T10:00+01:00", "2026-06-15T09:00:00.000Z"] {
            assert!(decide(&door, &and(whole.clone(), "context.time", json!(time))).await, "{time}");
        }
        let mut moved = and(whole, "subject.properties.ip_address", json!("192.0.2.7"));
        moved["context"].as_object_mut().unwrap().remove("client_ip");
        assert!(decide(&door, &moved).await);
    }

    #[tokio::test]
    async fn what_is_wrong_is_named() {
        let door = plain();
        let fine = question("ada", "application", "wiki");
        for (path, value, field) in [
            ("subject", json!([]), "subject"),
            ("subject.type", json!(1), "subject.type"),
            ("subject.type", json!(""), "subject.type"),
            ("subject.id", json!(null), "subject.id"),
            ("subject.id", json!(""), "subject.id"),
            ("subject.id", json!("x".repeat(1_025)), "subject.id"),
            ("subject.properties", json!("x"), "subject.properties"),
            ("subject.properties.user_id", json!(7), "subject.properties.user_id"),
            ("subject.properties.email", json!([]), "subject.properties.email"),
            ("subject.properties.email", json!("x".repeat(1_025)), "subject.properties.email"),
            ("subject.properties.groups", json!("staff"), "subject.properties.groups"),
            ("subject.properties.groups", json!([1]), "subject.properties.groups"),
            ("subject.properties.groups", json!([""]), "subject.properties.groups"),
            ("subject.properties.groups", json!(vec!["x"; 1_001]), "subject.properties.groups"),
            ("subject.properties.group_ids", json!({}), "subject.properties.group_ids"),
            ("subject.properties.attributes", json!([]), "subject.properties.attributes"),
            ("subject.properties.is_superuser", json!("yes"), "subject.properties.is_superuser"),
            ("subject.properties.ip_address", json!("here"), "context.client_ip"),
            // Properties stand in the context, too.
            ("subject.properties.much", json!("x".repeat(300_000)), "context"),
            ("action", json!("read"), "action"),
            ("action.name", json!(""), "action.name"),
            ("action.name", json!("x".repeat(1_025)), "action.name"),
            ("action.properties", json!(1), "action.properties"),
            ("resource", json!(false), "resource"),
            ("resource.type", json!({}), "resource.type"),
            ("resource.id", json!(1), "resource.id"),
            ("resource.id", json!("x".repeat(1_025)), "resource.id"),
            ("resource.properties", json!([]), "resource.properties"),
            ("context", json!("x"), "context"),
            ("context.time", json!("soon"), "context.time"),
            ("context.time", json!("9999-01-01T00:00:00Z"), "context.time"),
            ("context.time", json!(0), "context.time"),
            ("context.client_ip", json!("999.1.1.1"), "context.client_ip"),
            ("context.client_ip", json!(1), "context.client_ip"),
            ("context.http", json!("GET"), "context.http"),
            ("context.http", json!({"headers": [1]}), "context.http"),
            ("context.event", json!(1), "context.event"),
            ("context.much", json!("x".repeat(300_000)), "context"),
            ("options", json!(1), ""),
        ] {
            let question = and(fine.clone(), path, value);
            let answer = ask(&door, EVALUATION, &question).await;
            if field.is_empty() {
                // A single evaluation has no options, and what is unknown is ignored.
                assert_eq!((answer.status, &answer.body["decision"]), (200, &json!(true)), "{path}");
                continue;
            }
            let (status, reason, named, message) = answer.error();
            assert_eq!((status, reason, named), (400, "INVALID_QUESTION", field), "{path}: {answer:?}");
            let shown = message.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
            assert!(shown.is_some_and(|text| text.len() > 10 && text.len() < 400), "{path}: {message}");
            // The same in a batch is that evaluation's alone.
            let body = json!({"evaluations": [question, fine]});
            let answer = ask(&door, EVALUATIONS, &body).await;
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
            let [wrong, right] = answer.body["evaluations"].as_array().unwrap().as_slice() else { panic!() };
            assert_eq!(wrong["decision"], json!(false), "{path}");
            let error = &wrong["context"]["error"];
            assert_eq!(error["field"], json!(format!("evaluations[0].{field}")), "{path}: {answer:?}");
            assert_eq!(right["decision"], json!(true), "{path}");
        }
    }

    #[tokio::test]
    async fn evaluations_have_their_own_mistakes() {
        let door = plain();
        let fine = question("ada", "application", "wiki");
        for (body, field) in [
            (json!({"evaluations": {}}), "evaluations"),
            (json!({"evaluations": vec![fine.clone(); 1_001]}), "evaluations"),
            (json!({"evaluations": [fine], "options": []}), "options"),
            (
                json!({"evaluations": [fine], "options": {"evaluations_semantic": "some"}}),
                "options.evaluations_semantic",
            ),
            (
                json!({"evaluations": [fine], "options": {"evaluations_semantic": 1}}),
                "options.evaluations_semantic",
            ),
            (json!({"evaluations": [fine], "subject": "ada"}), "subject"),
            (json!({"evaluations": [fine], "action": 1}), "action"),
            (json!({"evaluations": [fine], "resource": []}), "resource"),
            (json!({"evaluations": [fine], "context": 1}), "context"),
            (json!({"evaluations": []}), "subject"),
        ] {
            let answer = ask(&door, EVALUATIONS, &body).await;
            let (status, _, named, _) = answer.error();
            assert_eq!((status, named), (400, field), "{body}");
        }
        let most = json!({"evaluations": vec![fine.clone(); 1_000]});
        let answer = ask(&door, EVALUATIONS, &most).await;
        let decisions = answer.body["evaluations"].as_array().unwrap();
        assert_eq!(decisions.len(), 1_000);
        assert!(decisions.iter().all(|it| it["decision"] == json!(true)));
        let odd = json!({"evaluations": [1, fine]});
        let answer = ask(&door, EVALUATIONS, &odd).await;
        let error = &answer.body["evaluations"][0]["context"]["error"];
        assert_eq!(error["message"], json!("evaluations[0]: is no object; send one"));
        assert_eq!(answer.body["evaluations"][1]["decision"], json!(true));
        // A default that is large counts for each question.
        let large = json!({
            "context": {"x": "y".repeat(200_000)}, "evaluations": vec![fine; 1_000],
        });
        let (status, reason, ..) = ask(&door, EVALUATIONS, &large).await.error_owned();
        assert_eq!((status, reason.as_str()), (413, "TOO_MUCH"));
    }

    impl Answer {
        fn error_owned(&self) -> (u16, String, String, String) {
            let (status, reason, field, message) = self.error();
            (status, reason.into(), field.into(), message.into())
        }
    }

    #[tokio::test]
    async fn each_semantic_ends_where_it_says() {
        let door = plain();
        let at = |id: &str| json!({"resource": {"type": "application", "id": id}});
        // ada: wiki yes, told no, attic is not there, open yes.
        for (semantic, ids, expected) in [
            ("execute_all", vec!["wiki", "told", "attic", "open"], vec![true, false, false, true]),
            ("deny_on_first_deny", vec!["wiki", "told", "attic", "open"], vec![true, false]),
            ("deny_on_first_deny", vec!["wiki", "attic", "told"], vec![true, false]),
            ("deny_on_first_deny", vec!["wiki", "open"], vec![true, true]),
            ("permit_on_first_permit", vec!["told", "attic", "open", "wiki"], vec![false, false, true]),
            ("permit_on_first_permit", vec!["told", "told"], vec![false, false]),
        ] {
            let evaluations: Vec<Json> = ids.iter().map(|id| at(id)).collect();
            let body = json!({
                "subject": {"type": "user", "id": "ada"}, "action": {"name": "x"},
                "evaluations": evaluations, "options": {"evaluations_semantic": semantic},
            });
            let answer = ask(&door, EVALUATIONS, &body).await;
            let decisions = answer.body["evaluations"].as_array().unwrap();
            let decisions: Vec<bool> = decisions.iter().map(|it| it["decision"].as_bool().unwrap()).collect();
            assert_eq!(decisions, expected, "{semantic} {ids:?}");
            assert!(answer.body["decision"].is_null());
        }
    }

    #[tokio::test]
    async fn an_entity_takes_the_place_of_the_default_as_a_whole() {
        let door = plain();
        let body = json!({
            "subject": {"type": "user", "id": "guest", "properties": {"groups": ["staff"]}},
            "action": {"name": "x"}, "resource": {"type": "application", "id": "wiki"},
            "evaluations": [
                {},
                // The default's groups are not this one's.
                {"subject": {"type": "user", "id": "guest"}},
                {"subject": {"id": "ada"}},
                // An id is never taken from the default.
                {"resource": {"type": "application"}},
                {"context": {"client_ip": "no"}},
            ],
        });
        let answer = ask(&door, EVALUATIONS, &body).await;
        let all = answer.body["evaluations"].as_array().unwrap();
        let decisions: Vec<&Json> = all.iter().map(|it| &it["decision"]).collect();
        assert_eq!(decisions, [&json!(true), &json!(false), &json!(true), &json!(false), &json!(false)]);
        assert_eq!(all[3]["context"]["error"]["field"], json!("evaluations[3].resource.id"));
        assert_eq!(all[4]["context"]["error"]["field"], json!("evaluations[4].context.client_ip"));
    }

    #[tokio::test]
    async fn only_post_is_taken_and_only_json() {
        let door = plain();
        for path in POSTED {
            for method in
                [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS]
            {
                let request = Request::builder().method(&method).uri(path).body(Body::empty()).unwrap();
                let answer = hand(&door, request).await;
                assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method} {path}");
                if method != Method::HEAD {
                    assert_eq!(answer.error().1, "WRONG_METHOD");
                }
            }
            let body = question("ada", "application", "wiki").to_string();
            for kind in [
                None,
                Some("text/plain"),
                Some("application/jsonp"),
                Some("application/x-www-form-urlencoded"),
                Some(""),
            ] {
                let mut request = Request::post(path);
                if let Some(kind) = kind {
                    request = request.header("content-type", kind);
                }
                let answer = hand(&door, request.body(Body::from(body.clone())).unwrap()).await;
                assert_eq!((answer.error().0, answer.error().1), (415, "NOT_JSON"), "{kind:?} {path}");
            }
            let twice = Request::post(path)
                .header("content-type", "application/json")
                .header("content-type", "text/plain");
            assert_eq!(hand(&door, twice.body(Body::from(body.clone())).unwrap()).await.status, 415);
        }
        for kind in ["application/json; charset=utf-8", "Application/JSON", " application/json ;x=y"] {
            let request = Request::post(EVALUATION).header("content-type", kind);
            let body = question("ada", "application", "wiki").to_string();
            assert_eq!(hand(&door, request.body(Body::from(body)).unwrap()).await.status, 200, "{kind}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            let request = Request::builder().method(&method).uri(METADATA).body(Body::empty()).unwrap();
            let answer = hand(&door, request).await;
            assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{method}");
        }
        let request = Request::post("/access/v1/search").body(Body::empty()).unwrap();
        assert_eq!(hand(&door, request).await.status, 404);
    }

    #[tokio::test]
    async fn bodies_that_are_no_question_are_refused() {
        let door = plain();
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let twice = r#"{"subject": {"type": "user", "id": "bob", "id": "ada"}}"#;
        for path in POSTED {
            for (body, part) in [
                ("", "the body is empty"),
                ("{", "EOF"),
                ("nonsense", "no JSON"),
                ("[]", "no JSON object"),
                ("\"x\"", "no JSON object"),
                ("null", "no JSON object"),
                ("{} {}", "trailing"),
                (deep.as_str(), "nested deeper than 64 levels"),
                (twice, "the name `id` is there twice"),
                ("{\"a\": 1e999}", "out of range"),
            ] {
                let answer = hand(&door, post(path, body.to_owned())).await;
                let (status, reason, _, message) = answer.error();
                assert_eq!((status, reason), (400, "INVALID_QUESTION"), "{path}");
                assert!(message.contains(part) && message.len() < 300, "{path}: {message}");
            }
            let answer = hand(&door, post(path, vec![b'"', 0xff, b'"'])).await;
            assert_eq!(answer.status, 400);
            let answer = hand(&door, post(path, "x".repeat(MAX_BODY + 1))).await;
            let (status, reason, ..) = answer.error();
            assert_eq!((status, reason), (413, "TOO_MUCH"), "{path}");
            // As large as is allowed, and then judged by what it says.
            assert_eq!(hand(&door, post(path, "x".repeat(MAX_BODY))).await.status, 400);
        }
        let broken = futures_util::stream::iter([Ok(Bytes::from("{")), Err(std::io::Error::other("gone"))]);
        let answer = hand(&door, post(EVALUATION, Body::from_stream(broken))).await;
        assert_eq!(answer.error().3, "the body broke off; send it again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let answer = hand(&plain(), post(EVALUATION, Body::from_stream(never))).await;
        assert_eq!((answer.error().0, answer.error().1), (408, "TOO_SLOW"));
    }

    #[tokio::test]
    async fn a_request_id_comes_back_if_it_is_one() {
        let door = plain();
        let send = async |ids: &[&[u8]], path: &str| {
            let mut request = Request::post(path).header("content-type", "application/json");
            for id in ids {
                request = request.header("x-request-id", *id);
            }
            hand(&door, request.body(Body::from("{}")).unwrap()).await
        };
        let long = "x".repeat(257);
        for path in POSTED.into_iter().chain([METADATA]) {
            // With errors as with answers.
            let answer = send(&[b"a b/c-1"], path).await;
            assert_eq!(answer.header("x-request-id"), Some("a b/c-1"), "{path}");
            assert_eq!(
                send(&[&long.as_bytes()[..256]], path).await.header("x-request-id"),
                Some(&long[..256])
            );
            let odd: [Vec<&[u8]>; 6] =
                [vec![], vec![b""], vec![long.as_bytes()], vec![b"a\tb"], vec![b"a\xff"], vec![b"a", b"b"]];
            for ids in odd {
                assert_eq!(send(&ids, path).await.header("x-request-id"), None, "{path} {ids:?}");
            }
        }
    }

    #[tokio::test]
    async fn addresses_are_configured_and_never_a_requests() {
        let poison = |address: &str, path: &str| {
            Request::get(format!("{address}{path}"))
                .header("host", "evil.example")
                .header("x-forwarded-host", "evil.example")
                .header("forwarded", "host=evil.example;proto=https")
                .body(Full::from(""))
                .unwrap()
        };
        let with_base = |base: &str| door(&company(), settings(&format!("base_url = \"{base}\"")));
        let address = serve(with_base("https://pdp.example.com/tenant-1/")).await;
        for path in [METADATA, "/.well-known/authzen-configuration/tenant-1"] {
            let answer = over_wire(poison(&address, path)).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body["policy_decision_point"], json!("https://pdp.example.com/tenant-1"));
            let at = json!("https://pdp.example.com/tenant-1/access/v1/search/action");
            assert_eq!(answer.body["search_action_endpoint"], at);
            assert!(!format!("{answer:?}").contains("evil"), "{answer:?}");
        }
        assert_eq!(over_wire(poison(&address, "/.well-known/authzen-configuration/other")).await.status, 404);
        let address = serve(plain()).await;
        let answer = over_wire(poison(&address, METADATA)).await;
        let (status, reason, _, message) = answer.error();
        assert_eq!((status, reason), (404, "NO_BASE_URL"));
        assert!(message.contains("base_url") && !message.contains("evil"), "{message}");
    }

    #[tokio::test]
    async fn what_cannot_be_decided_is_no_denial() {
        let empty = door(&Arc::new(Store::new(Settings::default())), AuthzenSettings::default());
        let fine = question("ada", "application", "wiki");
        let batch = json!({"evaluations": [fine]});
        for (path, body) in [
            (EVALUATION, &fine),
            (EVALUATIONS, &batch),
            (SUBJECTS, &fine),
            (RESOURCES, &fine),
            (ACTIONS, &fine),
        ] {
            let answer = ask(&empty, path, body).await;
            assert_eq!((answer.error().0, answer.error().1), (503, "NO_CONFIGURATION"), "{path}");
            assert_eq!(answer.header("retry-after"), Some("1"));
        }
        // Nothing is known not to be there while nothing is known.
        let answer = ask(&empty, EVALUATION, &question("ada", "spaceship", "wiki")).await;
        assert_eq!((answer.error().0, answer.error().1), (503, "NO_CONFIGURATION"));
        let old = company();
        let limits = Staleness { most: Some(Duration::ZERO), ..Staleness::default() };
        old.load().freshness().limit(limits);
        old.load().freshness().fall_behind();
        let door = door(&old, AuthzenSettings::default());
        for (path, body) in [(EVALUATION, &fine), (SUBJECTS, &fine), (RESOURCES, &fine), (ACTIONS, &fine)] {
            let answer = ask(&door, path, body).await;
            assert_eq!((answer.error().0, answer.error().1), (503, "CONFIGURATION_TOO_OLD"), "{path}");
        }
        let answer = ask(&door, EVALUATIONS, &batch).await;
        let one = &answer.body["evaluations"][0];
        assert_eq!((answer.status, &one["decision"]), (200, &json!(false)));
        assert_eq!(one["context"]["error"]["reason"], json!("CONFIGURATION_TOO_OLD"));
        assert_eq!(one["context"]["error"]["status"], json!(503));
    }

    /// Holds what it is told to hold.
    #[derive(Debug)]
    struct Part(Wanted);

    impl OnDemand for Part {
        fn wanted(&self, _: &TargetRef, _: &Subject) -> Wanted {
            self.0
        }

        fn arrival(&self, subscription: u64) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            Box::pin(async move { subscription == 1 })
        }
    }

    #[tokio::test]
    async fn where_only_a_part_is_held_it_is_fetched_and_not_searched() {
        let partial = |wanted: Wanted| {
            let api = DecisionApi::new(company(), Arc::new(Evaluators::default()));
            let settings = settings("base_url = \"https://pdp.example.com\"");
            router(api.with_demand(Arc::new(Part(wanted))), settings)
        };
        let fine = question("ada", "application", "wiki");
        let batch = json!({"evaluations": [fine]});
        for wanted in [Wanted::Here, Wanted::Coming(1)] {
            let door = partial(wanted);
            assert!(decide(&door, &fine).await);
            let answer = ask(&door, EVALUATIONS, &batch).await;
            assert_eq!(answer.body["evaluations"][0]["decision"], json!(true));
            assert_eq!(ask(&door, ACTIONS, &fine).await.body["results"], json!([{"name": "access"}]));
            for path in [SUBJECTS, RESOURCES] {
                let answer = ask(&door, path, &fine).await;
                assert_eq!((answer.error().0, answer.error().1), (501, "NOT_OFFERED"), "{path}");
            }
            let metadata = hand(&door, Request::get(METADATA).body(Body::empty()).unwrap()).await;
            assert!(metadata.body["search_subject_endpoint"].is_null());
            assert!(metadata.body["search_action_endpoint"].is_string());
        }
        for wanted in [Wanted::Coming(2), Wanted::NoRoom] {
            let door = partial(wanted);
            for path in [EVALUATION, ACTIONS] {
                let answer = ask(&door, path, &fine).await;
                assert_eq!((answer.error().0, answer.error().1), (503, "NOT_HELD"), "{path}");
            }
            let answer = ask(&door, EVALUATIONS, &batch).await;
            assert_eq!(answer.body["evaluations"][0]["context"]["error"]["reason"], json!("NOT_HELD"));
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn all_of_a_call_stands_on_one_revision() {
        let world = |open: bool| {
            let group = if open { "staff" } else { "nobody" };
            written(&format!(
                "groups: [{{name: staff}}, {{name: nobody}}]\n\
                 users: [{{username: ada, groups: [{{name: staff}}]}}]\n\
                 applications: [{{slug: a}}, {{slug: b}}]\n\
                 policy_bindings:\n\
                 - {{target: {{application: a}}, group: {{name: {group}}}}}\n\
                 - {{target: {{application: b}}, group: {{name: {group}}}}}\n"
            ))
        };
        let (open, closed) = (world(true), world(false));
        let store = store(open.clone());
        let door = door(&store, AuthzenSettings::default());
        let writer = {
            let store = Arc::clone(&store);
            let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
            let writing = tokio::task::spawn_blocking(move || {
                while stopped.try_recv().is_err() {
                    put(&store, closed.clone());
                    put(&store, open.clone());
                }
            });
            (stop, writing)
        };
        let at = |index: usize| json!({"resource": {"type": "application", "id": if index.is_multiple_of(2) { "a" } else { "b" }}});
        let evaluations: Vec<Json> = (0..200).map(at).collect();
        let body = json!({
            "subject": {"type": "user", "id": "ada"}, "action": {"name": "x"}, "evaluations": evaluations,
        });
        let mut seen: BTreeSet<(u64, bool)> = BTreeSet::new();
        // Until both were seen, and for some more.
        let mut calls = 0;
        while calls < 50 || seen.iter().map(|(_, open)| open).collect::<BTreeSet<_>>().len() < 2 {
            let answer = ask(&door, EVALUATIONS, &body).await;
            let all = answer.body["evaluations"].as_array().unwrap();
            let one =
                |it: &Json| (it["context"]["revision"].as_u64().unwrap(), it["decision"].as_bool().unwrap());
            let of_call: BTreeSet<(u64, bool)> = all.iter().map(one).collect();
            assert_eq!((all.len(), of_call.len()), (200, 1), "{of_call:?}");
            seen.extend(of_call);
            calls += 1;
        }
        // The same revision never means two things.
        let revisions: BTreeSet<u64> = seen.iter().map(|(revision, _)| *revision).collect();
        assert_eq!(revisions.len(), seen.len());
        writer.0.send(()).unwrap();
        writer.1.await.unwrap();
    }

    #[tokio::test]
    async fn policies_that_wait_are_waited_for() {
        let store = store(written(
            "users: [{username: ada}]\n\
             applications: [{slug: slow}, {slug: late}, {slug: quick}]\n\
             policies:\n\
             - {name: slow, dummy: {result: true, wait_min: 0.01s, wait_max: 0.01s}}\n\
             - {name: never, dummy: {result: true, wait_min: 3600s, wait_max: 3600s}}\n\
             policy_bindings:\n\
             - {target: {application: slow}, policy: slow, timeout: 60s}\n\
             - {target: {application: late}, policy: never, timeout: 0.02s}\n",
        ));
        let door = door(&store, settings("show_messages = true"));
        assert!(decide(&door, &question("ada", "application", "slow")).await);
        assert!(!decide(&door, &question("ada", "application", "late")).await);
        for semantic in ["execute_all", "permit_on_first_permit"] {
            let ids = ["late", "slow", "quick", "late"];
            let at = |id: &str| question("ada", "application", id);
            let body = json!({
                "evaluations": ids.map(at), "options": {"evaluations_semantic": semantic},
            });
            let answer = ask(&door, EVALUATIONS, &body).await;
            let all = answer.body["evaluations"].as_array().unwrap();
            let decisions: Vec<&Json> = all.iter().map(|it| &it["decision"]).collect();
            let expected = [json!(false), json!(true), json!(true), json!(false)];
            let expected = &expected[..if semantic == "execute_all" { 4 } else { 2 }];
            assert_eq!(decisions, expected.iter().collect::<Vec<_>>());
            let message = all[0]["context"]["messages"][0].as_str().unwrap();
            assert!(message.starts_with("timed out after 20ms"), "{message}");
        }
    }

    /// The `console` blocks of the documentation that call the door: the path, the body if any, and what comes out.
    fn shown() -> Vec<(String, Option<String>, Json)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("docs/authzen.md")).unwrap();
        let block = |part: &str| {
            let (block, _) = part.split_once("\n```").unwrap();
            let (command, output) = block.rsplit_once("'\n").or_else(|| block.split_once('\n')).unwrap();
            let (_, rest) = command.split_once("127.0.0.1:9193").unwrap();
            let path = rest.split_whitespace().next().unwrap().to_owned();
            let body = command.split_once("-d '").map(|(_, body)| body.to_owned());
            (path, body, serde_json::from_str(output).unwrap_or_else(|error| panic!("{error}: {output}")))
        };
        text.split("```console\n$ curl").skip(1).map(block).collect()
    }

    #[tokio::test]
    async fn what_the_documentation_shows_is_what_comes_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(root.join("docs/authzen.md")).unwrap();
        let (_, rest) = text.split_once("```toml\n[authzen]\n").unwrap();
        let settings = settings(rest.split_once("```").unwrap().0);
        let blueprints =
            SourceSpec { blueprints: vec![root.join("examples/acme")], ..SourceSpec::of(Vec::new()) };
        let (resources, _) = load(&blueprints).unwrap().into_parts();
        let door = door(&store(resources), settings);
        let shown = shown();
        assert!(shown.len() >= 6, "{}", shown.len());
        for (path, body, expected) in shown {
            let answer = match &body {
                Some(body) => hand(&door, post(&path, body.clone())).await,
                None => hand(&door, Request::get(&path).body(Body::empty()).unwrap()).await,
            };
            // A decision's id is never the same twice, and a token is opaque.
            let mut given = answer.body;
            for place in ["/context/id", "/page/next_token"] {
                if let (Some(shown), Some(slot)) = (expected.pointer(place), given.pointer_mut(place)) {
                    assert_eq!(slot.as_str().unwrap().is_empty(), shown.as_str().unwrap().is_empty());
                    *slot = shown.clone();
                }
            }
            let evaluations = expected["evaluations"].as_array().map_or(0, Vec::len);
            for index in 0..evaluations {
                given["evaluations"][index]["context"]["id"] =
                    expected["evaluations"][index]["context"]["id"].clone();
            }
            assert_eq!(given, expected, "{path} {body:?}");
        }
    }
}
