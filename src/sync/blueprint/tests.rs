//! Blueprints from text to resources: files, states, references, models.

use super::*;
use crate::store::{Settings, Store};
use crate::sync::apply::{Update, apply};
use v1::resource::Resource as R;

pub(super) fn try_import(files: &[&str]) -> Result<Import, Vec<FileProblem>> {
    let names = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"];
    let sources: Vec<_> =
        files.iter().zip(names).map(|(text, name)| Source { name: name.into(), text }).collect();
    let options = Options {
        env: &|name| match name {
            "SET" => Some("from-env".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        },
        file: &|name| (name == "/set").then(|| " from-file\n".to_owned()),
        context: BTreeMap::from([("given".to_owned(), serde_json::json!({"a": [1, 2]}))]),
        default_application_access: true,
    };
    import(&sources, &options, &yaml::Limits::default())
}

/// What is wrong with files of these entries.
pub(super) fn wrong(files: &[&str]) -> String {
    let lines: Vec<_> = try_import(files).unwrap_err().iter().map(ToString::to_string).collect();
    lines.join("\n")
}

pub(super) fn taken(files: &[&str]) -> (Vec<R>, Vec<String>) {
    let import = try_import(files).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let warnings = import.warnings.iter().map(ToString::to_string).collect();
    (import.resources.into_iter().map(|(resource, _)| resource.resource.unwrap()).collect(), warnings)
}

fn accepted(files: &[&str]) {
    let import = try_import(files).unwrap();
    let resources = import.resources.into_iter().map(|(resource, _)| resource).collect();
    apply(&Store::new(Settings::default()), Update::Replace(resources)).unwrap();
}

fn bindings(resources: &[R]) -> Vec<&v1::PolicyBinding> {
    resources.iter().filter_map(|r| if let R::PolicyBinding(b) = r { Some(b) } else { None }).collect()
}

fn application(resources: &[R]) -> &v1::Application {
    resources.iter().find_map(|r| if let R::Application(a) = r { Some(a) } else { None }).unwrap()
}

const APP: &str = "
entries:
- model: authentik_core.application
  id: app
  identifiers: {slug: wiki}
  attrs: {name: Wiki, policy_engine_mode: all}
";
const GROUP: &str = "
entries:
- {model: authentik_core.group, identifiers: {name: staff}}
";
const BINDING: &str = "
entries:
- model: authentik_policies.policybinding
  identifiers:
    target: !Find [authentik_core.application, [slug, wiki]]
    group: !Find [authentik_core.group, [name, staff]]
    order: 3
";

#[test]
fn files_may_refer_to_one_another_in_any_order() {
    for files in [[APP, GROUP, BINDING], [BINDING, GROUP, APP], [GROUP, BINDING, APP]] {
        let (resources, warnings) = taken(&files);
        assert!(warnings.is_empty(), "{warnings:?}");
        let [binding] = bindings(&resources)[..] else { panic!() };
        let target = binding.target.clone().unwrap().target.unwrap();
        assert_eq!(target, v1::target_ref::Target::Application("wiki".into()));
        assert_eq!((binding.group.clone().unwrap().name.as_str(), binding.order), ("staff", 3));
        assert_eq!((binding.enabled, binding.negate, binding.timeout), (None, false, None));
        assert_eq!(application(&resources).policy_engine_mode, i32::from(v1::PolicyEngineMode::All));
        accepted(&files);
    }
}

#[test]
fn what_is_not_found_is_said() {
    assert_eq!(
        wrong(&[BINDING, GROUP]),
        "a.yaml:5: `target`: no authentik_core.application with slug `wiki` was found; add the file that has it, or \
         correct the lookup"
    );
    let (resources, warnings) = taken(&[BINDING, APP]);
    assert_eq!(bindings(&resources)[0].group.clone().unwrap().name, "staff");
    assert_eq!(warnings, ["a.yaml:6: `group`: no entry has the group of name `staff`; taken by its name"]);
    accepted(&[BINDING, APP]);
    // Two groups that nobody knows are two groups.
    let other = BINDING.replace("staff", "guests");
    assert_eq!(bindings(&taken(&[BINDING, &other, APP]).0).len(), 2);
    assert_eq!(bindings(&taken(&[BINDING, BINDING, APP]).0).len(), 1);
}

#[test]
fn an_unknown_id_comes_with_a_remedy() {
    let text = "
entries:
- {model: authentik_core.group, id: staff, identifiers: {name: staff}}
- model: authentik_core.group
  identifiers: {name: other}
  attrs:
    parents: [!KeyOf stafff]
";
    let message = wrong(&[text]);
    assert!(
        message.starts_with("a.yaml:7: no entry of this file has the id `stafff` (did you mean `staff`?)")
    );
    assert!(message.contains("`!Find`"), "{message}");
}

#[test]
fn everything_that_is_wrong_comes_at_once() {
    let text = "
entries:
- model: authentik_core.application
  identifiers: {slug: [a]}
  attrs: {policy_engine_mode: some}
- model: authentik_policies_expiry.passwordexpirypolicy
  identifiers: {name: x}
  attrs: {days: soon}
- model: authentik_core.user
  identifiers: {username: u}
  attrs:
    is_active: 3
    password_change_date: yesterday
    attributes: []
";
    let message = wrong(&[text]);
    for expected in
        ["a.yaml:4: `slug`", ":5: `policy_engine_mode`: `some`", ":8: `days`: `soon`", ":12: `is_active`"]
    {
        assert!(message.contains(expected), "{expected} is not in\n{message}");
    }
    assert!(message.contains(":13: `password_change_date`") && message.contains(":14: `attributes`"));
}

#[test]
fn outlines_are_checked() {
    let text = "
version: 2
extra: 1
entries:
- {model: authentik_core.group, identifier: {name: x}, state: gone}
- {identifiers: {name: !Nope x}}
- text
";
    let message = wrong(&[text]);
    for expected in
        ["`extra`", "version `2`", "`identifier`", "state `gone`", "`model` is missing", "an entry is"]
    {
        assert!(message.contains(expected), "{expected} is not in\n{message}");
    }
    assert!(message.contains("a.yaml:6: the tag `!Nope` is not known"), "{message}");
    assert!(wrong(&["a: 1"]).contains("`entries` is missing"));
    assert!(wrong(&[""]).contains("empty"));
    assert!(looks_like_blueprint(&yaml::parse(APP, &yaml::Limits::default()).unwrap()[0]));
}

#[test]
fn grouped_entries_are_one_list() {
    let text = "
entries:
  one:
  - {model: authentik_core.group, id: a, identifiers: {name: a}}
  two:
  - {model: authentik_core.group, identifiers: {name: b}, attrs: {parent: !KeyOf a}}
";
    let (resources, _) = taken(&[text]);
    assert_eq!(resources.len(), 2);
    let R::Group(group) = &resources[1] else { panic!() };
    assert_eq!(group.parents[0].name, "a");
}

fn app(state: &str, name: &str) -> String {
    format!(
        "entries:\n- {{model: authentik_core.application, state: {state}, identifiers: {{slug: wiki}}, attrs: {{name: {name}}}}}\n"
    )
}

#[test]
fn states_create_update_and_remove() {
    let (present, created) = (app("present", "Second"), app("created", "Second"));
    assert_eq!(application(&taken(&[APP, &present]).0).name, "Second");
    assert_eq!(application(&taken(&[APP, &created]).0).name, "Wiki");
    assert_eq!(application(&taken(&[&created]).0).name, "Second");
    let must = app("must_created", "Must");
    assert_eq!(application(&taken(&[&must]).0).name, "Must");
    assert!(
        wrong(&[APP, &must]).contains("b.yaml:2: this must be created and is there already, from a.yaml:3")
    );
    let absent = app("absent", "x");
    assert!(taken(&[APP, &absent]).0.is_empty());
    let import = try_import(&[APP, &absent]).unwrap();
    assert_eq!((import.tally[0].entries, import.tally[0].taken, import.tally[0].skipped), (2, 0, 2));
    assert_eq!(application(&taken(&[APP, &absent, &created]).0).name, "Second");
    // What was updated keeps what the update does not name.
    assert_eq!(application(&taken(&[APP, &present]).0).policy_engine_mode, 2);
}

#[test]
fn what_stands_with_something_removed_falls_with_it() {
    let text = "
entries:
- {model: authentik_flows.flow, id: f, identifiers: {slug: f}}
- {model: authentik_stages_password.passwordstage, id: s, identifiers: {name: s}}
- {model: authentik_flows.flowstagebinding, id: b, identifiers: {target: !KeyOf f, stage: !KeyOf s, order: 1}}
- {model: authentik_policies_dummy.dummypolicy, id: p, identifiers: {name: p}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf b, policy: !KeyOf p, order: 0}}
";
    accepted(&[text]);
    let removal = "entries: [{model: authentik_flows.flow, state: absent, identifiers: {slug: f}}]";
    let (resources, warnings) = taken(&[text, removal]);
    assert_eq!((resources.len(), warnings.len()), (2, 2), "{warnings:?}");
    accepted(&[text, removal]);
}

