//! What a script sees of a question, as values of the interpreter.

pub(super) mod http;

use super::needs::Needs;
use crate::model::{Application, Event, Group, Mode, TargetDetail, Timestamp, User, Value};
use crate::policy::Input;
use chrono::{DateTime, Datelike as _, Timelike as _};
use monty_types::{MontyDateTime, MontyObject as Object};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// What authentik takes for an address that it cannot tell.
pub(super) const UNKNOWN_ADDRESS: &str = "255.255.255.255";

/// A map in the making.
#[derive(Default)]
struct Fields(Vec<(Object, Object)>);

impl Fields {
    fn put(&mut self, key: &str, value: impl Into<Item>) -> &mut Self {
        self.0.push((text(key), value.into().0));
        self
    }

    fn done(&mut self) -> Object {
        Object::dict(std::mem::take(&mut self.0))
    }
}

struct Item(Object);

impl From<Object> for Item {
    fn from(value: Object) -> Self {
        Self(value)
    }
}

impl From<&str> for Item {
    fn from(value: &str) -> Self {
        Self(text(value))
    }
}

impl From<bool> for Item {
    fn from(value: bool) -> Self {
        Self(Object::Bool(value))
    }
}

impl From<i64> for Item {
    fn from(value: i64) -> Self {
        Self(Object::Int(value))
    }
}

impl<T: Into<Self>> From<Option<T>> for Item {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self(Object::None), Into::into)
    }
}

fn text(value: &str) -> Object {
    Object::String(value.to_owned())
}

/// The integer that a number is in Python, if it is one there. Beyond 2^53 a double has gaps, and an integer would pretend
/// not to.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
pub(super) fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0).then_some(number as i64)
}

/// A plain value as the interpreter has it; a whole number is an integer there.
pub fn object_of(value: &Value) -> Object {
    match value {
        Value::Null => Object::None,
        Value::Bool(value) => Object::Bool(*value),
        Value::Number(number) => whole(*number).map_or(Object::Float(*number), Object::Int),
        Value::String(value) => text(value),
        Value::List(list) => Object::List(list.iter().map(object_of).collect()),
        Value::Map(map) => {
            Object::dict(map.iter().map(|(key, value)| (text(key), object_of(value))).collect::<Vec<_>>())
        }
    }
}

/// The deepest that a value is which a program hands back; what lies deeper becomes nothing.
pub const MAX_DEPTH: usize = 31;
/// The most values that a program may hand back at once, as many as a question may bring.
pub const MAX_VALUES: usize = 100_000;
/// The most digits of a whole number that a program hands back.
const MAX_DIGITS: u64 = 4_300;
/// The most text that a program may hand back at once, in bytes.
const MAX_TEXT: usize = 1 << 20;

/// A program hands back more than [`MAX_VALUES`] values or 1 MiB of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

impl fmt::Display for TooMuch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "the policy hands back more than {MAX_VALUES} values or {MAX_TEXT} bytes of text in the context; leave less \
             there"
        )
    }
}

/// A value of the interpreter as a plain one: sets and tuples become lists, moments become texts, objects of the scope
/// become maps of what they hold, and what cannot be told becomes nothing.
///
/// # Errors
/// When there is too much of it.
pub fn value_of(object: &Object) -> Result<Value, TooMuch> {
    Converter { values: MAX_VALUES, text: MAX_TEXT }.convert(object, MAX_DEPTH)
}

/// What may still come.
struct Converter {
    values: usize,
    text: usize,
}

