use crate::{ToolError, ToolErrorClass};

/// Runs blocking work, such as file access or a long computation, on the runtime's blocking threads.
///
/// A panic in `work` is returned as a tool error. The work cannot be interrupted from outside, so
/// work that may take long must check the call's cancellation token.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(ToolError::new(ToolErrorClass::Validation, "tool_panicked", format!("the tool panicked: {message}")))
        }
        // The runtime is shutting down.
        Err(_) => Err(ToolError::cancelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_becomes_a_tool_error() {
        let error = blocking::<()>(|| panic!("index {} out of range", 7)).await.unwrap_err();
        assert_eq!(error.code, "tool_panicked");
        assert!(error.message.contains("index 7 out of range"), "{error}");
    }
}
