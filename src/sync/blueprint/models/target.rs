//! Targets of all kinds, and stages, from authentik's models.
//!
//! Must not know: what is bound to a target.

use super::fields::{Fields, Reference, no_key};
use super::kind::{Kind, app};
use super::{key_of, reference_to, text_of};
use crate::proto::v1;
use crate::sync::blueprint::Options;
use crate::sync::blueprint::value::{ObjectId, Value};
use crate::sync::blueprint::world::{Object, World};

/// authentik lets nobody at these without an enabled binding.
const NOBODY: Option<bool> = Some(false);

pub(super) fn application(fields: &mut Fields<'_, '_>, options: &Options<'_>) -> v1::Application {
    v1::Application {
        id: fields.id(),
        slug: fields.name("slug"),
        name: fields.text("name"),
        policy_engine_mode: fields.mode(),
        empty_result: if options.default_application_access { None } else { NOBODY },
        group: fields.text("group"),
        meta_description: fields.text("meta_description"),
        meta_publisher: fields.text("meta_publisher"),
        meta_launch_url: fields.text("meta_launch_url"),
    }
}

/// Nothing: its application is not there, which is noted.
pub(super) fn entitlement(fields: &mut Fields<'_, '_>) -> Option<v1::ApplicationEntitlement> {
    let application = needed(fields, "app", Kind::Application);
    let entitlement = v1::ApplicationEntitlement {
        id: fields.id(),
        application: String::new(),
        name: fields.name("name"),
        policy_engine_mode: v1::PolicyEngineMode::Any.into(),
        empty_result: NOBODY,
        attributes: fields.data("attributes"),
    };
    Some(v1::ApplicationEntitlement { application: application?, ..entitlement })
}

pub(super) fn source(fields: &mut Fields<'_, '_>) -> v1::Source {
    v1::Source {
        id: fields.id(),
        slug: fields.name("slug"),
        name: fields.text("name"),
        policy_engine_mode: fields.mode(),
        empty_result: None,
        kind: app(&fields.object.model, "authentik_sources_", "source").unwrap_or_default().to_owned(),
        enabled: fields.boolean("enabled"),
    }
}

pub(super) fn flow(fields: &mut Fields<'_, '_>) -> v1::Flow {
    use v1::{FlowAuthentication as Who, FlowDeniedAction as Denied};
    let authentication: &[(&str, i32)] = &[
        ("none", Who::None.into()),
        ("require_authenticated", Who::RequireAuthenticated.into()),
        ("require_unauthenticated", Who::RequireUnauthenticated.into()),
        ("require_superuser", Who::RequireSuperuser.into()),
        ("require_redirect", Who::RequireRedirect.into()),
        ("require_outpost", Who::RequireOutpost.into()),
        ("require_token", Who::RequireToken.into()),
    ];
    let denied: &[(&str, i32)] = &[
        ("message_continue", Denied::MessageContinue.into()),
        ("message", Denied::Message.into()),
        ("continue", Denied::Continue.into()),
    ];
    v1::Flow {
        id: fields.id(),
        slug: fields.name("slug"),
        name: fields.text("name"),
        policy_engine_mode: fields.mode(),
        empty_result: None,
        title: fields.text("title"),
        designation: fields.text("designation"),
        authentication: fields.choice("authentication", authentication),
        denied_action: fields.choice("denied_action", denied),
    }
}

/// Nothing: its flow or its stage is not there, which is noted.
pub(super) fn flow_stage_binding(fields: &mut Fields<'_, '_>) -> Option<v1::FlowStageBinding> {
    use v1::InvalidResponseAction as Action;
    let actions: &[(&str, i32)] = &[
        ("retry", Action::Retry.into()),
        ("restart", Action::Restart.into()),
        ("restart_with_context", Action::RestartWithContext.into()),
    ];
    let (flow, stage) = (needed(fields, "target", Kind::Flow), needed(fields, "stage", Kind::Stage));
    let binding = v1::FlowStageBinding {
        id: fields.id(),
        flow: String::new(),
        stage: String::new(),
        policy_engine_mode: fields.mode(),
        empty_result: None,
        order: fields.number("order").unwrap_or_default(),
        evaluate_on_plan: fields.boolean("evaluate_on_plan"),
        re_evaluate_policies: fields.boolean("re_evaluate_policies"),
        invalid_response_action: fields.choice("invalid_response_action", actions),
    };
    Some(v1::FlowStageBinding { flow: flow?, stage: stage?, ..binding })
}

pub(super) fn stage(fields: &mut Fields<'_, '_>) -> v1::Stage {
    v1::Stage {
        id: fields.id(),
        name: fields.name("name"),
        kind: app(&fields.object.model, "authentik_stages_", "stage").unwrap_or_default().to_owned(),
    }
}

