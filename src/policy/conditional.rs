//! The conditional policy: a program of actions over typed comparisons, as authentik has it since 2026.8. It is read
//! once, into a typed tree, and refused when anything in it is wrong.
//!
//! Must not know: clocks, the network. `set` changes nothing but what the verdict hands out.
//!
//! # Variables
//!
//! | key | kind | where the value is found | missing when |
//! | --- | --- | --- | --- |
//! | `user.id` | model | the directory's entry | the directory does not know the subject |
//! | `user.username`, `user.name`, `user.email` | string | the directory's entry, else the question's subject | anonymous; empty in a question |
//! | `user.type`, `user.path` | enum, string | the directory's entry | not known, empty |
//! | `user.date_joined`, `user.last_login` | datetime | the directory's entry | not known |
//! | `user.is_active` | boolean | the directory's entry; anonymous: false | the directory does not know the subject |
//! | `user.is_authenticated` | boolean | whether the subject is not anonymous | never |
//! | `user.has_usable_password` | boolean | the directory's entry | not known |
//! | `user.groups` | list of model | the directory's entry; anonymous: none | the directory does not know the subject |
//! | `user.attributes` (path) | any | the directory's entry, else the question's subject, with what policies changed | nothing there; anonymous |
//! | `application.slug`, `.name`, `.group`, `.meta_publisher` | string | the target | it is no application; empty |
//! | `request.client_ip` | ip | the context | not known |
//! | `request.user_agent` | string | the context's HTTP request | not known |
//! | `request.geoip.country`, `.continent`, `.city` | string | `geoip` in the context's values, else the address | not known |
//! | `request.asn.asn`, `.as_org` | number, string | `asn` in the context's values, else the address | not known |
//! | `flow.slug` | string | the target: a flow's slug, or what a flow-stage binding calls its flow | it is neither |
//! | `flow.designation` | enum | the target, if it is a flow | it is no flow; of a flow-stage binding it has to be given, as below |
//! | `plan.is_sso`, `plan.is_redirected` | boolean | `is_sso`, `is_redirected` in the context's values | never: false |
//! | `plan.is_restored` | boolean | `is_restored` in the context's values | absent |
//! | `plan.pending_user_authenticated` | boolean | whether the values' `pending_user` has a `backend` | never: false |
//! | `plan.application`, `plan.source` | model | `application`, `source` in the context's values: a key, or an object with `pk` or `id` | absent |
//! | `plan.context` (key) | any | the context's values | absent, null |
//! | `prompt_data` (key) | any | `prompt_data` in the context's values | absent, null |
//! | `event.action`, `.app`, `.client_ip` | enum, string, ip | the context's event | no event; empty |
//! | `event.model.app`, `.name` | string | `model.app`, `model.model_name` of the event's context | absent |
//! | `event.context` (path) | any | the event's context | absent, null |
//! | `device.name` | string | the target, if it is a device, else `device.name` in the context's values | absent |
//! | `device.facts` (path) | any; well-known facts have their kind | the target, if it is a device, else `device.facts` in the context's values; `*` goes through a list | absent, null |
//!
//! What only the caller can know is found in the context's values under the variable's own name, with the dots:
//! `user.can_change_email`, `user.can_change_name`, `user.can_change_username`, `request.user`, `event.created`,
//! `plan.user_switch_active`, `plan.user_switch_target_last_used`, `prompt_data.email_in_use` (a map by key). Given as
//! null they are missing; not given at all they are an error, since a guess could let somebody in. `flow.slug` and
//! `flow.designation` can be given so, too.
//!
//! `set` writes into the context's values: `plan.context` (key), `prompt_data` (key), and `plan.email_override`, which
//! is the key `email`.

mod address;
mod compile;
mod kind;
mod operator;
mod program;
mod read;
mod reads;
mod run;
#[cfg(test)]
mod tests;
mod time;
mod variable;

use super::{CompileError, Evaluation, Input};
use crate::model::{self, MissingBehavior};
use program::{Action, Node};

/// A conditional policy that is ready to be evaluated.
#[derive(Debug)]
pub(super) struct Conditional {
    actions: Box<[Action]>,
    missing: MissingBehavior,
    failure_message: Option<Box<str>>,
    changes_context: bool,
}

impl Conditional {
    /// The variables that it reads.
    pub(super) fn reads(&self, into: &mut std::collections::BTreeSet<String>) {
        reads::reads(&self.actions, into);
    }

    pub(super) fn new(config: &model::Conditional) -> Result<Self, CompileError> {
        let actions = compile::compile(&config.program)
            .map_err(|message| CompileError { field: "conditional.program", message })?;
        Ok(Self {
            changes_context: actions.iter().any(may_change),
            actions,
            missing: config.missing_behavior,
            failure_message: config.failure_message.clone().filter(|text| !text.is_empty()),
        })
    }

    /// Whether it sets something, or refers to a policy that might.
    pub(super) const fn changes_context(&self) -> bool {
        self.changes_context
    }

    pub(super) fn evaluate(&self, input: &Input<'_>) -> Evaluation {
        run::run(&self.actions, self.missing, self.failure_message.as_deref(), input)
    }
}

fn may_change(action: &Action) -> bool {
    match action {
        Action::Set { .. } => true,
        Action::Stop { .. } => false,
        Action::Condition(condition) => may_call(condition),
        Action::If { condition, then, otherwise } => {
            may_call(condition) || then.iter().chain(otherwise.iter()).any(may_change)
        }
    }
}

fn may_call(node: &Node) -> bool {
    match node {
        Node::Compare(_) => false,
        Node::Group(_, children) => children.iter().any(may_call),
        Node::Policy(_) => true,
    }
}
