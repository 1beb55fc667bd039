//! Bundles: a configuration as YAML or JSON, in the protobuf JSON mapping of `bindery.v1.Bundle`.
//!
//! Beyond the mapping, a few forms are taken that people would write:
//! - enum values without their prefix and in any case: `any`, `require_superuser`, `allow`;
//! - durations as a number of seconds: `30` for `30s`;
//! - `DummyMessages`, `ExpectedMessages` and `ExpectedStages` as a list of texts;
//! - a `RacEndpointRef` as a text, its id.
//!
//! A field that is null is as if it were not there. Free data (`attributes`, `values`, ...) is any YAML without tags.
//! Must not know: what refers to what.

mod scalar;
mod walk;
mod write;

pub(super) use walk::MAX_PROBLEMS;
pub use walk::message;
pub use write::{write_json, write_yaml};

use super::origin::{FileProblem, Origin};
use super::yaml::{Content, Node};
use crate::proto::{self, v1};
use prost_reflect::{FieldDescriptor, MessageDescriptor};
use std::borrow::Cow;
use std::sync::Arc;
use v1::resource::Resource as R;
use walk::{Path, Walker};

/// The fields of a bundle, with the field of `Resource` that each of their entries is.
const KINDS: [(&str, &str); 16] = [
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
    ("routes", "route"),
];

/// Messages that may be written as the value of one of their fields.
const SHORT_FORMS: [(&str, &str); 4] = [
    ("bindery.v1.DummyMessages", "texts"),
    ("bindery.v1.ExpectedMessages", "texts"),
    ("bindery.v1.ExpectedStages", "names"),
    ("bindery.v1.RacEndpointRef", "id"),
];

/// The field whose value may stand for the whole message.
fn short_form(description: &MessageDescriptor) -> Option<FieldDescriptor> {
    let (_, field) = SHORT_FORMS.iter().find(|(name, _)| *name == description.full_name())?;
    description.get_field_by_name(field)
}

/// Input as a message may repeat it: on one line, and not without end.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    const LONGEST: usize = 80;
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for letter in text.chars() {
        if shown.len() >= LONGEST {
            shown.push('…');
            break;
        }
        if letter.is_control() { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    Cow::Owned(shown)
}

/// Reads one document. The resources come in the order of the file, each with the line where it begins.
///
/// # Errors
/// Everything that is wrong with it, each with its line and what to do.
pub fn read(node: &Node, file: &Arc<str>) -> Result<Vec<(v1::Resource, Origin)>, Vec<FileProblem>> {
    let mut walker = Walker::new(file);
    let mut resources = Vec::new();
    let (Some(bundle), Some(resource)) =
        (proto::describe("bindery.v1.Bundle"), proto::describe("bindery.v1.Resource"))
    else {
        walker.problem(node.line, "the schema has no bundle; report this".to_owned());
        return Err(walker.finish());
    };
    if !walker.untagged(node, Path::Root) {
        return Err(walker.finish());
    }
    if !matches!(node.content, Content::Mapping(_)) {
        // Also for null: what is empty by accident would otherwise withdraw a whole configuration.
        let expected =
            "a bundle, which is a mapping with lists such as `applications` (an empty one is `{}`)";
        walker.problem(node.line, format!("expected {expected}, found {}", node.describe()));
        return Err(walker.finish());
    }
    for (field, value) in walker.fields(node, &bundle, Path::Root) {
        let Some((_, single)) = KINDS.iter().find(|(plural, _)| *plural == field.name()) else { continue };
        let Some(kind) = resource.get_field_by_name(single) else { continue };
        let list = Path::Field(&Path::Root, field.name());
        for (index, item) in walker.items(value, list).iter().enumerate() {
            let (path, before) = (Path::Item(&list, index), walker.count);
            let json = walker.single(item, &kind, path).filter(|_| walker.count == before);
            let Some(json) = json else { continue };
            match proto::from_json("bindery.v1.Resource", walk::object([((*single).to_owned(), json)])) {
                Ok(resource) => {
                    resources.push((resource, Origin { file: Arc::clone(file), line: item.line }));
                }
                Err(error) => walker.problem(item.line, format!("{path}: {error}")),
            }
        }
    }
    if walker.count == 0 { Ok(resources) } else { Err(walker.finish()) }
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
            Some(R::Route(it)) => bundle.routes.push(it),
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
    all.extend(bundle.routes.into_iter().map(R::Route));
    all.into_iter().map(|resource| v1::Resource { resource: Some(resource) }).collect()
}

#[cfg(test)]
mod tests;
