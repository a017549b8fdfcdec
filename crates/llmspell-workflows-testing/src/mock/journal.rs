use async_trait::async_trait;
use llmspell_workflows_state::{Arrival, Epoch, Journal, JournalError, Opened, Receipt, Record};
use mockall::mock;
use uuid::Uuid;

mock! {
    /// A mock of a journal.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llmspell_workflows_state::{JournalError, RunJournal};
    /// use llmspell_workflows_testing::mock::MockJournal;
    /// use uuid::Uuid;
    ///
    /// // Nothing is appended to a run with damaged records.
    /// let mut journal = MockJournal::new();
    /// journal
    ///     .expect_open()
    ///     .times(1)
    ///     .returning(|run| Err(JournalError::Damaged { run, message: "record 3 is missing".into() }));
    /// journal.expect_append().never();
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let error = RunJournal::open(Arc::new(journal), Uuid::nil()).await.unwrap_err();
    /// assert!(error.to_string().ends_with("record 3 is missing"));
    /// # });
    /// ```
    #[derive(Debug)]
    pub Journal {}

    #[async_trait]
    impl Journal for Journal {
        async fn open(&self, run: Uuid) -> Result<Opened, JournalError>;
        fn append(&self, run: Uuid, epoch: Epoch, record: &Record) -> Result<Receipt, JournalError>;
        async fn write(&self, receipt: Receipt) -> Result<(), JournalError>;
        async fn sync(&self, receipt: Receipt) -> Result<(), JournalError>;
        async fn records(&self, run: Uuid) -> Result<Vec<Record>, JournalError>;
        fn runs(&self) -> Vec<Uuid>;
        fn damage(&self) -> Vec<JournalError>;
        async fn ended(&self) -> Result<Vec<Uuid>, JournalError>;
        async fn arrive(&self, arrivals: Vec<Arrival>) -> Result<Vec<Epoch>, JournalError>;
        async fn compact(&self, is_thorough: bool) -> Result<(), JournalError>;
        async fn forget(&self, runs: &[(Uuid, Epoch)]) -> Result<(), JournalError>;
    }
}
