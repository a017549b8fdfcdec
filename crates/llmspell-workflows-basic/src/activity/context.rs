use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::{OpenLogs, OutputSource, OutputStream, OutputWriter};
use crate::{PathLink, engine::Call, secrets::Masker};

/// The context of a call to an activity: the input, the position in the run, and a cancellation token.
#[derive(Debug, Clone)]
pub struct ActivityContext {
    call: Call,
    input: Input,
}

/// The source of an activity's input.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// The step's own parameters, which contain no references.
    Fixed,
    Given(Arc<Value>),
}

impl ActivityContext {
    pub(crate) fn new(call: Call, input: Input) -> Self {
        Self { call, input }
    }

    /// Returns the input of the activity: the step's parameters with every reference resolved.
    #[must_use]
    pub fn input(&self) -> &Value {
        match &self.input {
            Input::Given(input) => input,
            Input::Fixed => self.call.node().fixed_input().expect("only a step with a fixed input uses `Input::Fixed`"),
        }
    }

    /// Returns the input as an owned value, without copying it if nothing else in the run refers to it.
    #[must_use]
    pub fn into_input(self) -> Value {
        match self.input {
            Input::Given(input) => Arc::unwrap_or_clone(input),
            Input::Fixed => self.input().clone(),
        }
    }

    /// Returns the run's masker, for text that is truncated before it becomes part of an error.
    ///
    /// Mask secrets before truncating the text; otherwise, part of a secret could remain.
    #[must_use]
    pub fn masker(&self) -> &Masker {
        self.call.run().masker()
    }

    /// Returns writers that pass the standard output and standard error of this attempt to the
    /// engine's [sinks](super::OutputSink).
    #[must_use]
    pub fn output(&self) -> [OutputWriter; 2] {
        let (attempt, with_cuts) = (self.attempt(), self.attempt_with_cuts());
        let sinks = self.call.run().engine().output_sinks();
        let cuts = with_cuts.saturating_sub(attempt);
        let source = || OutputSource { run: self.run_id(), path: self.path().to_string(), attempt, cuts };
        let logs = (!sinks.is_empty()).then(|| OpenLogs::open(sinks, &source(), self.masker()));
        [OutputStream::Stdout, OutputStream::Stderr].map(|stream| OutputWriter::new(logs.clone(), stream))
    }

    /// Returns the id of the run.
    #[must_use]
    pub fn run_id(&self) -> Uuid {
        self.call.run().id()
    }

    /// Returns the path of the step.
    #[must_use]
    pub fn path(&self) -> &PathLink {
        self.call.path()
    }

    /// Returns the number of the attempt, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call.attempt()
    }

    /// Returns the number of the attempt, counted from 1, including attempts interrupted because
    /// their process ended. Interrupted attempts do not count against the step's policy.
    #[must_use]
    pub fn attempt_with_cuts(&self) -> u32 {
        self.call.attempt_with_cuts()
    }

    /// Returns the idempotency key, `RUN_ID` followed by the path.
    ///
    /// The key is the same for all attempts of one generation of the step, even after a crash.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}{}", self.run_id(), self.path())
    }

    /// Returns the time by which this attempt must end, if it has a timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.call.deadline()
    }

    /// Waits until the call is asked to stop.
    pub async fn cancelled(&self) {
        self.call.cancel().cancelled().await;
    }

    /// Returns whether the call should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.cancel().is_cancelled()
    }

    /// Returns a token that is cancelled when the call should stop, for libraries that accept a token.
    #[must_use]
    pub fn cancellation(&self) -> tokio_util::sync::CancellationToken {
        self.call.cancel().token().clone()
    }

    /// Returns the current time of the run's clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.call.run().now()
    }
}