impl Converter {
    fn convert(&mut self, object: &Object, room: usize) -> Result<Value, TooMuch> {
        let Some(room) = room.checked_sub(1) else { return Ok(Value::Null) };
        self.values = self.values.checked_sub(1).ok_or(TooMuch)?;
        Ok(match object {
            Object::Bool(value) => Value::Bool(*value),
            #[expect(clippy::cast_precision_loss, reason = "numbers are doubles, as in JSON")]
            Object::Int(value) => Value::Number(*value as f64),
            Object::Float(value) if value.is_finite() => Value::Number(*value),
            Object::String(value) => Value::String(self.text(value)?),
            Object::List(items) | Object::Tuple(items) | Object::Set(items) | Object::FrozenSet(items) => {
                Value::List(items.iter().map(|item| self.convert(item, room)).collect::<Result<_, _>>()?)
            }
            Object::Dict(pairs) => self.map(pairs, room)?,
            Object::ClassInstance(instance) => self.map(&instance.attrs, room)?,
            Object::BigInt(_)
            | Object::Date(_)
            | Object::DateTime(_)
            | Object::Time(_)
            | Object::TimeDelta(_) => Value::String(self.shown(object)?),
            _ => Value::Null,
        })
    }

    fn map(&mut self, pairs: &monty_types::DictPairs, room: usize) -> Result<Value, TooMuch> {
        let mut map = BTreeMap::new();
        for (key, value) in pairs {
            let hidden = |key: &str| {
                key.starts_with('_') || matches!(value, Object::Function { .. } | Object::Repr(_))
            };
            let key = match key {
                Object::String(key) if hidden(key) => continue,
                Object::String(key) => self.text(key)?,
                other => self.shown(other)?,
            };
            if !hidden(&key) {
                map.insert(key, self.convert(value, room)?);
            }
        }
        Ok(Value::Map(map))
    }

    fn text(&mut self, text: &str) -> Result<Box<str>, TooMuch> {
        self.text = self.text.checked_sub(text.len()).ok_or(TooMuch)?;
        Ok(text.into())
    }

    /// The text of something else. The digits of a number take time that grows with the square of their count, so one
    /// that is too long is not written first.
    fn shown(&mut self, object: &Object) -> Result<Box<str>, TooMuch> {
        if matches!(object, Object::BigInt(number) if number.bits() > 4 * MAX_DIGITS) {
            return Err(TooMuch);
        }
        self.text(&object.to_string())
    }
}

/// A moment as a `datetime` in UTC.
pub(super) fn datetime(moment: Timestamp) -> Object {
    let nanoseconds = u32::try_from(moment.subsecond_nanoseconds()).unwrap_or_default();
    let date = DateTime::from_timestamp(moment.seconds(), nanoseconds).unwrap_or_default();
    let narrow = |value: u32| u8::try_from(value).unwrap_or_default();
    Object::DateTime(MontyDateTime {
        year: date.year(),
        month: narrow(date.month()),
        day: narrow(date.day()),
        hour: narrow(date.hour()),
        minute: narrow(date.minute()),
        second: narrow(date.second()),
        microsecond: nanoseconds / 1_000,
        offset_seconds: Some(0),
        timezone_name: None,
    })
}

/// All that a script takes in.
pub(super) fn build(needs: Needs, input: &Input<'_>) -> Object {
    let mut fields = Fields::default();
    fields.put("user", person(needs, input)).put("context", context(needs, input));
    if needs.asks() {
        fields.put("now", datetime(input.context.now));
    }
    if needs.object {
        fields.put("object", object(input));
    }
    if needs.http
        && let Some(request) = &input.context.http
    {
        fields.put("http", http::request(request, input.context));
    }
    if needs.ip {
        let event = input.context.event.as_ref();
        let address = match (&input.context.http, event) {
            (None, Some(event)) => event.client_ip.as_deref().unwrap_or(UNKNOWN_ADDRESS).to_owned(),
            _ => input.context.client_ip.map_or_else(|| UNKNOWN_ADDRESS.to_owned(), |ip| ip.to_string()),
        };
        fields.put("ip", address.as_str());
    }
    fields.done()
}

