//! authentik's models as resources of the schema.
//!
//! Must not know: how entries and tags were read.

use super::super::origin::FileProblem;
use super::fields::{Table, Taker, Type};
use super::tags::Value;
use super::world::{Object, Stage, World};
use super::{Import, ModelTally};
use crate::proto::{self, v1};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;

const MODE: (&str, &str, Type) =
    ("policy_engine_mode", "policy_engine_mode", Type::Member("POLICY_ENGINE_MODE"));
const PK: (&str, &str, Type) = ("pk", "id", Type::Text);
const NAME: (&str, &str, Type) = ("name", "name", Type::Text);
const SLUG: (&str, &str, Type) = ("slug", "slug", Type::Text);
const ATTRIBUTES: (&str, &str, Type) = ("attributes", "attributes", Type::Data);

const APPLICATION: Table = &[
    PK,
    SLUG,
    NAME,
    MODE,
    ("group", "group", Type::Text),
    ("meta_description", "meta_description", Type::Text),
    ("meta_publisher", "meta_publisher", Type::Text),
    ("meta_launch_url", "meta_launch_url", Type::Text),
];
const SOURCE: Table = &[PK, SLUG, NAME, MODE, ("enabled", "enabled", Type::Bool)];
const FLOW: Table = &[
    PK,
    SLUG,
    NAME,
    MODE,
    ("title", "title", Type::Text),
    ("designation", "designation", Type::Text),
    ("authentication", "authentication", Type::Member("FLOW_AUTHENTICATION")),
    ("denied_action", "denied_action", Type::Member("FLOW_DENIED_ACTION")),
];
const FLOW_STAGE_BINDING: Table = &[
    PK,
    MODE,
    ("order", "order", Type::Number),
    ("evaluate_on_plan", "evaluate_on_plan", Type::Bool),
    ("re_evaluate_policies", "re_evaluate_policies", Type::Bool),
    ("invalid_response_action", "invalid_response_action", Type::Member("INVALID_RESPONSE_ACTION")),
];
const STAGE: Table = &[PK, NAME];
const ENTITLEMENT: Table = &[PK, NAME, ATTRIBUTES];
const DEVICE: Table =
    &[PK, NAME, MODE, ("identifier", "identifier", Type::Text), ATTRIBUTES, ("facts", "facts", Type::Data)];
const DEVICE_ACCESS_GROUP: Table = &[PK, NAME, MODE, ATTRIBUTES];
const NOTIFICATION_RULE: Table = &[PK, NAME, MODE, ("severity", "severity", Type::Text)];
const RAC_ENDPOINT: Table =
    &[PK, NAME, MODE, ("host", "host", Type::Text), ("protocol", "protocol", Type::Text)];
const USER: Table = &[
    PK,
    ("username", "username", Type::Text),
    NAME,
    ("email", "email", Type::Text),
    ("is_active", "is_active", Type::Bool),
    ATTRIBUTES,
    ("type", "type", Type::Text),
    ("path", "path", Type::Text),
    ("password_change_date", "password_change_date", Type::Moment),
    ("date_joined", "date_joined", Type::Moment),
    ("last_login", "last_login", Type::Moment),
];
const GROUP: Table = &[PK, NAME, ("is_superuser", "is_superuser", Type::Bool), ATTRIBUTES];
const REPUTATION_SCORE: Table = &[
    PK,
    ("ip", "ip", Type::Text),
    ("identifier", "identifier", Type::Text),
    ("score", "score", Type::Number),
    ("expires", "expires", Type::Moment),
];
const BINDING: Table = &[
    PK,
    ("order", "order", Type::Number),
    ("enabled", "enabled", Type::Bool),
    ("negate", "negate", Type::Bool),
    ("timeout", "timeout", Type::Seconds),
    ("failure_result", "failure_result", Type::Bool),
    ("dry_run", "dry_run", Type::Bool),
];
const POLICY: Table = &[PK, NAME, ("execution_logging", "execution_logging", Type::Bool)];