#[test]
fn conditions_decide_whether_an_entry_counts() {
    let only_if_none = |name: &str| {
        format!(
            "
entries:
- model: authentik_core.group
  id: maybe
  conditions: [!Condition [NOR, !Find [authentik_core.group, [is_superuser, true]]]]
  identifiers: {{name: {name}}}
  attrs: {{is_superuser: true}}
"
        )
    };
    assert_eq!(taken(&[&only_if_none("a")]).0.len(), 1);
    // The first that makes one is enough.
    assert_eq!(taken(&[&only_if_none("a"), &only_if_none("b")]).0.len(), 1);
    let there =
        "entries: [{model: authentik_core.group, identifiers: {name: c}, attrs: {is_superuser: true}}]";
    for files in [[there, &only_if_none("a")], [&only_if_none("a"), there]] {
        let import = try_import(&files).unwrap();
        assert_eq!((import.resources.len(), import.tally[0].skipped), (1, 1));
    }
    let bound = format!(
        "{}
- {{model: authentik_policies.policybinding, identifiers: {{target: !KeyOf app, group: !KeyOf out, order: 0}}}}
- {{model: authentik_core.group, id: out, conditions: [false], identifiers: {{name: out}}}}
",
        APP.trim_end()
    );
    assert!(wrong(&[&bound]).contains("the entry `out` is left out by its conditions"));
}

