//! Moves damaged parts of a home aside.

use std::path::PathBuf;

use llmspell_workflows_state::{Arrival, JournalError};

use super::{Contact, Home, JournalId};
use crate::ExecutorError;

/// The result of repairing a home.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RepairReport {
    /// The damaged parts, with their new locations.
    pub moved: Vec<MovedAside>,
    /// Damaged journals that were left alone because a running process holds them.
    pub held: Vec<JournalId>,
    /// Whether the stores are damaged and were left alone because a running process holds a journal.
    pub are_stores_held: bool,
}

/// A damaged part of a home that was moved aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MovedAside {
    /// Descriptions of the damage.
    pub damage: Vec<String>,
    /// The new location of the damaged part.
    pub place: PathBuf,
    /// The number of intact runs rescued from the damaged part into another journal.
    pub rescued: usize,
}

impl dyn Home {
    /// Moves damaged journals aside, along with stores that cannot be opened.
    ///
    /// The intact runs of a damaged journal are first brought into another journal. Nothing is
    /// deleted.
    ///
    /// # Errors
    /// Returns an error if a journal cannot be read at all, or if the home cannot be written.
    pub async fn repair(&self) -> Result<RepairReport, ExecutorError> {
        let mut report = RepairReport::default();
        self.repair_stores(&mut report).await?;
        for journal in self.journals().await? {
            let contents = self.check(&journal).await?;
            let of_runs = contents.runs.iter().filter_map(|run| run.records.as_ref().err());
            let damage: Vec<String> = contents.damage.iter().chain(of_runs).map(ToString::to_string).collect();
            if damage.is_empty() {
                continue;
            }
            let lease = match self.lease(&journal, Contact::None).await {
                Err(ExecutorError::Journal(JournalError::Held { .. })) => {
                    report.held.push(journal);
                    continue;
                }
                leased => leased?,
            };
            let arrivals = contents.runs.into_iter().filter_map(|run| {
                let records = run.records.ok().filter(|records| !records.is_empty())?;
                Some(Arrival { run: run.run, after: run.epoch, records })
            });
            let arrivals: Vec<Arrival> = arrivals.collect();
            let rescued = arrivals.len();
            if rescued > 0 {
                let target = self.lease_for_new_runs(Contact::None).await?;
                target.journal.arrive(arrivals).await?;
            }
            let place = self.set_aside(lease).await?;
            report.moved.push(MovedAside { damage, place, rescued });
        }
        Ok(report)
    }

    /// Moves stores that cannot be opened aside. The runs in journals do not depend on them.
    async fn repair_stores(&self, report: &mut RepairReport) -> Result<(), ExecutorError> {
        let damage = match self.existing_stores().await {
            Err(ExecutorError::Store(error)) if error.is_damage() => error.to_string(),
            opened => return opened.map(drop),
        };
        for journal in self.journals().await? {
            if self.holder(&journal).await?.is_some() {
                report.are_stores_held = true;
                return Ok(());
            }
        }
        let place = self.set_stores_aside().await?;
        report.moved.push(MovedAside { damage: vec![damage], place, rescued: 0 });
        Ok(())
    }
}
