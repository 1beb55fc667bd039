//! Which of authentik's models are taken, and as what.
//!
//! Must not know: fields.

/// What a model is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Application,
    Entitlement,
    Source,
    Flow,
    FlowStageBinding,
    Device,
    DeviceAccessGroup,
    NotificationRule,
    RacEndpoint,
    Binding,
    Policy,
    Stage,
    User,
    Group,
    Reputation,
}

impl Kind {
    /// What a model is; nothing when no decision needs it.
    pub(super) fn of(model: &str) -> Option<Self> {
        Some(match model {
            "authentik_core.application" => Self::Application,
            "authentik_core.applicationentitlement" => Self::Entitlement,
            "authentik_core.user" => Self::User,
            "authentik_core.group" => Self::Group,
            "authentik_flows.flow" => Self::Flow,
            "authentik_flows.flowstagebinding" => Self::FlowStageBinding,
            "authentik_policies.policybinding" | "authentik_endpoints.deviceuserbinding" => Self::Binding,
            "authentik_policies_reputation.reputation" => Self::Reputation,
            "authentik_providers_rac.endpoint" => Self::RacEndpoint,
            "authentik_endpoints.device" => Self::Device,
            "authentik_endpoints.deviceaccessgroup" => Self::DeviceAccessGroup,
            "authentik_events.notificationrule" => Self::NotificationRule,
            _ if app(model, "authentik_stages_", "stage").is_some() => Self::Stage,
            _ if app(model, "authentik_sources_", "source").is_some() => Self::Source,
            _ if app(model, "authentik_policies_", "policy").is_some() => Self::Policy,
            _ => return None,
        })
    }

    /// What people call it.
    pub(super) const fn noun(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Entitlement => "application entitlement",
            Self::Source => "source",
            Self::Flow => "flow",
            Self::FlowStageBinding => "flow-stage binding",
            Self::Device => "device",
            Self::DeviceAccessGroup => "device access group",
            Self::NotificationRule => "notification rule",
            Self::RacEndpoint => "RAC endpoint",
            Self::Binding => "policy binding",
            Self::Policy => "policy",
            Self::Stage => "stage",
            Self::User => "user",
            Self::Group => "group",
            Self::Reputation => "reputation row",
        }
    }

    /// Whether policies, users and groups are bound to it.
    pub(super) const fn is_target(self) -> bool {
        match self {
            Self::Application
            | Self::Entitlement
            | Self::Source
            | Self::Flow
            | Self::FlowStageBinding
            | Self::Device
            | Self::DeviceAccessGroup
            | Self::NotificationRule
            | Self::RacEndpoint => true,
            Self::Binding | Self::Policy | Self::Stage | Self::User | Self::Group | Self::Reputation => false,
        }
    }

    /// The fields without whose objects it is not there either.
    pub(super) const fn stands_with(self) -> &'static [&'static str] {
        match self {
            Self::Entitlement => &["app"],
            Self::FlowStageBinding => &["target", "stage"],
            Self::RacEndpoint => &["provider"],
            Self::Binding => &["target", "policy", "user", "group"],
            Self::Application
            | Self::Source
            | Self::Flow
            | Self::Device
            | Self::DeviceAccessGroup
            | Self::NotificationRule
            | Self::Policy
            | Self::Stage
            | Self::User
            | Self::Group
            | Self::Reputation => &[],
        }
    }

    /// The fields that name it, best first.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Application | Self::Source | Self::Flow => &["slug"],
            Self::Device => &["identifier", "name"],
            Self::User => &["username"],
            Self::Entitlement
            | Self::DeviceAccessGroup
            | Self::NotificationRule
            | Self::RacEndpoint
            | Self::Policy
            | Self::Stage
            | Self::Group => &["name"],
            Self::FlowStageBinding | Self::Binding | Self::Reputation => &[],
        }
    }
}

/// The rest of the app's name, for a model whose app and name are of a family.
pub(super) fn app<'m>(model: &'m str, family: &str, suffix: &str) -> Option<&'m str> {
    let (app, name) = model.strip_prefix(family)?.split_once('.')?;
    name.ends_with(suffix).then_some(app)
}
