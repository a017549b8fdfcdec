use std::sync::Arc;

use crate::{Policy, Registry, Sandbox, ToolError, data, text};

/// A registry with every tool of this crate, under `policy`.
///
/// Opens the policy's roots; nothing else is opened or connected before a tool is called.
pub fn standard(policy: Arc<Policy>) -> Result<Registry, ToolError> {
    let mut registry = Registry::new().with_output_bytes_max(policy.output_bytes_max);
    register_all(&mut registry, policy)?;
    Ok(registry)
}

/// Adds every tool of this crate, under `policy`, to a registry that may have others.
pub fn register_all(registry: &mut Registry, policy: Arc<Policy>) -> Result<(), ToolError> {
    let services = Services::open(policy)?;
    data::register(registry, &services)?;
    text::register(registry, &services)?;
    Ok(())
}

/// What the tools of one registry share.
#[derive(Clone)]
pub(crate) struct Services {
    pub(crate) policy: Arc<Policy>,
    pub(crate) sandbox: Arc<Sandbox>,
}

impl Services {
    fn open(policy: Arc<Policy>) -> Result<Self, ToolError> {
        let sandbox = Arc::new(Sandbox::open(&policy)?);
        Ok(Self { policy, sandbox })
    }
}
