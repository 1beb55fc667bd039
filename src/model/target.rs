//! Targets: the nine kinds of object that a question can be about, how they are named, and stages.

use super::{Id, Mode, Value};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The kinds of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetKind {
    /// An application.
    Application,
    /// A right inside an application.
    Entitlement,
    /// A source of identities.
    Source,
    /// A flow.
    Flow,
    /// A stage's place in a flow.
    FlowStageBinding,
    /// A device.
    Device,
    /// A group of devices.
    DeviceAccessGroup,
    /// A rule that turns events into notifications.
    NotificationRule,
    /// An endpoint for remote access.
    RacEndpoint,
}

impl TargetKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Application,
        Self::Entitlement,
        Self::Source,
        Self::Flow,
        Self::FlowStageBinding,
        Self::Device,
        Self::DeviceAccessGroup,
        Self::NotificationRule,
        Self::RacEndpoint,
    ];

    /// The kind in the text form of a target, as in `application/grafana`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Entitlement => "entitlement",
            Self::Source => "source",
            Self::Flow => "flow",
            Self::FlowStageBinding => "flow_stage_binding",
            Self::Device => "device",
            Self::DeviceAccessGroup => "device_access_group",
            Self::NotificationRule => "notification_rule",
            Self::RacEndpoint => "rac_endpoint",
        }
    }

    /// The kind in a sentence.
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Entitlement => "entitlement",
            Self::Source => "source",
            Self::Flow => "flow",
            Self::FlowStageBinding => "flow-stage binding",
            Self::Device => "device",
            Self::DeviceAccessGroup => "device access group",
            Self::NotificationRule => "notification rule",
            Self::RacEndpoint => "RAC endpoint",
        }
    }

    /// Whether a policy may be bound to it; users and groups may be bound to every kind.
    pub const fn allows_policies(self) -> bool {
        !matches!(self, Self::Entitlement)
    }
}

/// Names a target in a question or a binding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TargetRef {
    /// A target by id, or by the name that is unique within its kind (slug, identifier or name).
    Named(TargetKind, Box<str>),
    /// An entitlement by its application and name.
    Entitlement {
        /// The application's slug or id.
        application: Box<str>,
        /// The entitlement's name.
        name: Box<str>,
    },
    /// A RAC endpoint, and the application that the caller means, which must be the endpoint's.
    RacEndpointOf {
        /// The endpoint's id.
        id: Box<str>,
        /// The application's slug or id.
        application: Box<str>,
    },
}

impl TargetRef {
    /// The target's kind.
    pub const fn kind(&self) -> TargetKind {
        match self {
            Self::Named(kind, _) => *kind,
            Self::Entitlement { .. } => TargetKind::Entitlement,
            Self::RacEndpointOf { .. } => TargetKind::RacEndpoint,
        }
    }

    /// The name without the kind: `grafana`, or `grafana/admin` for an entitlement of an application.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Named(_, name) | Self::RacEndpointOf { id: name, .. } => Cow::Borrowed(name),
            Self::Entitlement { application, name } => Cow::Owned(format!("{application}/{name}")),
        }
    }
}

/// `kind/name`, and `entitlement/application/name` for an entitlement of an application.
impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind().name(), self.name())
    }
}

/// Reads the text form. The error says what a target looks like.
impl FromStr for TargetRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let kinds = || TargetKind::ALL.map(TargetKind::name).join(", ");
        let (kind, name) = text.split_once('/').ok_or_else(|| {
            format!("`{text}` is not a target; write kind/name, such as application/grafana")
        })?;
        let kind = TargetKind::ALL
            .into_iter()
            .find(|candidate| candidate.name() == kind)
            .ok_or_else(|| format!("`{kind}` is not a kind of target; the kinds are {}", kinds()))?;
        if name.is_empty() {
            return Err(format!("`{text}` names no {}; write {}/NAME", kind.noun(), kind.name()));
        }
        Ok(match (kind, name.split_once('/')) {
            (TargetKind::Entitlement, Some((application, name)))
                if !application.is_empty() && !name.is_empty() =>
            {
                Self::Entitlement { application: application.into(), name: name.into() }
            }
            _ => Self::Named(kind, name.into()),
        })
    }
}

/// A target: what all kinds have, and what is the kind's own.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Identifies the target within its kind.
    pub id: Id,
    /// The name that is unique within the kind (slug, identifier, name), where there is one that differs from the id.
    pub key: Option<Box<str>>,
    /// Shown to people; the unique name or the id where there is no other.
    pub name: Option<Box<str>>,
    /// How its bindings combine.
    pub mode: Mode,
    /// The result without an enabled binding; absent: the server's default.
    pub empty_result: Option<bool>,
    /// What is the kind's own.
    pub detail: TargetDetail,
}

