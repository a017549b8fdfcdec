//! Reads the migrations of state from earlier versions.

use std::collections::BTreeMap;

use llmspell_workflows_basic::model::{Definition, Migration};

use super::{Fields, Reader};
use crate::{
    diagnose::At,
    dialect::MIGRATION,
    tree::{Data, Entry},
};

impl Reader<'_> {
    pub(crate) fn migrations(&mut self, definition: &mut Definition, fields: &Fields<'_, '_>) {
        for entry in self.mapping(fields, "migrations") {
            self.mark(At::ROOT, format!("migrations/{}", entry.key), entry.key_span);
            if let Some(migration) = self.migration(entry) {
                definition.migrations.insert(entry.key.as_ref().to_owned(), migration);
            }
        }
    }

    fn migration(&mut self, entry: &Entry<'_>) -> Option<Migration> {
        let (from, what) = (&entry.key, format!("the migration from `{}`", entry.key));
        let fields = self.fields(&entry.value, &[MIGRATION], &[], what, At::ROOT)?;
        let mut rename = BTreeMap::new();
        for name in self.inner_mapping(&fields, "rename") {
            if let Some(new) = self.text_of(At::ROOT, &name.key, &name.value) {
                rename.insert(name.key.as_ref().to_owned(), new);
            }
        }
        let mut set = BTreeMap::new();
        for value in self.inner_mapping(&fields, "set") {
            self.mark_all(At::ROOT, format!("migrations/{from}/set/{}", value.key).into(), &value.value);
            set.insert(value.key.as_ref().to_owned(), value.value.to_json());
        }
        if let Some(function) = fields.get("function") {
            self.mark(At::ROOT, format!("migrations/{from}/function"), function.value.span);
        }
        Some(Migration {
            to: fields.get("to").and_then(|to| self.version_of(&to.key, &to.value)),
            rename,
            set,
            remove: self.texts(&fields, "remove"),
            function: fields.get("function").and_then(|name| self.text_of(At::ROOT, &name.key, &name.value)),
        })
    }

    fn inner_mapping<'n, 's>(&mut self, fields: &Fields<'n, 's>, name: &'static str) -> &'n [Entry<'s>] {
        let Some(entry) = fields.get(name) else { return &[] };
        if !matches!(entry.value.data, Data::Map(_)) {
            self.wrong_type(At::ROOT, &entry.key, &entry.value, "a mapping");
        }
        entry.value.entries()
    }
}
