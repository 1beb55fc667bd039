//! Bundles: a configuration as YAML or JSON, in the protobuf JSON mapping of `bindery.v1.Bundle`.
//!
//! Beyond the mapping, a few forms are taken that people would write: enum values without their prefix (`any`,
//! `require_superuser`), durations as a number of seconds, `DummyMessages` and `ExpectedMessages` as a list of texts,
//! and a `RacEndpointRef` as a text, its id. Must not know: what refers to what.

mod walk;
mod write;

pub use walk::message;
pub use write::{write_json, write_yaml};

use super::origin::{FileProblem, Origin};
use super::yaml::{Content, Node};
use crate::proto::{self, v1};
use std::sync::Arc;
use v1::resource::Resource as R;
use walk::Walker;

/// The fields of a bundle, with the field of `Resource` that each of their entries is.
const KINDS: [(&str, &str); 15] = [
    ("applications", "application"),
    ("entitlements", "entitlement"),
    ("sources", "source"),
    ("flows", "flow"),
    ("flow_stage_bindings", "flow_stage_binding"),
    ("devices", "device"),
    ("device_access_groups", "device_access_group"),
    ("notification_rules", "notification_rule"),
    ("rac_endpoints", "rac_endpoint"),
    ("policy_bindings", "policy_binding"),
    ("policies", "policy"),
    ("stages", "stage"),
    ("users", "user"),
    ("groups", "group"),
    ("reputation_scores", "reputation_score"),
];

/// Reads one document.
///
/// # Errors
/// Everything that is wrong with it, each with its line and what to do.
pub fn read(node: &Node, file: &Arc<str>) -> Result<Vec<(v1::Resource, Origin)>, Vec<FileProblem>> {
    let mut walker = Walker::new(file);
    let mut resources = Vec::new();
    let (Some(bundle), Some(resource)) =
        (proto::describe("bindery.v1.Bundle"), proto::describe("bindery.v1.Resource"))
    else {
        return Err(walker.failed(node.line, "the schema is not available"));
    };
    if node.tag.is_some() || !matches!(node.content, Content::Mapping(_)) {
        walker.wrong_type(node, "a bundle", "a mapping with lists of resources, such as `applications`");
        return Err(walker.problems);
    }
    for (field, value) in walker.fields(node, &bundle, "") {
        let Some((_, single)) = KINDS.iter().find(|(plural, _)| *plural == field.name()) else { continue };
        let Some(kind) = resource.get_field_by_name(single) else { continue };
        let Content::Sequence(items) = &value.content else {
            walker.wrong_type(value, field.name(), "a list");
            continue;
        };
        for (index, item) in items.iter().enumerate() {
            let path = format!("{}[{index}]", field.name());
            let Some(json) = walker.value(item, &kind, &path) else { continue };
            let json = serde_json::Value::Object([((*single).to_owned(), json)].into_iter().collect());
            match proto::from_json::<v1::Resource>("bindery.v1.Resource", json) {
                Ok(resource) => {
                    resources.push((resource, Origin { file: Arc::clone(file), line: item.line }));
                }
                Err(error) => walker.problem(item.line, format!("{path}: {error}")),
            }
        }
    }
    if walker.problems.is_empty() { Ok(resources) } else { Err(walker.problems) }
}

/// Resources as a bundle, in their order within each kind.
pub fn group(resources: impl IntoIterator<Item = v1::Resource>) -> v1::Bundle {
    let mut bundle = v1::Bundle::default();
    for resource in resources {
        match resource.resource {
            None => {}
            Some(R::Application(it)) => bundle.applications.push(it),
            Some(R::Entitlement(it)) => bundle.entitlements.push(it),
            Some(R::Source(it)) => bundle.sources.push(it),
            Some(R::Flow(it)) => bundle.flows.push(it),
            Some(R::FlowStageBinding(it)) => bundle.flow_stage_bindings.push(it),
            Some(R::Device(it)) => bundle.devices.push(it),
            Some(R::DeviceAccessGroup(it)) => bundle.device_access_groups.push(it),
            Some(R::NotificationRule(it)) => bundle.notification_rules.push(it),
            Some(R::RacEndpoint(it)) => bundle.rac_endpoints.push(it),
            Some(R::PolicyBinding(it)) => bundle.policy_bindings.push(it),
            Some(R::Policy(it)) => bundle.policies.push(it),
            Some(R::Stage(it)) => bundle.stages.push(it),
            Some(R::User(it)) => bundle.users.push(it),
            Some(R::Group(it)) => bundle.groups.push(it),
            Some(R::ReputationScore(it)) => bundle.reputation_scores.push(it),
        }
    }
    bundle
}

/// The resources of a bundle.
pub fn resources(bundle: v1::Bundle) -> Vec<v1::Resource> {
    let mut all: Vec<R> = Vec::new();
    all.extend(bundle.applications.into_iter().map(R::Application));
    all.extend(bundle.entitlements.into_iter().map(R::Entitlement));
    all.extend(bundle.sources.into_iter().map(R::Source));
    all.extend(bundle.flows.into_iter().map(R::Flow));
    all.extend(bundle.flow_stage_bindings.into_iter().map(R::FlowStageBinding));
    all.extend(bundle.devices.into_iter().map(R::Device));
    all.extend(bundle.device_access_groups.into_iter().map(R::DeviceAccessGroup));
    all.extend(bundle.notification_rules.into_iter().map(R::NotificationRule));
    all.extend(bundle.rac_endpoints.into_iter().map(R::RacEndpoint));
    all.extend(bundle.policy_bindings.into_iter().map(R::PolicyBinding));
    all.extend(bundle.policies.into_iter().map(R::Policy));
    all.extend(bundle.stages.into_iter().map(R::Stage));
    all.extend(bundle.users.into_iter().map(R::User));
    all.extend(bundle.groups.into_iter().map(R::Group));
    all.extend(bundle.reputation_scores.into_iter().map(R::ReputationScore));
    all.into_iter().map(|resource| v1::Resource { resource: Some(resource) }).collect()
}
