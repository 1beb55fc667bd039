//! Imports: modules that the scope makes up for become names of it, and what would leave the process is refused.
//!
//! Must not know: what the modules do.

use super::Reading;
use crate::policy::python::modules::{Import, import};
use ruff_python_ast::{StmtImport, StmtImportFrom};
use ruff_text_size::{Ranged, TextSize};
use std::fmt::Write as _;

impl Reading<'_> {
    pub(super) fn import(&mut self, statement: &StmtImport) {
        let mut out = String::new();
        let mut changed = false;
        for alias in &statement.names {
            let module = alias.name.as_str();
            if !out.is_empty() {
                out.push_str("; ");
            }
            match (import(module), &alias.asname) {
                (Import::Scope(name), asname) if asname.is_some() || !module.contains('.') => {
                    changed = true;
                    self.count_module(name);
                    let _never_fails =
                        write!(out, "{} = {name}", asname.as_ref().map_or(module, |it| it.as_str()));
                }
                (Import::Refused(text), _) => {
                    changed = true;
                    self.refuse(statement.start(), module, text);
                    let _never_fails = write!(out, "_refuse({module:?})");
                }
                _ => {
                    let _never_fails = write!(out, "import {}", self.text(alias.range()));
                }
            }
        }
        if changed {
            self.replace(statement.range(), out);
        }
    }

    pub(super) fn import_from(&mut self, statement: &StmtImportFrom) {
        let Some(module) = statement.module.as_ref().map(|module| module.as_str()) else { return };
        let (mut out, mut others) = (Vec::new(), Vec::new());
        for alias in &statement.names {
            let name = alias.name.as_str();
            let bound = alias.asname.as_ref().map_or(name, |it| it.as_str());
            // A name may be a module itself, as in `from django.utils import timezone`.
            if let Import::Scope(scope) = import(&format!("{module}.{name}")) {
                self.count_module(scope);
                out.push(format!("{bound} = {scope}"));
            } else if let Import::Scope(scope) = import(module) {
                self.count_module(scope);
                out.push(format!("{bound} = {scope}.{name}"));
            } else if (module, name) == ("datetime", "UTC") {
                self.needs.moments = true;
                out.push(format!("{bound} = _utc"));
            } else {
                others.push(self.text(alias.range()));
            }
        }
        let is_whole = others.is_empty() || import(module) == Import::Interpreter;
        if !out.is_empty() && is_whole {
            if !others.is_empty() {
                out.push(format!("from {module} import {}", others.join(", ")));
            }
            self.replace(statement.range(), out.join("; "));
        } else if let Import::Refused(text) = import(module) {
            self.refuse(statement.start(), module, text);
            self.replace(statement.range(), format!("_refuse({module:?})"));
        }
    }

    fn refuse(&mut self, at: TextSize, name: &str, advice: &str) {
        self.needs.refused = true;
        self.find(at, name, advice);
    }

    const fn count_module(&mut self, name: &str) {
        // `_ipaddress` belongs to the addresses, `_texts` to the texts, `_zones` to the moments, the rest to the modules.
        match name.as_bytes() {
            b"_ipaddress" => self.needs.ip = true,
            // A value, which needs nothing.
            [b'\'', ..] => {}
            b"_texts" => self.needs.text = true,
            b"_zones" => self.needs.moments = true,
            _ => self.needs.modules = true,
        }
    }
}