fn person(needs: Needs, input: &Input<'_>) -> Object {
    let person = &input.person;
    let groups = if needs.groups { input.groups.all() } else { Vec::new() };
    if let Some(known) = person.user {
        return user(needs, known, person.attributes, person.is_superuser, &groups);
    }
    let mut fields = Fields::default();
    // A username makes somebody of nobody: a user that is being enrolled.
    if person.anonymous && person.username.is_empty() {
        // All that Django's anonymous user has.
        let none = Option::<&str>::None;
        fields.put("pk", none).put("id", none).put("username", "").put("is_active", false);
        fields.put("is_staff", false).put("is_superuser", false).put("_all", Object::List(Vec::new()));
        fields.put("_authenticators", Object::List(Vec::new()));
        return fields.put("_nobody", true).done();
    }
    let key = (!person.anonymous).then_some(person.username);
    fields.put("pk", key).put("username", person.username).put("name", person.name);
    fields.put("email", person.email).put("attributes", attributes(person.attributes));
    fields.put("is_active", true).put("is_superuser", person.is_superuser);
    fields.put("_usable", Option::<bool>::None).put("_all", group_list(&groups));
    if needs.authenticators {
        fields.put("_authenticators", Object::List(Vec::new()));
    }
    if needs.details {
        let mut more = Fields::default();
        more.put("uuid", key).put("type", "internal").put("path", "").put("is_staff", person.is_superuser);
        for date in ["date_joined", "last_login", "password_change_date"] {
            more.put(date, Object::None);
        }
        fields.put("_more", more.done());
    }
    fields.done()
}

/// A user of the directory, with all groups, as `ak_user_by` gives it.
pub fn user_object(known: &User, is_superuser: bool, groups: &[(Arc<Group>, bool)]) -> Object {
    user(Needs::ALL, known, &known.attributes, is_superuser, groups)
}

/// A user of the directory.
fn user(
    needs: Needs,
    user: &User,
    attributes_now: &Value,
    is_superuser: bool,
    groups: &[(Arc<Group>, bool)],
) -> Object {
    let mut fields = Fields::default();
    let id = user.id.to_string();
    // authentik's keys are integers, and compared as such.
    let key: Object = id.parse::<i64>().map_or_else(|_| text(&id), Object::Int);
    fields.put("pk", key).put("username", &*user.username).put("name", &*user.name);
    fields.put("email", &*user.email).put("attributes", attributes(attributes_now));
    fields.put("is_active", user.is_active).put("is_superuser", is_superuser);
    fields.put("_usable", user.has_usable_password).put("_all", group_list(groups));
    if needs.authenticators {
        let confirmed = user.authenticators.iter().filter(|it| it.confirmed);
        fields.put("_authenticators", Object::List(confirmed.map(|it| text(&it.kind)).collect()));
    }
    if needs.details {
        let mut more = Fields::default();
        more.put("uuid", &*id)
            .put("type", &*user.kind)
            .put("path", &*user.path)
            .put("is_staff", is_superuser);
        more.put("date_joined", user.date_joined.map(datetime));
        more.put("last_login", user.last_login.map(datetime));
        more.put("password_change_date", user.password_change_date.map(datetime));
        fields.put("_more", more.done());
    }
    fields.done()
}

/// Attributes are a map, always.
fn attributes(attributes: &Value) -> Object {
    match attributes {
        Value::Map(_) => object_of(attributes),
        _ => Object::dict(Vec::new()),
    }
}

fn group_list(groups: &[(Arc<Group>, bool)]) -> Object {
    let one = |(group, direct): &(Arc<Group>, bool)| {
        let mut fields = Fields::default();
        let id = group.id.to_string();
        fields.put("pk", &*id).put("name", &*group.name);
        fields.put("is_superuser", group.is_superuser).put("attributes", attributes(&group.attributes));
        let is_parent = |(other, _): &&(Arc<Group>, bool)| {
            group.parents.iter().any(|parent| match parent {
                crate::model::GroupRef::Id(id) => other.id.is(id),
                crate::model::GroupRef::Name(name) => other.name == *name,
            })
        };
        let parents =
            groups.iter().filter(is_parent).map(|(parent, _)| text(&parent.id.to_string())).collect();
        fields.put("_parents", Object::List(parents)).put("_direct", *direct);
        fields.done()
    };
    Object::List(groups.iter().map(one).collect())
}

