//! The signals and times that the steps of a run wait for, and the signals rejected by their
//! filters.

use llmspell_workflows_basic::{
    StepPath,
    engine::{Awaited, Signal},
    expr::Expr,
    model::{Definition, StepKind},
};
use llmspell_workflows_state::{Record, RunState, Started};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{Home, KnownRun};
use crate::ExecutorError;

/// A step of a run, or of one of its sub-workflows, that waits for a signal or a time.
#[derive(Debug, Clone, PartialEq)]
pub struct RunWait {
    /// The run that contains the step.
    pub run: Uuid,
    /// The path of the step, prefixed with the paths of the enclosing sub-workflow steps.
    pub path: String,
    /// The signal or time that the step waits for.
    pub awaited: Awaited,
    /// The filter that determines which signals the step accepts. `None` if the step accepts every
    /// signal with the name, or if the definition cannot be read.
    pub filter: Option<WaitFilter>,
    /// Whether a signal that the step accepts is stored and will be delivered once the run is
    /// resumed. `false` if only the run can tell which signals the step accepts.
    pub has_arrived: bool,
}

/// The filter of a step that waits for a signal.
#[derive(Debug, Clone, PartialEq)]
pub struct WaitFilter {
    /// The condition in the definition's wording.
    pub condition: String,
    /// The signals that arrived with the awaited name but were rejected by the filter, oldest
    /// first.
    pub not_accepted: Vec<Signal>,
    /// The values of the names that the filter may read, apart from `event`; `None` if the filter
    /// reads other names.
    names: Option<Map<String, Value>>,
}

impl WaitFilter {
    /// Creates the filter of a run with this input and these declared inputs.
    fn new<'n>(condition: &str, input: &Value, declared: impl Iterator<Item = &'n String>) -> Self {
        let mut names: Map<String, Value> = declared.map(|name| (name.clone(), input[name].clone())).collect();
        names.insert("input".to_owned(), input.clone());
        let is_known = |name: &str| name == "event" || names.contains_key(name);
        let expression = Expr::parse(condition);
        let reads_known = expression.is_ok_and(|expr| expr.references().iter().all(|one| is_known(&one.name)));
        Self { condition: condition.to_owned(), not_accepted: Vec::new(), names: Some(names).filter(|_| reads_known) }
    }

    /// Returns whether the filter accepts the signal `name` with `data`. `None` if that depends on
    /// more than the signal and the run's input, in which case only the run can tell.
    #[must_use]
    pub fn accepts(&self, name: &str, data: &Value) -> Option<bool> {
        let mut names = self.names.clone()?;
        names.insert("event".to_owned(), json!({"name": name, "data": data, "timed_out": false}));
        // As in the run, a filter that cannot be evaluated counts as false.
        Some(Expr::parse(&self.condition).is_ok_and(|filter| filter.test(&names).unwrap_or(false)))
    }
}

impl dyn Home {
    /// Returns the waits of a run's steps and of its sub-workflows' steps, ordered by path.
    ///
    /// # Errors
    /// Returns an error if the records cannot be read.
    pub async fn waits(&self, run: &KnownRun) -> Result<Vec<RunWait>, ExecutorError> {
        let mut waits = Vec::new();
        self.collect_waits(run, "", &mut Vec::new(), &mut waits).await?;
        waits.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(waits)
    }