/// Nothing: its access group is not there, which is noted.
pub(super) fn device(fields: &mut Fields<'_, '_>) -> Option<v1::Device> {
    let access_group = match fields.value("access_group") {
        None => Some(String::new()),
        Some(_) => needed(fields, "access_group", Kind::DeviceAccessGroup),
    };
    let (id, identifier, name) = (fields.id(), fields.text("identifier"), fields.text("name"));
    if id.is_empty() && identifier.is_empty() && name.is_empty() {
        fields.wrong("identifier", "missing; give the device an identifier or a name");
    }
    Some(v1::Device {
        // A device that is known by its name alone.
        id: if id.is_empty() && identifier.is_empty() { name.clone() } else { id },
        identifier,
        name,
        policy_engine_mode: fields.mode(),
        empty_result: NOBODY,
        access_group: access_group?,
        attributes: fields.data("attributes"),
        facts: fields.data("facts"),
    })
}

pub(super) fn device_access_group(fields: &mut Fields<'_, '_>) -> v1::DeviceAccessGroup {
    v1::DeviceAccessGroup {
        id: fields.id(),
        name: fields.name("name"),
        policy_engine_mode: fields.mode(),
        empty_result: NOBODY,
        attributes: fields.data("attributes"),
    }
}

pub(super) fn notification_rule(fields: &mut Fields<'_, '_>) -> v1::NotificationRule {
    v1::NotificationRule {
        id: fields.id(),
        name: fields.name("name"),
        policy_engine_mode: fields.mode(),
        empty_result: NOBODY,
        severity: fields.text("severity"),
    }
}

/// Nothing: its provider is not there, which is noted.
pub(super) fn rac_endpoint(fields: &mut Fields<'_, '_>) -> Option<v1::RacEndpoint> {
    let application = application_of_provider(fields);
    let given = fields.id();
    let own = endpoint_key(fields.world, fields.object)
        .filter(|key| text_of(fields.object, "name") != Some(key.clone()));
    let endpoint = v1::RacEndpoint {
        id: if given.is_empty() { own.unwrap_or_default() } else { given },
        name: fields.name("name"),
        policy_engine_mode: fields.mode(),
        empty_result: None,
        application: String::new(),
        host: fields.text("host"),
        protocol: fields.text("protocol"),
    };
    Some(v1::RacEndpoint { application: application?, ..endpoint })
}

/// The key of an endpoint that was given none: its name, and its provider's before it where another endpoint has the
/// same name, since a name is unique within a provider only.
pub(super) fn endpoint_key(world: &World, object: &Object) -> Option<String> {
    let name = text_of(object, "name")?;
    let is_other = |other: &Object| {
        other.alive && Kind::of(&other.model) == Some(Kind::RacEndpoint) && !std::ptr::eq(other, object)
    };
    if world.holding("name", &object.fields.get("name")?.value, is_other).is_none() {
        return Some(name);
    }
    let provider = match &object.fields.get("provider")?.value {
        Value::Object(id) => key_of(world, *id, &["pk", "name"])?,
        key => key.plain()?,
    };
    Some(format!("{provider}/{name}"))
}

/// The application that has the endpoint's provider; empty when none has. Without knowing the provider an endpoint
/// would be open to those whom its application keeps out, so that is an error.
fn application_of_provider(fields: &mut Fields<'_, '_>) -> Option<String> {
    let world = fields.world;
    let is_application = |object: &Object| object.alive && Kind::of(&object.model) == Some(Kind::Application);
    let having = |value: &Value| world.holding("provider", value, is_application);
    let application = match fields.reference("provider", |_| false) {
        None => {
            if fields.value("provider").is_none() {
                fields.wrong("provider", "missing; it is required");
            }
            return None;
        }
        Some(Reference::Missing(missing)) => {
            fields.wrong("provider", missing.describe());
            return None;
        }
        Some(Reference::Object(id)) => {
            let by_key = || having(world.object(id)?.fields.get("pk").map(|field| &field.value)?);
            having(&Value::Object(id)).or_else(by_key)
        }
        Some(Reference::Key(key)) => {
            let value = Value::text(key.as_str());
            let is_provider =
                |object: &Object| object.alive && &*object.model == "authentik_providers_rac.racprovider";
            let provider = world.holding("pk", &value, is_provider);
            let application = having(&value).or_else(|| having(&Value::Object(provider?)));
            if application.is_none() && provider.is_none() {
                fields.wrong("provider", no_key(&key));
                return None;
            }
            application
        }
    };
    Some(application.and_then(|id| reference_to(world, id)).unwrap_or_default())
}

/// How a needed object of a kind is referred to.
fn needed(fields: &mut Fields<'_, '_>, name: &str, kind: Kind) -> Option<String> {
    let id: ObjectId = fields.needed(name, |found| found == kind)?;
    if fields.world.object(id).and_then(|object| Kind::of(&object.model)) != Some(kind) {
        fields.wrong_kind(name, id, kind.noun());
        return None;
    }
    reference_to(fields.world, id)
}
