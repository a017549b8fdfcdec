//! Answers of hooks that stand before and after something.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::{model::ActivityName, state::Change};
use serde_json::Value;

use super::{Again, Course, Verdict, answer};

answer! {
    /// Before a step, a tool or an agent.
    Before {
        /// Runs it with this input. What is masked in it as the hook saw it still stands for the secret.
        ModifyInput(input: Value) => Verdict::input(input);
        /// Changes the state: the step sees that, and so does what follows if the step completes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Runs it later.
        Delay(delay: Duration) => Verdict::course(Course::Delay(delay));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
        /// Skips it, for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Does not run it: this is its output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Calls another activity with the same input.
        Redirect(activity: ActivityName) => Verdict::course(Course::Redirect(activity));
        /// Runs it once for each of these inputs at the same time; its output is the array of theirs.
        Fork(inputs: Vec<Value>) => Verdict::course(Course::Fork(inputs));
        /// Answers with what is cached under the key, else runs it and caches the output for so long.
        Cache(entry: CacheEntry) => Verdict::course(Course::Cache { key: entry.key, ttl: entry.ttl });
    }
}

/// Under which key an output is cached, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry {
    /// The key; shared by all runs of the dispatcher.
    pub key: String,
    /// How long the output stays.
    pub ttl: Duration,
}

answer! {
    /// Before a block: the run, a loop, an iteration, a parallel block or one of its branches.
    BeforeBlock {
        /// Changes the state: its steps see that, and so does what follows if it completes.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Runs it later.
        Delay(delay: Duration) => Verdict::course(Course::Delay(delay));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
        /// Skips it, for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Does not run it: this is its output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Answers with what is cached under the key, else runs it and caches the output for so long.
        Cache(entry: CacheEntry) => Verdict::course(Course::Cache { key: entry.key, ttl: entry.ttl });
    }
}

answer! {
    /// After something has completed.
    After {
        /// Gives this output instead; the next hook sees it.
        ModifyOutput(output: Value) => Verdict::output(output);
        /// Changes the state beyond what the step did.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Gives this output instead, whatever other hooks would say.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Enters the step again, as its next generation.
        Retry(again: Again) => Verdict::course(Course::Retry { delay: again.delay, attempts: again.attempts });
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// After an iteration has completed; it is not entered again alone, since its loop counts its generations.
    AfterIteration {
        /// Gives this output instead; the next hook sees it.
        ModifyOutput(output: Value) => Verdict::output(output);
        /// Changes the state beyond what the iteration did.
        ModifyState(changes: Vec<Change>) => Verdict::state(changes);
        /// Gives this output instead, whatever other hooks would say.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// After a step, a tool or an agent has failed.
    OnError {
        /// Completes it with this output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Enters it again, as its next generation.
        Retry(again: Again) => Verdict::course(Course::Retry { delay: again.delay, attempts: again.attempts });
        /// Calls another activity with the same input, as its next generation.
        Redirect(activity: ActivityName) => Verdict::course(Course::Redirect(activity));
        /// Counts it as skipped, for this reason.
        Skip(reason: String) => Verdict::course(Course::Skip(reason));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// After the run's root step has failed.
    OnRunError {
        /// Completes the run with this output.
        Replace(output: Value) => Verdict::course(Course::Replace(Arc::new(output)));
        /// Enters the root step again, as its next generation.
        Retry(again: Again) => Verdict::course(Course::Retry { delay: again.delay, attempts: again.attempts });
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}
