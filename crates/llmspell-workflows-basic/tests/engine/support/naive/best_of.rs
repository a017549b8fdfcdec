use llmspell_workflows_basic::{ErrorClass, StepError, model::BestOf};
use serde_json::Value;

use super::{At, End, Env, Given, Naive};

impl Naive {
    /// All branches run to their end; the longest output wins, as generated scores say.
    pub(super) fn best_of(&mut self, block: &BestOf, at: &At, env: &Env) -> Given {
        let (mut best, mut failed): (Option<(usize, Value, Vec<_>)>, _) = (None, None);
        for step in &block.steps {
            match self.step(step, at.child(&step.id), env) {
                End::Given(value, changes) => {
                    let score = value.to_string().chars().count();
                    if best.as_ref().is_none_or(|(highest, ..)| score > *highest) {
                        best = Some((score, value, changes));
                    }
                }
                End::Failed(error) => drop(failed.get_or_insert(error)),
                End::Skipped | End::Handled => {}
            }
        }
        match (best, failed) {
            (Some((_, value, changes)), _) => Ok((value, changes)),
            (None, Some(error)) => Err(error),
            (None, None) => Err(StepError::new(ErrorClass::Agent, "no_best", "")),
        }
    }
}
