//! What becomes of a last-good file, whatever befalls it.
//!
//! Must not know: how the file is made, beyond its first bytes.

use super::*;
use crate::model::{ResourceKind, ResourceName};
use crate::proto::v1;
use crate::sync::apply::Update;
use crate::sync::ledger::Ledger;
use v1::resource::Resource as R;

fn user(name: &str) -> v1::Resource {
    let user = v1::User { username: name.into(), email: format!("{name}@example.com"), ..Default::default() };
    v1::Resource { resource: Some(R::User(user)) }
}

fn open(path: &Path) -> (Ledger, Found) {
    let (file, store, found) = LastGood::open(path, Settings::default()).unwrap();
    (Ledger::new(Arc::new(store)).with_disk(Box::new(file)), found)
}

fn ledger_with_history(path: &Path) -> Ledger {
    let (file, _, _) = LastGood::open(path, Settings::default()).unwrap();
    let store = Store::with_history(Settings::default(), Version { epoch: 5, revision: 0 });
    Ledger::new(Arc::new(store)).with_disk(Box::new(file))
}

fn add(ledger: &Ledger, name: &str) -> Result<(), String> {
    let update = Update::Delta { upserts: vec![user(name)], removals: vec![] };
    let committed = ledger.update(update).unwrap();
    committed.saved.unwrap().blocking_recv().unwrap()
}

fn remove(ledger: &Ledger, name: &str) {
    let removals = vec![ResourceName { kind: ResourceKind::User, id: name.into() }];
    let committed = ledger.update(Update::Delta { upserts: vec![], removals }).unwrap();
    committed.saved.unwrap().blocking_recv().unwrap().unwrap();
}

fn names(ledger: &Ledger) -> Vec<String> {
    let mut names: Vec<_> = ledger.store().load().users().map(|user| user.username.to_string()).collect();
    names.sort();
    names
}

#[test]
fn what_was_in_force_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    {
        let ledger = ledger_with_history(&path);
        for name in ["ada", "bob", "eve"] {
            add(&ledger, name).unwrap();
        }
        remove(&ledger, "bob");
    }
    let (ledger, found) = open(&path);
    let version = Version { epoch: 5, revision: 4 };
    assert_eq!(found, Found::Configuration { version, resources: 2, torn: 0 });
    assert_eq!(names(&ledger), ["ada", "eve"]);
    let snapshot = ledger.store().load();
    assert_eq!(*snapshot.digest(), snapshot.recount());
    // It goes on where it was.
    add(&ledger, "joe").unwrap();
    drop(ledger);
    assert_eq!(names(&open(&path).0), ["ada", "eve", "joe"]);
}

#[test]
fn routes_are_there_after_a_restart() {
    use crate::sync::sample::{application, led, named, route};
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    {
        let ledger = ledger_with_history(&path);
        let write = |upserts, removals| {
            let committed = ledger.update(Update::Delta { upserts, removals }).unwrap();
            committed.saved.unwrap().blocking_recv().unwrap().unwrap();
        };
        let all = vec![application("wiki"), application("blog"), route("a", "wiki"), route("b", "wiki")];
        write(all, vec![]);
        write(vec![route("a", "blog")], vec![named(ResourceKind::Route, "b")]);
    }
    let (ledger, found) = open(&path);
    assert!(matches!(found, Found::Configuration { resources: 3, torn: 0, .. }), "{found:?}");
    assert_eq!((led(&ledger, "a"), led(&ledger, "b")), (Some("blog".into()), None));
    let snapshot = ledger.store().load();
    assert_eq!(*snapshot.digest(), snapshot.recount());
}

#[test]
fn only_one_process_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    let (_ledger, found) = open(&path);
    assert_eq!(found, Found::Nothing);
    let error = LastGood::open(&path, Settings::default()).err().unwrap();
    assert!(error.contains("another process writes"), "{error}");
}

