//! Bodies that people use.

use bindery::proto::v1::policy::Kind;
use bindery::proto::v1::resource::Resource as R;
use bindery::sync::blueprint::{Options, Source, import};
use bindery::sync::yaml::Limits;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

fn files(folder: &Path, extension: &str) -> Vec<(String, String)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap()))
        .collect();
    found.sort();
    found
}

/// Those of the vectors.
pub(crate) fn of_vectors() -> BTreeSet<String> {
    fn collect(json: &Json, found: &mut BTreeSet<String>) {
        match json {
            Json::Object(map) => {
                if let (Some(body), Some("expression")) =
                    (map.get("body"), map.get("kind").and_then(Json::as_str))
                {
                    found.insert(body.as_str().unwrap().to_owned());
                }
                map.values().for_each(|json| collect(json, found));
            }
            Json::Array(list) => list.iter().for_each(|json| collect(json, found)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    for (name, text) in files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), "json") {
        let json: Json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        collect(&json, &mut found);
    }
    assert!(found.len() > 200, "{} bodies", found.len());
    found
}

/// Those of authentik's blueprints; nothing where these are not there.
pub(crate) fn of_blueprints() -> Option<BTreeSet<String>> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/blueprints");
    let folder = env::var_os("BINDERY_BLUEPRINTS").map_or_else(beside, PathBuf::from);
    if !folder.join("default").is_dir() {
        return None;
    }
    let (default, examples) =
        (files(&folder.join("default"), "yaml"), files(&folder.join("example"), "yaml"));
    let mut found = BTreeSet::new();
    // Examples refer to what is there by default.
    for example in &examples {
        let files: Vec<_> = default.iter().chain([example]).collect();
        let sources: Vec<_> =
            files.iter().map(|(name, text)| Source { name: name.as_str().into(), text }).collect();
        let options = Options {
            env: &|_| None,
            file: &|_| None,
            context: BTreeMap::new(),
            default_application_access: true,
        };
        let import =
            import(&sources, &options, &Limits::default()).unwrap_or_else(|problems| panic!("{problems:?}"));
        for (resource, _) in import.resources {
            if let Some(R::Policy(policy)) = resource.resource
                && let Some(Kind::Expression(expression)) = policy.kind
            {
                found.insert(expression.source);
            }
        }
    }
    Some(found)
}
