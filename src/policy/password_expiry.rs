//! The password expiry policy: passes while the password is younger than some days. It never changes a user.
//!
//! Must not know: clocks; the moment comes with the context.

use super::{Input, Verdict};
use crate::model::PasswordExpiry;

const DAY: i64 = 24 * 60 * 60;

pub(super) fn evaluate(config: &PasswordExpiry, input: &Input<'_>) -> Verdict {
    let Some(changed) = input.person.user.and_then(|user| user.password_change_date) else {
        return Verdict::error(
            "it is not known when the password was changed; sync `password_change_date` of the user",
        );
    };
    let days = i64::from(config.days);
    let age = input.context.now.nanoseconds_since(changed).div_euclid(DAY * 1_000_000_000);
    if age < days {
        return Verdict::of(true).until(Some(changed.plus_seconds(days * DAY)));
    }
    let text = if config.deny_only {
        "Password has expired.".to_owned()
    } else {
        format!("Password expired {} days ago. Please update your password.", age - days)
    };
    Verdict::of(false).with_message(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, Id, PolicyKind, Timestamp, User, Value};
    use crate::policy::Person;
    use crate::policy::tests::{ALICE, verdict};

    fn user(changed: Option<Timestamp>) -> User {
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
            password_change_date: changed,
            date_joined: None,
            last_login: None,
            has_usable_password: None,
            authenticators: vec![],
            logins: vec![],
            password_history: vec![],
        }
    }

    fn ask(days: u32, deny_only: bool, age: i64) -> Verdict {
        let user = user(Some(Timestamp::new(0, 0)));
        let person = Person { user: Some(&user), ..ALICE };
        let kind = PolicyKind::PasswordExpiry(PasswordExpiry { days, deny_only });
        verdict(kind, person, &Context::at(Timestamp::new(age, 0)))
    }

    #[test]
    fn passes_until_the_last_second() {
        assert_eq!(ask(2, true, 2 * DAY - 1), Verdict::of(true).until(Some(Timestamp::new(2 * DAY, 0))));
        assert_eq!(ask(2, true, 2 * DAY), Verdict::of(false).with_message("Password has expired."));
    }

    #[test]
    fn tells_how_long_ago() {
        let text = "Password expired 3 days ago. Please update your password.";
        assert_eq!(ask(2, false, 5 * DAY + 7), Verdict::of(false).with_message(text));
    }

    #[test]
    fn an_unknown_date_is_an_error() {
        let kind = PolicyKind::PasswordExpiry(PasswordExpiry { days: 1, deny_only: true });
        let verdict = verdict(kind, ALICE, &Context::at(Timestamp::new(0, 0)));
        assert!(verdict.result.unwrap_err().contains("password_change_date"));
    }
}
