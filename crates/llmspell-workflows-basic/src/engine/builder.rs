use std::sync::Arc;

use super::{Children, Dispatch, Engine, EngineBuilder, Interceptor, Position, SchemaCheck, Timers, permits::Permits};
use crate::{
    Clock, Limits,
    activity::{Activities, OutputSink},
    functions::Functions,
    layers,
    model::Definition,
    secrets::Masker,
};

impl EngineBuilder {
    /// Adds activities.
    #[must_use]
    pub fn activities(mut self, activities: Activities) -> Self {
        self.0.activities.extend(activities);
        self
    }

    /// Adds named functions: aggregations, conflict resolvers and migrations.
    #[must_use]
    pub fn functions(mut self, functions: Functions) -> Self {
        self.0.functions.extend(functions);
        self
    }

    /// Adds an interceptor.
    #[must_use]
    pub fn interceptor(mut self, position: Position, interceptor: impl Interceptor + 'static) -> Self {
        self.0.stack = self.0.stack.with(position, Arc::new(interceptor));
        self
    }

    /// Sets the service that executes leaves.
    #[must_use]
    pub fn dispatch(mut self, dispatch: impl Dispatch + 'static) -> Self {
        self.0.dispatch = Some(Arc::new(dispatch));
        self
    }

    /// Sets the service that waits until a given time.
    #[must_use]
    pub fn timers(mut self, timers: impl Timers + 'static) -> Self {
        self.0.timers = Arc::new(timers);
        self
    }

    /// Sets the service that runs sub-workflows.
    #[must_use]
    pub fn children(mut self, children: impl Children + 'static) -> Self {
        self.0.children = Arc::new(children);
        self
    }

    /// Adds a definition that steps can run as a sub-workflow, in addition to
    /// those in their own definition.
    #[must_use]
    pub fn workflow(mut self, definition: impl Into<Arc<Definition>>) -> Self {
        let definition = definition.into();
        self.0.workflows.insert(definition.name.clone(), definition);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.0.clock = Arc::new(clock);
        self
    }

    /// Sets the service that checks data against JSON Schemas.
    #[must_use]
    pub fn schemas(mut self, schemas: impl SchemaCheck + 'static) -> Self {
        self.0.schemas = Some(Arc::new(schemas));
        self
    }

    /// Adds a sink for the output of steps.
    #[must_use]
    pub fn output_sink(mut self, sink: impl OutputSink + 'static) -> Self {
        self.0.output_sinks.push(Arc::new(sink));
        self
    }

    /// Sets the limits of runs.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Declares the concurrency limit `name`: at most `holders` steps in all runs of the
    /// engine can hold it at once.
    ///
    /// If `holders` is 0, the limit is 1. The name refers to this limit in every definition. A
    /// definition that declares a different number can still run, with the warning `limit_differs`.
    #[must_use]
    pub fn concurrency(mut self, name: impl Into<String>, holders: u32) -> Self {
        self.0.concurrency.insert(name.into(), holders.max(1));
        self
    }

    /// Adds environment variables that definitions may list under `env`.
    #[must_use]
    pub fn env(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.env.extend(variables);
        self
    }

    /// Adds secrets that definitions may list under `secrets`. All their values are masked in
    /// everything that runs record or show.
    ///
    /// The engine refuses to run a definition that lists a secret shorter than
    /// [`SECRET_BYTES_MIN`](crate::secrets::SECRET_BYTES_MIN) bytes.
    #[must_use]
    pub fn secrets(mut self, secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        self.0.secrets.extend(secrets);
        self
    }

    /// Builds the engine and adds the layers that every engine has.
    #[must_use]
    pub fn build(mut self) -> Engine {
        self.0.stack = layers::standard(self.0.stack);
        self.0.masker = Masker::new(self.0.secrets.iter().map(|(name, value)| (&**name, &**value)));
        self.0.permits = Arc::new(Permits::new(&self.0.concurrency));
        Engine(Arc::new(self.0))
    }
}

impl Engine {
    /// Returns the same engine with an additional sink for the output of steps.
    #[must_use]
    pub fn with_output_sink(&self, sink: Arc<dyn OutputSink>) -> Self {
        let mut inner = (*self.0).clone();
        inner.output_sinks.push(sink);
        Self(Arc::new(inner))
    }

    /// Returns the sinks for the output of steps.
    pub(crate) fn output_sinks(&self) -> &[Arc<dyn OutputSink>] {
        &self.0.output_sinks
    }
}
