use async_trait::async_trait;
use llmspell_workflows_hooks::{Hook, HookContext, HookError, Point};
use mockall::mock;

mock! {
    /// A mock of a hook at the point `P`.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use llmspell_workflows_basic::{Engine, WorkflowInput, engine::Position};
    /// use llmspell_workflows_basic::model::{Definition, Step};
    /// use llmspell_workflows_hooks::{HookDispatcher, HookLayer, Registration, answer::Before, point::BeforeStep};
    /// use llmspell_workflows_testing::mock::{MockHook, mockall::Sequence};
    /// use serde_json::json;
    ///
    /// // The hook is called for both steps, in order.
    /// let mut order = Sequence::new();
    /// let mut hook = MockHook::<BeforeStep>::new();
    /// for path in ["/main/one", "/main/two"] {
    ///     hook.expect_call()
    ///         .withf(move |context| context.path() == path)
    ///         .times(1)
    ///         .in_sequence(&mut order)
    ///         .returning(|_| Ok(Before::Continue));
    /// }
    ///
    /// let hooks = HookDispatcher::builder().register(Registration::new("watch").at(BeforeStep, hook)).build();
    /// let engine = Engine::builder().interceptor(Position::Hooks, HookLayer::new(Arc::new(hooks))).build();
    /// let steps = ["one", "two"].map(|id| Step::set(id, [("last".to_owned(), json!(id))].into_iter().collect()));
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
    /// engine.run(Definition::sequence("both", steps), WorkflowInput::default()).await.unwrap();
    /// # });
    /// ```
    pub Hook<P: Point> {}

    #[async_trait]
    impl<P: Point> Hook<P> for Hook<P> {
        async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError>;
    }
}
