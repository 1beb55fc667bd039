//! The reputation policy: passes for the badly reputed, when the summed score of address and username is at or
//! below the threshold. Meant for a captcha or deny stage.
//!
//! Must not know: how rows are indexed.

use super::{Input, Verdict};
use crate::model::{Reputation, ReputationScore, Timestamp};

/// What authentik takes for an address that it cannot tell.
const UNKNOWN_ADDRESS: &str = "255.255.255.255";

pub(super) fn evaluate(config: &Reputation, input: &Input<'_>) -> Verdict {
    let address = input.context.client_ip.map(|ip| ip.to_string());
    let ip = config.check_ip.then(|| address.as_deref().unwrap_or(UNKNOWN_ADDRESS));
    let identifier = config.check_username.then_some(input.person.username);
    let now = input.context.now;
    let mut score = 0_i64;
    let mut next_expiry: Option<Timestamp> = None;
    let mut count = |row: &ReputationScore| {
        if let Some(expires) = row.expires {
            if expires <= now {
                return;
            }
            next_expiry = Some(next_expiry.map_or(expires, |earliest| earliest.min(expires)));
        }
        score = score.saturating_add(row.score);
    };
    match &input.context.reputation {
        Some(rows) => {
            let everything = ip.is_none() && identifier.is_none();
            let wanted = |row: &&ReputationScore| {
                everything || ip == Some(&*row.ip) || identifier == Some(&*row.identifier)
            };
            rows.iter().filter(wanted).for_each(count);
        }
        None => input.world.reputation(ip, identifier, &mut count),
    }
    Verdict::of(score <= config.threshold).until(next_expiry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Context, Id, PolicyKind};
    use crate::policy::tests::{ALICE, verdict};

    fn row(ip: &str, identifier: &str, score: i64, expires: Option<i64>) -> ReputationScore {
        let expires = expires.map(|seconds| Timestamp::new(seconds, 0));
        ReputationScore { id: Id::new("r"), ip: ip.into(), identifier: identifier.into(), score, expires }
    }

    fn ask(check_ip: bool, check_username: bool, rows: Vec<ReputationScore>) -> Verdict {
        let mut context = Context::at(Timestamp::new(100, 0));
        context.client_ip = Some("192.0.2.1".parse().unwrap());
        context.reputation = Some(rows);
        verdict(
            PolicyKind::Reputation(Reputation { check_ip, check_username, threshold: -5 }),
            ALICE,
            &context,
        )
    }

    #[test]
    fn sums_address_and_name_and_counts_a_row_once() {
        assert_eq!(ask(true, true, vec![row("192.0.2.1", "alice", -4, None)]), Verdict::of(false));
        let rows = vec![row("192.0.2.1", "bob", -4, None), row("192.0.2.9", "alice", -1, None)];
        assert_eq!(ask(true, true, rows.clone()), Verdict::of(true));
        assert_eq!(ask(true, false, rows), Verdict::of(false));
    }

    #[test]
    fn neither_check_counts_every_row() {
        assert_eq!(ask(false, false, vec![row("x", "y", -9, None)]), Verdict::of(true));
    }

    #[test]
    fn expired_rows_do_not_count_and_others_bound_the_answer() {
        let rows = vec![row("192.0.2.1", "", -9, Some(100)), row("192.0.2.1", "", -1, Some(200))];
        assert_eq!(ask(true, true, rows), Verdict::of(false).until(Some(Timestamp::new(200, 0))));
    }

    #[test]
    fn an_unknown_address_has_a_name_of_its_own() {
        let mut context = Context::at(Timestamp::new(0, 0));
        context.reputation = Some(vec![row(UNKNOWN_ADDRESS, "", -5, None)]);
        let kind =
            PolicyKind::Reputation(Reputation { check_ip: true, check_username: false, threshold: -5 });
        assert_eq!(verdict(kind, ALICE, &context), Verdict::of(true));
    }
}
