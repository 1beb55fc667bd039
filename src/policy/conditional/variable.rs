//! The variables: their kinds, their parameters, and where their values are found.
//!
//! Must not know: what is done with a value.

use super::kind::{Held, Kind, Raw, dig};
use super::run::Scene;
use crate::model::{Target, TargetDetail, User, Value};
use crate::policy::Input;

/// A variable that programs may name.
#[derive(Debug)]
pub(super) struct Variable {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) param: Param,
    source: Source,
}

/// Whether a variable takes a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Param {
    Nothing,
    /// The key of one value.
    Key,
    /// Keys of nested values, with dots between them.
    Path,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    UserId,
    UserUsername,
    UserName,
    UserEmail,
    UserKind,
    UserPath,
    UserJoined,
    UserLogin,
    UserActive,
    UserAuthenticated,
    UserPassword,
    UserGroups,
    UserAttributes,
    ApplicationSlug,
    ApplicationName,
    ApplicationGroup,
    ApplicationPublisher,
    ClientIp,
    UserAgent,
    City(&'static str),
    Network(&'static str),
    FlowSlug,
    FlowDesignation,
    /// Whether the context's value is true; absent: false.
    Truth(&'static str),
    Restored,
    PendingAuthenticated,
    /// An object in the context.
    Object(&'static str),
    Context,
    PromptData,
    EventAction,
    EventApp,
    EventClientIp,
    EventModel(&'static str),
    EventContext,
    DeviceName,
    DeviceFacts,
    /// Only the caller can know it, and gives it in the context under the variable's own name.
    Given,
}

const USER_KINDS: &[&str] = &["internal", "external", "service_account", "internal_service_account"];
const DESIGNATIONS: &[&str] = &[
    "authentication",
    "authorization",
    "invalidation",
    "enrollment",
    "unenrollment",
    "recovery",
    "stage_configuration",
];

const fn plain(key: &'static str, kind: Kind, source: Source) -> Variable {
    Variable { key, kind, param: Param::Nothing, source }
}

/// Every variable.
pub(super) static VARIABLES: [Variable; 50] = [
    plain("user.id", Kind::Model("user"), Source::UserId),
    plain("user.username", Kind::String, Source::UserUsername),
    plain("user.name", Kind::String, Source::UserName),
    plain("user.email", Kind::String, Source::UserEmail),
    plain("user.type", Kind::Enum(USER_KINDS), Source::UserKind),
    plain("user.path", Kind::String, Source::UserPath),
    plain("user.date_joined", Kind::Datetime, Source::UserJoined),
    plain("user.last_login", Kind::Datetime, Source::UserLogin),
    plain("user.is_active", Kind::Boolean, Source::UserActive),
    plain("user.is_authenticated", Kind::Boolean, Source::UserAuthenticated),
    plain("user.has_usable_password", Kind::Boolean, Source::UserPassword),
    plain("user.groups", Kind::List(&Kind::Model("group")), Source::UserGroups),
    Variable { key: "user.attributes", kind: Kind::Any, param: Param::Path, source: Source::UserAttributes },
    plain("user.can_change_email", Kind::Boolean, Source::Given),
    plain("user.can_change_name", Kind::Boolean, Source::Given),
    plain("user.can_change_username", Kind::Boolean, Source::Given),
    plain("application.slug", Kind::String, Source::ApplicationSlug),
    plain("application.name", Kind::String, Source::ApplicationName),
    plain("application.group", Kind::String, Source::ApplicationGroup),
    plain("application.meta_publisher", Kind::String, Source::ApplicationPublisher),
    plain("request.client_ip", Kind::Ip, Source::ClientIp),
    plain("request.user_agent", Kind::String, Source::UserAgent),
    plain("request.user", Kind::Model("user"), Source::Given),
    plain("request.geoip.country", Kind::String, Source::City("country")),
    plain("request.geoip.continent", Kind::String, Source::City("continent")),
    plain("request.geoip.city", Kind::String, Source::City("city")),
    plain("request.asn.asn", Kind::Number, Source::Network("asn")),
    plain("request.asn.as_org", Kind::String, Source::Network("as_org")),
    plain("flow.slug", Kind::String, Source::FlowSlug),
    plain("flow.designation", Kind::Enum(DESIGNATIONS), Source::FlowDesignation),
    plain("plan.is_sso", Kind::Boolean, Source::Truth("is_sso")),
    plain("plan.is_restored", Kind::Boolean, Source::Restored),
    plain("plan.is_redirected", Kind::Boolean, Source::Truth("is_redirected")),
    plain("plan.pending_user_authenticated", Kind::Boolean, Source::PendingAuthenticated),
    plain("plan.application", Kind::Model("application"), Source::Object("application")),
    plain("plan.source", Kind::Model("source"), Source::Object("source")),
    Variable { key: "plan.context", kind: Kind::Any, param: Param::Key, source: Source::Context },
    plain("plan.user_switch_active", Kind::Boolean, Source::Given),
    plain("plan.user_switch_target_last_used", Kind::Datetime, Source::Given),
    Variable { key: "prompt_data", kind: Kind::Any, param: Param::Key, source: Source::PromptData },
    Variable {
        key: "prompt_data.email_in_use",
        kind: Kind::Boolean,
        param: Param::Key,
        source: Source::Given,
    },
    plain("event.action", Kind::Enum(&[]), Source::EventAction),
    plain("event.app", Kind::String, Source::EventApp),
    plain("event.client_ip", Kind::Ip, Source::EventClientIp),
    plain("event.created", Kind::Datetime, Source::Given),
    plain("event.model.app", Kind::String, Source::EventModel("app")),
    plain("event.model.name", Kind::String, Source::EventModel("model_name")),
    Variable { key: "event.context", kind: Kind::Any, param: Param::Path, source: Source::EventContext },
    plain("device.name", Kind::String, Source::DeviceName),
    Variable { key: "device.facts", kind: Kind::Any, param: Param::Path, source: Source::DeviceFacts },
];

const TEXTS: Kind = Kind::List(&Kind::String);
const NUMBERS: Kind = Kind::List(&Kind::Number);

/// Facts of devices whose kind is known; the others have to be cast.
static FACTS: [(&str, Kind); 34] = [
    ("os.family", Kind::Enum(&[])),
    ("os.name", Kind::String),
    ("os.version", Kind::String),
    ("os.arch", Kind::String),
    ("network.hostname", Kind::String),
    ("network.firewall_enabled", Kind::Boolean),
    ("network.gateway", Kind::String),
    ("network.interfaces.*.name", TEXTS),
    ("network.interfaces.*.hardware_address", TEXTS),
    ("hardware.model", Kind::String),
    ("hardware.manufacturer", Kind::String),
    ("hardware.serial", Kind::String),
    ("hardware.cpu_name", Kind::String),
    ("hardware.cpu_count", Kind::Number),
    ("hardware.memory_bytes", Kind::Number),
    ("disks.*.name", TEXTS),
    ("disks.*.mountpoint", TEXTS),
    ("disks.*.label", TEXTS),
    ("disks.*.capacity_total_bytes", NUMBERS),
    ("disks.*.capacity_used_bytes", NUMBERS),
    ("disks.*.encryption_enabled", Kind::List(&Kind::Boolean)),
    ("software.*.name", TEXTS),
    ("software.*.version", TEXTS),
    ("software.*.source", TEXTS),
    ("software.*.path", TEXTS),
    ("processes.*.id", NUMBERS),
    ("processes.*.name", TEXTS),
    ("processes.*.user", TEXTS),
    ("users.*.id", TEXTS),
    ("users.*.username", TEXTS),
    ("users.*.name", TEXTS),
    ("users.*.home", TEXTS),
    ("groups.*.id", TEXTS),
    ("groups.*.name", TEXTS),
];

impl Variable {
    /// The variable of this name.
    pub(super) fn named(key: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.key == key)
    }

    /// The kind of a parameter that is well known.
    pub(super) fn known_param(&self, param: &str) -> Option<Kind> {
        match self.source {
            Source::DeviceFacts => FACTS.iter().find(|(path, _)| *path == param).map(|(_, kind)| *kind),
            _ => None,
        }
    }
}

/// A variable as a program uses it.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) variable: &'static Variable,
    pub(super) path: Box<[Box<str>]>,
    /// The kind of the value, after a cast.
    pub(super) kind: Kind,
}

impl Reference {
    /// The value; nothing when it is missing. An error: a value that the variable cannot have, or that only the
    /// caller could know.
    pub(super) fn read<'s>(&'s self, scene: &'s Scene<'_>) -> Result<Option<Held<'s>>, Box<str>> {
        let Some(raw) = self.find(scene)? else { return Ok(None) };
        match Held::of(raw, self.kind) {
            // What is cast and does not fit is as good as absent.
            None if self.variable.kind != Kind::Any => {
                let (key, kind) = (self.variable.key, self.variable.kind);
                Err(format!("the value of `{key}` is not of kind {kind}; correct it where it comes from")
                    .into())
            }
            held => Ok(held),
        }
    }

    fn first(&self) -> &str {
        self.path.first().map_or("", |key| key)
    }

    fn find<'s>(&'s self, scene: &'s Scene<'_>) -> Result<Option<Raw<'s>>, Box<str>> {
        let input = &scene.input;
        let values = scene.values();
        let free = |value: Option<&'s Value>| value.filter(|value| **value != Value::Null).map(Raw::Free);
        let event = input.context.event.as_ref();
        Ok(match self.variable.source {
            Source::UserId => input.person.user.map(|user| Raw::Id(&user.id)),
            Source::UserUsername => own_text(input, input.person.username),
            Source::UserName => own_text(input, input.person.name),
            Source::UserEmail => own_text(input, input.person.email),
            Source::UserKind => directory(input, |user| filled(&user.kind)),
            Source::UserPath => directory(input, |user| filled(&user.path)),
            Source::UserJoined => directory(input, |user| user.date_joined.map(Raw::Moment)),
            Source::UserLogin => directory(input, |user| user.last_login.map(Raw::Moment)),
            Source::UserActive if input.person.anonymous => Some(Raw::Bool(false)),
            Source::UserActive => directory(input, |user| Some(Raw::Bool(user.is_active))),
            Source::UserAuthenticated => Some(Raw::Bool(!input.person.anonymous)),
            Source::UserPassword => directory(input, |user| user.has_usable_password.map(Raw::Bool)),
            Source::UserGroups => Some(Raw::Groups(scene.groups())),
            Source::UserAttributes if input.person.anonymous => None,
            Source::UserAttributes => dig(scene.attributes(), &self.path, false),
            Source::ApplicationSlug => application(input).and_then(Target::unique_name).map(Raw::Text),
            Source::ApplicationName => application(input)
                .and_then(|target| target.name.as_deref().or_else(|| target.unique_name()).and_then(filled)),
            Source::ApplicationGroup => application(input).and_then(|target| match &target.detail {
                TargetDetail::Application(Some(detail)) => filled(&detail.group),
                _ => None,
            }),
            Source::ApplicationPublisher => application(input).and_then(|target| match &target.detail {
                TargetDetail::Application(Some(detail)) => filled(&detail.meta_publisher),
                _ => None,
            }),
            Source::ClientIp => input.context.client_ip.map(Raw::Address),
            Source::UserAgent => {
                let http = input.context.http.as_ref();
                http.and_then(|http| http.headers.get("user-agent")).map(|text| Raw::Text(text))
            }
            Source::City(field) => free(scene.city().and_then(|city| city.get(field))),
            Source::Network(field) => free(scene.network().and_then(|network| network.get(field))),
            Source::FlowSlug => free(values.get(self.variable.key)).or_else(|| match input.target {
                Some(flow @ Target { detail: TargetDetail::Flow(_), .. }) => {
                    flow.unique_name().map(Raw::Text)
                }
                Some(Target { detail: TargetDetail::FlowStageBinding(detail), .. }) => filled(&detail.flow),
                _ => None,
            }),
            Source::FlowDesignation => match (values.get(self.variable.key), input.target) {
                (Some(value), _) => free(Some(value)),
                (None, Some(Target { detail: TargetDetail::Flow(flow), .. })) => filled(&flow.designation),
                // The binding names its flow, whose designation is not at hand.
                (None, Some(Target { detail: TargetDetail::FlowStageBinding(_), .. })) => {
                    return Err(self.unknown());
                }
                _ => None,
            },
            Source::Truth(key) => Some(Raw::Bool(values.get(key).is_some_and(Value::is_truthy))),
            Source::Restored => values.get("is_restored").map(|value| Raw::Bool(value.is_truthy())),
            Source::PendingAuthenticated => {
                let backend = values.get("pending_user").and_then(|user| user.get("backend"));
                Some(Raw::Bool(backend.is_some_and(Value::is_truthy)))
            }
            Source::Object(key) => {
                // An object without a key is none.
                let object = values.get(key).filter(|value| match value {
                    Value::Map(_) => matches!(
                        value.get("pk").or_else(|| value.get("id")),
                        Some(Value::String(_) | Value::Number(_))
                    ),
                    value => matches!(value, Value::String(_) | Value::Number(_)),
                });
                free(object)
            }
            Source::Context => free(values.get(self.first())),
            Source::PromptData => free(values.get("prompt_data").and_then(|data| data.get(self.first()))),
            Source::EventAction => event.and_then(|event| filled(&event.action)),
            Source::EventApp => event.and_then(|event| filled(&event.app)),
            Source::EventClientIp => event.and_then(|event| event.client_ip.as_deref().and_then(filled)),
            Source::EventModel(field) => {
                free(event.and_then(|event| event.context.get("model")).and_then(|model| model.get(field)))
            }
            Source::EventContext => event.and_then(|event| dig(&event.context, &self.path, false)),
            Source::DeviceName => match input.target {
                Some(device) if is_device(input) => {
                    device.name.as_deref().or_else(|| device.unique_name()).and_then(filled)
                }
                _ => free(values.get("device").and_then(|device| device.get("name"))),
            },
            Source::DeviceFacts => match input.target.map(|target| &target.detail) {
                Some(TargetDetail::Device(device)) => dig(&device.facts, &self.path, true),
                _ => values
                    .get("device")
                    .and_then(|device| device.get("facts"))
                    .and_then(|facts| dig(facts, &self.path, true)),
            },
            Source::Given => match (values.get(self.variable.key), self.variable.param) {
                (Some(value), Param::Nothing) => free(Some(value)),
                (Some(value), _) => free(value.get(self.first())),
                (None, _) => return Err(self.unknown()),
            },
        })
    }

    fn unknown(&self) -> Box<str> {
        let key = self.variable.key;
        format!("bindery cannot know `{key}`; give it in the context's values under `{key}`").into()
    }
}

fn filled(text: &str) -> Option<Raw<'_>> {
    (!text.is_empty()).then_some(Raw::Text(text))
}

/// A text of the subject. What somebody unknown claims is no value; what the directory leaves empty is an empty one.
fn own_text<'a>(input: &Input<'a>, text: &'a str) -> Option<Raw<'a>> {
    match input.person.user {
        _ if input.person.anonymous => None,
        Some(_) => Some(Raw::Text(text)),
        None => filled(text),
    }
}

fn directory<'a>(input: &Input<'a>, find: impl FnOnce(&'a User) -> Option<Raw<'a>>) -> Option<Raw<'a>> {
    input.person.user.and_then(find)
}

fn application<'a>(input: &Input<'a>) -> Option<&'a Target> {
    input.target.filter(|target| matches!(target.detail, TargetDetail::Application(_)))
}

fn is_device(input: &Input<'_>) -> bool {
    matches!(input.target, Some(Target { detail: TargetDetail::Device(_), .. }))
}