    /// Adds the waits of `run`, whose steps also receive the signals of the enclosing runs in `signals`.
    async fn collect_waits(
        &self,
        run: &KnownRun,
        around: &str,
        signals: &mut Vec<Vec<Signal>>,
        all: &mut Vec<RunWait>,
    ) -> Result<(), ExecutorError> {
        if run.status().has_ended() {
            return Ok(());
        }
        let records = self.records(run).await?;
        let state = RunState::read_outline(&records);
        signals.push(self.unreceived_signals(run, &state).await?);
        let waiting = state.steps().filter_map(|(path, step)| Some((path, step.waits()?)));
        let waiting: Vec<(&str, Awaited)> = waiting.collect();
        let filters = match waiting.iter().any(|(_, awaited)| awaited.signal.is_some()) {
            true => self.filters(run, &records).await,
            false => None,
        };
        for (step, awaited) in waiting {
            let (filter, has_arrived) = match (&awaited.signal, &filters) {
                (Some(event), Some(filters)) => filters.receive(step, event, signals),
                _ => (None, false),
            };
            all.push(RunWait { run: run.id(), path: format!("{around}{step}"), awaited, filter, has_arrived });
        }
        for (path, step) in state.steps().filter(|(_, step)| step.end().is_none()) {
            let Some(child) = step.child() else { continue };
            if let Some(child) = self.get(child).await? {
                Box::pin(self.collect_waits(&child, &format!("{around}{path}"), signals, all)).await?;
            }
        }
        signals.pop();
        Ok(())
    }

    /// Returns the filters of `run`'s steps; `None` if the definition cannot be read.
    async fn filters(&self, run: &KnownRun, records: &[Record]) -> Option<Filters> {
        let definition = self.definition(&run.summary.definition).await.ok()?;
        let input = Started::of(records).map(|started| started.input);
        Some(Filters { definition, input: input.unwrap_or_default() })
    }
}

/// The data that the filters of a run's steps read.
struct Filters {
    definition: Definition,
    input: Value,
}

impl Filters {
    /// Takes the oldest signal `event` that the step at `path` accepts. The signal may have been
    /// sent to the step's run, which is the last entry of `signals`, or to an enclosing run.
    /// Returns the step's filter, and whether there was such a signal.
    fn receive(&self, path: &str, event: &str, signals: &mut [Vec<Signal>]) -> (Option<WaitFilter>, bool) {
        let Ok(path) = path.parse::<StepPath>() else { return (None, false) };
        let Some(StepKind::WaitForEvent(wait)) = self.definition.step_at(&path).map(|step| &step.kind) else {
            return (None, false);
        };
        let mut filter = wait.filter.as_deref().map(|filter| self.filter(&path, filter));
        let mut accepted = None;
        for (run, signals) in signals.iter().enumerate().rev() {
            for (at, signal) in signals.iter().enumerate().filter(|(_, signal)| signal.name == event) {
                match filter.as_ref().map_or(Some(true), |filter| filter.accepts(event, &signal.data)) {
                    Some(true) => accepted = accepted.or(Some((run, at))),
                    Some(false) => filter.iter_mut().for_each(|one| one.not_accepted.push(signal.clone())),
                    None => {}
                }
            }
        }
        (filter, accepted.map(|(run, at)| signals[run].remove(at)).is_some())
    }

    fn filter(&self, path: &StepPath, condition: &str) -> WaitFilter {
        let mut filter = WaitFilter::new(condition, &self.input, self.definition.inputs.keys());
        if path.segments().iter().any(|segment| segment.id.to_string() == "$undo") {
            // Here, `input` would refer to another step's input.
            filter.names = None;
        }
        filter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_read_only_the_event_and_the_input_are_evaluated() {
        let (input, declared) = (json!({"order": 7}), "order".to_owned());
        for (condition, data, expected) in [
            ("event.data.ok", json!({"ok": true}), Some(true)),
            ("event.data.ok", json!({"ok": false}), Some(false)),
            ("event.data.ok", json!(null), Some(false)),
            ("event.data.order == order", json!({"order": 7}), Some(true)),
            ("event.data.order == input.order", json!({"order": 8}), Some(false)),
            ("event.data / 0 > 1", json!("x"), Some(false)),
            ("event.data.id == create.id", json!({"id": 1}), None),
            ("event.data.id == state.id", json!({"id": 1}), None),
        ] {
            let filter = WaitFilter::new(condition, &input, std::iter::once(&declared));
            assert_eq!(filter.accepts("paid", &data), expected, "{condition} with {data}");
        }
    }
}
