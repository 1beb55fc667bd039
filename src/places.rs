//! Places of addresses, from GeoIP databases in MaxMind's format. A database that is replaced is read anew while the old
//! one goes on answering; one that cannot be used is refused, and the old one stays.
//!
//! Must not know: who asks, who tells that a file was replaced, policies.

use crate::model::Value;
use crate::policy::Places;
use arc_swap::ArcSwap;
use maxminddb::{Reader, geoip2};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest database that is read, in bytes. The largest that are sold are about half of it.
const MAX_DATABASE: u64 = 1 << 30;

type Content = Reader<Vec<u8>>;

/// What a database tells of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatabaseKind {
    /// Where it is.
    City,
    /// Its autonomous system.
    Asn,
}

impl DatabaseKind {
    /// Its name in a sentence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::City => "City",
            Self::Asn => "ASN",
        }
    }

    /// Whether a database that calls itself so has what is looked for.
    fn is(self, database_type: &str) -> bool {
        let names: &[&str] = match self {
            Self::City => &["City", "Enterprise"],
            Self::Asn => &["ASN", "ISP"],
        };
        names.iter().any(|name| database_type.contains(name))
    }
}

/// A database that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// What it tells.
    pub kind: DatabaseKind,
    /// Its file.
    pub path: PathBuf,
    /// What it calls itself.
    pub database_type: String,
    /// When it was built, in seconds since 1970.
    pub built: u64,
}

/// GeoIP databases in use. Looking something up never waits: not for other look-ups, not for a database that is read.
pub struct Databases {
    city: Option<Database>,
    asn: Option<Database>,
}

struct Database {
    kind: DatabaseKind,
    path: PathBuf,
    /// Swapped as a whole when the file was replaced; look-ups go on with what they began with.
    content: ArcSwap<Content>,
}

impl Databases {
    /// Reads these databases.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn open(city: Option<PathBuf>, asn: Option<PathBuf>) -> Result<Self, String> {
        let open = |path: Option<PathBuf>, kind| path.map(|path| Database::open(path, kind)).transpose();
        Ok(Self { city: open(city, DatabaseKind::City)?, asn: open(asn, DatabaseKind::Asn)? })
    }

    fn each(&self) -> impl Iterator<Item = &Database> {
        self.city.iter().chain(&self.asn)
    }

    /// The files.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.each().map(|database| database.path.clone()).collect()
    }

    /// What is in use.
    pub fn loaded(&self) -> Vec<Loaded> {
        self.each().map(Database::loaded).collect()
    }

    /// Reads every file anew. What came of each: what is in use now, or why it stays with what it had.
    pub fn reload(&self) -> Vec<Result<Loaded, String>> {
        self.each().map(Database::reload).collect()
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.loaded()).finish()
    }
}

impl Database {
    fn open(path: PathBuf, kind: DatabaseKind) -> Result<Self, String> {
        let content = ArcSwap::from_pointee(read(&path, kind)?);
        Ok(Self { kind, path, content })
    }

    fn reload(&self) -> Result<Loaded, String> {
        self.content.store(Arc::new(read(&self.path, self.kind)?));
        Ok(self.loaded())
    }

    fn loaded(&self) -> Loaded {
        let content = self.content.load();
        let metadata = content.metadata();
        Loaded {
            kind: self.kind,
            path: self.path.clone(),
            database_type: metadata.database_type.clone(),
            built: metadata.build_epoch,
        }
    }
}

/// Reads a database and looks at all of it, so that a file that is cut off or still being written is found here and not
/// by a question.
fn read(path: &Path, kind: DatabaseKind) -> Result<Content, String> {
    let (name, shown) = (kind.name(), path.display());
    let unreadable = |error| format!("the {name} database `{shown}` cannot be read: {error}");
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("the {name} database `{shown}` is not a file; name an .mmdb file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(MAX_DATABASE)).unwrap_or_default());
    let length = file.take(MAX_DATABASE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if length as u64 > MAX_DATABASE {
        return Err(format!(
            "the {name} database `{shown}` has more than {MAX_DATABASE} bytes; use a smaller one"
        ));
    }
    let invalid = |error: maxminddb::MaxMindDbError| {
        format!("the {name} database `{shown}` is broken: {error}; download it again")
    };
    let content = Reader::from_source(bytes).map_err(invalid)?;
    let database_type = &content.metadata().database_type;
    if !kind.is(database_type) {
        return Err(format!(
            "`{shown}` is a `{database_type}` database, which has nothing of a {name} database; name one of that kind"
        ));
    }
    content.verify().map_err(invalid)?;
    Ok(content)
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| Value::String(text.into()))
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    Value::Map(BTreeMap::from(entries.map(|(key, value)| (key.into(), value))))
}

impl Places for Databases {
    fn city(&self, address: IpAddr) -> Option<Value> {
        let content = self.city.as_ref()?.content.load();
        // An entry that cannot be read says as little as one that is not there.
        let city: geoip2::City<'_> = content.lookup(address.to_canonical()).ok()?.decode().ok()??;
        let degrees = |degrees: Option<f64>| degrees.map_or(Value::Null, Value::Number);
        Some(map([
            ("continent", text(city.continent.code)),
            ("country", text(city.country.iso_code)),
            ("lat", degrees(city.location.latitude)),
            ("long", degrees(city.location.longitude)),
            ("city", text(Some(city.city.names.english.unwrap_or_default()))),
        ]))
    }

    fn asn(&self, address: IpAddr) -> Option<Value> {
        let content = self.asn.as_ref()?.content.load();
        let found = content.lookup(address.to_canonical()).ok()?;
        let asn: geoip2::Asn<'_> = found.decode().ok()??;
        let number = asn.autonomous_system_number;
        Some(map([
            ("asn", number.map_or(Value::Null, |number| Value::Number(f64::from(number)))),
            ("as_org", text(asn.autonomous_system_organization)),
            ("network", text(found.network().ok().map(|network| network.to_string()).as_deref())),
        ]))
    }
}

#[cfg(test)]
pub(crate) mod tests;