#[test]
fn keys_that_the_file_gives_win() {
    let text = "
entries:
- {model: authentik_core.application, identifiers: {pk: 11-22, slug: wiki}}
- {model: authentik_core.group, identifiers: {pk: 33, name: staff}}
- {model: authentik_policies.policybinding, identifiers: {pk: 44, target: 11-22, group: 33, order: 0}}
- {model: authentik_policies.policybinding, identifiers: {pk: 45, target: 11-22, user: 99, order: 0}}
";
    let (resources, warnings) = taken(&[text]);
    assert_eq!((application(&resources).id.as_str(), warnings.len()), ("11-22", 1));
    let bindings = bindings(&resources);
    assert_eq!((bindings[0].id.as_str(), bindings[0].group.clone().unwrap().id.as_str()), ("44", "33"));
    assert_eq!(bindings[1].user.clone().unwrap().id, "99");
    accepted(&[text]);
    let unknown = text.replace("target: 11-22, user", "target: 11-23, user");
    assert!(wrong(&[&unknown]).contains("a.yaml:6: `target`: no entry with pk `11-23` was found"));
}

#[test]
fn an_endpoint_has_the_application_of_its_provider() {
    let endpoint = "
entries:
- model: authentik_providers_rac.endpoint
  identifiers: {name: host}
  attrs: {provider: !Find [authentik_core.provider, [name, rac]], protocol: ssh, host: h}
";
    let provider = "entries: [{model: authentik_providers_rac.racprovider, identifiers: {name: rac}}]";
    let app = "
entries:
- model: authentik_core.application
  identifiers: {slug: remote}
  attrs: {provider: !Find [authentik_providers_rac.racprovider, [name, rac]]}
";
    let found = |files: &[&str]| {
        let resources = taken(files).0;
        resources
            .iter()
            .find_map(|r| if let R::RacEndpoint(e) = r { Some(e.application.clone()) } else { None })
    };
    assert_eq!(found(&[endpoint, provider, app]).unwrap(), "remote");
    assert_eq!(found(&[app, provider, endpoint]).unwrap(), "remote");
    assert_eq!(found(&[endpoint, provider]).unwrap(), "");
    assert!(wrong(&[endpoint]).contains("`provider`: no authentik_core.provider with name `rac`"));
    accepted(&[endpoint, provider, app]);
}

