//! The answers of hooks called at decisions, and of hooks that only observe.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::state::Change;
use serde_json::Value;

use super::{Course, Verdict, answer};

answer! {
    /// The answer of a hook called when a conditional or a switch has chosen a branch.
    OnBranch {
        /// Takes the branch with this index: 0 is `then` or the first case, and the default is the last index.
        Redirect(branch: usize) => Verdict::course(Course::Branch(Some(branch)));
        /// Takes no branch.
        Skip => Verdict::course(Course::Branch(None));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a route moves to its next step.
    OnTransition {
        /// Moves to this step instead.
        Redirect(step: String) => Verdict::course(Course::Step(Some(step)));
        /// Ends the route here.
        Skip => Verdict::course(Course::Step(None));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a loop has determined its items.
    OnItems {
        /// Loops over these items instead.
        Modify(items: Vec<Value>) => Verdict::course(Course::Items(Arc::new(items)));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a loop has tested whether to continue.
    OnCondition {
        /// Runs another iteration.
        Iterate => Verdict::course(Course::Iterate(true));
        /// Ends the loop.
        End => Verdict::course(Course::Iterate(false));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a conflict between branches has been resolved.
    OnConflict {
        /// Sets this value instead.
        Modify(value: Value) => Verdict::course(Course::Value(value));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a leaf is about to change the state.
    OnWrite {
        /// Makes exactly these changes.
        Modify(changes: Vec<Change>) => Verdict::course(Course::Changes(changes));
        /// Makes no changes; the output is kept.
        Skip => Verdict::course(Course::Changes(Vec::new()));
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when an attempt has failed and another is due.
    OnRetry {
        /// Makes the attempt after this delay instead.
        Retry(delay: Duration) => Verdict::course(Course::Retry { delay, attempts: 1 });
        /// Gives up: the step fails without another attempt.
        GiveUp => Verdict::course(Course::GiveUp);
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called when a step is about to be skipped.
    OnSkip {
        /// Runs the step anyway.
        Enter => Verdict::course(Course::Enter);
        /// Cancels the run for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called before an action that it can refuse.
    Permit {
        /// Refuses the action for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// The answer of a hook called too late to change anything.
    Observe {}
}
