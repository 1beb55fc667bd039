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

    /// The kind of this name, as [`TargetKind::name`] gives it.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
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
    Named(TargetKind, String),
    /// An entitlement by its application and name.
    Entitlement {
        /// The application's slug or id.
        application: String,
        /// The entitlement's name.
        name: String,
    },
    /// A RAC endpoint, and the application that the caller means, which must be the endpoint's.
    RacEndpointOf {
        /// The endpoint's id.
        id: String,
        /// The application's slug or id.
        application: String,
    },
}

impl TargetRef {
    /// The target of this kind with this name or id, as in the text form without the kind: `grafana`, or
    /// `grafana/admin` for an entitlement of an application.
    pub fn of(kind: TargetKind, name: &str) -> Self {
        match (kind, name.split_once('/')) {
            (TargetKind::Entitlement, Some((application, name)))
                if !application.is_empty() && !name.is_empty() =>
            {
                Self::Entitlement { application: application.into(), name: name.into() }
            }
            _ => Self::Named(kind, name.into()),
        }
    }

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
        let kind = TargetKind::named(kind)
            .ok_or_else(|| format!("`{kind}` is not a kind of target; the kinds are {}", kinds()))?;
        if name.is_empty() {
            return Err(format!("`{text}` names no {}; write {}/NAME", kind.noun(), kind.name()));
        }
        Ok(Self::of(kind, name))
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
            TargetDetail::Application(_) => TargetKind::Application,
            TargetDetail::Entitlement(_) => TargetKind::Entitlement,
            TargetDetail::Source(_) => TargetKind::Source,
            TargetDetail::Flow(_) => TargetKind::Flow,
            TargetDetail::FlowStageBinding(_) => TargetKind::FlowStageBinding,
            TargetDetail::Device(_) => TargetKind::Device,
            TargetDetail::DeviceAccessGroup(_) => TargetKind::DeviceAccessGroup,
            TargetDetail::NotificationRule(_) => TargetKind::NotificationRule,
            TargetDetail::RacEndpoint(_) => TargetKind::RacEndpoint,
        }
    }

    /// The name that is unique within the kind: slug, identifier or name. Nothing for kinds that have none, and where it is a
    /// UUID that is the id, too.
    pub fn unique_name(&self) -> Option<&str> {
        let is_id = || match self.kind() {
            TargetKind::Entitlement | TargetKind::FlowStageBinding | TargetKind::RacEndpoint => None,
            TargetKind::Application
            | TargetKind::Source
            | TargetKind::Flow
            | TargetKind::Device
            | TargetKind::DeviceAccessGroup
            | TargetKind::NotificationRule => self.id.as_text(),
        };
        self.key.as_deref().or_else(is_id)
    }

    /// The name that people know it by.
    pub fn display_name(&self) -> String {
        self.name.as_deref().or(self.key.as_deref()).map_or_else(|| self.id.to_string(), str::to_owned)
    }
}

/// What each kind of target has of its own. Boxed, since the commonest kind, an application, mostly has nothing.
#[derive(Clone, Debug, PartialEq)]
pub enum TargetDetail {
    /// An application; absent when all of it is empty.
    Application(Option<Box<Application>>),
    /// An entitlement.
    Entitlement(Box<Entitlement>),
    /// A source.
    Source(Box<Source>),
    /// A flow.
    Flow(Box<Flow>),
    /// A stage's place in a flow.
    FlowStageBinding(Box<FlowStageBinding>),
    /// A device.
    Device(Box<Device>),
    /// A group of devices, with its free attributes.
    DeviceAccessGroup(Box<Value>),
    /// A rule for events, with its severity.
    NotificationRule(Box<str>),
    /// An endpoint for remote access.
    RacEndpoint(Box<RacEndpoint>),
}

/// What an application has of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    /// Heading in a portal.
    pub group: Box<str>,
    /// Description.
    pub meta_description: Box<str>,
    /// Publisher.
    pub meta_publisher: Box<str>,
    /// Where a portal sends people.
    pub meta_launch_url: Box<str>,
}

/// What an entitlement has of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Entitlement {
    /// Its application, by slug or id.
    pub application: Box<str>,
    /// Its name, unique within the application.
    pub name: Box<str>,
    /// Free attributes.
    pub attributes: Value,
}

/// What a source has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// ldap, oauth, ...
    pub kind: Box<str>,
    /// Whether it is switched on.
    pub enabled: bool,
}

/// What a flow has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The page's title.
    pub title: Box<str>,
    /// What the flow is for.
    pub designation: Box<str>,
    /// Who may enter at all.
    pub authentication: FlowAuthentication,
    /// What somebody sees who may not.
    pub denied_action: DeniedAction,
}

/// What a flow-stage binding has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowStageBinding {
    /// The flow, by slug or id.
    pub flow: Box<str>,
    /// The stage, by name or id.
    pub stage: Box<str>,
    /// Position in the flow.
    pub order: i32,
    /// Evaluate when the flow is planned.
    pub evaluate_on_plan: bool,
    /// Evaluate right before the stage is shown.
    pub re_evaluate_policies: bool,
    /// What happens when the stage's answer is not valid.
    pub invalid_response_action: InvalidResponseAction,
}

/// What a device has of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Device {
    /// Its access group, by name or id.
    pub access_group: Option<Box<str>>,
    /// Free attributes.
    pub attributes: Value,
    /// What is known of it.
    pub facts: Value,
}

/// What a RAC endpoint has of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RacEndpoint {
    /// The application of its provider, by slug or id.
    pub application: Option<Box<str>>,
    /// Host name or address.
    pub host: Box<str>,
    /// rdp, ssh or vnc.
    pub protocol: Box<str>,
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
