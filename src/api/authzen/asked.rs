//! Questions from AuthZEN's four entities: subject, action, resource and context. Every member that is looked at is
//! checked here; what is unknown is left alone.
//!
//! Must not know: how a question is decided.

use super::settings::{AuthzenSettings, Stands, SubjectId};
use crate::api::ask::Failure;
use crate::api::convert::bounded;
use crate::api::status::SUBJECT_TYPE;
use crate::model::{TargetKind, TargetRef, Value};
use crate::proto::resource::target_ref;
use crate::proto::{self, v1, value};
use chrono::{DateTime, FixedOffset};
use std::collections::BTreeMap;
use tonic::Code;

type Checked<T> = Result<T, Failure>;
type Map = BTreeMap<Box<str>, Value>;

/// Under this name the entities stand in the context that policies see.
pub(super) const ENTITIES: &str = "authzen";
/// Under this name the action's name does.
const ACTION: &str = "action";

/// Members of a subject's properties that are no attributes.
const KNOWN: [&str; 9] = [
    "user_id",
    "username",
    "email",
    "name",
    "groups",
    "group_ids",
    "is_superuser",
    "attributes",
    "ip_address",
];

/// One object with entities, and the one that has what it leaves out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entities<'a> {
    own: &'a Value,
    default: Option<&'a Value>,
}

/// An entity's members as they were sent.
#[derive(Clone, Debug, Default)]
struct Entity {
    kind: Box<str>,
    id: Box<str>,
    properties: Map,
}

/// What of an entity has to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// Type and id.
    All,
    /// The type; an id is ignored.
    Type,
}

impl<'a> Entities<'a> {
    /// The entities of this object.
    pub(super) const fn of(own: &'a Value) -> Self {
        Self { own, default: None }
    }

    /// The entities of this object, and for those that it does not have those of another.
    pub(super) const fn with_default(own: &'a Value, default: &'a Value) -> Self {
        Self { own, default: Some(default) }
    }

    fn get(&self, name: &str) -> Checked<Option<&'a Map>> {
        match given(self.own, name).or_else(|| given(self.default?, name)) {
            None => Ok(None),
            Some(Value::Map(map)) => Ok(Some(map)),
            Some(_) => Err(Failure::argument(name, "is no object; send one")),
        }
    }

    fn need(&self, name: &str) -> Checked<&'a Map> {
        self.get(name)?.ok_or_else(|| Failure::argument(name, "missing; it is required"))
    }

    /// A subject or a resource.
    fn entity(&self, name: &str, need: Need) -> Checked<Entity> {
        let own = self.need(name)?;
        let field = |member: &str| format!("{name}.{member}");
        // An entity takes the place of the default one as a whole; only its type may be left to that.
        let kind = match text(own, "type", &field("type"))? {
            None => match self.default.and_then(|default| given(default, name)) {
                Some(Value::Map(default)) => text(default, "type", &field("type"))?,
                _ => None,
            },
            kind => kind,
        };
        let kind = required(kind, &field("type"))?;
        let id = match (text(own, "id", &field("id")), need, &*kind) {
            // Nobody has no id that anybody needs.
            (id, Need::All, "anonymous") => id?.unwrap_or_default(),
            (id, Need::All, _) => required(id?, &field("id"))?,
            (_, Need::Type, _) => "".into(),
        };
        Ok(Entity { kind, id, properties: properties(own, &field("properties"))? })
    }

    /// The action: its name, and its properties.
    fn action(&self) -> Checked<Entity> {
        let own = self.need(ACTION)?;
        let id = required(text(own, "name", "action.name")?, "action.name")?;
        Ok(Entity { id, properties: properties(own, "action.properties")?, ..Entity::default() })
    }
}

/// What is asked about whom, as far as it is said.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    subject: Entity,
    action: Entity,
    resource: Entity,
    context: Map,
}

