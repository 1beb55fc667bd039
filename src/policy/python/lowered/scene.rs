//! What a body reads of a question when it is evaluated natively: the same that [`input`](crate::policy::python) hands to
//! the interpreter and that its classes make of it, read in place.
//!
//! Must not know: nodes.

use super::value::V;
use super::{Stop, Unsure};
use crate::model::{Group, HttpRequest, Mode, Target, TargetDetail, Value};
use crate::policy::python::input::http;
use crate::policy::python::input::{UNKNOWN_ADDRESS, class_name};
use crate::policy::python::needs::Needs;
use crate::policy::{HeldGroup, Input};
use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;

/// A question, and what was looked up for it.
pub(super) struct Scene<'a> {
    pub(super) input: &'a Input<'a>,
    needs: Needs,
    city: OnceCell<Option<Value>>,
    asn: OnceCell<Option<Value>>,
    groups: OnceCell<Vec<(Arc<Group>, bool)>>,
}

/// What authentik makes of whom a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// Somebody who is stored.
    Stored,
    /// Somebody who is being enrolled.
    Unsaved,
    /// Nobody.
    Nobody,
}

fn unsure<T>() -> Result<T, Stop> {
    Err(Unsure.into())
}

impl<'a> Scene<'a> {
    pub(super) fn new(input: &'a Input<'a>, needs: Needs) -> Self {
        Self { input, needs, city: OnceCell::new(), asn: OnceCell::new(), groups: OnceCell::new() }
    }

    pub(super) fn who(&self) -> Who {
        let person = &self.input.person;
        match (person.user, person.anonymous) {
            (None, true) if person.username.is_empty() => Who::Nobody,
            (None, true) => Who::Unsaved,
            _ => Who::Stored,
        }
    }

    /// `ak_client_ip`, which there is only with a request or an event.
    pub(super) fn address(&self) -> Result<IpAddr, Stop> {
        let context = self.input.context;
        let address = match (&context.http, &context.event) {
            (None, None) => None,
            (None, Some(event)) => event.client_ip.as_deref().unwrap_or(UNKNOWN_ADDRESS).parse().ok(),
            _ => context.client_ip.or_else(|| UNKNOWN_ADDRESS.parse().ok()),
        };
        address.ok_or_else(|| Unsure.into())
    }

