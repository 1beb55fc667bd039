//! What people have to know of a configuration's policies before they are asked: what each needs, and which cannot work.
//!
//! Must not know: how a policy is compiled.

use super::output::{Align, columns, one_line};
use crate::policy::Report;
use crate::proto::v1;
use crate::store::Snapshot;
use crate::sync::origin::Origin;
use serde_json::json;
use std::collections::HashMap;

/// A policy of a configuration.
pub(super) struct Told {
    name: String,
    kind: &'static str,
    origin: Option<Origin>,
    report: Report,
}

/// Where each policy stands, by name.
pub(super) fn origins(resources: &[(v1::Resource, Origin)]) -> HashMap<String, Origin> {
    let policy = |(resource, origin): &(v1::Resource, Origin)| match &resource.resource {
        Some(v1::resource::Resource::Policy(policy)) => Some((policy.name.clone(), origin.clone())),
        _ => None,
    };
    resources.iter().filter_map(policy).collect()
}

/// What there is to know of each policy, by name. `origins` tells where each stands.
pub(super) fn told(snapshot: &Snapshot, origins: &HashMap<String, Origin>) -> Vec<Told> {
    let mut all: Vec<Told> = snapshot
        .policies()
        .map(|(policy, compiled)| Told {
            name: policy.name.to_string(),
            kind: policy.kind.name(),
            origin: origins.get(&*policy.name).cloned(),
            report: compiled.report(&policy.kind),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// What in them cannot work, a line each.
pub(super) fn warnings(told: &[Told]) -> Vec<String> {
    let mut all = Vec::new();
    for one in told {
        let place = one.origin.as_ref().map(|origin| format!("{origin}: ")).unwrap_or_default();
        let name = &one.name;
        if let Some(reason) = &one.report.broken {
            all.push(format!(
                "{place}policy `{name}` always errors, and its bindings give their failure result: {reason}"
            ));
        }
        for (line, finding) in &one.report.findings {
            all.push(format!("{place}policy `{name}`, line {line} of the expression: {finding}"));
        }
    }
    all
}

/// What each needs, as a table; those that need nothing are left out.
pub(super) fn table(told: &[Told]) -> Vec<String> {
    let mut rows = vec![["policy", "kind", "needs"].map(str::to_owned).to_vec()];
    for one in told.iter().filter(|one| !one.report.needs.is_empty()) {
        let needs: Vec<&str> = one.report.needs.iter().map(String::as_str).collect();
        rows.push(vec![one_line(&one.name), one.kind.to_owned(), one_line(&needs.join("; "))]);
    }
    if rows.len() == 1 { Vec::new() } else { columns(&[Align::Left; 3], &rows) }
}

/// The same for machines.
pub(super) fn as_json(told: &[Told]) -> serde_json::Value {
    let one = |one: &Told| {
        let findings: Vec<_> =
            one.report.findings.iter().map(|(line, text)| json!({"line": line, "text": text})).collect();
        json!({
            "name": one.name,
            "kind": one.kind,
            "needs": one.report.needs,
            "broken": one.report.broken,
            "interpreted": one.report.interpreted.as_ref().map(|it| json!({"line": it.line, "what": it.what})),
            "findings": findings,
        })
    };
    told.iter().map(one).collect()
}
