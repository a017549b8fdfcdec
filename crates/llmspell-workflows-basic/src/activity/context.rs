use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::{PathLink, engine::Call};

/// What an activity is told about its call.
#[derive(Debug, Clone)]
pub struct ActivityContext {
    call: Call,
    input: Input,
}

/// Where the input of an activity is.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    /// In the step itself: it holds no reference.
    Fixed,
    Given(Arc<Value>),
}

impl ActivityContext {
    pub(crate) fn new(call: Call, input: Input) -> Self {
        Self { call, input }
    }

    /// Its input: the step's parameters with every reference resolved.
    #[must_use]
    pub fn input(&self) -> &Value {
        match &self.input {
            Input::Given(input) => input,
            Input::Fixed => self.call.node().fixed_input().expect("a call is made this way only where it is fixed"),
        }
    }

    /// The run it belongs to.
    #[must_use]
    pub fn run_id(&self) -> Uuid {
        self.call.run().id()
    }

    /// Where in the run it stands.
    #[must_use]
    pub fn path(&self) -> &PathLink {
        self.call.path()
    }

    /// Which attempt this is, counted from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.call.attempt()
    }

    /// The same for all attempts of this entry into the step, also after a crash: `RUN_ID` and the path.
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        format!("{}{}", self.run_id(), self.path())
    }

    /// When this attempt must have ended, if it has a timeout.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.call.deadline()
    }

    /// Ends when the call should stop.
    pub async fn cancelled(&self) {
        self.call.cancel().cancelled().await;
    }

    /// Whether the call should stop.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.call.cancel().is_cancelled()
    }

    /// The token that is triggered when the call should stop, for libraries that take one.
    #[must_use]
    pub fn cancellation(&self) -> tokio_util::sync::CancellationToken {
        self.call.cancel().token().clone()
    }

    /// The time as the run sees it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.call.run().clock().now()
    }
}
