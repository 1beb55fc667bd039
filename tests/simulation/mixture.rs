//! What is taken away ahead of its change gives nothing to anybody.

use super::truth::{Dice, allowed, any_change, any_configuration};
use bindery::store::{Settings, Store};
use bindery::sync::apply::{Sent, Update, apply, take_away};
use prost::Message as _;

#[test]
fn what_is_taken_away_ahead_gives_nothing() {
    let (mut less, mut wrong) = (0, Vec::new());
    for seed in 0..2_000 {
        let mut dice = Dice::new(seed * 32);
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(any_configuration(&mut dice))).unwrap();
        let before = allowed(&store.load());
        for _ in 0..4 {
            let Update::Delta { upserts, removals } = any_change(&mut dice) else { continue };
            let upserts = upserts.iter().map(|it| it.encode_to_vec().into()).collect();
            take_away(&store, &Sent { upserts, removals, ..Sent::default() }).unwrap();
        }
        let after = allowed(&store.load());
        less += usize::from(after.len() < before.len());
        let more: Vec<_> = after.difference(&before).copied().collect();
        if !more.is_empty() {
            wrong.push((seed, more));
        }
    }
    assert!(wrong.is_empty(), "{} of 2000: {:?}", wrong.len(), wrong.first());
    assert!(less > 200, "only {less}");
}
