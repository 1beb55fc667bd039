//! Identifiers as authentik has them: mostly UUIDs, kept in 24 bytes without an allocation; anything else as text.

use equivalent::Equivalent;
use std::cmp::Ordering;
use std::fmt;

/// Identifies a resource within its kind.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl Id {
    /// The id of this text. A UUID in its usual form (lower case, with hyphens) takes no allocation.
    pub fn new(text: &str) -> Self {
        Self(parse_uuid(text).map_or_else(|| Repr::Text(text.into()), Repr::Uuid))
    }

    /// Whether this is the id of that text.
    pub fn is(&self, text: &str) -> bool {
        match &self.0 {
            Repr::Text(own) => **own == *text,
            Repr::Uuid(bytes) => parse_uuid(text).is_some_and(|other| other == *bytes),
        }
    }

    /// Whether it is a UUID in its usual form.
    pub const fn is_uuid(&self) -> bool {
        matches!(self.0, Repr::Uuid(_))
    }

    /// The bytes of a UUID in its usual form.
    pub const fn as_uuid(&self) -> Option<[u8; 16]> {
        match &self.0 {
            Repr::Uuid(bytes) => Some(*bytes),
            Repr::Text(_) => None,
        }
    }

    /// The id that is this UUID.
    pub const fn from_uuid(bytes: [u8; 16]) -> Self {
        Self(Repr::Uuid(bytes))
    }

    /// The text, as long as it is none of a UUID.
    pub const fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Repr::Text(text) => Some(text),
            Repr::Uuid(_) => None,
        }
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Repr::Text(text) if text.is_empty())
    }
}

/// An id to look something up by, without a copy of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdRef<'a>(ReprRef<'a>);

/// Alike in every variant to [`Repr`], so that both have the same hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ReprRef<'a> {
    Uuid([u8; 16]),
    Text(&'a str),
}

impl<'a> IdRef<'a> {
    /// The id of this text.
    pub fn new(text: &'a str) -> Self {
        Self(parse_uuid(text).map_or(ReprRef::Text(text), ReprRef::Uuid))
    }
}

impl Equivalent<Id> for IdRef<'_> {
    fn equivalent(&self, id: &Id) -> bool {
        match (&self.0, &id.0) {
            (ReprRef::Uuid(a), Repr::Uuid(b)) => a == b,
            (ReprRef::Text(a), Repr::Text(b)) => **a == **b,
            _ => false,
        }
    }
}

fn nibble(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// Only the form that prints back to the same text, or two spellings would become one id.
fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
    let mut out = [0_u8; 16];
    let mut digits = 0_usize;
    for (position, &byte) in bytes.iter().enumerate() {
        if matches!(position, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let slot = out.get_mut(digits / 2)?;
        *slot = (*slot << 4) | nibble(byte)?;
        digits += 1;
    }
    Some(out)
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Text(text) => f.write_str(text),
            Repr::Uuid(bytes) => {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
                let mut text = [0_u8; 36];
                let mut places = text.iter_mut();
                for (index, byte) in bytes.iter().enumerate() {
                    let hyphen = matches!(index, 4 | 6 | 8 | 10).then_some(b'-');
                    let characters = hyphen.into_iter().chain([digit(byte >> 4), digit(byte & 15)]);
                    characters.zip(places.by_ref()).for_each(|(it, place)| *place = it);
                }
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())?;
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

/// The order of the texts, whatever the representation: ties between bindings are broken by it.
impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        match (&self.0, &other.0) {
            (Repr::Uuid(a), Repr::Uuid(b)) => a.cmp(b),
            (Repr::Text(a), Repr::Text(b)) => a.cmp(b),
            (Repr::Uuid(_), Repr::Text(b)) => self.to_string().as_str().cmp(b),
            (Repr::Text(a), Repr::Uuid(_)) => (**a).cmp(other.to_string().as_str()),
        }
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_what_it_was_given() {
        for text in [
            "",
            "grafana",
            "6f1c2b1e-0000-4000-8000-00000000000a",
            "6F1C2B1E-0000-4000-8000-00000000000A",
            "6f1c2b1e00004000800000000000000a",
            "6f1c2b1e-0000-4000-8000-00000000000g",
            "é-0000-4000-8000-00000000000000000",
        ] {
            assert_eq!(Id::new(text).to_string(), text);
        }
    }

    #[test]
    fn is_found_by_its_text() {
        let texts =
            ["", "grafana", "6f1c2b1e-0000-4000-8000-00000000000a", "6F1C2B1E-0000-4000-8000-00000000000A"];
        let ids: std::collections::HashSet<Id> = texts.into_iter().map(Id::new).collect();
        let hash = |it: &dyn Fn(&mut std::hash::DefaultHasher)| {
            let mut hasher = std::hash::DefaultHasher::new();
            it(&mut hasher);
            std::hash::Hasher::finish(&hasher)
        };
        for text in texts {
            let (wanted, id) = (IdRef::new(text), Id::new(text));
            let same = hash(&|hasher| std::hash::Hash::hash(&wanted, hasher));
            assert_eq!(same, hash(&|hasher| std::hash::Hash::hash(&id, hasher)), "{text}");
            assert!(ids.iter().filter(|id| wanted.equivalent(*id)).eq([&id]), "{text}");
        }
    }

    #[test]
    fn orders_like_text() {
        let mut texts = vec![
            "zeta",
            "6f1c2b1e-0000-4000-8000-00000000000a",
            "6f",
            "7",
            "a",
            "60000000-0000-4000-8000-00000000000a",
        ];
        let mut ids: Vec<Id> = texts.iter().map(|text| Id::new(text)).collect();
        texts.sort_unstable();
        ids.sort();
        assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), texts);
    }

    #[test]
    fn stays_small() {
        assert_eq!(size_of::<Id>(), 24);
    }
}