    pub(super) const fn http(&self) -> Option<&'a HttpRequest> {
        self.input.context.http.as_ref()
    }

    fn request(&self) -> Result<&'a HttpRequest, Stop> {
        self.http().ok_or_else(|| Unsure.into())
    }

    /// All groups of the user, whom somebody must be.
    pub(super) fn groups(&self) -> Result<&[(Arc<Group>, bool)], Stop> {
        match self.who() {
            Who::Unsaved => unsure(),
            Who::Nobody => Ok(&[]),
            Who::Stored => Ok(self.groups.get_or_init(|| self.input.groups.all())),
        }
    }

    /// Whether a group of the user, whom somebody must be, is such a one.
    pub(super) fn any_group(
        &self,
        direct: bool,
        is: &mut dyn FnMut(HeldGroup<'_>) -> bool,
    ) -> Result<bool, Stop> {
        match self.who() {
            Who::Unsaved => unsure(),
            Who::Nobody => Ok(false),
            Who::Stored => Ok(self.input.groups.any(direct, is)),
        }
    }

    /// `value.name`
    pub(super) fn attribute(&'a self, of: &V<'a>, name: &str) -> Result<V<'a>, Stop> {
        match of {
            V::Request => self.of_request(name),
            V::User => self.of_user(name),
            V::Http => self.of_http(name),
            V::Target(target) => Self::of_target(target, name),
            V::Group(group) => match name {
                "name" => Ok(V::from(&*group.name)),
                "is_superuser" => Ok(V::Bool(group.is_superuser)),
                "pk" | "group_uuid" => Ok(V::from(group.id.to_string())),
                "attributes" => Ok(map(&group.attributes)),
                _ => unsure(),
            },
            V::Address(address) => match name {
                "version" => Ok(V::Int(if address.is_ipv4() { 4 } else { 6 })),
                "is_private" => Ok(V::Bool(crate::policy::python::address::is_private(*address))),
                "is_global" => Ok(V::Bool(crate::policy::python::address::is_global(*address))),
                "is_loopback" => Ok(V::Bool(address.is_loopback())),
                _ => unsure(),
            },
            V::Event(event) => match name {
                "action" => Ok(V::from(&*event.action)),
                "app" => Ok(V::from(&*event.app)),
                "client_ip" => Ok(event.client_ip.as_deref().map_or(V::None, V::from)),
                "context" => Ok(map(&event.context)),
                "user" => Ok(event.user.as_ref().map_or(V::Map(&[]), V::EventUser)),
                _ => unsure(),
            },
            // What an object was made of has names; what its class has beside them is not known here.
            V::Thing(_, fields) => fields.get(name).map(V::from).ok_or_else(|| Unsure.into()),
            V::Plan(fields) if name == "bindings" => match fields.get(name) {
                None => Ok(V::Many(0)),
                Some(Value::List(list)) => Ok(V::Many(list.len())),
                Some(_) => unsure(),
            },
            _ => unsure(),
        }
    }

    fn of_request(&self, name: &str) -> Result<V<'a>, Stop> {
        Ok(match name {
            "user" => V::User,
            "context" => V::Context,
            "debug" => V::Bool(false),
            "http_request" => {
                if self.http().is_some() {
                    V::Http
                } else {
                    V::None
                }
            }
            "obj" => match (self.input.target, &self.input.context.event) {
                (None, _) => V::None,
                (Some(Target { detail: TargetDetail::NotificationRule(_), .. }), Some(event)) => {
                    V::Event(event)
                }
                (Some(target), _) => V::Target(target),
            },
            _ => return unsure(),
        })
    }

    fn of_user(&self, name: &str) -> Result<V<'a>, Stop> {
        let (person, who) = (&self.input.person, self.who());
        let known = person.user;
        Ok(match (name, who) {
            ("username", Who::Nobody) => V::from(""),
            ("username", _) => V::from(known.map_or(person.username, |user| &user.username)),
            ("is_superuser", Who::Nobody) => V::Bool(false),
            ("is_superuser", _) => V::Bool(person.is_superuser),
            ("is_active", Who::Nobody) => V::Bool(false),
            ("is_active", _) => V::Bool(known.is_none_or(|user| user.is_active)),
            ("is_authenticated", _) => V::Bool(who != Who::Nobody),
            ("is_anonymous", _) => V::Bool(who == Who::Nobody),
            ("pk" | "id", Who::Nobody | Who::Unsaved) => V::None,
            ("pk" | "id", Who::Stored) => match known {
                None => V::from(person.username),
                Some(user) => match user.id.as_text() {
                    Some(id) => id.parse().map_or_else(|_| V::from(id), V::Int),
                    None => V::from(user.id.to_string()),
                },
            },
            // Nobody has no more than that.
            (_, Who::Nobody) => return unsure(),
            ("name", _) => V::from(known.map_or(person.name, |user| &user.name)),
            ("email", _) => V::from(known.map_or(person.email, |user| &user.email)),
            ("attributes", _) => map(person.attributes),
            _ => return unsure(),
        })
    }

    fn of_http(&self, name: &str) -> Result<V<'a>, Stop> {
        let request = self.request()?;
        Ok(match name {
            "method" => V::from(&*request.method),
            "path" | "path_info" => V::from(&*request.path),
            "scheme" => V::from(&*request.scheme),
            "headers" => V::Headers,
            "COOKIES" => V::Cookies,
            "GET" => V::Fields(false),
            "POST" => V::Fields(true),
            "user" => V::User,
            _ => return unsure(),
        })
    }

    fn of_target(target: &'a Target, name: &str) -> Result<V<'a>, Stop> {
        let slug = || target.key.as_deref().map_or_else(|| V::from(target.id.to_string()), V::from);
        Ok(match (name, &target.detail) {
            ("policy_engine_mode", _) => V::from(if target.mode == Mode::Any { "any" } else { "all" }),
            ("name", _) => {
                let name = target.name.as_deref().or(target.key.as_deref());
                name.map_or_else(|| V::from(target.id.to_string()), V::from)
            }
            ("pk" | "pbm_uuid", _) => V::from(target.id.to_string()),
            ("slug", TargetDetail::Application(_) | TargetDetail::Source(_) | TargetDetail::Flow(_)) => {
                slug()
            }
            ("group", TargetDetail::Application(own)) => {
                own.as_deref().map_or(V::from(""), |own| V::from(&*own.group))
            }
            ("designation", TargetDetail::Flow(flow)) => V::from(&*flow.designation),
            ("title", TargetDetail::Flow(flow)) => V::from(&*flow.title),
            _ => return unsure(),
        })
    }

    /// `type(value).__name__` of an object.
    pub(super) fn class_name(&self, of: &V<'_>) -> Result<&'static str, Stop> {
        match of {
            V::Target(target) => Ok(class_name(&target.detail)),
            V::Event(_) => Ok("Event"),
            V::Thing(class, _) => Ok(class),
            _ => unsure(),
        }
    }

    /// A value of the context; nothing where there is none of this key.
    pub(super) fn of_context(&'a self, key: &str) -> Result<Option<V<'a>>, Stop> {
        let context = self.input.context;
        if let Some(value) = context.values.get(key) {
            let class = match (key, value) {
                ("source", Value::Map(_)) if self.needs.objects => "Source",
                ("application", Value::Map(_)) if self.needs.objects => "Application",
                ("event", Value::Map(_)) if self.needs.objects => "Event",
                ("flow_plan", Value::Map(_)) if self.needs.objects => return Ok(Some(V::Plan(value))),
                // It may be the user itself.
                ("pending_user", Value::Map(_)) => return unsure(),
                _ => return Ok(Some(V::from(value))),
            };
            return Ok(Some(V::Thing(class, value)));
        }
        let world = self.input.world;
        Ok(match (key, context.client_ip) {
            ("geoip", Some(address)) if self.needs.geoip => {
                self.city.get_or_init(|| world.city(address)).as_ref().map(V::from)
            }
            ("asn", Some(address)) if self.needs.asn => {
                self.asn.get_or_init(|| world.asn(address)).as_ref().map(V::from)
            }
            ("event", _) if self.needs.objects => context.event.as_ref().map(V::Event),
            _ => None,
        })
    }

    /// The value under a key; nothing where there is none.
    pub(super) fn look_up(&'a self, of: &V<'a>, key: &V<'_>) -> Result<Option<V<'a>>, Stop> {
        let key = key.text()?;
        match of {
            V::Context => self.of_context(key),
            V::Data(Value::Map(map)) => Ok(map.get(key).map(V::from)),
            V::Map(entries) => {
                Ok(entries.iter().find(|(own, _)| **own == *key).map(|(_, value)| V::from(value)))
            }
            V::EventUser(user) => Ok(match key {
                "username" => Some(V::from(&*user.username)),
                "email" => Some(V::from(&*user.email)),
                "pk" => Some(user.id.parse().map_or_else(|_| V::from(&*user.id), V::Int)),
                _ => None,
            }),
            V::Headers => {
                let headers = &self.request()?.headers;
                // Their names are in lower case.
                let found = if key.bytes().any(|byte| byte.is_ascii_uppercase()) {
                    headers.get(&key.to_ascii_lowercase())
                } else {
                    headers.get(key)
                };
                match found {
                    None if !key.is_ascii() => unsure(),
                    found => Ok(found.map(|value| V::from(value.as_str()))),
                }
            }
            V::Cookies => {
                let cookies = http::cookies(self.request()?);
                Ok(cookies.filter(|(own, _)| *own == key).last().map(|(_, value)| V::from(value)))
            }
            V::Fields(form) => {
                let fields = http::fields(self.request()?, *form);
                Ok(fields.filter(|(own, _)| *own == *key).last().map(|(_, value)| V::Text(value)))
            }
            _ => unsure(),
        }
    }

    /// Whether there is something under a key.
    pub(super) fn holds(&'a self, of: &V<'a>, key: &str) -> Result<bool, Stop> {
        // That it is there is known even where it is not known what it is.
        let given = |key| self.input.context.values.get(key).is_some();
        Ok(matches!(of, V::Context) && given(key) || self.look_up(of, &V::from(key))?.is_some())
    }
}

/// Attributes are a map, always.
const fn map(value: &Value) -> V<'_> {
    match value {
        Value::Map(_) => V::Data(value),
        _ => V::Map(&[]),
    }
}