const DUMMY: Table = &[
    ("result", "result", Type::Bool),
    ("wait_min", "wait_min", Type::Seconds),
    ("wait_max", "wait_max", Type::Seconds),
];
const EXPRESSION: Table = &[("expression", "source", Type::Text)];
const EVENT_MATCHER: Table = &[
    ("action", "action", Type::Text),
    ("client_ip", "client_ip", Type::Text),
    ("app", "app", Type::Text),
    ("model", "model", Type::Text),
    ("query", "query", Type::Text),
];
const PASSWORD_EXPIRY: Table = &[("days", "days", Type::Number), ("deny_only", "deny_only", Type::Bool)];
const GEOIP: Table = &[
    ("asns", "asns", Type::Numbers),
    ("countries", "countries", Type::Texts),
    ("check_history_distance", "check_history_distance", Type::Bool),
    ("history_max_distance_km", "history_max_distance_km", Type::Number),
    ("distance_tolerance_km", "distance_tolerance_km", Type::Number),
    ("history_login_count", "history_login_count", Type::Number),
    ("check_impossible_travel", "check_impossible_travel", Type::Bool),
    ("impossible_tolerance_km", "impossible_tolerance_km", Type::Number),
];
const PASSWORD: Table = &[
    ("password_field", "password_field", Type::Text),
    ("check_static_rules", "check_static_rules", Type::Bool),
    ("length_min", "length_min", Type::Number),
    ("amount_digits", "amount_digits", Type::Number),
    ("amount_uppercase", "amount_uppercase", Type::Number),
    ("amount_lowercase", "amount_lowercase", Type::Number),
    ("amount_symbols", "amount_symbols", Type::Number),
    ("symbol_charset", "symbol_charset", Type::Text),
    ("error_message", "error_message", Type::Text),
    ("check_have_i_been_pwned", "check_have_i_been_pwned", Type::Bool),
    ("hibp_allowed_count", "hibp_allowed_count", Type::Number),
    ("check_zxcvbn", "check_zxcvbn", Type::Bool),
    ("zxcvbn_score_threshold", "zxcvbn_score_threshold", Type::Number),
];
const REPUTATION: Table = &[
    ("check_ip", "check_ip", Type::Bool),
    ("check_username", "check_username", Type::Bool),
    ("threshold", "threshold", Type::Number),
];
const UNIQUE_PASSWORD: Table = &[
    ("password_field", "password_field", Type::Text),
    ("num_historical_passwords", "num_historical_passwords", Type::Number),
];
const CONDITIONAL: Table = &[
    ("actions", "program", Type::Data),
    ("missing_behavior", "missing_behavior", Type::Text),
    ("failure_message", "failure_message", Type::Text),
];

/// What a model is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ours {
    Application,
    Entitlement,
    Source,
    Flow,
    FlowStageBinding,
    Device,
    DeviceAccessGroup,
    NotificationRule,
    RacEndpoint,
    Stage,
    User,
    Group,
    ReputationScore,
    Binding,
    Policy,
}

fn ours(model: &str) -> Option<Ours> {
    let (app, name) = model.split_once('.')?;
    Some(match (app, name) {
        ("authentik_core", "application") => Ours::Application,
        ("authentik_core", "applicationentitlement") => Ours::Entitlement,
        ("authentik_core", "user") => Ours::User,
        ("authentik_core", "group") => Ours::Group,
        ("authentik_flows", "flow") => Ours::Flow,
        ("authentik_flows", "flowstagebinding") => Ours::FlowStageBinding,
        ("authentik_policies", "policybinding") | ("authentik_endpoints", "deviceuserbinding") => {
            Ours::Binding
        }
        ("authentik_policies_reputation", "reputation") => Ours::ReputationScore,
        ("authentik_providers_rac", "endpoint") => Ours::RacEndpoint,
        ("authentik_endpoints", "device") => Ours::Device,
        ("authentik_endpoints", "deviceaccessgroup") => Ours::DeviceAccessGroup,
        ("authentik_events", "notificationrule") => Ours::NotificationRule,
        (app, name) if app.starts_with("authentik_stages_") && name.ends_with("stage") => Ours::Stage,
        (app, name) if app.starts_with("authentik_sources_") && name.ends_with("source") => Ours::Source,
        (app, name) if app.starts_with("authentik_policies") && name.ends_with("policy") => Ours::Policy,
        _ => return None,
    })
}

/// The resources of all objects, and what became of the entries.
pub(super) fn resources(world: World<'_>) -> Result<Import, Vec<FileProblem>> {
    let mut import = Import::default();
    let mut problems = Vec::new();
    let mut skipped_objects = Vec::new();
    let memberships = memberships(&world);
    for (index, object) in world.objects.iter().enumerate() {
        let Some(kind) = ours(&object.model).filter(|_| object.stage == Stage::Present) else { continue };
        let mut taker = Taker::new(&world, object);
        let field = fill(&mut taker, kind, index, &memberships);
        problems.append(&mut taker.problems);
        import.warnings.append(&mut taker.warnings);
        let Some(field) = field else {
            skipped_objects.push(index);
            continue;
        };
        let json = Json::Object([(field.to_owned(), Json::Object(taker.out))].into_iter().collect());
        match proto::from_json::<v1::Resource>("bindery.v1.Resource", json) {
            Ok(resource) => import.resources.push((resource, object.origin.clone())),
            Err(error) => {
                let message = format!("{}: {error}", object.model);
                problems.push(FileProblem { origin: object.origin.clone(), message });
            }
        }
    }
    import.tally = tally(&world, &skipped_objects);
    problems.extend(world.problems);
    problems.sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
    problems.dedup();
    if problems.is_empty() { Ok(import) } else { Err(problems) }
}

