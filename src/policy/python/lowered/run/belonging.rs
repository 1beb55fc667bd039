//! What a user belongs to and has: groups, authenticators.
//!
//! Must not know: where groups come from.

use super::super::Stop;
use super::super::node::{Filter, GroupField, Lookup};
use super::super::value::V;
use super::{Run, unsure};
use smallvec::SmallVec;

impl<'a> Run<'a> {
    /// Whether one of the user's groups fits all of these.
    pub(super) fn has_group(&mut self, direct: bool, filters: &'a [Filter]) -> Result<bool, Stop> {
        let wanted: SmallVec<[(&Filter, V<'a>); 2]> = filters
            .iter()
            .map(|filter| Ok((filter, self.value(&filter.wanted)?)))
            .collect::<Result<_, Stop>>()?;
        // Whether one can be compared is found out even where there is no group.
        for (filter, wanted) in &wanted {
            fits(filter, wanted, "", false)?;
        }
        self.scene.any_group(direct, &mut |group| {
            wanted.iter().all(|(filter, wanted)| {
                let key;
                let text = match (filter.field, group.known) {
                    (GroupField::Key, Some(known)) => {
                        key = known.id.to_string();
                        &*key
                    }
                    _ => group.name,
                };
                fits(filter, wanted, text, group.is_superuser).unwrap_or(false)
            })
        })
    }

    pub(super) fn has_authenticator(&self, kind: V<'a>) -> Result<bool, Stop> {
        let user = self.scene.input.person.user;
        let mut confirmed = user.iter().flat_map(|user| &user.authenticators).filter(|it| it.confirmed);
        match kind {
            V::None => Ok(confirmed.next().is_some()),
            V::Text(kind) if kind.is_empty() => Ok(confirmed.next().is_some()),
            V::Text(kind) => Ok(confirmed.any(|it| *it.kind == *kind)),
            _ => unsure(),
        }
    }
}

/// Whether a group fits a condition, by the text of the field that is asked for or by its mark.
fn fits(filter: &Filter, wanted: &V<'_>, text: &str, is_superuser: bool) -> Result<bool, Stop> {
    if filter.field == GroupField::IsSuperuser {
        return match filter.lookup {
            Lookup::Exact => V::Bool(is_superuser).equals(wanted),
            _ => unsure(),
        };
    }
    match filter.lookup {
        Lookup::Exact => V::from(text).equals(wanted),
        Lookup::In => V::from(text).is_in(wanted),
        Lookup::Contains => Ok(text.contains(wanted.text()?)),
        Lookup::StartsWith => Ok(text.starts_with(wanted.text()?)),
        Lookup::EndsWith => Ok(text.ends_with(wanted.text()?)),
    }
}