/// Wherever the file ends, and whichever bit of it is another: what is loaded is a version that was written, whole, or
/// the file is set aside.
#[test]
fn damage_is_found_and_a_torn_end_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    let mut states = Vec::new();
    {
        let ledger = ledger_with_history(&path);
        for name in ["ada", "bob", "eve", "joe"] {
            add(&ledger, name).unwrap();
            states.push((names(&ledger), ledger.store().load().digest().total()));
        }
    }
    let bytes = std::fs::read(&path).unwrap();
    let check = |bytes: &[u8]| match read::parse(bytes, bytes.len() as u64, Settings::default()) {
        Ok(read) => {
            let snapshot = read.store.load();
            let ledger = Ledger::new(Arc::new(read.store));
            let state = (names(&ledger), snapshot.digest().total());
            assert!(states.contains(&state), "{state:?}");
            assert_eq!(*snapshot.digest(), snapshot.recount());
            Some(state)
        }
        Err(read::Unreadable::Unusable(_)) => None,
        Err(read::Unreadable::Io(error)) => panic!("{error}"),
    };
    assert_eq!(check(&bytes).as_ref(), states.last());
    let mut whole = 0;
    for end in 0..bytes.len() {
        whole += usize::from(check(&bytes[..end]).is_some());
    }
    assert!(whole > 100, "cut anywhere behind the snapshot, it loads; {whole}");
    let mut set_aside = 0;
    for place in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut other = bytes.clone();
            other[place] ^= 1 << bit;
            set_aside += usize::from(check(&other).is_none());
        }
    }
    assert!(set_aside > bytes.len(), "{set_aside} of {}", 3 * bytes.len());
    // Zeros behind the end are room that was never written.
    let mut longer = bytes.clone();
    longer.extend([0; 100]);
    assert_eq!(check(&longer).as_ref(), states.last());
    longer.push(1);
    assert_eq!(check(&longer), None);
}

#[test]
fn a_file_that_cannot_be_used_is_kept_beside_and_few_of_these_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    let mut newer = MAGIC.to_vec();
    newer.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    for (bytes, part) in [
        (b"x".to_vec(), "less than a header"),
        (vec![7; 40], "does not begin as"),
        (newer, "it has format 2"),
        (vec![0; 20], "does not begin as"),
        (Vec::new(), "less than a header"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        let (_, found) = open(&path);
        let Found::SetAside { path: aside, reason } = found else { panic!("{found:?}") };
        assert!(reason.contains(part), "{reason}");
        assert_eq!(std::fs::read(aside).unwrap(), bytes);
        assert!(!path.exists());
    }
    let aside = std::fs::read_dir(directory.path()).unwrap();
    let aside = aside.filter(|it| it.as_ref().unwrap().file_name().to_string_lossy().contains("damaged"));
    assert_eq!(aside.count(), MAX_ASIDE);
}

#[test]
fn changes_that_outweigh_the_snapshot_become_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("last");
    let ledger = ledger_with_history(&path);
    let long = "x".repeat(3_000);
    for number in 0..1_000 {
        let user = v1::User { username: "ada".into(), name: format!("{number}{long}"), ..Default::default() };
        let upserts = vec![v1::Resource { resource: Some(R::User(user)) }];
        ledger.update(Update::Delta { upserts, removals: vec![] }).unwrap();
    }
    add(&ledger, "bob").unwrap();
    let size = std::fs::metadata(&path).unwrap().len();
    assert!(size < 2 * (1 << 20), "{size}");
    drop(ledger);
    assert_eq!(names(&open(&path).0), ["ada", "bob"]);
}

#[test]
fn what_cannot_be_written_is_told_and_written_when_it_can() {
    let directory = tempfile::tempdir().unwrap();
    let inner = directory.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    let path = inner.join("last");
    let ledger = ledger_with_history(&path);
    std::fs::remove_dir_all(&inner).unwrap();
    let error = add(&ledger, "ada").unwrap_err();
    assert!(error.contains("cannot be written"), "{error}");
    std::fs::create_dir(&inner).unwrap();
    add(&ledger, "bob").unwrap();
    drop(ledger);
    assert_eq!(names(&open(&path).0), ["ada", "bob"]);
}