impl Asked {
    /// A question, whole.
    pub(super) fn question(entities: Entities<'_>) -> Checked<Self> {
        Self::read(entities, Need::All, Need::All, None)
    }

    /// A search for subjects.
    pub(super) fn subjects(entities: Entities<'_>) -> Checked<Self> {
        Self::read(entities, Need::Type, Need::All, None)
    }

    /// A search for resources.
    pub(super) fn resources(entities: Entities<'_>) -> Checked<Self> {
        Self::read(entities, Need::All, Need::Type, None)
    }

    /// Whether somebody may do this on what is asked about in a search for actions.
    pub(super) fn action(entities: Entities<'_>, action: &str) -> Checked<Self> {
        Self::read(entities, Need::All, Need::All, Some(action))
    }

    fn read(entities: Entities<'_>, subject: Need, resource: Need, action: Option<&str>) -> Checked<Self> {
        let subject = entities.entity("subject", subject)?;
        let action = match action {
            Some(name) => Entity { id: name.into(), ..Entity::default() },
            None => entities.action()?,
        };
        let resource = entities.entity("resource", resource)?;
        let context = entities.get("context")?.cloned().unwrap_or_default();
        Ok(Self { subject, action, resource, context })
    }

    /// The type that subjects are searched for.
    pub(super) fn subject_type(&self) -> &str {
        &self.subject.kind
    }

    /// The kind of target that is searched for, and the type that it was called by.
    ///
    /// # Errors
    /// When there is no such type, or its ids are not known here.
    pub(super) fn searched(&self, settings: &AuthzenSettings) -> Checked<(TargetKind, &str)> {
        let name = &*self.resource.kind;
        match settings.stands_for(name) {
            Some(Stands::Kind(kind)) => Ok((kind, name)),
            Some(Stands::Target(target)) => {
                let text = format!(
                    "`{name}` stands for `{target}` as a whole, and which ids there are of it is not known here"
                );
                Err(Failure::argument("resource.type", &text))
            }
            None => Err(unknown_type(name)),
        }
    }

    /// The message of the question.
    pub(super) fn request(self, settings: &AuthzenSettings) -> Checked<v1::CheckRequest> {
        let target = self.target(settings)?;
        Ok(v1::CheckRequest {
            target: Some(target_ref(&target)),
            subject: Some(self.subject(settings)?),
            context: Some(self.context()?.into()),
            explain: v1::ExplainLevel::Reasons.into(),
            ..Default::default()
        })
    }

    /// What is asked about.
    pub(super) fn target(&self, settings: &AuthzenSettings) -> Checked<TargetRef> {
        let Entity { kind: name, id, properties } = &self.resource;
        let kind = match settings.stands_for(name) {
            Some(Stands::Kind(kind)) => kind,
            Some(Stands::Target(target)) => return Ok(target),
            None => return Err(unknown_type(name)),
        };
        if kind == TargetKind::RacEndpoint {
            let field = "resource.properties.application";
            if let Some(application) = text(properties, "application", field)? {
                return Ok(TargetRef::RacEndpointOf { id: id.to_string(), application: application.into() });
            }
        }
        Ok(TargetRef::of(kind, id))
    }

