use std::sync::Arc;

use async_trait::async_trait;
use llmspell_workflows_state::{Arrival, Epoch, Journal, JournalError, Opened, Receipt, Record};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Double, Service};

impl Service for dyn Journal + '_ {
    type Error = JournalError;
    const CALLS: &'static [&'static str] =
        &["open", "append", "write", "sync", "records", "forget", "ended", "arrive", "compact"];
}

impl Double<dyn Journal> {
    /// Creates a double of a shared journal; the subject of `append` is the kind and the path of the record.
    #[must_use]
    pub fn journal(inner: Arc<impl Journal + 'static>) -> Self {
        Self::around(inner)
    }
}

#[async_trait]
impl Journal for Double<dyn Journal> {
    async fn open(&self, run: Uuid) -> Result<Opened, JournalError> {
        self.record("open", "", json!(run)).wait(self.inner.open(run)).await
    }

    fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError> {
        let arguments = json!(record);
        self.record("append", record_subject(&arguments), arguments).call(|| self.inner.append(run, epoch, record))
    }

    async fn write(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.record("write", "", json!(receipt.number())).wait(self.inner.write(receipt)).await
    }

    async fn sync(&self, receipt: Receipt) -> Result<(), JournalError> {
        self.record("sync", "", json!(receipt.number())).wait(self.inner.sync(receipt)).await
    }

    fn runs(&self) -> Vec<Uuid> {
        self.inner.runs()
    }

    async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError> {
        self.record("records", "", json!(run)).wait(self.inner.records(run)).await
    }

    fn damage(&self) -> Vec<JournalError> {
        self.inner.damage()
    }

    async fn ended(&self) -> Result<Vec<Uuid>, JournalError> {
        self.record("ended", "", Value::Null).wait(self.inner.ended()).await
    }

    async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError> {
        let arriving: Vec<Uuid> = arrivals.iter().map(|arrival| arrival.run).collect();
        self.record("arrive", "", json!(arriving)).wait(self.inner.arrive(arrivals)).await
    }

    async fn compact(&self, is_thorough: bool) -> Result<(), JournalError> {
        self.record("compact", "", json!(is_thorough)).wait(self.inner.compact(is_thorough)).await
    }

    async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError> {
        let runs_forgotten: Vec<Uuid> = runs.iter().map(|(run, _)| *run).collect();
        self.record("forget", "", json!(runs_forgotten)).wait(self.inner.forget(runs)).await
    }
}

/// Returns the kind of a record and its path, such as `ended /main/charge`. As JSON, a record is an object with its
/// kind as the key.
fn record_subject(record: &Value) -> String {
    let Some((kind, fields)) = record.as_object().and_then(|record| record.iter().next()) else {
        return record.as_str().unwrap_or_default().to_owned();
    };
    let path = fields["path"].as_str().unwrap_or_default();
    format!("{kind} {path}").trim_end().to_owned()
}
