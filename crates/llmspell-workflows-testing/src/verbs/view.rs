use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use llmspell_workflows_advanced::{ExecutorError, Home, KnownRun, RunLocation, RunQuery};
use llmspell_workflows_basic::{RunStatus, engine::Outcome};
use serde_json::Value;
use uuid::Uuid;

use super::ladder::Rest;

/// The maximum number of runs in a test's home.
const RUNS_MAX: usize = 1_000;

/// A home as seen from outside.
#[derive(Debug, Clone, Default)]
pub(super) struct View {
    pub(super) runs: BTreeMap<Uuid, Seen>,
    /// Problems that do not depend on earlier events.
    pub(super) problems: Vec<String>,
}

/// A run as seen from outside.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) workflow: String,
    pub(super) parent: Option<Uuid>,
    pub(super) status: RunStatus,
    pub(super) rest: Rest,
    location: RunLocation,
    /// The export without the time and the statuses; null for a sub-workflow.
    pub(super) export: Value,
}

impl View {
    /// Reads all runs of `home`.
    pub(super) async fn of(home: &Arc<dyn Home>) -> Result<Self, ExecutorError> {
        let mut view = Self::default();
        view.problems.extend(home.verify().await?.damage);
        let query = RunQuery { limit: RUNS_MAX, ..RunQuery::default() };
        let listing = home.list(&query).await?;
        view.problems.extend(listing.damage.iter().map(ToString::to_string));
        view.problems.extend(listing.damaged.iter().map(|run| format!("{} is damaged: {}", run.run, run.error)));
        for known in &listing.runs {
            let id = known.id();
            let seen = Seen::of(home, known).await.map_err(|error| format!("run {id} cannot be read: {error}"));
            match seen {
                Ok(seen) => {
                    let former = view.runs.insert(id, seen);
                    view.problems.extend(former.map(|_| format!("run {id} is listed twice")));
                }
                Err(problem) => view.problems.push(problem),
            }
            view.find(home, known).await?;
        }
        view.check_families();
        Ok(view)
    }

    /// Checks that `find` agrees with the listing.
    async fn find(&mut self, home: &Arc<dyn Home>, known: &KnownRun) -> Result<(), ExecutorError> {
        let found = home.find(&known.id().to_string()).await?;
        if (found.status(), &found.location) != (known.status(), &known.location) {
            let (one, two) = ((known.status(), &known.location), (found.status(), &found.location));
            self.problems.push(format!("run {} is listed as {one:?}, but found as {two:?}", known.id()));
        }
        Ok(())
    }

    /// Checks that each sub-workflow is stored with its parent and does not outlive it.
    fn check_families(&mut self) {
        for (id, child) in &self.runs {
            let Some(parent) = child.parent else { continue };
            let Some(parent_run) = self.runs.get(&parent) else {
                self.problems.push(format!("the sub-workflow {id} exists without its parent {parent}"));
                continue;
            };
            if parent_run.location != child.location {
                let (one, two) = (&child.location, &parent_run.location);
                self.problems
                    .push(format!("the sub-workflow {id} is in {one:?}, but its parent {parent} is in {two:?}"));
            }
            if parent_run.status.has_ended() && !child.status.has_ended() {
                let (one, two) = (child.status, parent_run.status);
                self.problems.push(format!("the sub-workflow {id} is {one}, but its parent {parent} is {two}"));
            }
        }
        for (id, run) in self.runs.iter().filter(|(_, run)| run.parent.is_none()) {
            let (listed, exported) = (self.family(*id).len(), count_runs(&run.export));
            if listed != exported {
                self.problems.push(format!("run {id} has {listed} runs in its family, but exports {exported}"));
            }
        }
    }

    /// Returns the runs that are not sub-workflows.
    pub(super) fn roots(&self) -> impl Iterator<Item = (Uuid, &Seen)> {
        self.runs.iter().filter(|(_, run)| run.parent.is_none()).map(|(id, run)| (*id, run))
    }

    /// Returns `root` and its sub-workflows, at any depth.
    pub(super) fn family(&self, root: Uuid) -> BTreeSet<Uuid> {
        let mut family = BTreeSet::from([root]);
        loop {
            let is_new = |(id, run): &(&Uuid, &Seen)| {
                run.parent.is_some_and(|parent| family.contains(&parent)) && !family.contains(*id)
            };
            let more: Vec<Uuid> = self.runs.iter().filter(is_new).map(|(id, _)| *id).collect();
            if more.is_empty() {
                return family;
            }
            family.extend(more);
        }
    }
}

impl Seen {
    async fn of(home: &Arc<dyn Home>, known: &KnownRun) -> Result<Self, ExecutorError> {
        let history = home.history(known).await?;
        let (mut output, mut error) = (Value::Null, None);
        match history.end.map(|(outcome, _)| outcome) {
            Some(Outcome::Completed(completed)) => output = (*completed.value).clone(),
            Some(Outcome::Failed(failure)) => error = Some(failure.error.code.to_string()),
            _ => {}
        }
        let mut export = match known.summary.parent {
            None => home.export(known).await?,
            Some(_) => Value::Null,
        };
        strip(&mut export);
        Ok(Self {
            workflow: known.summary.workflow.clone(),
            parent: known.summary.parent,
            status: known.status(),
            rest: Rest { status: known.status(), output, error },
            location: known.location.clone(),
            export,
        })
    }
}

/// Removes the parts of an export that can change although the run does not: the time, and the
/// status that depends on the run's owner.
pub(super) fn strip(export: &mut Value) {
    if let Value::Object(fields) = export {
        fields.remove("exported_at");
        fields.remove("status");
        fields.get_mut("children").and_then(Value::as_array_mut).into_iter().flatten().for_each(strip);
    }
}

/// Returns whether `after` exports the same run as `before`. Records and sub-workflows that the
/// run's process had not written yet may follow.
pub(super) fn is_continued(before: &Value, after: &Value) -> bool {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return before == after };
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    before.len() == after.len()
        && before.iter().all(|(name, one)| match (name.as_str(), after.get(name)) {
            (_, None) => false,
            ("records", Some(other)) => list(other).starts_with(&list(one)),
            ("children", Some(other)) => {
                let other = list(other);
                let same = |one: &Value| other.iter().find(|other| other["run_id"] == one["run_id"]);
                list(one).iter().all(|one| same(one).is_some_and(|other| is_continued(one, other)))
            }
            (_, Some(other)) => one == other,
        })
}

/// Returns the kinds and paths of the exported records, including those of the sub-workflows.
pub(super) fn records(export: &Value) -> String {
    let one = |record: &Value| {
        let (kind, fields) = record.as_object().and_then(|record| record.iter().next())?;
        Some(format!("{kind} {}", fields["path"].as_str().unwrap_or_default()).trim_end().to_owned())
    };
    let records: Vec<String> = export["records"].as_array().into_iter().flatten().filter_map(one).collect();
    let children = export["children"].as_array().into_iter().flatten();
    std::iter::once(records.join(", ")).chain(children.map(|child| format!("[{}]", self::records(child)))).collect()
}

fn count_runs(export: &Value) -> usize {
    1 + export["children"].as_array().into_iter().flatten().map(count_runs).sum::<usize>()
}
