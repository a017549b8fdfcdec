//! Loops and parallel blocks, which the naive interpreter runs sequentially.

use llmspell_workflows_basic::{
    ErrorClass, StepError,
    model::*,
    state::{Side, join},
};
use serde_json::{Map, Value, json};

use super::{Env, Naive, StepEnd, StepLocation, StepResult};

impl Naive {
    pub(super) fn repeat(&mut self, settings: &Loop, at: &StepLocation, env: &Env) -> StepResult {
        let max = usize::try_from(settings.max_iterations.unwrap_or(u64::MAX)).unwrap();
        let items = match &settings.over {
            LoopSource::Items(items) => Some(env.render(items)?.as_array().unwrap().clone()),
            LoopSource::Range { start, end, step } => {
                let [start, end, step] = [start, end, step].map(|number| number.as_i64().unwrap());
                let within = |n: &i64| if step > 0 { *n < end } else { *n > end };
                Some((0..).map(|n| start + n * step).take_while(within).map(Value::from).collect())
            }
            LoopSource::While(_) => None,
        };
        let count = items.as_ref().map_or(max, |items| items.len().min(max));
        let parallel = settings.mode == IterationMode::Parallel;
        let (mut outer, mut results, mut errors) = (env.clone(), Vec::new(), Vec::new());
        let (mut all, mut sides) = (Vec::new(), Vec::new());
        for index in 0..count {
            let mut env = if parallel { env.clone() } else { outer.clone() };
            let item = items.as_ref().map_or(Value::Null, |items| items[index].clone());
            env.iteration = json!({"item": item, "index": index});
            if let LoopSource::While(condition) = &settings.over
                && !env.test(condition)?
            {
                break;
            }
            let inner = StepLocation(at.0.clone(), format!("{}[{index}]", at.1), at.2);
            let end = self.record(inner.show(""), |naive| naive.sequence(&settings.steps, &inner, &env));
            match end {
                Ok((value, changes)) => {
                    outer.apply(if parallel { &[] } else { &changes });
                    results.push(value);
                    sides.push(Side { name: String::new(), changes: changes.clone(), ended: 0 });
                    all.extend(changes);
                }
                Err(error) if settings.on_error == IterationErrors::Stop => return Err(error),
                Err(error) => {
                    results.push(Value::Null);
                    errors.push((index, error));
                }
            }
        }
        if settings.on_error == IterationErrors::Collect && !errors.is_empty() {
            let (_, first) = errors.swap_remove(0);
            return Err(StepError::new(first.class, "iterations_failed", "").retryable(first.retryable));
        }
        if parallel {
            let joined = join(&env.state, &sides, &OnConflict::Error, &mut |_, _| None);
            all = joined.map_err(|_| StepError::validation("state_conflict", ""))?.changes;
        }
        let total = items.map_or(results.len(), |items| items.len());
        let errors: Vec<_> = errors.iter().map(|(index, error)| json!({"index": index, "error": error})).collect();
        let counts = json!({"iterations": results.len(), "total_count": total, "failed_count": errors.len()});
        let mut value = counts.as_object().unwrap().clone();
        value.extend([("errors".to_owned(), json!(errors)), ("results".to_owned(), json!(results))]);
        Ok((value.into(), all))
    }

    /// Runs each branch to its end, regardless of the other branches' results.
    pub(super) fn parallel(&mut self, parallel: &Parallel, at: &StepLocation, env: &Env) -> StepResult {
        let branches = parallel.branches.iter();
        let ends: Vec<(&Branch, StepEnd)> =
            branches.map(|branch| (branch, self.step(&branch.step, at.child(&branch.step.id), env))).collect();
        let errors = ends
            .iter()
            .filter_map(|(branch, end)| if let StepEnd::Failed(e) = end { Some((*branch, e)) } else { None });
        let errors: Vec<_> = errors.collect();
        let good = ends.iter().filter(|(_, end)| matches!(end, StepEnd::Completed(..) | StepEnd::Handled)).count();
        let skipped = ends.iter().filter(|(_, end)| matches!(end, StepEnd::Skipped)).count();
        let fails = |code: &'static str| {
            let class = errors.first().map_or(ErrorClass::Agent, |(_, error)| error.class);
            Err(StepError::new(class, code, "").retryable(errors.iter().any(|(_, error)| error.retryable)))
        };
        if errors.iter().any(|(branch, _)| branch.required) {
            return fails("required_branch_failed");
        }
        let enough = match parallel.aggregation {
            Aggregation::All if parallel.error_mode == ErrorMode::BestEffort => usize::from(!errors.is_empty()),
            Aggregation::All => ends.len() - skipped,
            Aggregation::AtLeast(n) => n as usize,
            _ => ends.len() / 2 + 1,
        };
        if good < enough {
            return fails("branches_failed");
        }
        let mut sides = Vec::new();
        let (mut list, mut named) = (Vec::new(), Map::new());
        for (branch, end) in ends {
            let has_failed = matches!(end, StepEnd::Failed(_));
            let value = match end {
                StepEnd::Completed(value, changes) => {
                    sides.push(Side { name: String::new(), changes, ended: 0 });
                    value
                }
                StepEnd::Failed(error) => json!({"error": error}),
                StepEnd::Skipped | StepEnd::Handled => Value::Null,
            };
            list.push(if has_failed { Value::Null } else { value.clone() });
            named.insert(branch.step.id.clone(), value);
        }
        let joined = join(&env.state, &sides, &parallel.on_conflict, &mut |_, _| None);
        let changes = joined.map_err(|_| StepError::validation("state_conflict", ""))?.changes;
        let by_branch = parallel.output == ParallelOutput::ByBranch;
        Ok((if by_branch { named.into() } else { list.into() }, changes))
    }
}
