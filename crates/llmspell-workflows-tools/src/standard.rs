use std::sync::Arc;

use crate::{ExpressionEvaluator, Policy, Registry, Sandbox, ToolError, data, files, text};

/// Optional services that tools can use.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Extensions {
    /// Evaluates the expressions of `rule_engine`; without an evaluator, expression rules are rejected.
    pub expressions: Option<Arc<dyn ExpressionEvaluator>>,
}

impl Extensions {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the expression evaluator.
    #[must_use]
    pub fn with_expressions(mut self, expressions: Arc<dyn ExpressionEvaluator>) -> Self {
        self.expressions = Some(expressions);
        self
    }
}

/// Creates a registry with every tool of this crate, under `policy`.
///
/// This opens the policy's roots. Everything else is opened or connected when a tool is called.
pub fn standard(policy: Arc<Policy>) -> Result<Registry, ToolError> {
    let mut registry = Registry::new().with_output_bytes_max(policy.output_bytes_max);
    register_all(&mut registry, policy)?;
    Ok(registry)
}

/// Adds every tool of this crate, under `policy`, to a registry that may already contain other tools.
pub fn register_all(registry: &mut Registry, policy: Arc<Policy>) -> Result<(), ToolError> {
    register_all_with(registry, policy, Extensions::new())
}

/// Adds the same tools as [`register_all`], and gives them access to the services in `extensions`.
pub fn register_all_with(
    registry: &mut Registry,
    policy: Arc<Policy>,
    extensions: Extensions,
) -> Result<(), ToolError> {
    let services = Services::open(policy, extensions)?;
    data::register(registry, &services)?;
    files::register(registry, &services)?;
    text::register(registry)?;
    #[cfg(feature = "web")]
    crate::web::register(registry, &services.policy)?;
    Ok(())
}

/// The services shared by the tools of a registry.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) policy: Arc<Policy>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) extensions: Extensions,
}

impl Services {
    fn open(policy: Arc<Policy>, extensions: Extensions) -> Result<Self, ToolError> {
        let sandbox = Arc::new(Sandbox::open(&policy)?);
        Ok(Self { policy, sandbox, extensions })
    }

    /// Creates services for unit tests of tools.
    #[cfg(test)]
    pub(crate) fn for_tests(policy: Policy) -> Self {
        Self::open(Arc::new(policy), Extensions::new()).expect("the test's directories exist")
    }
}
