use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ToolError, ToolErrorClass};

/// Deserializes the parameters of a call.
///
/// The parameters have already been checked against the schema, so an error here means that the schema is too
/// permissive.
pub(crate) fn read<T: DeserializeOwned>(parameters: Value) -> Result<T, ToolError> {
    serde_json::from_value(parameters).map_err(|error| invalid(format!("invalid parameters: {error}")))
}

/// Creates an error for parameters that match the schema but are still invalid.
pub(crate) fn invalid(message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Validation, "invalid_parameters", message)
}
