//! Applies an update to the store: validated as a whole, then whole or not at all.
//!
//! Must not know: where the update came from.

mod sent;

pub use sent::{Sent, apply_sent, merge, take_away};

use super::convert;
use crate::model::{Problem, ResourceName};
use crate::proto::v1;
use crate::store::{Change, Changed, Difference, Replace, Store, Upsert};
use std::collections::HashSet;

/// The most problems that are reported at once; more would help nobody.
const MAX_PROBLEMS: usize = 1_000;

/// A change of the configuration.
#[derive(Clone, Debug)]
pub enum Update {
    /// These resources and no others. What is the same as before keeps its compiled form.
    Replace(Vec<v1::Resource>),
    /// Changes to what is there.
    Delta {
        /// Resources to add or to replace.
        upserts: Vec<v1::Resource>,
        /// Resources to remove. One that is not there is no error, since a removal may come twice.
        removals: Vec<ResourceName>,
    },
}

/// What an update did.
pub type Applied = Changed;

/// Validates an update and puts it into force as the next revision. An update that changes nothing keeps the
/// revision, except for the first one, which makes revision 1.
///
/// # Errors
/// Everything that is wrong with it, up to 1,000 problems; then nothing has changed. [`Problem::index`] counts
/// upserts.
pub fn apply(store: &Store, update: Update) -> Result<Applied, Vec<Problem>> {
    apply_recorded(store, update).map(|(applied, _)| applied)
}

/// As [`apply`], with what the update came down to.
///
/// # Errors
/// As [`apply`].
pub fn apply_recorded(store: &Store, update: Update) -> Result<(Applied, Difference), Vec<Problem>> {
    let (resources, removals, replace) = match update {
        Update::Replace(resources) => (resources, Vec::new(), Replace::All),
        Update::Delta { upserts, removals } => (upserts, removals, Replace::Nothing),
    };
    let (upserts, problems) = convert_all(resources);
    if problems.is_empty() {
        let upserts = upserts.into_iter().map(|(_, upsert)| upsert).collect();
        let change = Change { upserts, removals, replace, ..Change::default() };
        return store.update_recorded(change).map_err(shorten);
    }
    let change = Change { removals, replace, ..Change::default() };
    Err(shorten(with_references(store, upserts, change, problems)))
}

type Converted = (Vec<(u32, Upsert)>, Vec<Problem>);

fn convert_all(resources: Vec<v1::Resource>) -> Converted {
    let mut upserts = Vec::with_capacity(resources.len());
    let mut problems = Vec::new();
    for (index, resource) in (0_u32..).zip(resources) {
        match convert::upsert(index as usize, resource) {
            Ok(upsert) => upserts.push((index, upsert)),
            Err(wrong) => problems.extend(wrong),
        }
    }
    (upserts, problems)
}

/// Adds to the problems of single resources what is wrong between the others, so that people see all at once. A
/// reference to a resource that is wrong itself is left out: it may well be right. `change` is the update without its
/// resources.
fn with_references(
    store: &Store,
    upserts: Vec<(u32, Upsert)>,
    change: Change,
    mut problems: Vec<Problem>,
) -> Vec<Problem> {
    let wrong: HashSet<ResourceName> =
        problems.iter().filter_map(|problem| problem.resource.clone()).collect();
    // One without a name may be any of its kind.
    let may_be_wrong = |missing: &ResourceName| {
        wrong.contains(missing) || wrong.contains(&ResourceName { kind: missing.kind, id: "".into() })
    };
    let (indices, upserts): (Vec<u32>, Vec<Upsert>) = upserts.into_iter().unzip();
    let between = store.examine(Change { upserts, ..change }).into_iter().filter(|problem| {
        // A removal problem may come from a wrong resource, too.
        let about_wrong = problem.missing.as_ref().is_some_and(may_be_wrong);
        problem.index.is_some() && !about_wrong
    });
    for mut problem in between {
        problem.index = problem.index.and_then(|index| indices.get(index).map(|index| *index as usize));
        problems.push(problem);
    }
    problems.sort_by_key(|problem| problem.index);
    problems
}