fn tally(world: &World<'_>, skipped_objects: &[usize]) -> Vec<ModelTally> {
    let mut models: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for index in 0..world.entries.len() {
        let Some(own) = world.objects.get(index) else { continue };
        let resolved = world.resolve(index);
        let present = world.objects.get(resolved).is_some_and(|object| object.stage == Stage::Present);
        let taken = present && ours(&own.model).is_some() && !skipped_objects.contains(&resolved);
        let (entries, count) = models.entry(&own.model).or_default();
        *entries += 1;
        *count += usize::from(taken);
    }
    let line = |(model, (entries, taken)): (&str, (usize, usize))| ModelTally {
        model: model.to_owned(),
        entries,
        taken,
        skipped: entries - taken,
    };
    models.into_iter().map(line).collect()
}

/// Groups that list their users, turned round: for each user, what groups it is in by that.
fn memberships(world: &World<'_>) -> BTreeMap<usize, Vec<Json>> {
    let mut by_user: BTreeMap<usize, Vec<Json>> = BTreeMap::new();
    for object in &world.objects {
        if ours(&object.model) != Some(Ours::Group) || object.stage != Stage::Present {
            continue;
        }
        let Some(Value::List(users)) = object.field("users") else { continue };
        for user in users {
            if let (Value::Object(user), Some(name)) = (user, object.field("name")) {
                by_user.entry(world.resolve(*user)).or_default().push(json!({"name": name.describe()}));
            }
        }
    }
    by_user
}

/// Fills the message of an object; gives the field of `Resource` that it is, or nothing when it is left out.
fn fill(
    taker: &mut Taker<'_, '_>,
    kind: Ours,
    index: usize,
    memberships: &BTreeMap<usize, Vec<Json>>,
) -> Option<&'static str> {
    let deny_when_empty = |taker: &mut Taker<'_, '_>| taker.set("empty_result", false);
    Some(match kind {
        Ours::Application => {
            taker.take(APPLICATION);
            if !taker.world.options.default_application_access {
                deny_when_empty(taker);
            }
            "application"
        }
        Ours::Entitlement => {
            taker.take(ENTITLEMENT);
            // authentik looks at neither the mode nor what an entitlement without bindings would give.
            deny_when_empty(taker);
            let application = refer(taker, "app", &["slug"])?;
            taker.set("application", application);
            "entitlement"
        }
        Ours::Source => {
            taker.take(SOURCE);
            let kind = suffix(&taker.object.model, "authentik_sources_");
            taker.set("kind", kind);
            "source"
        }
        Ours::Flow => {
            taker.take(FLOW);
            "flow"
        }
        Ours::FlowStageBinding => {
            taker.take(FLOW_STAGE_BINDING);
            let flow = refer(taker, "target", &["slug"]);
            let stage = refer(taker, "stage", &["name"]);
            taker.set("flow", flow?);
            taker.set("stage", stage?);
            "flow_stage_binding"
        }
        Ours::Stage => {
            taker.take(STAGE);
            let kind = suffix(&taker.object.model, "authentik_stages_");
            taker.set("kind", kind);
            "stage"
        }
        Ours::Device => {
            taker.take(DEVICE);
            if taker.object.field("identifier").is_none()
                && let Some(name) = taker.text("name")
            {
                taker.set("identifier", name);
            }
            deny_when_empty(taker);
            if taker.object.field("access_group").is_some() {
                let group = refer(taker, "access_group", &["name"])?;
                taker.set("access_group", group);
            }
            "device"
        }
        Ours::DeviceAccessGroup => {
            taker.take(DEVICE_ACCESS_GROUP);
            deny_when_empty(taker);
            "device_access_group"
        }
        Ours::NotificationRule => {
            taker.take(NOTIFICATION_RULE);
            deny_when_empty(taker);
            "notification_rule"
        }
        Ours::RacEndpoint => {
            taker.take(RAC_ENDPOINT);
            if let Some(application) = application_of_provider(taker) {
                taker.set("application", application);
            }
            "rac_endpoint"
        }
        Ours::User => {
            taker.take(USER);
            let mut groups = memberships.get(&index).cloned().unwrap_or_default();
            groups.extend(group_refs(taker, "groups"));
            groups.dedup();
            taker.set("groups", groups);
            "user"
        }
        Ours::Group => {
            taker.take(GROUP);
            let mut parents = group_refs(taker, "parents");
            parents.extend(group_refs(taker, "parent"));
            taker.set("parents", parents);
            "group"
        }
        Ours::ReputationScore => {
            taker.take(REPUTATION_SCORE);
            "reputation_score"
        }
        Ours::Policy => {
            taker.take(POLICY);
            policy(taker);
            "policy"
        }
        Ours::Binding => return binding(taker),
    })
}

