use std::sync::Arc;

use futures_util::future::join_all;

use super::{Members, Watch, turns::Turns};
use crate::{HookContext, Report, Verdict};

/// How the answers of several hooks at a point become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// One after the other by priority; each sees what those before it modified, and the first that does more than
    /// modify ends the question.
    #[default]
    Sequence,
    /// All at the same time, each in a task of its own; of those that do not continue the one of the highest priority
    /// stands.
    Parallel,
    /// All at the same time, each in a task of its own; what more than half of all hooks answer stands, else things go
    /// on as they would.
    Vote,
}

/// What hooks have said, and what went wrong with them.
#[derive(Debug, Default)]
pub(crate) struct Fired {
    pub(crate) verdict: Verdict,
    pub(crate) reports: Vec<Report>,
}

impl Fired {
    /// The first trouble of a hook without which things do not happen.
    pub(crate) fn refusal(&self) -> Option<&Report> {
        self.reports.iter().find(|report| report.required)
    }
}

/// Calls `members` about `context`.
pub(crate) async fn fire(watch: &Arc<Watch>, combine: Combine, members: Members, context: HookContext) -> Fired {
    match combine {
        Combine::Sequence => Turns::take(watch, members, context).await,
        Combine::Parallel => {
            let fired = at_once(watch, &members, &context).await;
            let first = fired.iter().position(|fired| !fired.verdict.is_continue());
            gathered(fired, first)
        }
        Combine::Vote => {
            let fired = at_once(watch, &members, &context).await;
            let votes = |verdict: &Verdict| fired.iter().filter(|other| other.verdict == *verdict).count();
            let wins = |fired: &Fired| votes(&fired.verdict) * 2 > members.len();
            let winner = fired.iter().position(wins);
            gathered(fired, winner)
        }
    }
}

async fn at_once(watch: &Arc<Watch>, members: &Members, context: &HookContext) -> Vec<Fired> {
    let alone = |member: &crate::registration::Member| Turns::take(watch, Arc::from([member.clone()]), context.clone());
    join_all(members.iter().map(alone)).await
}

/// All reports, and the verdict of number `chosen`.
fn gathered(fired: Vec<Fired>, chosen: Option<usize>) -> Fired {
    let mut all = Fired::default();
    for (number, fired) in fired.into_iter().enumerate() {
        all.reports.extend(fired.reports);
        if Some(number) == chosen {
            all.verdict = fired.verdict;
        }
    }
    all
}
