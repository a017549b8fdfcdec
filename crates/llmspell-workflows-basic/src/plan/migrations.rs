//! Migrations of the state from earlier versions of a definition.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Builder, Plan};
use crate::{
    Problem, ProblemLocation, StepError,
    expr::{EvalError, Key, Reference, Template},
    functions::Migrate,
    model::{Definition, Migration},
};

/// Prepared migrations, by the version from which they start.
pub(crate) type Migrations = BTreeMap<String, MigrationPlan>;

/// A prepared migration.
pub(crate) struct MigrationPlan {
    to: String,
    rename: BTreeMap<String, String>,
    set: BTreeMap<String, Template>,
    remove: Vec<String>,
    function: Option<Migrate>,
}

/// The names to which the values of a migration may refer.
const NAMES: [&str; 2] = ["state", "input"];

impl Builder<'_> {
    pub(super) fn migrations(&mut self, definition: &Definition) -> Migrations {
        let mut migrations = Migrations::new();
        for (from, migration) in &definition.migrations {
            let field = format!("migrations/{from}");
            self.check_chain(definition, from, &field);
            let keys = migration.set.keys().chain(migration.rename.values());
            for key in keys.chain(migration.rename.keys()).chain(&migration.remove) {
                if key.is_empty() || key.starts_with('$') {
                    let message = format!("a migration cannot change the state key `{key}`");
                    self.error("invalid_key", ProblemLocation::new("", &*field), message);
                }
            }
            self.check_renames(migration, &field);
            let set = migration.set.iter();
            let set = set.map(|(key, value)| (key.clone(), self.migration_value(value, &format!("{field}/set/{key}"))));
            let (set, function) = (set.collect(), self.migration_function(migration, &field));
            let to = migration.to.clone().unwrap_or_else(|| definition.version.clone());
            let (rename, remove) = (migration.rename.clone(), migration.remove.clone());
            migrations.insert(from.clone(), MigrationPlan { to, rename, set, remove, function });
        }
        migrations
    }

    /// Checks that the migrations from version `from` lead to the version of the definition.
    fn check_chain(&mut self, definition: &Definition, from: &str, field: &str) {
        let place = || ProblemLocation::new("", field);
        if definition.version.is_empty() {
            let message = "a definition with migrations needs a version";
            return self.error("migration_without_version", place(), message);
        }
        let (mut at, mut seen) = (from, BTreeSet::new());
        while at != definition.version || seen.is_empty() {
            let ends = if seen.insert(at) { "end at" } else { "form a cycle at" };
            let next = definition.migrations.get(at).filter(|_| ends == "end at");
            let Some(next) = next else {
                let version = &definition.version;
                let message =
                    format!("the migrations from version `{from}` {ends} `{at}` and do not lead to `{version}`");
                return self.error("migration_without_end", place(), message);
            };
            at = next.to.as_deref().unwrap_or(&definition.version);
        }
        if from == definition.version {
            let message = format!("`{from}` is the version of the definition itself");
            self.error("migration_without_end", place(), message);
        }
    }

    /// Checks that no two keys are renamed to the same name, because one of the values would be lost.
    fn check_renames(&mut self, migration: &Migration, field: &str) {
        let mut olds = BTreeMap::new();
        for (old, new) in &migration.rename {
            if let Some(other) = olds.insert(new, old) {
                let message = format!("both `{other}` and `{old}` would become `{new}`");
                self.error("invalid_key", ProblemLocation::new("", field), message);
            }
        }
    }

    /// Parses a value that may refer only to the state and the input.
    fn migration_value(&mut self, value: &Value, field: &str) -> Template {
        match Template::parse(value) {
            Ok(template) => {
                let references = template.references();
                let unknown = references.iter().filter_map(|found| self.unknown_to_migrations(found.reference));
                let unknown: Vec<_> = unknown.collect();
                for message in unknown {
                    let problem = Problem::error("unknown_reference", ProblemLocation::new("", field), message);
                    self.problems.push(problem.with_help("refer to `state` (the old state) or `input`"));
                }
                template
            }
            // Reports the errors in the template itself.
            Err(_) => self.template(value, "", field),
        }
    }

    fn unknown_to_migrations(&self, reference: &Reference) -> Option<String> {
        let name = &reference.name;
        if !NAMES.contains(&name.as_str()) {
            return Some(format!("a migration cannot refer to `{name}`"));
        }
        match reference.keys.first() {
            Some(Key::Name(field)) if name == "input" && self.undeclared(field) => {
                Some(format!("unknown input `{field}`"))
            }
            _ => None,
        }
    }

    fn migration_function(&mut self, migration: &Migration, field: &str) -> Option<Migrate> {
        let name = migration.function.as_ref()?;
        let found = self.engine.functions().migration(name).cloned();
        if found.is_none() {
            let place = ProblemLocation::new("", format!("{field}/function"));
            let problem = Problem::error("unknown_function", place, format!("unknown migration `{name}`"));
            self.problems.push(problem.with_known(name, self.engine.functions().migration_names()));
        }
        found
    }
}

