//! Answers of hooks that stand at a choice, and of those that only look.

use std::{sync::Arc, time::Duration};

use llmspell_workflows_basic::state::Change;
use serde_json::Value;

use super::{Course, Verdict, answer};

answer! {
    /// A conditional or a switch has chosen.
    OnBranch {
        /// Takes this branch: 0 is `then` or the first case, and the default counts as the last.
        Redirect(branch: usize) => Verdict::course(Course::Branch(Some(branch)));
        /// Takes none.
        Skip => Verdict::course(Course::Branch(None));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A route goes on.
    OnTransition {
        /// Goes to this step instead.
        Redirect(step: String) => Verdict::course(Course::Step(Some(step)));
        /// Ends the route here.
        Skip => Verdict::course(Course::Step(None));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A loop knows its items.
    OnItems {
        /// Runs over these instead.
        Modify(items: Vec<Value>) => Verdict::course(Course::Items(Arc::new(items)));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A loop has tested whether it goes on.
    OnCondition {
        /// Makes another iteration.
        GoOn => Verdict::course(Course::GoOn(true));
        /// Makes no other.
        End => Verdict::course(Course::GoOn(false));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A conflict of branches was resolved.
    OnConflict {
        /// This value stands.
        Modify(value: Value) => Verdict::course(Course::Value(value));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A leaf is about to change the state.
    OnWrite {
        /// Makes these changes and no others.
        Modify(changes: Vec<Change>) => Verdict::course(Course::Changes(changes));
        /// Makes none; the output stands.
        Skip => Verdict::course(Course::Changes(Vec::new()));
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// An attempt has failed and another is due.
    OnRetry {
        /// Makes it after this delay instead.
        Retry(delay: Duration) => Verdict::course(Course::Retry { delay, attempts: 1 });
        /// Makes no other: the step fails.
        GiveUp => Verdict::course(Course::GiveUp);
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// A step is not to run.
    OnSkip {
        /// Runs it all the same.
        Enter => Verdict::course(Course::Enter);
        /// Cancels the run, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// Something is about to happen that can be refused.
    Permit {
        /// Refuses it, for this reason.
        Cancel(reason: String) => Verdict::course(Course::Cancel(reason));
    }
}

answer! {
    /// Something has happened, and nothing can be changed any more.
    Observe {}
}