    /// Who is asked about.
    pub(super) fn subject(&self, settings: &AuthzenSettings) -> Checked<v1::Subject> {
        let Entity { kind, id, properties } = &self.subject;
        let anonymous = match &**kind {
            "user" => false,
            "anonymous" => true,
            other => {
                let message = format!(
                    "{SUBJECT_TYPE}: `{}` is no type of subject here; the types are user, anonymous",
                    shown(other)
                );
                return Err(Failure { code: Code::NotFound, field: SUBJECT_TYPE.to_owned(), message });
            }
        };
        let field = |name: &str| format!("subject.properties.{name}");
        let own = |name: &str| Ok(text(properties, name, &field(name))?.unwrap_or_default().into_string());
        let (mut user_id, mut username): (String, String) = (own("user_id")?, own("username")?);
        match settings.subject_id {
            // The id of nobody says nothing.
            _ if anonymous => user_id.clear(),
            SubjectId::Username => username = id.to_string(),
            SubjectId::UserId => user_id = id.to_string(),
        }
        let is_superuser = match properties.get("is_superuser") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(truth)) => *truth,
            Some(_) => return Err(Failure::argument(&field("is_superuser"), "is neither true nor false")),
        };
        let mut attributes: Map = properties
            .iter()
            .filter(|(name, _)| !KNOWN.contains(&&***name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        match properties.get("attributes") {
            None | Some(Value::Null) => {}
            Some(Value::Map(more)) => {
                attributes.extend(more.iter().map(|(name, value)| (name.clone(), value.clone())));
            }
            Some(_) => return Err(Failure::argument(&field("attributes"), "is no object; send one")),
        }
        let attributes = (!attributes.is_empty()).then(|| value::to_struct(Value::Map(attributes)));
        Ok(v1::Subject {
            user_id,
            username,
            email: own("email")?,
            name: own("name")?,
            group_ids: texts(properties, "group_ids", &field("group_ids"))?,
            group_names: texts(properties, "groups", &field("groups"))?,
            attributes,
            is_superuser,
            anonymous,
        })
    }

    /// What else is known.
    pub(super) fn context(&self) -> Checked<v1::Context> {
        let mut values = self.context.clone();
        let mut taken = |name: &str| values.remove(name).filter(|value| *value != Value::Null);
        let (time, client_ip) = (taken("time"), taken("client_ip"));
        let (http, event) = (taken("http"), taken("event"));
        let time = time.map(|time| moment(&time)).transpose()?;
        let client_ip = match client_ip {
            Some(Value::String(address)) => address.into_string(),
            Some(_) => return Err(Failure::argument("context.client_ip", "is no text; send an IP address")),
            None => {
                let field = "subject.properties.ip_address";
                text(&self.subject.properties, "ip_address", field)?.unwrap_or_default().into_string()
            }
        };
        values.insert(ACTION.into(), Value::String(self.action.id.clone()));
        values.insert(ENTITIES.into(), self.entities());
        Ok(v1::Context {
            client_ip,
            time,
            http: http.map(|http| message("context.http", "bindery.v1.HttpRequest", &http)).transpose()?,
            event: event.map(|event| message("context.event", "bindery.v1.Event", &event)).transpose()?,
            values: Some(value::to_struct(Value::Map(values))),
            ..Default::default()
        })
    }

    /// The entities as policies see them.
    fn entities(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let entity = |members: &[(&str, Value)], properties: &Map| {
            let members = members.iter().map(|(name, value)| (Box::from(*name), value.clone()));
            let properties = (Box::from("properties"), Value::Map(properties.clone()));
            Value::Map(members.chain([properties]).collect())
        };
        let typed = |entity_of: &Entity| {
            entity(&[("type", text(&entity_of.kind)), ("id", text(&entity_of.id))], &entity_of.properties)
        };
        let action = entity(&[("name", text(&self.action.id))], &self.action.properties);
        let all = [("subject", typed(&self.subject)), (ACTION, action), ("resource", typed(&self.resource))];
        Value::Map(all.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// Puts a candidate's id where policies see that of the entity that is searched for.
pub(super) fn identify(values: &mut Value, entity: &str, id: &str) {
    let mut place = values;
    for name in [ENTITIES, entity, "id"] {
        let Value::Map(map) = place else { return };
        let Some(inner) = map.get_mut(name) else { return };
        place = inner;
    }
    *place = Value::String(id.into());
}

fn unknown_type(name: &str) -> Failure {
    let kinds = TargetKind::ALL.map(TargetKind::name).join(", ");
    let message = format!(
        "resource.type: `{}` is no type of resource here; the types are {kinds}, and those of the setting \
         `resource_types`",
        shown(name)
    );
    Failure { code: Code::NotFound, field: "resource.type".to_owned(), message }
}

/// As much of a text as a message shows.
fn shown(text: &str) -> &str {
    let end = (0..=64.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// A member that is there. Null is the same as absent.
pub(super) fn given<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    object.get(name).filter(|value| **value != Value::Null)
}

fn text(map: &Map, name: &str, field: &str) -> Checked<Option<Box<str>>> {
    match map.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            bounded(field, text)?;
            Ok(Some(text.clone()))
        }
        Some(_) => Err(Failure::argument(field, "is no text; send one")),
    }
}

fn required(text: Option<Box<str>>, field: &str) -> Checked<Box<str>> {
    match text {
        None => Err(Failure::argument(field, "missing; it is required")),
        Some(text) if text.is_empty() => Err(Failure::argument(field, "is empty; it is required")),
        Some(text) => Ok(text),
    }
}

fn texts(map: &Map, name: &str, field: &str) -> Checked<Vec<String>> {
    let wrong = || Failure::argument(field, "is no list of texts; send one");
    match map.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn properties(map: &Map, field: &str) -> Checked<Map> {
    match map.get("properties") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Map(properties)) => Ok(properties.clone()),
        Some(_) => Err(Failure::argument(field, "is no object; send one")),
    }
}

/// A moment, also one without seconds, as the specification writes them.
fn moment(time: &Value) -> Checked<prost_types::Timestamp> {
    let short = |text: &str| -> Option<DateTime<FixedOffset>> {
        let text =
            text.strip_suffix(['Z', 'z']).map_or_else(|| text.to_owned(), |rest| format!("{rest}+00:00"));
        DateTime::parse_from_str(&text, "%Y-%m-%dT%H:%M%:z").ok()
    };
    let read = |text: &str| DateTime::parse_from_rfc3339(text).ok().or_else(|| short(text));
    let time = time.as_str().and_then(read).ok_or_else(|| {
        Failure::argument("context.time", "is no moment; write one such as 2026-06-15T09:00:00Z")
    })?;
    let nanos = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(i32::MAX);
    Ok(prost_types::Timestamp { seconds: time.timestamp(), nanos })
}

/// A message of the schema, written as in its JSON mapping.
fn message<M: prost::Message + Default>(field: &str, name: &str, data: &Value) -> Checked<M> {
    proto::from_newer_json(name, value::to_json(data)).map_err(|error| Failure::argument(field, &error))
}

/// A failure with the field's name in AuthZEN, under `place`.
pub(super) fn placed(failure: Failure, settings: &AuthzenSettings, place: &str) -> Failure {
    let Failure { code, field, message } = failure;
    let (username, user_id) = match settings.subject_id {
        SubjectId::Username => ("subject.id", "subject.properties.user_id"),
        SubjectId::UserId => ("subject.properties.username", "subject.id"),
    };
    let name = match field.as_str() {
        "subject.username" => username,
        "subject.user_id" => user_id,
        "subject.email" => "subject.properties.email",
        "subject.name" => "subject.properties.name",
        "subject.group_ids" => "subject.properties.groups",
        "subject.group_names" => "subject.properties.groups",
        "subject.attributes" => "subject.properties",
        "context.values" => "context",
        "target.rac_endpoint.application" => "resource.properties.application",
        target if target == "target" || target.starts_with("target.") => "resource.id",
        same => same,
    };
    // Failures of the server name a setting, which stands nowhere in a request.
    if !matches!(code, Code::InvalidArgument | Code::NotFound) {
        return Failure { code, field, message };
    }
    let rest = message.strip_prefix(&field).map(str::to_owned).unwrap_or_else(|| format!(": {message}"));
    let field = format!("{place}{name}");
    Failure { code, message: format!("{field}{rest}"), field }
}