impl Plan {
    /// Returns the earlier versions whose state the definition migrates.
    pub fn migrates_from(&self) -> impl Iterator<Item = &str> {
        self.migrations.keys().map(String::as_str)
    }

    /// Migrates a state of version `from` to this version. Both states are objects without `$input`.
    ///
    /// # Errors
    /// Fails if no migrations lead from that version to this one, or if the state cannot be migrated.
    pub fn migrate(&self, from: &str, state: Value, input: &Value) -> Result<Value, StepError> {
        let (mut at, mut state) = (from, state);
        while at != self.definition.version {
            let migration = self.migrations.get(at).ok_or_else(|| self.no_migration(at))?;
            state = migration.apply(at, state, input)?;
            at = &migration.to;
        }
        Ok(state)
    }

    /// Returns the name, in this version, of the state key called `key` in version `from`.
    ///
    /// Returns `None` if a migration replaces or removes the key's value.
    #[must_use]
    pub fn renamed_key(&self, from: &str, key: &str) -> Option<String> {
        let (mut at, mut key) = (from, key);
        while at != self.definition.version {
            let migration = self.migrations.get(at)?;
            key = migration.renamed_key(key)?;
            at = &migration.to;
        }
        Some(key.to_owned())
    }

    fn no_migration(&self, from: &str) -> StepError {
        let known: Vec<_> = self.migrates_from().collect();
        let known = if known.is_empty() {
            "it has no migrations".to_owned()
        } else {
            format!("it migrates from {}", known.join(", "))
        };
        let Definition { name, version, .. } = &*self.definition;
        let message = format!("`{name}` {version} has no migration for the state of version `{from}` ({known})");
        StepError::configuration("no_migration", message)
    }
}

impl MigrationPlan {
    fn renamed_key<'k>(&'k self, key: &'k str) -> Option<&'k str> {
        let new = match self.rename.get(key) {
            Some(new) => new,
            // Another key is renamed to this name.
            None if self.rename.values().any(|new| new == key) => return None,
            None => key,
        };
        let is_kept = !self.set.contains_key(new) && !self.remove.iter().any(|removed| removed == new);
        is_kept.then_some(new)
    }

    fn apply(&self, from: &str, state: Value, input: &Value) -> Result<Value, StepError> {
        let scope = Map::from_iter([("state".to_owned(), state), ("input".to_owned(), input.clone())]);
        let mut set = Vec::new();
        for (key, template) in &self.set {
            match template.render(&scope) {
                Ok(value) => set.push((key, Arc::unwrap_or_clone(value))),
                // The run may not have set this part of the state yet.
                Err(EvalError::Unresolved { .. }) => {}
                Err(error) => {
                    let error = StepError::from(error);
                    let message = format!("migrations/{from}/set/{key}: {}", error.message);
                    return Err(StepError { message, ..error });
                }
            }
        }
        let Some(Value::Object(mut state)) = Map::from_iter(scope).remove("state") else {
            return Err(not_an_object(from));
        };
        let moved: Vec<_> = self.rename.iter().filter_map(|(old, new)| Some((new, state.remove(old)?))).collect();
        for (key, value) in moved.into_iter().chain(set) {
            state.insert(key.clone(), value);
        }
        self.remove.iter().for_each(|key| drop(state.remove(key)));
        match &self.function {
            Some(function) => match function(Value::Object(state))? {
                state @ Value::Object(_) => Ok(state),
                _ => Err(not_an_object(from)),
            },
            None => Ok(Value::Object(state)),
        }
    }
}

fn not_an_object(from: &str) -> StepError {
    StepError::configuration(
        "migration_failed",
        format!("the migration from version `{from}` did not return an object"),
    )
}