#[test]
fn members_stand_on_either_side() {
    let text = "
entries:
- {model: authentik_core.user, id: ada, identifiers: {username: ada}, attrs: {groups: [!KeyOf a]}}
- {model: authentik_core.group, id: a, identifiers: {name: a}, attrs: {users: [!KeyOf ada]}}
- {model: authentik_core.group, identifiers: {name: b}, attrs: {users: [!KeyOf ada]}}
";
    let (resources, _) = taken(&[text]);
    let R::User(user) = &resources[0] else { panic!() };
    let groups: Vec<_> = user.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["a", "b"]);
    accepted(&[text]);
}

#[test]
fn every_model_is_taken() {
    let text = "
entries:
- {model: authentik_core.application, id: app, identifiers: {slug: app}}
- {model: authentik_core.applicationentitlement, id: right, identifiers: {app: !KeyOf app, name: right}}
- {model: authentik_core.user, id: u, identifiers: {username: u}, attrs: {password_change_date: 2026-01-02}}
- {model: authentik_flows.flow, id: f, identifiers: {slug: f}, attrs: {authentication: require_token}}
- {model: authentik_stages_user_login.userloginstage, id: s, identifiers: {name: s}}
- {model: authentik_sources_ldap.ldapsource, id: src, identifiers: {slug: l}, attrs: {enabled: false}}
- {model: authentik_events.notificationrule, id: rule, identifiers: {name: r}, attrs: {severity: alert}}
- {model: authentik_endpoints.deviceaccessgroup, id: dag, identifiers: {name: g}}
- {model: authentik_endpoints.device, id: d, identifiers: {name: d}, attrs: {access_group: !KeyOf dag}}
- {model: authentik_endpoints.deviceuserbinding, identifiers: {target: !KeyOf d, user: !KeyOf u, order: 0}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf right, user: !KeyOf u, order: 0}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf src, user: !KeyOf u, order: 0}}
- {model: authentik_policies_reputation.reputation, identifiers: {ip: 10.0.0.1, identifier: u}, attrs: {score: -7}}
- {model: authentik_policies_dummy.dummypolicy, identifiers: {name: p1}}
- {model: authentik_policies_event_matcher.eventmatcherpolicy, identifiers: {name: p2}, attrs: {app: null}}
- {model: authentik_policies_expiry.passwordexpirypolicy, identifiers: {name: p3}, attrs: {days: 9}}
- {model: authentik_policies_expression.expressionpolicy, identifiers: {name: p4}, attrs: {expression: return True}}
- {model: authentik_policies_geoip.geoippolicy, identifiers: {name: p5}, attrs: {asns: [1], countries: [DE]}}
- {model: authentik_policies_password.passwordpolicy, identifiers: {name: p6}, attrs: {length_min: 8}}
- {model: authentik_policies_reputation.reputationpolicy, identifiers: {name: p7}, attrs: {threshold: -1}}
- {model: authentik_policies_unique_password.uniquepasswordpolicy, identifiers: {name: p8}}
- {model: authentik_policies_other.otherpolicy, identifiers: {name: p9}}
- model: authentik_policies_conditional.conditionalpolicy
  identifiers: {name: p10}
  attrs: {actions: [{type: stop, result: pass}], missing_behavior: 'false'}
