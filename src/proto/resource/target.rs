//! Targets of all kinds from the model to messages.
//!
//! Must not know: bindings.

use super::{data, id, resource, unless};
use crate::model::{DeniedAction, FlowAuthentication, InvalidResponseAction, Mode, Target, TargetDetail};
use crate::proto::v1;
use v1::resource::Resource as R;

/// A target.
pub fn target(target: &Target) -> v1::Resource {
    let own_id = target.id.to_string();
    // Where there is a unique name and it is not told, it is the same as the id.
    let key = target.key.as_deref().unwrap_or(&own_id).to_owned();
    let keyed_id = id(&target.id, &key);
    let name = target.name.as_deref().unwrap_or_default().to_owned();
    let policy_engine_mode = match target.mode {
        Mode::Any => v1::PolicyEngineMode::Unspecified,
        Mode::All => v1::PolicyEngineMode::All,
    };
    let policy_engine_mode = policy_engine_mode.into();
    let empty_result = target.empty_result;
    resource(match &target.detail {
        TargetDetail::Application(detail) => {
            let detail = detail.as_deref();
            let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
            R::Application(v1::Application {
                id: keyed_id,
                slug: key,
                name,
                policy_engine_mode,
                empty_result,
                group: text(detail.map(|it| &*it.group)),
                meta_description: text(detail.map(|it| &*it.meta_description)),
                meta_publisher: text(detail.map(|it| &*it.meta_publisher)),
                meta_launch_url: text(detail.map(|it| &*it.meta_launch_url)),
            })
        }
        TargetDetail::Entitlement(detail) => R::Entitlement(v1::ApplicationEntitlement {
            id: id(&target.id, &format!("{}/{}", detail.application, detail.name)),
            application: detail.application.to_string(),
            name: detail.name.to_string(),
            policy_engine_mode,
            empty_result,
            attributes: data(&detail.attributes),
        }),
        TargetDetail::Source(detail) => R::Source(v1::Source {
            id: keyed_id,
            slug: key,
            name,
            policy_engine_mode,
            empty_result,
            kind: detail.kind.to_string(),
            enabled: unless(detail.enabled, &true),
        }),
        TargetDetail::Flow(detail) => R::Flow(v1::Flow {
            id: keyed_id,
            slug: key,
            name,
            policy_engine_mode,
            empty_result,
            title: detail.title.to_string(),
            designation: detail.designation.to_string(),
            authentication: authentication(detail.authentication).into(),
            denied_action: match detail.denied_action {
                DeniedAction::MessageContinue => v1::FlowDeniedAction::Unspecified,
                DeniedAction::Message => v1::FlowDeniedAction::Message,
                DeniedAction::Continue => v1::FlowDeniedAction::Continue,
            }
            .into(),
        }),
        TargetDetail::FlowStageBinding(detail) => R::FlowStageBinding(v1::FlowStageBinding {
            id: id(&target.id, &format!("{}/{}/{}", detail.flow, detail.order, detail.stage)),
            flow: detail.flow.to_string(),
            stage: detail.stage.to_string(),
            policy_engine_mode,
            empty_result,
            order: detail.order,
            evaluate_on_plan: unless(detail.evaluate_on_plan, &false),
            re_evaluate_policies: unless(detail.re_evaluate_policies, &true),
            invalid_response_action: match detail.invalid_response_action {
                InvalidResponseAction::Retry => v1::InvalidResponseAction::Unspecified,
                InvalidResponseAction::Restart => v1::InvalidResponseAction::Restart,
                InvalidResponseAction::RestartWithContext => v1::InvalidResponseAction::RestartWithContext,
            }
            .into(),
        }),
        TargetDetail::Device(detail) => R::Device(v1::Device {
            id: keyed_id,
            identifier: key,
            name,
            policy_engine_mode,
            empty_result,
            access_group: detail.access_group.as_deref().unwrap_or_default().to_owned(),
            attributes: data(&detail.attributes),
            facts: data(&detail.facts),
        }),
        TargetDetail::DeviceAccessGroup(attributes) => R::DeviceAccessGroup(v1::DeviceAccessGroup {
            id: keyed_id,
            name: key,
            policy_engine_mode,
            empty_result,
            attributes: data(attributes),
        }),
        TargetDetail::NotificationRule(severity) => R::NotificationRule(v1::NotificationRule {
            id: keyed_id,
            name: key,
            policy_engine_mode,
            empty_result,
            severity: severity.to_string(),
        }),
        TargetDetail::RacEndpoint(detail) => R::RacEndpoint(v1::RacEndpoint {
            id: id(&target.id, &name),
            name,
            policy_engine_mode,
            empty_result,
            application: detail.application.as_deref().unwrap_or_default().to_owned(),
            host: detail.host.to_string(),
            protocol: detail.protocol.to_string(),
        }),
    })
}

const fn authentication(authentication: FlowAuthentication) -> v1::FlowAuthentication {
    use v1::FlowAuthentication as Wire;
    match authentication {
        FlowAuthentication::None => Wire::Unspecified,
        FlowAuthentication::RequireAuthenticated => Wire::RequireAuthenticated,
        FlowAuthentication::RequireUnauthenticated => Wire::RequireUnauthenticated,
        FlowAuthentication::RequireSuperuser => Wire::RequireSuperuser,
        FlowAuthentication::RequireRedirect => Wire::RequireRedirect,
        FlowAuthentication::RequireOutpost => Wire::RequireOutpost,
        FlowAuthentication::RequireToken => Wire::RequireToken,
    }
}