fn shorten(mut problems: Vec<Problem>) -> Vec<Problem> {
    let more = problems.len().saturating_sub(MAX_PROBLEMS);
    if more > 0 {
        problems.truncate(MAX_PROBLEMS);
        let message = format!("and {more} problems more; correct these first");
        problems.push(Problem { index: None, resource: None, field: "".into(), message, missing: None });
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{Outcome, decide};
    use crate::model::{Context, Decision, Explain, Question, ResourceKind, Scope, Subject, Timestamp};
    use crate::store::Settings;
    use v1::resource::Resource as R;

    fn resource(resource: R) -> v1::Resource {
        v1::Resource { resource: Some(resource) }
    }

    fn application(slug: &str) -> v1::Resource {
        resource(R::Application(v1::Application { slug: slug.into(), ..Default::default() }))
    }

    fn group(name: &str, parents: &[&str]) -> v1::Resource {
        let parent = |name: &&str| v1::GroupRef { name: (*name).into(), ..Default::default() };
        let parents = parents.iter().map(parent).collect();
        resource(R::Group(v1::Group { name: name.into(), parents, ..Default::default() }))
    }

    fn user(name: &str, group: &str) -> v1::Resource {
        let groups = vec![v1::GroupRef { name: group.into(), ..Default::default() }];
        resource(R::User(v1::User { username: name.into(), groups, ..Default::default() }))
    }

    fn bind(slug: &str, group: &str) -> v1::PolicyBinding {
        let target = Some(v1::TargetRef { target: Some(v1::target_ref::Target::Application(slug.into())) });
        let group = Some(v1::GroupRef { name: group.into(), ..Default::default() });
        v1::PolicyBinding { target, group, ..Default::default() }
    }

    fn binding(slug: &str, group: &str) -> v1::Resource {
        resource(R::PolicyBinding(bind(slug, group)))
    }

    fn ask(store: &Store, slug: &str, username: &str) -> Decision {
        let question = Question {
            target: format!("application/{slug}").parse().unwrap(),
            subject: Subject { username: Some(username.into()), ..Subject::default() },
            context: Context::at(Timestamp::new(0, 0)),
            scope: Scope::WithParents,
            explain: Explain::None,
            full_evaluation: false,
        };
        let snapshot = store.load();
        let member = snapshot.member(&question.subject);
        match decide(&*snapshot, &question, &member, &[], None).unwrap() {
            Outcome::Decided(answer) => answer.decision,
            Outcome::Waiting(waiting) => panic!("{waiting:?}"),
        }
    }

    fn example() -> Vec<v1::Resource> {
        vec![
            application("wiki"),
            application("open"),
            group("staff", &["people"]),
            group("people", &["staff"]),
            user("alice", "staff"),
            user("bob", "guests"),
            binding("wiki", "people"),
        ]
    }

    fn delta(upserts: Vec<v1::Resource>, removals: &[(ResourceKind, &str)]) -> Update {
        let name = |(kind, id): &(ResourceKind, &str)| ResourceName { kind: *kind, id: (*id).into() };
        Update::Delta { upserts, removals: removals.iter().map(name).collect() }
    }

    #[test]
    fn groups_count_through_ancestors_and_cycles() {
        let store = Store::new(Settings::default());
        assert_eq!(apply(&store, Update::Replace(example())).unwrap().revision, 1);
        assert_eq!(ask(&store, "wiki", "alice"), Decision::Allow);
        assert_eq!(ask(&store, "wiki", "bob"), Decision::Deny);
        assert_eq!(ask(&store, "open", "bob"), Decision::Allow);
    }

    #[test]
    fn what_changes_nothing_keeps_the_revision() {
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(example())).unwrap();
        let again = apply(&store, Update::Replace(example())).unwrap();
        assert_eq!(again, Applied { revision: 1, upserted: 0, removed: 0 });
    }

    #[test]
    fn a_group_that_loses_its_parent_loses_access() {
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(example())).unwrap();
        assert_eq!(ask(&store, "wiki", "alice"), Decision::Allow);
        let applied = apply(&store, delta(vec![group("staff", &[]), group("people", &[])], &[])).unwrap();
        assert_eq!(applied, Applied { revision: 2, upserted: 2, removed: 0 });
        assert_eq!(ask(&store, "wiki", "alice"), Decision::Deny);
    }

    #[test]
    fn a_target_goes_with_its_bindings_or_not_at_all() {
        use crate::model::TargetKind::Application;
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(example())).unwrap();
        let target = (ResourceKind::Target(Application), "wiki");
        let problems = apply(&store, delta(vec![], &[target])).unwrap_err();
        let message = "application `wiki`: it is removed, but policy binding `application/wiki#0:group/name/people` \
                       is still bound to it; remove that as well";
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [message]);
        let row = (ResourceKind::PolicyBinding, "application/wiki#0:group/name/people");
        let applied = apply(&store, delta(vec![], &[target, row])).unwrap();
        assert_eq!((applied.revision, applied.removed), (2, 2));
        assert_eq!(store.load().counts().bindings, 0);
    }

    #[test]
    fn one_bad_resource_stops_all_and_every_problem_is_told() {
        let store = Store::new(Settings::default());
        let two_sides = v1::PolicyBinding { id: "b".into(), policy: "p".into(), ..bind("wiki", "people") };
        let update = vec![
            application("wiki"),
            application(""),
            resource(R::PolicyBinding(two_sides)),
            binding("nowhere", "x"),
            application("wiki"),
        ];
        let problems = apply(&store, Update::Replace(update)).unwrap_err();
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "application: slug: missing; it is required",
                "policy binding `b`: more than one of policy, user and group is set; set exactly one",
                "application `wiki`: id: there are two of this id; remove one, or give them different ids",
            ]
        );
        assert_eq!(store.load().revision(), 0);
    }

    #[test]
    fn names_may_be_swapped_in_one_update() {
        let app = |id: &str, slug: &str| {
            resource(R::Application(v1::Application {
                id: id.into(),
                slug: slug.into(),
                ..Default::default()
            }))
        };
        let store = Store::new(Settings::default());
        apply(&store, Update::Replace(vec![app("1", "a"), app("2", "b"), binding("a", "x")])).unwrap();
        let problems = apply(&store, delta(vec![app("1", "b")], &[])).unwrap_err();
        assert!(
            problems[0].message.contains("`b` is the name or id of application `b` already"),
            "{problems:?}"
        );
        apply(&store, delta(vec![app("1", "b"), app("2", "a")], &[])).unwrap();
        // The binding says `a`, so it is about whatever is called that.
        assert_eq!(ask(&store, "b", "alice"), Decision::Allow);
        assert_eq!(ask(&store, "a", "alice"), Decision::Deny);
    }

    /// What is in force follows from what is held alone: a delta must not leave what a snapshot of the same would not.
    #[test]
    fn a_name_that_moves_takes_its_references_along_or_is_refused() {
        let app = |id: &str, slug: &str| {
            let (id, slug) = (id.into(), slug.into());
            resource(R::Application(v1::Application { id, slug, ..Default::default() }))
        };
        let endpoint = |application: &str| {
            let (id, application) = ("db".into(), application.into());
            resource(R::RacEndpoint(v1::RacEndpoint { id, application, ..Default::default() }))
        };
        let store = Store::new(Settings::default());
        let first = vec![app("1", "a"), app("2", "b"), binding("a", "x"), endpoint("a"), binding("2", "y")];
        apply(&store, Update::Replace(first)).unwrap();
        let problems = apply(&store, delta(vec![app("1", "c")], &[])).unwrap_err();
        assert_eq!(
            problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "RAC endpoint `db`: application: there is no application `a`; add it, or correct the reference",
                "policy binding `application/a#0:group/name/x`: target: there is no application `a`; add it, or \
                 correct the reference",
            ]
        );
        // The names are swapped: what says `a` is about the other one now, what says `2` stays with it.
        apply(&store, delta(vec![app("1", "b"), app("2", "a")], &[])).unwrap();
        let other = Store::new(Settings::default());
        let upserts = store.load().resources().map(|(_, bytes)| bytes.into()).collect();
        apply_sent(&other, Sent { upserts, replace: Replace::All, ..Sent::default() }).unwrap();
        for store in [&store, &other] {
            let snapshot = store.load();
            assert_eq!(ask(store, "b", "alice"), Decision::Allow);
            assert_eq!(ask(store, "a", "alice"), Decision::Deny);
            assert_eq!(snapshot.counts().bindings, 2);
            assert_eq!(*snapshot.digest(), snapshot.recount());
        }
    }

    #[test]
    fn users_and_groups_may_swap_names_in_one_update() {
        let person = |id: &str, username: &str| {
            let (id, username) = (id.into(), username.into());
            resource(R::User(v1::User { id, username, ..Default::default() }))
        };
        let team = |id: &str, name: &str| {
            let (id, name) = (id.into(), name.into());
            resource(R::Group(v1::Group { id, name, ..Default::default() }))
        };
        let store = Store::new(Settings::default());
        let all = |a: &str, b: &str| vec![person("1", a), person("2", b), team("1", a), team("2", b)];
        apply(&store, Update::Replace(all("a", "b"))).unwrap();
        let applied = apply(&store, delta(all("b", "a"), &[])).unwrap();
        assert_eq!((applied.upserted, applied.removed), (4, 0));
        let snapshot = store.load();
        let id = |name: &str| snapshot.user_named(name).map(|user| user.id.to_string());
        assert_eq!((id("a"), id("b")), (Some("2".into()), Some("1".into())));
        assert_eq!(*snapshot.digest(), snapshot.recount());
        let problems = apply(&store, delta(vec![person("3", "a")], &[])).unwrap_err();
        assert!(problems[0].message.contains("is the username of user `2` already"), "{problems:?}");
    }

    #[test]
    fn a_setting_says_whose_word_counts_on_groups() {
        use crate::store::GroupAuthority::{Caller, Directory, Union};
        let subject = |group: &str| Subject {
            username: Some("alice".into()),
            group_names: vec![group.into()],
            ..Subject::default()
        };
        let groups = [group("staff", &[]), group("guests", &[]), group("both", &["guests"])];
        for (authority, staff, guests) in
            [(Directory, true, false), (Caller, false, true), (Union, true, true)]
        {
            let store = Store::new(Settings { group_authority: authority, ..Settings::default() });
            let mut resources =
                vec![application("s"), application("g"), binding("s", "staff"), binding("g", "guests")];
            resources.extend(groups.clone());
            resources.push(user("alice", "staff"));
            apply(&store, Update::Replace(resources)).unwrap();
            let snapshot = store.load();
            let subject = subject("both");
            let member = snapshot.member(&subject);
            assert_eq!(member.user.as_ref().map(|user| &*user.username), Some("alice"));
            for (slug, passing) in [("s", staff), ("g", guests)] {
                let question = Question {
                    target: format!("application/{slug}").parse().unwrap(),
                    subject: subject.clone(),
                    context: Context::at(Timestamp::new(0, 0)),
                    scope: Scope::WithParents,
                    explain: Explain::None,
                    full_evaluation: false,
                };
                let Ok(Outcome::Decided(answer)) = decide(&*snapshot, &question, &member, &[], None) else {
                    panic!()
                };
                assert_eq!(answer.decision.is_allow(), passing, "{authority:?} {slug}");
            }
        }
    }
}
