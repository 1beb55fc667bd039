//! Routes from messages to the model.
//!
//! Must not know: other routes, whether a target is there.

use super::fields::{Checked, Fields, MAX_NAME};
use super::target_ref;
use crate::model::{Methods, PathPrefix, Route, RouteHost};
use crate::proto::v1;

/// A route, and its id as far as it has one.
pub(super) fn route(fields: &mut Fields, message: v1::Route) -> (String, Checked<Route>) {
    let v1::Route { id, host, path_prefix, methods, target, anonymous } = message;
    let host = fields.read("host", RouteHost::parse(&host));
    let path_prefix = fields.read("path_prefix", PathPrefix::parse(&path_prefix));
    let methods = fields.read("methods", Methods::parse(&methods));
    let target = match target {
        Some(target) => target_ref(fields, target),
        None => fields.wrong("target", "missing; name the target that is asked about"),
    };
    let (id, longest) = match (&host, &path_prefix, &methods) {
        _ if !id.is_empty() => (id, MAX_NAME),
        (Some(host), Some(prefix), Some(methods)) => {
            (Route::natural_id(host, prefix, methods), Route::MAX_ID)
        }
        _ => (id, MAX_NAME),
    };
    let checked_id = fields.id(&id, longest);
    let route = || {
        Some(Route {
            id: checked_id?,
            host: host?,
            path_prefix: path_prefix?,
            methods: methods?,
            target: target?,
            anonymous,
        })
    };
    let route = route();
    (id, route)
}
