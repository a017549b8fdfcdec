//! Tools that read text.

use crate::{Registry, Services, ToolError};

/// Adds the text tools.
pub(crate) fn register(_registry: &mut Registry, _services: &Services) -> Result<(), ToolError> {
    Ok(())
}