- {model: authentik_stages_prompt.prompt, id: prompt, identifiers: {name: not-ours}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf prompt, user: !KeyOf u, order: 0}}
";
    let import = try_import(&[text]).unwrap();
    assert_eq!((import.resources.len(), import.warnings.len()), (23, 1));
    assert!(import.warnings[0].message.contains("authentik_stages_prompt.prompt"));
    let (resources, _) = taken(&[text]);
    let policy = |name: &str| {
        let named =
            |r: &R| if let R::Policy(p) = r { (p.name == name).then(|| p.kind.clone()) } else { None };
        resources.iter().find_map(named).unwrap().unwrap()
    };
    use v1::policy::Kind;
    let Kind::Dummy(dummy) = policy("p1") else { panic!() };
    assert_eq!(
        (dummy.result, dummy.wait_min.unwrap().seconds, dummy.wait_max.unwrap().seconds),
        (false, 5, 30)
    );
    let Kind::Unsupported(unsupported) = policy("p9") else { panic!() };
    assert_eq!(unsupported.kind, "other");
    for resource in &resources {
        let empty_result = match resource {
            R::Entitlement(m) => m.empty_result,
            R::Device(m) => m.empty_result,
            R::DeviceAccessGroup(m) => m.empty_result,
            R::NotificationRule(m) => m.empty_result,
            R::Application(v1::Application { empty_result: None, .. }) => Some(false),
            R::Source(source) => {
                assert_eq!((source.kind.as_str(), source.enabled), ("ldap", Some(false)));
                continue;
            }
            R::Stage(stage) => {
                assert_eq!(stage.kind, "user_login");
                continue;
            }
            R::User(user) => {
                assert_eq!(user.password_change_date.unwrap().to_string(), "2026-01-02T00:00:00Z");
                continue;
            }
            _ => continue,
        };
        assert_eq!(empty_result, Some(false), "{resource:?}");
    }
    // The conditional program is not compiled here; everything else is accepted.
    let without: String = text.split("- model: authentik_policies_conditional").next().unwrap().to_owned();
    accepted(&[&without]);
}

#[test]
fn bindings_end_when_they_say_so() {
    let end = |attrs: &str| {
        let text = format!("{}{attrs}", BINDING.trim_end_matches('\n').to_owned() + "\n  attrs: ");
        bindings(&taken(&[&text, APP, GROUP]).0)[0].expires
    };
    assert!(end("{expires: 2026-06-30T00:00:00+02:00}").is_some());
    assert!(end("{expires: '2026-06-30T00:00:00Z', expiring: true, timeout: 5}").is_some());
    assert!(end("{expires: '2026-06-30T00:00:00Z', expiring: false}").is_none());
    assert!(end("{expiring: true}").is_none());
}

#[test]
fn the_examples_are_accepted() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/acme/");
    let names = ["applications", "directory", "equipment", "signin"];
    let texts: Vec<String> =
        names.iter().map(|name| std::fs::read_to_string(format!("{folder}{name}.yaml")).unwrap()).collect();
    let files: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (resources, warnings) = taken(&files);
    assert!(warnings.is_empty() && resources.len() > 60, "{} {warnings:?}", resources.len());
    accepted(&files);
    let backwards: Vec<&str> = files.into_iter().rev().collect();
    accepted(&backwards);
}