impl Target {
    /// The kind.
    pub const fn kind(&self) -> TargetKind {
        match self.detail {
            TargetDetail::Application { .. } => TargetKind::Application,
            TargetDetail::Entitlement { .. } => TargetKind::Entitlement,
            TargetDetail::Source { .. } => TargetKind::Source,
            TargetDetail::Flow { .. } => TargetKind::Flow,
            TargetDetail::FlowStageBinding { .. } => TargetKind::FlowStageBinding,
            TargetDetail::Device { .. } => TargetKind::Device,
            TargetDetail::DeviceAccessGroup { .. } => TargetKind::DeviceAccessGroup,
            TargetDetail::NotificationRule { .. } => TargetKind::NotificationRule,
            TargetDetail::RacEndpoint { .. } => TargetKind::RacEndpoint,
        }
    }

    /// The name that people know it by.
    pub fn display_name(&self) -> String {
        self.name.as_deref().or(self.key.as_deref()).map_or_else(|| self.id.to_string(), str::to_owned)
    }
}

/// What each kind of target has of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetDetail {
    /// An application.
    Application {
        /// Heading in a portal.
        group: Box<str>,
        /// Description.
        meta_description: Box<str>,
        /// Publisher.
        meta_publisher: Box<str>,
        /// Where a portal sends people.
        meta_launch_url: Box<str>,
    },
    /// An entitlement.
    Entitlement {
        /// Its application, by slug or id.
        application: Box<str>,
        /// Its name, unique within the application.
        name: Box<str>,
        /// Free attributes.
        attributes: Value,
    },
    /// A source.
    Source {
        /// ldap, oauth, ...
        kind: Box<str>,
        /// Whether it is switched on.
        enabled: bool,
    },
    /// A flow.
    Flow {
        /// The page's title.
        title: Box<str>,
        /// What the flow is for.
        designation: Box<str>,
        /// Who may enter at all.
        authentication: FlowAuthentication,
        /// What somebody sees who may not.
        denied_action: DeniedAction,
    },
    /// A stage's place in a flow.
    FlowStageBinding {
        /// The flow, by slug or id.
        flow: Box<str>,
        /// The stage, by name or id.
        stage: Box<str>,
        /// Position in the flow.
        order: i32,
        /// Evaluate when the flow is planned.
        evaluate_on_plan: bool,
        /// Evaluate right before the stage is shown.
        re_evaluate_policies: bool,
        /// What happens when the stage's answer is not valid.
        invalid_response_action: InvalidResponseAction,
    },
    /// A device.
    Device {
        /// Its access group, by name or id.
        access_group: Option<Box<str>>,
        /// Free attributes.
        attributes: Value,
        /// What is known of it.
        facts: Value,
    },
    /// A group of devices.
    DeviceAccessGroup {
        /// Free attributes.
        attributes: Value,
    },
    /// A rule for events.
    NotificationRule {
        /// notice, warning or alert.
        severity: Box<str>,
    },
    /// An endpoint for remote access.
    RacEndpoint {
        /// The application of its provider, by slug or id.
        application: Option<Box<str>>,
        /// Host name or address.
        host: Box<str>,
        /// rdp, ssh or vnc.
        protocol: Box<str>,
    },
}

/// Who may enter a flow at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowAuthentication {
    /// Anybody.
    #[default]
    None,
    /// Only somebody who is signed in.
    RequireAuthenticated,
    /// Only somebody who is not signed in.
    RequireUnauthenticated,
    /// Only a superuser.
    RequireSuperuser,
    /// Only when another flow redirected here.
    RequireRedirect,
    /// Only for an outpost.
    RequireOutpost,
    /// Only when restored from a flow token.
    RequireToken,
}

impl FlowAuthentication {
    /// What it asks for, as the end of "the flow ...".
    pub const fn demand(self) -> &'static str {
        match self {
            Self::None => "is open to anybody",
            Self::RequireAuthenticated => "requires somebody who is signed in",
            Self::RequireUnauthenticated => "requires somebody who is not signed in",
            Self::RequireSuperuser => "requires a superuser",
            Self::RequireRedirect => "requires a redirect from another flow",
            Self::RequireOutpost => "requires an outpost",
            Self::RequireToken => "requires a flow token",
        }
    }
}

/// What somebody sees who may not enter a flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeniedAction {
    /// Follow the `next` address when there is one, else show the message.
    #[default]
    MessageContinue,
    /// Show the message.
    Message,
    /// Follow the `next` address, or go to the start page.
    Continue,
}

/// What happens when a stage's answer is not valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvalidResponseAction {
    /// Show the stage again.
    #[default]
    Retry,
    /// Plan the flow anew.
    Restart,
    /// Plan the flow anew and keep the context.
    RestartWithContext,
}

/// A reusable step of a flow. Not a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Identifies the stage.
    pub id: Id,
    /// Unique name.
    pub name: Box<str>,
    /// password, user_login, ...
    pub kind: Box<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        for text in [
            "application/grafana",
            "entitlement/grafana/admin",
            "entitlement/1234",
            "rac_endpoint/db",
            "device/a/b",
        ] {
            assert_eq!(text.parse::<TargetRef>().map(|target| target.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn wrong_text_says_how_to_write_it() {
        for (text, part) in [
            ("grafana", "write kind/name"),
            ("app/x", "the kinds are application,"),
            ("flow/", "write flow/NAME"),
        ] {
            let error = text.parse::<TargetRef>().unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
