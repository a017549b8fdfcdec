use std::sync::Arc;

use futures_util::future::join_all;

use super::{Members, Watchdog, hook_sequence::HookSequence};
use crate::{HookContext, HookReport, Verdict};

/// How the answers of several hooks at a point are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Combine {
    /// Calls hooks one after the other, by priority. Each hook sees the modifications of the hooks before it, and the
    /// first answer that does more than modify data is final.
    #[default]
    Sequence,
    /// Calls all hooks concurrently, each in its own task. The answer of the highest-priority hook that did not answer
    /// `Continue` wins.
    Parallel,
    /// Calls all hooks concurrently, each in its own task. An answer given by more than half of the hooks wins;
    /// without a majority, nothing changes.
    Vote,
}

/// The combined answer of hooks, with reports on the hooks that failed.
#[derive(Debug, Default)]
pub(crate) struct FireResult {
    pub(crate) verdict: Verdict,
    pub(crate) reports: Vec<HookReport>,
}

impl FireResult {
    /// Returns the report on the first required hook that failed.
    pub(crate) fn required_failure(&self) -> Option<&HookReport> {
        self.reports.iter().find(|report| report.required)
    }
}

/// Calls `members` with `context` and combines their answers.
pub(crate) async fn fire(
    watchdog: &Arc<Watchdog>,
    combine: Combine,
    members: Members,
    context: HookContext,
) -> FireResult {
    match combine {
        Combine::Sequence => HookSequence::run(watchdog, members, context).await,
        Combine::Parallel => {
            let results = call_concurrently(watchdog, &members, &context).await;
            let first = results.iter().position(|result| !result.verdict.is_continue());
            merge(results, first)
        }
        Combine::Vote => {
            let results = call_concurrently(watchdog, &members, &context).await;
            let votes = |verdict: &Verdict| results.iter().filter(|other| other.verdict == *verdict).count();
            let wins = |result: &FireResult| votes(&result.verdict) * 2 > members.len();
            let winner = results.iter().position(wins);
            merge(results, winner)
        }
    }
}

async fn call_concurrently(watchdog: &Arc<Watchdog>, members: &Members, context: &HookContext) -> Vec<FireResult> {
    let call_one = |member: &crate::registration::Member| {
        HookSequence::run(watchdog, Arc::from([member.clone()]), context.clone())
    };
    join_all(members.iter().map(call_one)).await
}

/// Merges all reports with the verdict of the hook at `chosen`.
fn merge(results: Vec<FireResult>, chosen: Option<usize>) -> FireResult {
    let mut all = FireResult::default();
    for (number, result) in results.into_iter().enumerate() {
        all.reports.extend(result.reports);
        if Some(number) == chosen {
            all.verdict = result.verdict;
        }
    }
    all
}