fn context(needs: Needs, input: &Input<'_>) -> Object {
    let mut pairs: Vec<(Object, Object)> = match &input.context.values {
        Value::Map(map) => map.iter().map(|(key, value)| (text(key), object_of(value))).collect(),
        _ => Vec::new(),
    };
    let given = |key| input.context.values.get(key).is_some();
    if let Some(address) = input.context.client_ip {
        if needs.geoip
            && !given("geoip")
            && let Some(city) = input.world.city(address)
        {
            pairs.push((text("geoip"), object_of(&city)));
        }
        if needs.asn
            && !given("asn")
            && let Some(asn) = input.world.asn(address)
        {
            pairs.push((text("asn"), object_of(&asn)));
        }
    }
    if needs.objects
        && !given("event")
        && let Some(given) = &input.context.event
    {
        pairs.push((text("event"), event(given)));
    }
    Object::dict(pairs)
}

fn event(event: &Event) -> Object {
    let mut fields = Fields::default();
    let user = event.user.as_ref().map(|user| {
        let key = user.id.parse::<i64>().map_or_else(|_| text(&user.id), Object::Int);
        Fields::default().put("pk", key).put("username", &*user.username).put("email", &*user.email).done()
    });
    fields.put("action", &*event.action).put("app", &*event.app).put("client_ip", event.client_ip.as_deref());
    fields.put("context", attributes(&event.context));
    fields.put("user", user.unwrap_or_else(|| Object::dict(Vec::new())));
    fields.done()
}

/// The target as authentik's object of it: its class, and what it holds.
fn object(input: &Input<'_>) -> Object {
    let Some(target) = input.target else { return Object::None };
    let id = target.id.to_string();
    // Left out where it is the id.
    let key = target.key.as_deref().unwrap_or(&id);
    let mut fields = Fields::default();
    fields.put("pk", &*id).put("pbm_uuid", &*id);
    fields.put("policy_engine_mode", if target.mode == Mode::Any { "any" } else { "all" });
    fields.put("name", target.display_name().as_str());
    match &target.detail {
        TargetDetail::Application(application) => {
            let own = application.as_deref();
            let of = |read: fn(&Application) -> &str| own.map_or("", read);
            fields.put("slug", key).put("group", of(|it| &it.group));
            fields.put("meta_description", of(|it| &it.meta_description));
            fields.put("meta_publisher", of(|it| &it.meta_publisher));
            fields.put("meta_launch_url", of(|it| &it.meta_launch_url));
        }
        TargetDetail::Source(_) => {
            fields.put("slug", key);
        }
        TargetDetail::Flow(flow) => {
            fields.put("slug", key).put("title", &*flow.title).put("designation", &*flow.designation);
        }
        TargetDetail::FlowStageBinding(binding) => {
            fields.put("order", i64::from(binding.order)).put("evaluate_on_plan", binding.evaluate_on_plan);
            fields.put("re_evaluate_policies", binding.re_evaluate_policies);
        }
        // A rule is asked about an event, and the event is the object.
        TargetDetail::NotificationRule(_) => {
            if let Some(given) = &input.context.event {
                return Object::List(vec![text("Event"), event(given)]);
            }
        }
        TargetDetail::Entitlement(_)
        | TargetDetail::Device(_)
        | TargetDetail::DeviceAccessGroup(_)
        | TargetDetail::RacEndpoint(_) => {}
    }
    Object::List(vec![text(class_name(&target.detail)), fields.done()])
}

/// What authentik calls the class of a target.
pub(super) const fn class_name(target: &TargetDetail) -> &'static str {
    match target {
        TargetDetail::Application(_) => "Application",
        TargetDetail::Entitlement(_) => "ApplicationEntitlement",
        TargetDetail::Source(_) => "Source",
        TargetDetail::Flow(_) => "Flow",
        TargetDetail::FlowStageBinding(_) => "FlowStageBinding",
        TargetDetail::Device(_) => "Device",
        TargetDetail::DeviceAccessGroup(_) => "DeviceAccessGroup",
        TargetDetail::RacEndpoint(_) => "Endpoint",
        TargetDetail::NotificationRule(_) => "NotificationRule",
    }
}
