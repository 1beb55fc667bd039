//! Targets of all kinds from messages to the model.
//!
//! Must not know: whether what a target refers to is there.

use super::fields::{Checked, Fields, MAX_NAME};
use super::or;
use crate::model::{
    Application, DeniedAction, Device, Entitlement, Flow, FlowAuthentication, FlowStageBinding,
    InvalidResponseAction, Mode, RacEndpoint, Source, Target, TargetDetail, TargetKind,
};
use crate::proto::v1;

/// What every kind of target has.
struct Base {
    id: String,
    /// The unique name and its field, where the kind has one.
    key: Option<(&'static str, String)>,
    name: String,
    mode: i32,
    empty_result: Option<bool>,
}

type Converted = (TargetKind, String, Checked<Target>);

/// The target of a message; its id stands beside it for naming it in problems.
pub(super) fn target(fields: &mut Fields, resource: v1::resource::Resource) -> Converted {
    use v1::resource::Resource;
    let (kind, base, detail) = match resource {
        Resource::Application(m) => {
            let base = keyed(m.id, "slug", m.slug, m.name, m.policy_engine_mode, m.empty_result);
            (
                TargetKind::Application,
                base,
                application(fields, m.group, m.meta_description, m.meta_publisher, m.meta_launch_url),
            )
        }
        Resource::Entitlement(m) => {
            let id = if m.id.is_empty() { format!("{}/{}", m.application, m.name) } else { m.id };
            let base = Base {
                id,
                key: None,
                name: m.name.clone(),
                mode: m.policy_engine_mode,
                empty_result: m.empty_result,
            };
            let application = fields.name("application", &m.application);
            let name = fields.name("name", &m.name);
            let attributes = fields.data("attributes", m.attributes);
            let detail = || {
                Some(TargetDetail::Entitlement(Box::new(Entitlement {
                    application: application?,
                    name: name?,
                    attributes: attributes?,
                })))
            };
            (TargetKind::Entitlement, base, detail())
        }
        Resource::Source(m) => {
            let base = keyed(m.id, "slug", m.slug, m.name, m.policy_engine_mode, m.empty_result);
            let kind = fields.label("kind", m.kind);
            let enabled = m.enabled.unwrap_or(true);
            (
                TargetKind::Source,
                base,
                kind.map(|kind| TargetDetail::Source(Box::new(Source { kind, enabled }))),
            )
        }
        Resource::Flow(m) => {
            let base = keyed(m.id, "slug", m.slug, m.name, m.policy_engine_mode, m.empty_result);
            (TargetKind::Flow, base, flow(fields, m.title, m.designation, m.authentication, m.denied_action))
        }
        Resource::FlowStageBinding(m) => {
            let id =
                if m.id.is_empty() { format!("{}/{}/{}", m.flow, m.order, m.stage) } else { m.id.clone() };
            let base = Base {
                id,
                key: None,
                name: String::new(),
                mode: m.policy_engine_mode,
                empty_result: m.empty_result,
            };
            (TargetKind::FlowStageBinding, base, flow_stage_binding(fields, &m))
        }
        Resource::Device(m) => {
            let identifier = or(&m.identifier, &m.id);
            let base = keyed(m.id, "identifier", identifier, m.name, m.policy_engine_mode, m.empty_result);
            let group = (!m.access_group.is_empty()).then(|| fields.name("access_group", &m.access_group));
            let attributes = fields.data("attributes", m.attributes);
            let facts = fields.data("facts", m.facts);
            let detail = || {
                let access_group = match group {
                    Some(group) => Some(group?),
                    None => None,
                };
                Some(TargetDetail::Device(Box::new(Device {
                    access_group,
                    attributes: attributes?,
                    facts: facts?,
                })))
            };
            (TargetKind::Device, base, detail())
        }
        Resource::DeviceAccessGroup(m) => {
            let base = keyed(m.id, "name", m.name, String::new(), m.policy_engine_mode, m.empty_result);
            let attributes = fields.data("attributes", m.attributes);
            let detail = attributes.map(|attributes| TargetDetail::DeviceAccessGroup(Box::new(attributes)));
            (TargetKind::DeviceAccessGroup, base, detail)
        }
        Resource::NotificationRule(m) => {
            let base = keyed(m.id, "name", m.name, String::new(), m.policy_engine_mode, m.empty_result);
            let severity = fields.label("severity", m.severity);
            (TargetKind::NotificationRule, base, severity.map(TargetDetail::NotificationRule))
        }
        Resource::RacEndpoint(m) => {
            let id = or(&m.id, &m.name);
            if id.is_empty() {
                fields.wrong::<()>("id", "missing; give the endpoint an id or a name");
            }
            let base = Base {
                id,
                key: None,
                name: m.name,
                mode: m.policy_engine_mode,
                empty_result: m.empty_result,
            };
            (TargetKind::RacEndpoint, base, rac_endpoint(fields, &m.application, m.host, m.protocol))
        }
        // Everything else was taken before.
        Resource::PolicyBinding(_)
        | Resource::Policy(_)
        | Resource::Stage(_)
        | Resource::User(_)
        | Resource::Group(_)
        | Resource::ReputationScore(_)
        | Resource::Route(_) => return (TargetKind::Application, String::new(), None),
    };
    finish(fields, kind, base, detail)
}

/// A kind with a unique name, which stands in for a missing id.
fn keyed(
    id: String,
    field: &'static str,
    key: String,
    name: String,
    mode: i32,
    empty_result: Option<bool>,
) -> Base {
    let id = or(&id, &key);
    Base { id, key: Some((field, key)), name, mode, empty_result }
}

fn finish(fields: &mut Fields, kind: TargetKind, base: Base, detail: Checked<TargetDetail>) -> Converted {
    let longest = if base.key.is_some() { MAX_NAME } else { 3 * MAX_NAME };
    let id = fields.id(&base.id, longest);
    let key = match base.key {
        Some((field, key)) => fields.name(field, &key).map(|key| (*key != *base.id).then_some(key)),
        None => Some(None),
    };
    let name = fields.label("name", base.name).map(|name| (!name.is_empty()).then_some(name));
    let mode = match fields.member("policy_engine_mode", base.mode) {
        Some(v1::PolicyEngineMode::All) => Some(Mode::All),
        Some(v1::PolicyEngineMode::Unspecified | v1::PolicyEngineMode::Any) => Some(Mode::Any),
        None => None,
    };
    let target = || {
        Some(Target {
            id: id?,
            key: key?,
            name: name?,
            mode: mode?,
            empty_result: base.empty_result,
            detail: detail?,
        })
    };
    let target = target();
    (kind, base.id, target)
}

fn application(
    fields: &mut Fields,
    group: String,
    description: String,
    publisher: String,
    launch_url: String,
) -> Checked<TargetDetail> {
    let detail = Application {
        group: fields.label("group", group)?,
        meta_description: fields.text("meta_description", description, 64 << 10)?,
        meta_publisher: fields.label("meta_publisher", publisher)?,
        meta_launch_url: fields.label("meta_launch_url", launch_url)?,
    };
    Some(TargetDetail::Application((detail != Application::default()).then(|| Box::new(detail))))
}

fn flow(
    fields: &mut Fields,
    title: String,
    designation: String,
    authentication: i32,
    denied_action: i32,
) -> Checked<TargetDetail> {
    use v1::FlowAuthentication as Wire;
    let authentication = match fields.member("authentication", authentication)? {
        Wire::Unspecified | Wire::None => FlowAuthentication::None,
        Wire::RequireAuthenticated => FlowAuthentication::RequireAuthenticated,
        Wire::RequireUnauthenticated => FlowAuthentication::RequireUnauthenticated,
        Wire::RequireSuperuser => FlowAuthentication::RequireSuperuser,
        Wire::RequireRedirect => FlowAuthentication::RequireRedirect,
        Wire::RequireOutpost => FlowAuthentication::RequireOutpost,
        Wire::RequireToken => FlowAuthentication::RequireToken,
    };
    let denied_action = match fields.member("denied_action", denied_action)? {
        v1::FlowDeniedAction::Unspecified | v1::FlowDeniedAction::MessageContinue => {
            DeniedAction::MessageContinue
        }
        v1::FlowDeniedAction::Message => DeniedAction::Message,
        v1::FlowDeniedAction::Continue => DeniedAction::Continue,
    };
    let title = fields.label("title", title)?;
    Some(TargetDetail::Flow(Box::new(Flow {
        title,
        designation: fields.label("designation", designation)?,
        authentication,
        denied_action,
    })))
}

fn flow_stage_binding(fields: &mut Fields, message: &v1::FlowStageBinding) -> Checked<TargetDetail> {
    use v1::InvalidResponseAction as Wire;
    let flow = fields.name("flow", &message.flow);
    let stage = fields.name("stage", &message.stage);
    let action = fields.member("invalid_response_action", message.invalid_response_action);
    Some(TargetDetail::FlowStageBinding(Box::new(FlowStageBinding {
        flow: flow?,
        stage: stage?,
        order: message.order,
        evaluate_on_plan: message.evaluate_on_plan.unwrap_or(false),
        re_evaluate_policies: message.re_evaluate_policies.unwrap_or(true),
        invalid_response_action: match action? {
            Wire::Unspecified | Wire::Retry => InvalidResponseAction::Retry,
            Wire::Restart => InvalidResponseAction::Restart,
            Wire::RestartWithContext => InvalidResponseAction::RestartWithContext,
        },
    })))
}

fn rac_endpoint(
    fields: &mut Fields,
    application: &str,
    host: String,
    protocol: String,
) -> Checked<TargetDetail> {
    let application =
        if application.is_empty() { None } else { Some(fields.name("application", application)?) };
    let host = fields.label("host", host)?;
    let protocol = fields.label("protocol", protocol)?;
    Some(TargetDetail::RacEndpoint(Box::new(RacEndpoint { application, host, protocol })))
}
