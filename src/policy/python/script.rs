//! Puts a script together: the parts of the scope that a body needs, the body, and what reads its result.

use super::needs::Needs;
use crate::policy::Input;

const CORE: &str = include_str!("scope/core.py");
const GROUPS: &str = include_str!("scope/groups.py");
const NO_GROUPS: &str = include_str!("scope/nogroups.py");
const OBJECTS: &str = include_str!("scope/objects.py");
const NO_OBJECTS: &str = include_str!("scope/noobjects.py");
const USERS: &str = include_str!("scope/users.py");
const AUTHENTICATORS: &str = include_str!("scope/authenticators.py");
const HTTP: &str = include_str!("scope/http.py");
const IP: &str = include_str!("scope/ip.py");
const TEXT: &str = include_str!("scope/text.py");
const LOGGER: &str = include_str!("scope/logger.py");
const CALLS: &str = include_str!("scope/calls.py");
const FORMAT: &str = include_str!("scope/format.py");
const MOMENTS: &str = include_str!("scope/moments.py");
const MODULES: &str = include_str!("scope/modules.py");
const REFUSED: &str = include_str!("scope/refused.py");

/// Which names a question makes: some exist only with an HTTP request, or an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// There is an HTTP request.
    pub http: bool,
    /// There is a client address.
    pub address: bool,
}

impl Variant {
    pub(super) const COUNT: usize = 4;

    pub(super) const fn index(self) -> usize {
        self.http as usize + 2 * self.address as usize
    }

    pub(super) fn of(input: &Input<'_>) -> Self {
        let http = input.context.http.is_some();
        Self { http, address: http || input.context.event.is_some() }
    }
}

/// The script of a body that was read.
pub(super) fn assemble(body: &str, needs: Needs, variant: Variant, changes: bool) -> String {
    let mut out = String::with_capacity(CORE.len() + GROUPS.len() + body.len() + 2_048);
    let groups = needs.groups || needs.users;
    let parts = [
        (true, CORE),
        (groups, GROUPS),
        (!groups, NO_GROUPS),
        (needs.objects || needs.object, OBJECTS),
        (!(needs.objects || needs.object), NO_OBJECTS),
        (needs.users, USERS),
        (needs.authenticators, AUTHENTICATORS),
        (needs.http, HTTP),
        (needs.ip, IP),
        (needs.text || needs.modules, TEXT),
        (needs.logger, LOGGER),
        (needs.policies, CALLS),
        (needs.format, FORMAT),
        (needs.moments || needs.modules, MOMENTS),
        (needs.modules, MODULES),
        (needs.refused, REFUSED),
    ];
    for (_, part) in parts.iter().filter(|(wanted, _)| *wanted) {
        out.push_str(part);
        out.push('\n');
    }
    if groups {
        out.push_str(if needs.parents { "_with_parents = True\n" } else { "_with_parents = False\n" });
    }
    out.push_str("_request = PolicyRequest(_user(_in['user']), _in['context'])\n_revive(_request.context, _request.user)\n");
    let (mut parameters, mut arguments) = (
        "request, context, ak_message, ak_is_sso_flow".to_owned(),
        "_request, _request.context, ak_message, _request.context.get('is_sso', False)".to_owned(),
    );
    if needs.object {
        out.push_str("if _in['object'] is not None:\n    _request.obj = _CLASSES[_in['object'][0]](_in['object'][1])\n");
    }
    if variant.http && needs.http {
        out.push_str("_http = WSGIRequest(_in['http'], _request.user)\n_request.http_request = _http\n");
        parameters.push_str(", http_request");
        arguments.push_str(", _http");
    }
    if variant.address && needs.ip {
        parameters.push_str(", ak_client_ip");
        arguments.push_str(", ip_address(_in['ip'])");
    }
    out.push_str("def _body(");
    out.push_str(&parameters);
    out.push_str("):\n");
    out.push_str(body);
    out.push_str("\ntry:\n    _value = _body(");
    out.push_str(&arguments);
    // A value of the scope's own classes has no plain form to hand on; its truth is all that counts.
    out.push_str(
        ")\n    _out = [True, True if _value else False, _value if type(_value) in (bool, int, float, str, list, dict) else None]\n\
         except BaseException as _error:\n    _out = [False, str(_error), type(_error).__name__]\n",
    );
    out.push_str(if changes {
        "(_out, _messages, _request.context, getattr(_request.user, 'attributes', None))\n"
    } else {
        "(_out, _messages, None, None)\n"
    });
    out
}
