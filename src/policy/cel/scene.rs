//! The values of a question that a program may read. Each is looked up when it is asked for.
//!
//! Must not know: the language.

use super::calendar;
use super::meter::{Meter, Spent};
use super::names::Field;
use super::value::{List, Map, Val};
use crate::model::{Group, HttpRequest, Id, Target, TargetDetail, Value};
use crate::policy::Input;
use chrono::DateTime;
use std::cell::{Cell, OnceCell};
use std::net::IpAddr;
use std::sync::Arc;

/// What a program reads.
pub(super) struct Scene<'a> {
    input: &'a Input<'a>,
    city: OnceCell<Option<Value>>,
    asn: OnceCell<Option<Value>>,
    groups: OnceCell<Vec<(Arc<Group>, bool)>>,
    read_now: Cell<bool>,
}

impl<'a> Scene<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        let (city, asn, groups) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { input, city, asn, groups, read_now: Cell::new(false) }
    }

    /// Whether the moment was read, so that another one could have led elsewhere.
    pub(super) const fn read_now(&self) -> bool {
        self.read_now.get()
    }

    /// The client's address.
    pub(super) fn client_ip(&self) -> Option<IpAddr> {
        self.input.context.client_ip.map(|address| address.to_canonical())
    }

    /// A value; null when it is not known.
    pub(super) fn field(&'a self, field: Field, meter: &Meter) -> Result<Val<'a>, Spent> {
        let Input { person, context, target, world, .. } = *self.input;
        let user = person.user;
        let event = context.event.as_ref();
        let event_user = event.and_then(|event| event.user.as_ref());
        Ok(match field {
            Field::SubjectId => id(user.map(|user| &user.id), meter)?,
            Field::SubjectUsername => text(Some(person.username)),
            Field::SubjectName => text(Some(person.name)),
            Field::SubjectEmail => text(Some(person.email)),
            Field::SubjectAnonymous => Val::Bool(person.anonymous),
            Field::SubjectKnown => Val::Bool(user.is_some()),
            Field::SubjectIsActive => user.map_or(Val::Null, |user| Val::Bool(user.is_active)),
            Field::SubjectType => text(user.map(|user| &*user.kind)),
            Field::SubjectPath => text(user.map(|user| &*user.path)),
            Field::SubjectAttributes => map(Some(person.attributes)),
            Field::SubjectGroups => {
                meter.make(self.groups().len() * size_of::<Val<'_>>())?;
                Val::List(List::Made(
                    self.groups().iter().map(|(group, _)| Val::given(&group.name)).collect(),
                ))
            }
            Field::RequestClientIp => match self.client_ip() {
                Some(address) => Val::made(&address.to_string(), meter)?,
                None => Val::Null,
            },
            Field::RequestMethod => self.http(|http| &http.method),
            Field::RequestScheme => self.http(|http| &http.scheme),
            Field::RequestHost => self.http(|http| &http.host),
            Field::RequestPath => self.http(|http| &http.path),
            Field::RequestQuery => self.http(|http| &http.query),
            Field::RequestHeaders => {
                Val::Map(context.http.as_ref().map_or(Map::Empty, |http| Map::Headers(&http.headers)))
            }
            Field::TargetKind => text(target.map(|target| target.kind().name())),
            Field::TargetId => id(target.map(|target| &target.id), meter)?,
            Field::TargetName => text(target.and_then(name_of)),
            Field::TargetSlug => text(target.and_then(Target::unique_name)),
            Field::EventAction => text(event.map(|event| &*event.action)),
            Field::EventApp => text(event.map(|event| &*event.app)),
            Field::EventClientIp => text(event.and_then(|event| event.client_ip.as_deref())),
            Field::EventContext => map(event.map(|event| &event.context)),
            Field::EventUserId => text(event_user.map(|user| &*user.id)),
            Field::EventUserUsername => text(event_user.map(|user| &*user.username)),
            Field::EventUserEmail => text(event_user.map(|user| &*user.email)),
            Field::Context => map(Some(&context.values)),
            Field::Geoip => map(context
                .values
                .get("geoip")
                .or_else(|| self.city.get_or_init(|| world.city(context.client_ip?)).as_ref())),
            Field::Asn => map(context
                .values
                .get("asn")
                .or_else(|| self.asn.get_or_init(|| world.asn(context.client_ip?)).as_ref())),
            Field::Now => {
                self.read_now.set(true);
                let now = context.now;
                let nanoseconds = u32::try_from(now.subsecond_nanoseconds()).unwrap_or(0);
                let now = DateTime::from_timestamp(now.seconds(), nanoseconds);
                now.and_then(calendar::in_range).map_or(Val::Null, Val::Timestamp)
            }
        })
    }

    /// Whether the subject is in a group of this name.
    pub(super) fn has_group(&self, name: &str, meter: &Meter) -> Result<bool, Spent> {
        for (group, _) in self.groups() {
            let group = &*group.name;
            meter.steps(1)?;
            if group.len() == name.len() {
                meter.look(name.len())?;
            }
            if group == name {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The subject's groups, inherited ones too.
    fn groups(&self) -> &[(Arc<Group>, bool)] {
        self.groups.get_or_init(|| self.input.groups.all())
    }

    fn http(&self, part: impl Fn(&'a HttpRequest) -> &'a str) -> Val<'a> {
        text(self.input.context.http.as_ref().map(part))
    }
}

/// A target's name as shown to people, or the name that the kind has for it.
fn name_of(target: &Target) -> Option<&str> {
    let own = match &target.detail {
        TargetDetail::Entitlement(entitlement) => Some(&*entitlement.name),
        _ => None,
    };
    target.name.as_deref().or(own).or_else(|| target.unique_name())
}

/// Text; the empty one stands for none.
fn text(text: Option<&str>) -> Val<'_> {
    text.filter(|text| !text.is_empty()).map_or(Val::Null, Val::given)
}

/// An id, as text.
fn id<'a>(id: Option<&Id>, meter: &Meter) -> Result<Val<'a>, Spent> {
    id.map_or(Ok(Val::Null), |id| Val::made(&id.to_string(), meter))
}

/// A map; without entries where there is none.
fn map(value: Option<&Value>) -> Val<'_> {
    match value {
        None | Some(Value::Null) => Val::Map(Map::Empty),
        Some(value) => Val::data(value),
    }
}
