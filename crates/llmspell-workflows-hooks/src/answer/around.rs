//! The answers of hooks called before and after a step or a run.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{model::ActivityName, state::Change};
use serde_json::Value;

use super::{Course, HookRetry, Verdict, answer};

answer! {
    /// The answer of a hook called before a step, a tool or an agent.
    Before {
        /// Runs the step with this input. A mask in the input is replaced by the secret that it hides.
        ModifyInput(input: Value) => Verdict::input(input);
        /// Changes the state. The step sees the changes; later steps see them if the step completes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Runs the step after this delay.
        Delay(delay: Duration) => Verdict::course(Course::Delay(delay));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
        /// Skips the step for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Completes the step with this output, without running it.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Calls a different activity with the same input.
        Redirect(activity: ActivityName) => Verdict::course(Course::Redirect(activity));
        /// Runs the step concurrently, once for each of these inputs; the step's output is the array of all outputs.
        Fork(inputs: Vec<Value>) => Verdict::course(Course::Fork(inputs));
        /// Uses the output cached under the key, or runs the step and caches its output if there is
        /// none.
        Cache(entry: CacheEntry) => Verdict::course(Course::Cache { key: entry.key, ttl: entry.ttl });
    }
}

/// The key and lifetime of a cached output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The key; all runs that use the same dispatcher share one cache.
    pub key: String,
    /// How long the output stays cached.
    pub ttl: Duration,
}

answer! {
    /// The answer of a hook called before a block.
    ///
    /// A block is the run, a loop, an iteration, a parallel block or one of its branches.
    BeforeBlock {
        /// Changes the state. The block's steps see the changes; later steps see them if the block completes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Runs the block after this delay.
        Delay(delay: Duration) => Verdict::course(Course::Delay(delay));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
        /// Skips the block for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Completes the block with this output, without running it.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Uses the output cached under the key, or runs the block and caches its output if there is
        /// none.
        Cache(entry: CacheEntry) => Verdict::course(Course::Cache { key: entry.key, ttl: entry.ttl });
    }
}

answer! {
    /// The answer of a hook called after a step, a block or the run has completed.
    After {
        /// Replaces the output; the next hook sees it.
        ModifyOutput(output: Value) => Verdict::output(output);
        /// Changes the state in addition to the step's own changes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Replaces the output without asking further hooks at this point.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Runs the step again as its next generation.
        Retry(retry: HookRetry) => Verdict::course(Course::Retry { delay: retry.delay, attempts: retry.attempts });
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called after an iteration has completed.
    ///
    /// A single iteration cannot be retried, since the loop counts its generations.
    AfterIteration {
        /// Replaces the output; the next hook sees it.
        ModifyOutput(output: Value) => Verdict::output(output);
        /// Changes the state in addition to the iteration's own changes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Replaces the output without asking further hooks at this point.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called after a step, a tool or an agent has failed.
    OnError {
        /// Completes the step with this output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Runs the step again as its next generation.
        Retry(retry: HookRetry) => Verdict::course(Course::Retry { delay: retry.delay, attempts: retry.attempts });
        /// Calls a different activity with the same input, as the step's next generation.
        Redirect(activity: ActivityName) => Verdict::course(Course::Redirect(activity));
        /// Treats the step as skipped for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called after the run's root step has failed.
    OnRunError {
        /// Completes the run with this output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Runs the root step again as its next generation.
        Retry(retry: HookRetry) => Verdict::course(Course::Retry { delay: retry.delay, attempts: retry.attempts });
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}
