//! Which modules an expression may import: those of the interpreter, those that the scope makes up for, and those that
//! are refused because they would leave the process.

/// Where an import leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Import {
    /// The interpreter has it, or says that there is no such module.
    Interpreter,
    /// This name of the scope stands for it.
    Scope(&'static str),
    /// It is refused, with this advice.
    Refused(&'static str),
}

/// Modules that the scope makes up for, and what they are called there.
const IN_SCOPE: &[(&str, &str)] = &[
    ("ipaddress", "_ipaddress"),
    ("hashlib", "_hashlib"),
    ("time", "_time"),
    ("string", "_string"),
    ("copy", "_copy"),
    ("zoneinfo", "_zones"),
    ("pytz", "_zones"),
    // Names of attributes, which policies on user settings look for.
    ("authentik.core.models.USER_ATTRIBUTE_CHANGE_EMAIL", "'goauthentik.io/user/can-change-email'"),
    ("authentik.core.models.USER_ATTRIBUTE_CHANGE_NAME", "'goauthentik.io/user/can-change-name'"),
    ("authentik.core.models.USER_ATTRIBUTE_CHANGE_USERNAME", "'goauthentik.io/user/can-change-username'"),
    ("django.utils.timezone", "_timezone"),
    ("django.utils.text", "_texts"),
];

/// What begins with one of these leaves the process.
const REFUSED: &[(&str, &str)] = &[
    ("authentik", "a policy has no database here; use `ak_is_group_member`, `ak_user_by` and the context"),
    ("django", "a policy has no database here; use `ak_is_group_member`, `ak_user_by` and the context"),
    ("guardian", "a policy has no database here; use `ak_is_group_member`, `ak_user_by` and the context"),
    ("requests", "have a remote policy make the call"),
    ("urllib", "have a remote policy make the call"),
    ("http", "have a remote policy make the call"),
    ("socket", "have a remote policy make the call"),
    ("ssl", "have a remote policy make the call"),
    ("dns", "have a remote policy make the call"),
    ("ldap3", "have a remote policy make the call"),
    ("smtplib", "mail is the caller's to send"),
    ("os", "a policy has no access to the system; give what it needs in the context"),
    ("pathlib", "a policy has no access to the system; give what it needs in the context"),
    ("subprocess", "a policy has no access to the system; give what it needs in the context"),
    ("shutil", "a policy has no access to the system; give what it needs in the context"),
    ("tempfile", "a policy has no access to the system; give what it needs in the context"),
    ("threading", "a policy runs alone"),
    ("multiprocessing", "a policy runs alone"),
    ("asyncio", "a policy runs alone"),
    ("random", "an answer must not depend on chance"),
    ("secrets", "an answer must not depend on chance"),
    ("uuid", "an answer must not depend on chance"),
    ("jwt", "a policy issues no tokens"),
];

/// Where this import leads.
pub(super) fn import(module: &str) -> Import {
    if let Some((_, name)) = IN_SCOPE.iter().find(|(known, _)| *known == module) {
        return Import::Scope(name);
    }
    let first = module.split('.').next().unwrap_or(module);
    match REFUSED.iter().find(|(refused, _)| *refused == first) {
        Some((_, advice)) => Import::Refused(advice),
        None => Import::Interpreter,
    }
}

/// What to do instead of calling something that is refused; nothing for what is not.
pub(super) fn advice(name: &str) -> Option<&'static str> {
    Some(match name {
        "resolve_dns" | "reverse_dns" => "compare addresses with `ip_network`, or have a remote policy ask",
        "requests" => "have a remote policy make the call",
        "ak_create_event" => "a decision changes nothing; the decision log tells what happened",
        "ak_create_jwt" => "a policy issues no tokens",
        "ak_send_email" => "mail is the caller's to send",
        "open" => "a policy has no access to the system; give what it needs in the context",
        _ => return None,
    })
}

/// The text of the error when a policy reaches something that is refused.
pub fn refusal(name: &str) -> String {
    let advice = advice(name).or(match import(name) {
        Import::Refused(advice) => Some(advice),
        _ => None,
    });
    match advice {
        Some(advice) => format!("`{name}` leaves the sidecar, which a policy may not: {advice}"),
        None => format!("`{name}` leaves the sidecar, which a policy may not"),
    }
}