#[test]
fn applications_are_closed_by_default_when_that_is_said() {
    let options = Options {
        env: &|_| None,
        file: &|_| None,
        context: BTreeMap::new(),
        default_application_access: false,
    };
    let import =
        import(&[Source { name: "a".into(), text: APP }], &options, &yaml::Limits::default()).unwrap();
    let Some(R::Application(closed)) = &import.resources[0].0.resource else { panic!() };
    assert_eq!((closed.empty_result, application(&taken(&[APP]).0).empty_result), (Some(false), None));
}

#[test]
fn many_entries_are_gathered_in_a_time_that_grows_with_them() {
    let mut text =
        "entries:\n- {model: authentik_core.application, id: app, identifiers: {slug: wiki}}\n".to_owned();
    for number in 0..4_000 {
        text.push_str(&format!(
            "- {{model: authentik_policies.policybinding, identifiers: {{target: !KeyOf app, group: !Find \
             [authentik_core.group, [name, g{number}]], order: 0}}}}\n"
        ));
    }
    for number in 0..4_000 {
        text.push_str(&format!("- {{model: authentik_core.group, identifiers: {{name: g{number}}}}}\n"));
    }
    let started = std::time::Instant::now();
    assert_eq!(taken(&[&text]).0.len(), 8_001);
    // Generous: what matters is that it is not minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    println!("{:?}", started.elapsed());
}

/// A group and an application, with a binding of these fields.
fn bound(group: &str, attrs: &str) -> String {
    format!(
        "
entries:
- {{model: authentik_core.application, id: app, identifiers: {{slug: wiki}}}}
- {{model: authentik_core.group, id: staff, identifiers: {{name: staff}}, attrs: {{is_superuser: false}}}}
- {{model: authentik_policies.policybinding, identifiers: {{target: !KeyOf app, group: {group}, order: 0}}, attrs: {{{attrs}}}}}
"
    )
}

#[test]
fn null_is_not_a_default() {
    for (attrs, field) in [
        ("negate: !Context nothing", "negate"),
        ("enabled: !Env NOT", "enabled"),
        ("failure_result: null", "failure_result"),
        ("timeout: null", "timeout"),
        ("dry_run: !Find [authentik_core.group, [name, none]]", "dry_run"),
    ] {
        let message = wrong(&[&bound("!KeyOf staff", attrs)]);
        assert!(message.contains(&format!("a.yaml:5: `{field}`: null is not")), "{message}");
    }
    let mode =
        "entries: [{model: authentik_flows.flow, identifiers: {slug: f}, attrs: {policy_engine_mode: null}}]";
    assert!(wrong(&[mode]).contains("`policy_engine_mode`: null is not one of any, all"));
    assert_eq!(bindings(&taken(&[&bound("!KeyOf staff", "negate: !Context [nothing, true]")]).0).len(), 1);
    // These may be null in authentik as well.
    taken(&[&bound("!KeyOf staff", "expires: null, user: null, policy: null")]);
}

#[test]
fn a_state_may_be_a_tag_and_its_text_is_not_the_state() {
    let group = |state: &str| {
        format!("entries: [{{model: authentik_core.group, state: {state}, identifiers: {{name: staff}}}}]")
    };
    assert_eq!(taken(&[GROUP, &group("!Context [nothing, present]")]).0.len(), 1);
    assert_eq!(taken(&[GROUP, &group("!If [true, absent, present]")]).0.len(), 0);
    assert!(wrong(&[GROUP, &group("!Context absent")]).contains("b.yaml:1: state `None` is not known"));
    assert!(wrong(&[&group("!Env SET")]).contains("state `from-env` is not known"));
    let by_object = group("!If [!Find [authentik_core.group, [name, staff]], absent, present]");
    assert!(wrong(&[&by_object]).contains("`state` cannot depend on an object"));
}