/// `ldap` of `authentik_sources_ldap.ldapsource`.
fn suffix(model: &str, prefix: &str) -> String {
    let app = model.split('.').next().unwrap_or_default();
    app.strip_prefix(prefix).unwrap_or(app).to_owned()
}

fn policy(taker: &mut Taker<'_, '_>) {
    let model = taker.object.model.clone();
    let app = suffix(&model, "authentik_policies_");
    let (field, table): (&str, Table) = match app.as_str() {
        "dummy" => ("dummy", DUMMY),
        "expression" => ("expression", EXPRESSION),
        "event_matcher" => ("event_matcher", EVENT_MATCHER),
        "expiry" => ("password_expiry", PASSWORD_EXPIRY),
        "geoip" => ("geoip", GEOIP),
        "password" => ("password", PASSWORD),
        "reputation" => ("reputation", REPUTATION),
        "unique_password" => ("unique_password", UNIQUE_PASSWORD),
        other if other.contains("conditional") => ("conditional", CONDITIONAL),
        other => {
            taker.set("unsupported", json!({"kind": other}));
            let message = "this kind of policy is not known; it errors, so that failure_result decides";
            return taker.warn("name", message);
        }
    };
    let common = std::mem::take(&mut taker.out);
    if field == "dummy" {
        // authentik's own defaults; a dummy without waits says so.
        taker.set("wait_min", "5s");
        taker.set("wait_max", "30s");
    }
    taker.take(table);
    let own = std::mem::replace(&mut taker.out, common);
    taker.set(field, Json::Object(own));
}

/// The application whose provider an endpoint belongs to.
fn application_of_provider(taker: &Taker<'_, '_>) -> Option<String> {
    let Some(Value::Object(provider)) = taker.object.field("provider") else { return None };
    let provider = taker.world.resolve(*provider);
    let has_it = |object: &&Object| {
        object.stage == Stage::Present
            && ours(&object.model) == Some(Ours::Application)
            && matches!(object.field("provider"), Some(Value::Object(own)) if taker.world.resolve(*own) == provider)
    };
    let application = taker.world.objects.iter().find(has_it)?;
    application.field("slug").map(Value::describe)
}

/// The name of the object that a field refers to, by the first of these fields that it has. Notes what is wrong.
fn refer(taker: &mut Taker<'_, '_>, name: &str, keys: &[&str]) -> Option<String> {
    match taker.object.field(name).cloned() {
        None => taker.problem(name, "missing; it is required"),
        Some(Value::Object(index)) => {
            let object = taker.world.objects.get(taker.world.resolve(index))?;
            if object.stage == Stage::Present {
                let found = keys.iter().chain(&["pk"]).find_map(|key| object.field(key));
                if let Some(found) = found {
                    return Some(found.describe());
                }
                let model = object.model.clone();
                taker.problem(name, &format!("the {model} has no {}; give it one", keys.join(" or ")));
            } else {
                let model = object.model.clone();
                taker.problem(
                    name,
                    &format!("the {model} is left out by its condition or state; refer to another"),
                );
            }
        }
        Some(Value::Missing { what, .. }) => {
            taker.problem(name, &format!("there is no {what}; add the file that has it"));
        }
        // A plain value is the object's own id.
        Some(Value::Text(text)) => return Some(text),
        Some(other) => {
            let text = format!("expected a reference, such as !KeyOf or !Find, found `{}`", other.describe());
            taker.problem(name, &text);
        }
    }
    None
}

