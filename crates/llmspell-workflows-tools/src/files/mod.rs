//! Tools that work with files within the policy's roots.

mod atomic;
mod entry;
mod operations;
mod roots;
mod search;
mod temporary;
mod writer;

use std::sync::Arc;

use serde_json::Value;

pub(crate) use atomic::NewVersion;

use crate::data::support::data_spec;
use crate::{Category, Permission, Registry, SecurityLevel, Services, ToolError, ToolSpec};

/// Adds the file tools.
pub(crate) fn register(registry: &mut Registry, services: &Services) -> Result<(), ToolError> {
    registry.register(Arc::new(operations::FileOperations::new(services.clone())))?;
    registry.register(Arc::new(search::FileSearch::new(services.clone())))?;
    registry.register(Arc::new(writer::FileWriter::new(services.clone())))
}

/// Creates the spec of a tool that reads and writes files.
fn file_spec(name: &'static str, description: &'static str, parameters: Value, result: Value) -> ToolSpec {
    ToolSpec {
        category: Category::Filesystem,
        security_level: SecurityLevel::Restricted,
        permissions: &[Permission::FilesRead, Permission::FilesWrite],
        ..data_spec(name, description, parameters, result)
    }
}
