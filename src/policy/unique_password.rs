//! The unique password policy: passes when a new password is none of the user's last ones.
//!
//! Must not know: how passwords are hashed; comparing takes long on purpose, so it is handed back as
//! [`Deferred::Reuse`].

use super::password::given;
use super::{Deferred, Evaluation, Input, Secret, Verdict};
use crate::model::UniquePassword;

/// A password to compare with former ones.
#[derive(Clone, PartialEq)]
pub struct Reuse {
    /// The new password.
    pub password: Secret,
    /// Hashes of the former ones, latest first, in Django's form `<algorithm>$...`.
    pub hashes: Vec<Box<str>>,
}

// Hashes are no secrets as passwords are, but they are none of a log's business.
impl std::fmt::Debug for Reuse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reuse").field("hashes", &self.hashes.len()).finish_non_exhaustive()
    }
}

impl Reuse {
    /// The verdict on a password that is, or is not, one of the former ones.
    pub fn verdict(is_former: bool) -> Verdict {
        let verdict = Verdict::of(!is_former);
        if !is_former {
            return verdict;
        }
        verdict.with_message("This password has been used previously. Please choose a different one.")
    }
}

pub(super) fn evaluate(config: &UniquePassword, input: &Input<'_>) -> Evaluation {
    let password = match given(input, &config.password_field) {
        Ok(password) => password,
        Err(verdict) => return Evaluation::Done(verdict),
    };
    // Somebody who is not in the directory, such as a user who is being enrolled, had no password before.
    let history = input.person.user.map_or(&[][..], |user| &user.password_history);
    let hashes: Vec<_> = history.iter().take(config.num_historical_passwords as usize).cloned().collect();
    if hashes.is_empty() {
        return Evaluation::Done(Reuse::verdict(false));
    }
    Evaluation::Deferred(Deferred::Reuse(Box::new(Reuse { password: Secret::new(password), hashes })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, Id, PolicyKind, Timestamp, User, Value};
    use crate::policy::Person;
    use crate::policy::tests::{ALICE, evaluation};
    use std::collections::BTreeMap;

    fn user(history: &[&str]) -> User {
        User {
            id: Id::new("1"),
            username: "alice".into(),
            name: "".into(),
            email: "".into(),
            is_active: true,
            groups: vec![],
            attributes: Value::Null,
            kind: "internal".into(),
            path: "".into(),
            password_change_date: None,
            date_joined: None,
            last_login: None,
            has_usable_password: None,
            authenticators: vec![],
            logins: vec![],
            password_history: history.iter().map(|hash| Box::from(*hash)).collect(),
        }
    }

    fn ask(count: u32, user: Option<&User>, password: Option<&str>) -> Evaluation {
        let mut context = Context::at(Timestamp::new(0, 0));
        let entry = password.map(|password| ("new".into(), Value::String(password.into())));
        context.values = Value::Map(BTreeMap::from_iter(entry));
        let config = UniquePassword { password_field: "new".into(), num_historical_passwords: count };
        evaluation(PolicyKind::UniquePassword(config), Person { user, ..ALICE }, &context)
    }

    #[test]
    fn the_latest_are_compared_and_nothing_shows() {
        let user = user(&["x$first", "x$second", "x$third"]);
        let Evaluation::Deferred(deferred) = ask(2, Some(&user), Some("hunter2")) else {
            panic!("nothing is compared")
        };
        let shown = format!("{deferred:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("first"), "{shown}");
        let Deferred::Reuse(reuse) = deferred else { panic!("{deferred:?}") };
        assert_eq!(reuse.hashes, ["x$first".into(), "x$second".into()]);
        assert_eq!(reuse.password.reveal(), "hunter2");
    }

    #[test]
    fn nothing_to_compare_passes_and_no_password_fails() {
        let user = user(&["x$first"]);
        let done = |passing| Evaluation::Done(Verdict::of(passing));
        assert_eq!(ask(0, Some(&user), Some("a")), done(true));
        assert_eq!(ask(9, None, Some("a")), done(true));
        let unset = Evaluation::Done(Verdict::of(false).with_message("Password not set in context"));
        assert_eq!(ask(0, Some(&user), None), unset);
        assert_eq!(ask(1, None, Some("")), unset);
    }

    #[test]
    fn a_former_password_says_so() {
        let text = "This password has been used previously. Please choose a different one.";
        assert_eq!(Reuse::verdict(true), Verdict::of(false).with_message(text));
        assert_eq!(Reuse::verdict(false), Verdict::of(true));
    }
}