/// A user or group, which may be unknown to the directory: by name, or by id when only that is given.
fn named(taker: &mut Taker<'_, '_>, field: &str, value: &Value, key: &str) -> Option<Json> {
    let by = |name: &str, value: String| Json::Object(Map::from_iter([(name.to_owned(), Json::from(value))]));
    match value {
        Value::Object(index) => {
            let object = taker.world.objects.get(taker.world.resolve(*index))?;
            if let Some(name) = object.field(key) {
                return Some(by(key, name.describe()));
            }
            if let Some(pk) = object.field("pk") {
                return Some(by("id", pk.describe()));
            }
            taker.problem(field, &format!("the object has no {key}; give it one"));
            None
        }
        Value::Missing { what, field: looked, value } => {
            taker.warn(
                field,
                &format!("there is no {what} in these files; it is taken to be in the directory"),
            );
            let looked = looked.split("__").next().unwrap_or_default();
            Some(if looked == key { by(key, value.clone()) } else { by("id", value.clone()) })
        }
        Value::Text(id) => Some(by("id", id.clone())),
        Value::Int(id) => Some(by("id", id.to_string())),
        other => {
            let text = format!("expected a reference, such as !KeyOf or !Find, found `{}`", other.describe());
            taker.problem(field, &text);
            None
        }
    }
}

fn group_refs(taker: &mut Taker<'_, '_>, field: &str) -> Vec<Json> {
    let values = match taker.object.field(field).cloned() {
        None => return Vec::new(),
        Some(Value::List(values)) => values,
        Some(single) => vec![single],
    };
    values.iter().filter_map(|value| named(taker, field, value, "name")).collect()
}

fn binding(taker: &mut Taker<'_, '_>) -> Option<&'static str> {
    taker.take(BINDING);
    let expiring = !matches!(taker.object.field("expiring"), Some(Value::Bool(false)));
    if expiring {
        taker.take(&[("expires", "expires", Type::Moment)]);
    }
    let target = match taker.object.field("target").cloned() {
        Some(Value::Object(index)) => {
            let index = taker.world.resolve(index);
            let object = taker.world.objects.get(index)?;
            match target_of(taker.world, object) {
                Some(target) => Some(target),
                None => {
                    let model = object.model.clone();
                    let text = format!("a {model} is no target of bindery's; the binding is left out");
                    taker.warn("target", &text);
                    return None;
                }
            }
        }
        _ => {
            refer(taker, "target", &[]);
            if taker.problems.is_empty() {
                taker.problem("target", "give it as !KeyOf or !Find, so that its kind is known");
            }
            None
        }
    };
    if taker.object.field("policy").is_some()
        && let Some(policy) = refer(taker, "policy", &["name"])
    {
        taker.set("policy", policy);
    }
    for (field, key) in [("user", "username"), ("group", "name")] {
        if let Some(value) = taker.object.field(field).cloned()
            && let Some(reference) = named(taker, field, &value, key)
        {
            taker.set(field, reference);
        }
    }
    taker.set("target", target?);
    Some("policy_binding")
}

/// How a binding names the object that it is bound to.
fn target_of(world: &World<'_>, object: &Object) -> Option<Json> {
    let text = |name: &str| object.field(name).map(Value::describe);
    let kind = ours(&object.model).filter(|_| object.stage == Stage::Present)?;
    let refer = |name: &str, key: &str| match object.field(name)? {
        Value::Object(index) => world.objects.get(world.resolve(*index))?.field(key).map(Value::describe),
        other => Some(other.describe()),
    };
    Some(match kind {
        Ours::Application => json!({"application": text("slug").or_else(|| text("pk"))?}),
        Ours::Source => json!({"source": text("slug").or_else(|| text("pk"))?}),
        Ours::Flow => json!({"flow": text("slug").or_else(|| text("pk"))?}),
        Ours::FlowStageBinding => {
            let place = || {
                let order = text("order").unwrap_or_else(|| "0".to_owned());
                Some(format!("{}/{order}/{}", refer("target", "slug")?, refer("stage", "name")?))
            };
            json!({"flow_stage_binding": text("pk").or_else(place)?})
        }
        Ours::Device => {
            json!({"device": text("identifier").or_else(|| text("name")).or_else(|| text("pk"))?})
        }
        Ours::DeviceAccessGroup => json!({"device_access_group": text("name").or_else(|| text("pk"))?}),
        Ours::NotificationRule => json!({"notification_rule": text("name").or_else(|| text("pk"))?}),
        Ours::RacEndpoint => json!({"rac_endpoint": {"id": text("pk").or_else(|| text("name"))?}}),
        Ours::Entitlement => match text("pk") {
            Some(id) => json!({"entitlement": {"id": id}}),
            None => json!({"entitlement": {"application": refer("app", "slug")?, "name": text("name")?}}),
        },
        _ => return None,
    })
}