#[test]
fn only_a_lookup_by_its_one_name_stands_for_somebody_unknown() {
    let of = |group: &str| bound(group, "");
    for group in [
        // The group of that name is there and is another.
        "!Find [authentik_core.group, [name, staff], [is_superuser, true]]",
        "!Find [authentik_rbac.role, [name, staff]]",
        "!Find [authentik_core.user, [name, staff]]",
        "!Find [authentik_core.group, [name, !Context nothing]]",
        "!Find [authentik_core.group, [name__iexact, guests]]",
    ] {
        let message = wrong(&[&of(group)]);
        assert!(message.contains("a.yaml:5: `group`: no authentik_"), "{group}: {message}");
    }
    let (resources, warnings) = taken(&[&of("!Find [authentik_core.group, [name, guests]]")]);
    assert_eq!(bindings(&resources)[0].group.clone().unwrap().name, "guests");
    assert!(warnings[0].contains("taken by its name"), "{warnings:?}");
    let (resources, warnings) = taken(&[&of("!Find [authentik_core.group, [pk, 7-7]]")]);
    assert_eq!(bindings(&resources)[0].group.clone().unwrap().id, "7-7");
    assert!(warnings[0].contains("of pk `7-7`; taken as an id"), "{warnings:?}");
}

#[test]
fn endpoints_of_two_providers_may_have_one_name() {
    let text = "
entries:
- {model: authentik_providers_rac.racprovider, id: p1, identifiers: {name: one}}
- {model: authentik_providers_rac.racprovider, id: p2, identifiers: {name: two}}
- {model: authentik_core.application, identifiers: {slug: a1}, attrs: {provider: !KeyOf p1}}
- {model: authentik_core.application, identifiers: {slug: a2}, attrs: {provider: !KeyOf p2}}
- {model: authentik_providers_rac.endpoint, identifiers: {name: ssh, provider: !KeyOf p1}}
- {model: authentik_providers_rac.endpoint, id: e2, identifiers: {name: ssh, provider: !KeyOf p2}}
- {model: authentik_providers_rac.endpoint, identifiers: {name: rdp, provider: !KeyOf p2}}
- {model: authentik_core.group, id: g, identifiers: {name: g}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf e2, group: !KeyOf g, order: 0}}
";
    let (resources, _) = taken(&[text]);
    let endpoints: Vec<_> = resources
        .iter()
        .filter_map(|r| if let R::RacEndpoint(e) = r { Some((&*e.id, &*e.application)) } else { None })
        .collect();
    assert_eq!(endpoints, [("one/ssh", "a1"), ("two/ssh", "a2"), ("", "a2")]);
    accepted(&[text]);
}

#[test]
fn columns_of_keys_are_keys() {
    let text = "
entries:
- {model: authentik_flows.flow, identifiers: {flow_uuid: 1-2, slug: f}}
- {model: authentik_stages_password.passwordstage, id: s, identifiers: {stage_uuid: 5-6, name: s}}
- {model: authentik_flows.flowstagebinding, id: b, identifiers: {target: 1-2, stage: !KeyOf s, order: 1}}
- {model: authentik_core.group, identifiers: {group_uuid: 3-4, name: g}}
- {model: authentik_policies.policybinding, identifiers: {target: 1-2, group: 3-4, order: 0}}
- {model: authentik_policies.policybinding, identifiers: {target: !KeyOf b, group: 3-4, order: 0}}
";
    let (resources, warnings) = taken(&[text]);
    assert!(warnings.is_empty(), "{warnings:?}");
    let R::Flow(flow) = &resources[0] else { panic!() };
    assert_eq!((&*flow.id, &*bindings(&resources)[0].group.clone().unwrap().id), ("1-2", "3-4"));
    accepted(&[text]);
}

#[test]
fn any_app_of_conditional_policies_is_one() {
    let text = "
entries:
- {model: authentik_policies_conditional_access.conditionalpolicy, identifiers: {name: c}, attrs: {actions: {version: 2, actions: []}}}
";
    let R::Policy(policy) = &taken(&[text]).0[0] else { panic!() };
    assert!(matches!(policy.kind, Some(v1::policy::Kind::Conditional(_))), "{:?}", policy.kind);
}
