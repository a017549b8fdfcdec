use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ToolError, ToolErrorClass};

/// The parameters of a call as a type.
///
/// The schema has been checked before, so an error here is a value that the schema should have refused.
pub(crate) fn read<T: DeserializeOwned>(parameters: Value) -> Result<T, ToolError> {
    serde_json::from_value(parameters).map_err(|error| invalid(format!("the parameters do not fit: {error}")))
}

/// Parameters that fit the schema and still are not right.
pub(crate) fn invalid(message: impl Into<String>) -> ToolError {
    ToolError::new(ToolErrorClass::Validation, "invalid_parameters", message)
}
