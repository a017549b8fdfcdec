use std::sync::Arc;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use llmspell_workflows_basic::{
    Clock, Run, StepError,
    activity::{Activity, ActivityContext, ActivityOutput},
    engine::{Call, Child, ChildEnd, ChildUndo, Children, Dispatch, LeafCall, SchemaCheck, Timers, Violation, Wake},
};
use mockall::mock;
use serde_json::Value;
use uuid::Uuid;

mock! {
    /// A mock of an activity; see [the module](super) for an example. Its parameters are not checked before a run.
    #[derive(Debug)]
    pub Activity {}

    #[async_trait]
    impl Activity for Activity {
        async fn perform(&self, context: ActivityContext) -> Result<ActivityOutput, StepError>;
    }
}

mock! {
    /// A mock of a leaf dispatcher.
    ///
    /// ```
    /// use llmspell_workflows_basic::{Engine, StepError, WorkflowInput, activity::{Activities, function}};
    /// use llmspell_workflows_basic::model::{Definition, Step};
    /// use llmspell_workflows_testing::mock::MockDispatch;
    /// use serde_json::json;
    ///
    /// // If the machine is unreachable, the activity must not be called in this process instead.
    /// let mut machine = MockDispatch::new();
    /// machine.expect_perform().times(1).returning(|call| {
    ///     let name = call.name.to_string();
    ///     Box::pin(async move { Err(StepError::configuration("unreachable", format!("no machine for {name}"))) })
    /// });
    ///
    /// let mut activities = Activities::new();
    /// activities.register("function", "charge", function(|_| async { Ok(json!("charged here")) }));
    /// let engine = Engine::builder().activities(activities).dispatch(machine).build();
    /// let order = Definition::sequence("order", [Step::function("charge", "charge", json!({}))]);
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let finished = engine.run(order, WorkflowInput::default()).await.unwrap();
    /// assert_eq!(finished.error.unwrap().message, "no machine for function:charge");
    /// # });
    /// ```
    #[derive(Debug)]
    pub Dispatch {}

    impl Dispatch for Dispatch {
        fn perform(&self, call: LeafCall) -> BoxFuture<'static, Result<ActivityOutput, StepError>>;
    }
}

mock! {
    /// A mock of the timers.
    #[derive(Debug)]
    pub Timers {}

    #[async_trait]
    impl Timers for Timers {
        async fn until(&self, call: &Call, wake_at: Timestamp) -> Wake;
    }
}

mock! {
    /// A mock of a sub-workflow runner.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llmspell_workflows_basic::{Engine, WorkflowInput, engine::ChildEnd};
    /// use llmspell_workflows_basic::model::{Definition, Step};
    /// use llmspell_workflows_testing::mock::MockChildren;
    /// use serde_json::json;
    ///
    /// // The sub-workflow does not run; the mock returns its output.
    /// let mut children = MockChildren::new();
    /// children
    ///     .expect_run()
    ///     .withf(|call, child| call.path().to_string() == "/main/scan" && child.input == json!({"depth": 2}))
    ///     .times(1)
    ///     .returning(|_, _| Ok(ChildEnd::Completed(Arc::new(json!("clean")))));
    /// // The run ends, and none of its sub-workflows waits.
    /// children.expect_end().returning(|_, _| Ok(None));
    ///
    /// let scan = Definition::sequence("scan", [Step::set("look", Default::default())]);
    /// let review = Definition::sequence("review", [Step::workflow("scan", "scan", json!({"depth": 2}))])
    ///     .with_workflow(scan);
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// let engine = Engine::builder().children(children).build();
    /// let finished = engine.run(review, WorkflowInput::default()).await.unwrap();
    /// assert_eq!(*finished.output, json!("clean"));
    /// # });
    /// ```
    #[derive(Debug)]
    pub Children {}

    #[async_trait]
    impl Children for Children {
        async fn run(&self, call: &Call, child: Child) -> Result<ChildEnd, StepError>;
        async fn end(&self, run: &Arc<Run>, compensates: bool) -> Result<Option<ChildEnd>, StepError>;
        async fn undo(&self, run: &Arc<Run>, child: Uuid) -> Result<ChildUndo, StepError>;
    }
}

mock! {
    /// A mock of a schema validator.
    ///
    /// ```
    /// use llmspell_workflows_basic::engine::{SchemaCheck, Violation};
    /// use llmspell_workflows_testing::mock::MockSchemaCheck;
    /// use serde_json::json;
    ///
    /// let mut check = MockSchemaCheck::new();
    /// let violation = Violation { path: "/age".into(), message: "too old".into() };
    /// check.expect_check().returning(move |_, _| Ok(vec![violation.clone()]));
    /// assert_eq!(check.check(&json!({}), &json!({"age": 200})).unwrap()[0].path, "/age");
    /// ```
    #[derive(Debug)]
    pub SchemaCheck {}

    impl SchemaCheck for SchemaCheck {
        fn check(&self, schema: &Value, data: &Value) -> Result<Vec<Violation>, String>;
    }
}

mock! {
    /// A mock of the clock. Use [`SimClock`](crate::clock::SimClock) if the time must advance when
    /// runs wait for it.
    ///
    /// ```
    /// use llmspell_workflows_basic::Clock;
    /// use llmspell_workflows_testing::mock::MockClock;
    ///
    /// // The clock is set back.
    /// let mut clock = MockClock::new();
    /// let mut shown = ["2026-03-29T02:59:59Z", "2026-03-29T02:00:00Z"].map(|time| time.parse().unwrap()).into_iter();
    /// clock.expect_now().times(2).returning(move || shown.next().unwrap());
    /// assert!(clock.now() > clock.now());
    /// ```
    #[derive(Debug)]
    pub Clock {}

    impl Clock for Clock {
        fn now(&self) -> Timestamp;
        fn sleep_until(&self, time: Timestamp) -> BoxFuture<'static, ()>;
    }
}
